"""Working off a list of tasks until nothing is left that could be done: `task-agents --watch`.

All that counts is in the list, the store and the runtimes, so where this is killed, the same command goes on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import Conflict, MagentsError
from magents.core.status import BUSY, ENDED
from magents.system.isolated import isolated
from magents.taskmaster import assignments
from magents.taskmaster import board as boards
from magents.taskmaster.model import CLOSED

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from magents.core.status import Status
    from magents.fleet.context import Context
    from magents.taskmaster.assignments import Request
    from magents.taskmaster.automerge import Auto
    from magents.taskmaster.board import Board
    from magents.taskmaster.model import Task

PAUSE = 1.0
"""Seconds between two looks."""
TRIES = 3
"""How often a start that fails is tried for one task, and one that has been stopped is started again."""


class Event(NamedTuple):
    """What has happened."""

    event: str
    """`started`, `again`, `failed`, `status`, `waiting` (for an answer), `stuck` (its agent does not go on), `held`
    (it would collide with that agent), `withheld` (a person must accept its text first), `merged`, `back` (its
    agent is to mend its work), `left` (to a person), `mended` (what a killed command has left half-made),
    `problem`, `end`."""
    task: str = ""
    agent: str = ""
    text: str = ""
    left: Mapping[str, str] = {}
    """At the `end`: why each open task is left, by its id; empty when all are done."""


class Count(NamedTuple):
    """The tasks in numbers."""

    done: int
    running: int
    review: int
    """To be reviewed and merged by a person."""
    asking: int
    """Whose agents wait for an answer."""
    waiting: int
    total: int


def count(board: Board) -> Count:
    """How far the list is."""
    states = {id: hand.status for id, hand in board.hands.items() if hand.status}
    open_ones = [task for task in board.tasks.tasks if task.status not in CLOSED]
    review = sum(task.status == "review" for task in open_ones)
    begun = [states[task.id] for task in open_ones if task.status == "in-progress" and task.id in states]
    running = sum(status.state in BUSY - {"waiting"} for status in begun)
    waiting = sum(asking(status) for status in begun)
    done, rest = len(board.tasks.tasks) - len(open_ones), len(open_ones) - review - running - waiting
    return Count(done, running, review, waiting, rest, len(board.tasks.tasks))


def watch(
    context: Context,
    request: Request,
    drawn: Callable[[Board], None],
    auto: Auto | None = None,
    pause: float = PAUSE,
) -> Iterator[Event]:
    """Start what becomes ready, until nothing can be done any more; tells of each thing that happens.

    Merges what is finished where `auto` says how; else whoever does lets the next ones begin. `drawn` of each look.
    A list that is broken for a moment is told of once, and looked at again.
    """
    seen: dict[str, str] = {}
    told: set[str] = set()
    tries: dict[str, int] = {}
    trouble = ""
    while True:
        try:
            yield from mended(context, told)
            board = yield from looked(context, request, seen)
            problems: set[str] = set()
            if auto:
                drawn(board)
                problems = yield from merged(context, board, auto, seen)
                board = yield from looked(context, request, seen)  # a check can take long
            if (yield from freed(context, board, request, seen)):
                board = yield from looked(context, request, seen)
            soon = bool(auto) and to_merge(context, board, problems)
            planned = assignments.schedule(context, board, request, without=set_aside(board, tries), patient=soon)
            yield from held(planned, seen)
            withheld = yield from unaccepted(board, request, seen)
            jobs = planned.jobs
            for number, job in enumerate(jobs):
                if short := assignments.shortage():
                    raise MagentsError(f"{len(jobs) - number} tasks must wait: {short}.")
                tries[job.task.id] = tries.get(job.task.id, 0) + 1
                yield from started(context, board, job, request)
            if jobs:
                board = yield from looked(context, request, seen)
            drawn(board)
            if not jobs and over(context, board, request, tries, withheld):
                yield ending(board, planned.left | dict.fromkeys(given_up(board, tries), "its agent ends at once"))
                return
            trouble = ""
        except MagentsError as error:
            if error.message != trouble:
                trouble = error.message
                yield Event("problem", text=f"{error.message} {error.hint}")
        time.sleep(pause)


def looked(context: Context, request: Request, seen: dict[str, str]) -> Generator[Event, None, Board]:
    """How things stand now; tells what has changed.

    Raises MagentsError when what runs cannot be known: then nothing is started or merged, nor given up.
    """
    board = boards.board(context, request.folder, request.tag)
    yield from news(board, seen)
    if board.problems:
        raise MagentsError("; ".join(board.problems))
    return board


def mended(context: Context, told: set[str]) -> Iterator[Event]:
    """Settle what a killed command has left half-made. Its children may have been at work when this one began."""
    if context.store.unsettled():
        from magents.fleet import recover

        for text in recover.recover(context):
            if text not in told:
                yield Event("mended", text=text)
            told.add(text)


def set_aside(board: Board, tries: dict[str, int]) -> set[str]:
    """Tasks that are not started now: given up, or with an agent that is stuck, whose starts `freed` counts."""
    from magents.taskmaster import supervisor

    return given_up(board, tries) | supervisor.found(board).keys()


def freed(context: Context, board: Board, request: Request, seen: dict[str, str]) -> Generator[Event, None, bool]:
    """Start agents that are stuck again, or leave them to a person; a problem that stays is told of once. Returns
    whether there were any."""
    from magents.taskmaster import supervisor

    some = False
    for step in supervisor.steps(context, board, request.only):
        mark = f"{step.task.id} stuck"
        if step.what != "problem" or seen.get(mark) != step.text:
            yield Event(step.what, step.task.id, step.hand.agent.id, step.text)
        seen[mark] = step.text
        if step.what == "stuck":
            yield from started(context, board, assignments.Job(step.task, step.hand), request)
        some = some or step.what != "problem"
    return some


def started(context: Context, board: Board, job: assignments.Job, request: Request) -> Iterator[Event]:
    """Begin a task; tells how that went."""
    try:
        with isolated(f"task {job.task.id}"):
            agent = assignments.begin(context, board, job, request)
    except Conflict as error:  # another command was first
        yield Event("problem", job.task.id, text=error.message)
    except MagentsError as error:
        yield Event("failed", job.task.id, text=f"{error.message} {error.hint}")
    else:
        yield Event("again" if job.again else "started", job.task.id, agent.id, job.task.title)


def news(board: Board, seen: dict[str, str]) -> Iterator[Event]:
    """What has changed since the last look; the first one tells nothing but who waits for an answer."""
    first = not seen
    for task in board.tasks.tasks:
        hand = board.hands.get(task.id)
        agent = hand.agent.id if hand and hand.status else ""
        asks = hand.status.detail if hand and hand.status and asking(hand.status) else ""
        if not first and seen.get(task.id) != task.status:
            yield Event("status", task.id, agent, task.status)
        seen[task.id] = task.status
        mark = f"{task.id} asks"
        if asks and seen.get(mark) != asks:
            yield Event("waiting", task.id, agent, asks)
        seen[mark] = asks


def held(planned: assignments.Schedule, seen: dict[str, str]) -> Iterator[Event]:
    """What would collide and therefore waits; told once for each agent that it waits for."""
    for id, clash in planned.held.items():
        mark = f"{id} held"
        if seen.get(mark) != clash.who:
            yield Event("held", id, clash.who, clash.text)
        seen[mark] = clash.who


def unaccepted(board: Board, request: Request, seen: dict[str, str]) -> Generator[Event, None, set[str]]:
    """What waits for a person's yes to its text, told once. Returns the ids of these tasks."""
    wanted = [task for tasks in assignments.candidates(board) for task in tasks if request.wants(task)]
    withheld = {task.id: ids for task in wanted if (ids := assignments.withheld_by(board, task, request))}
    for id, ids in withheld.items():
        why = assignments.why_withheld(ids)
        if seen.get(f"{id} text") != why:
            yield Event("withheld", id, text=why)
        seen[f"{id} text"] = why
    return set(withheld)


