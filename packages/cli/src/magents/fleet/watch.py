"""Working off a list of tasks until nothing is left that could be done: `task-agents --watch`.

All that counts is in the list, the store and the runtimes, so where this is killed, the same command goes on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from magents.errors import Conflict, MagentsError
from magents.fleet import assign, tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from magents.fleet.assign import Request
    from magents.fleet.automerge import Auto
    from magents.fleet.context import Context
    from magents.fleet.tasks import Board
    from magents.tasks.model import Task

PAUSE = 1.0
"""Seconds between two looks."""
TRIES = 3
"""How often an agent is started for one task before it is left: one that fails at once would fail for ever."""
RUNNING = ("working", "running", "creating", "restoring")
CLOSED = ("done", "completed", "cancelled", "deferred")


class Event(NamedTuple):
    """What has happened."""

    event: str
    """`started`, `again`, `failed`, `status`, `waiting` (for an answer), `merged`, `back` (its agent is to mend its
    work), `left` (to a person), `problem`, `end`."""
    task: str = ""
    agent: str = ""
    text: str = ""


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
    states = {id: hand.status.state for id, hand in board.hands.items() if hand.status}
    open_ones = [task for task in board.tasks.tasks if task.status not in CLOSED]
    review = sum(task.status == "review" for task in open_ones)
    running = sum(task.status == "in-progress" and states.get(task.id) in RUNNING for task in open_ones)
    asking = sum(task.status == "in-progress" and states.get(task.id) == "waiting" for task in open_ones)
    total = len(board.tasks.tasks)
    return Count(total - len(open_ones), running, review, asking, len(open_ones) - review - running - asking, total)


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
    tries: dict[str, int] = {}
    trouble = ""
    while True:
        try:
            board = tasks.board(context, request.folder, request.tag)
            yield from news(board, seen)
            if board.problems:  # what runs is not known: nothing is started or merged meanwhile, nor given up
                raise MagentsError("; ".join(board.problems))
            if auto:
                drawn(board)
                yield from merged(context, board, auto, seen)
                board = tasks.board(context, request.folder, request.tag)
                yield from news(board, seen)
            planned = assign.schedule(context, board, request)
            jobs = [job for job in planned.jobs if tries.get(job.task.id, 0) < TRIES]
            for number, job in enumerate(jobs):
                if short := assign.shortage():
                    raise MagentsError(f"{len(jobs) - number} tasks must wait: {short}.")
                tries[job.task.id] = tries.get(job.task.id, 0) + 1
                yield from started(context, board, job, request)
            if jobs:
                board = tasks.board(context, request.folder, request.tag)
                yield from news(board, seen)
            drawn(board)
            if not jobs and over(context, board, request, tries, auto):
                yield ending(board, planned.left | dict.fromkeys(given_up(board, tries), "its agent ends at once"))
                return
            trouble = ""
        except MagentsError as error:
            if error.message != trouble:
                trouble = error.message
                yield Event("problem", text=f"{error.message} {error.hint}")
        time.sleep(pause)


def started(context: Context, board: Board, job: assign.Job, request: Request) -> Iterator[Event]:
    """Begin a task; tells how that went."""
    try:
        agent = assign.begin(context, board, job, request)
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
        asks = hand.status.detail if hand and hand.status and hand.status.state == "waiting" else ""
        if not first and seen.get(task.id) != task.status:
            yield Event("status", task.id, agent, task.status)
        seen[task.id] = task.status
        mark = f"{task.id} asks"
        if asks and seen.get(mark) != asks:
            yield Event("waiting", task.id, agent, asks)
        seen[mark] = asks


def merged(context: Context, board: Board, auto: Auto, seen: dict[str, str]) -> Iterator[Event]:
    """Merge what is finished; a problem that stays is told of once."""
    from magents.fleet import automerge

    for step in automerge.steps(context, board, auto):
        mark = f"{step.task.id} merge"
        if step.what != "problem" or seen.get(mark) != step.text:
            yield Event(step.what, step.task.id, step.agent.id, step.text)
        seen[mark] = step.text


def over(context: Context, board: Board, request: Request, tries: dict[str, int], auto: Auto | None = None) -> bool:
    """Whether nothing goes on by itself, and no person is waited for. Where merges are made by themselves, what was
    left to a person is not waited for."""
    gone = given_up(board, tries)
    if auto:
        from magents.fleet import automerge

        gone |= {id for id, hand in board.hands.items() if automerge.left(context, hand.agent)}
    return not any(active(board, task) for task in wanted(board, request) if task.id not in gone)


def wanted(board: Board, request: Request) -> list[Task]:
    """The tasks that this is about."""
    return [task for task in board.tasks.tasks if not request.only or task.id in request.only]


def active(board: Board, task: Task) -> bool:
    """Whether a task is being worked on, is to be merged, or can be begun."""
    hand = board.hands.get(task.id)
    if task.status in ("in-progress", "review"):
        return hand is not None
    return task in board.plan.ready


def given_up(board: Board, tries: dict[str, int]) -> set[str]:
    """Tasks whose agent could not be started, or has ended, as often as it may."""
    ended = {id for id, hand in board.hands.items() if hand.status is None or hand.status.state in tasks.ENDED}
    return {id for id, number in tries.items() if number >= TRIES and (id in ended or id not in board.hands)}


def ending(board: Board, left: dict[str, str]) -> Event:
    """The last event: `done` where all is worked off, else why the rest is not."""
    open_ones = [task.id for task in board.tasks.tasks if task.status not in CLOSED]
    if not open_ones:
        return Event("end", text="done")
    return Event("end", text="; ".join(f"{id}: {left.get(id, 'open')}" for id in open_ones[:20]))