def asking(status: Status) -> bool:
    """Whether an agent waits for a person's answer."""
    return status.state == "waiting" and status.reason != "turn-failed"


def merged(context: Context, board: Board, auto: Auto, seen: dict[str, str]) -> Generator[Event, None, set[str]]:
    """Merge what is finished; a problem that stays is told of once. Returns the ids of tasks that have one."""
    from magents.taskmaster import automerge

    problems = set()
    for step in automerge.steps(context, board, auto):
        if step.what == "problem":
            problems.add(step.task.id)
        mark = f"{step.task.id} merge"
        if step.what != "problem" or seen.get(mark) != step.text:
            yield Event(step.what, step.task.id, step.agent.id, step.text)
        seen[mark] = step.text
    return problems


def to_merge(context: Context, board: Board, problems: set[str]) -> bool:
    """Whether the next look merges something, as far as can be told."""
    from magents.taskmaster import automerge

    return any(task.id not in problems for task, _ in automerge.candidates(context, board))


def over(context: Context, board: Board, request: Request, tries: dict[str, int], withheld: set[str]) -> bool:
    """Whether nothing goes on by itself, and no person is waited for; what was left to one is not, nor what is
    `withheld`."""
    gone = withheld | given_up(board, tries)
    gone |= {id for id, hand in board.hands.items() if boards.left(context, hand.agent)}
    return not any(active(board, task) for task in wanted(board, request) if task.id not in gone)


def wanted(board: Board, request: Request) -> list[Task]:
    """The tasks that this is about."""
    return [task for task in board.tasks.tasks if request.wants(task)]


def active(board: Board, task: Task) -> bool:
    """Whether a task is being worked on, is to be merged, or can be begun."""
    hand = board.hands.get(task.id)
    if task.status in ("in-progress", "review"):
        return hand is not None
    return task in board.plan.ready


def given_up(board: Board, tries: dict[str, int]) -> set[str]:
    """Tasks whose agent could not be started, or has ended, as often as it may."""
    ended = {id for id, hand in board.hands.items() if hand.status is None or hand.status.state in ENDED}
    return {id for id, number in tries.items() if number >= TRIES and (id in ended or id not in board.hands)}


def ending(board: Board, left: dict[str, str]) -> Event:
    """The last event."""
    open_ones = {t.id: left.get(t.id, "open") for t in board.tasks.tasks if t.status not in CLOSED}
    text = "; ".join(f"{id}: {why}" for id, why in list(open_ones.items())[:20])
    return Event("end", text=text or "done", left=open_ones)
