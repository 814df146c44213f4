"""Working off a list of tasks until nothing is left that could be done: `task-agents --watch`.

All that counts is in the list, the store and the runtimes, so where this is killed, the same command goes on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import Conflict, MagentsError
from magents.core.status import BUSY
from magents.system.isolated import isolated
from magents.taskmaster import automerge, supervisor
from magents.taskmaster.assignments import begin
from magents.taskmaster.board import left, load_board
from magents.taskmaster.model import CLOSED
from magents.taskmaster.scheduler import Job, schedule, shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator, Iterator, Mapping

    from magents.core.status import Status
    from magents.fleet.context import Context
    from magents.taskmaster.automerge import Auto
    from magents.taskmaster.board import Board
    from magents.taskmaster.model import Task
    from magents.taskmaster.scheduler import Request, Schedule

PAUSE_S = 1.0
"""Between two looks."""
MAX_TRIES = 3
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
    states = {id: assignment.status for id, assignment in board.assignments.items() if assignment.status}
    open_ones = [task for task in board.tasks.tasks if task.status not in CLOSED]
    review = sum(task.status == "review" for task in open_ones)
    begun = [states[task.id] for task in open_ones if task.status == "in-progress" and task.id in states]
    running = sum(status.state in BUSY - {"waiting"} for status in begun)
    waiting = sum(asks(status) for status in begun)
    done, rest = len(board.tasks.tasks) - len(open_ones), len(open_ones) - review - running - waiting
    return Count(done, running, review, waiting, rest, len(board.tasks.tasks))


class Loop:
    """Starts what becomes ready, until nothing can be done any more."""

    def __init__(
        self, context: Context, request: Request, looked: Callable[[Board], None], auto: Auto | None = None
    ) -> None:
        """`looked` is told of each look. `auto`: how to merge what is finished; None leaves that to a person, whose
        merges let the next tasks begin."""
        self.context = context
        self.request = request
        self.looked = looked
        self.auto = auto
        self._told: dict[tuple[str, str], str] = {}
        """What was last told, by what it is about and the task."""
        self._tries: dict[str, int] = {}
        """How often each task was begun."""

    def run(self, pause_s: float = PAUSE_S) -> Iterator[Event]:
        """Tells of each thing that happens. A list that is broken for a moment is told of once, and looked at
        again."""
        trouble = ""
        while True:
            try:
                if end := (yield from self.round()):
                    yield end
                    return
                trouble = ""
            except MagentsError as error:
                if error.message != trouble:
                    trouble = error.message
                    yield Event("problem", text=f"{error.message} {error.hint}")
            time.sleep(pause_s)

    def round(self) -> Generator[Event, None, Event | None]:
        """Look once, and do what there is to do; the event `end` when nothing is left that could be done."""
        yield from self.recover()
        board = yield from self.look()
        problems: set[str] = set()
        if self.auto:
            self.looked(board)
            problems = yield from self.merge(board, self.auto)
            board = yield from self.look()  # a check can take long
        if (yield from self.restart_stuck(board)):
            board = yield from self.look()
        planned = schedule(
            self.context, board, self.request, without=self.set_aside(board),
            patient=bool(self.auto) and self.merges_next(board, problems),
        )  # fmt: skip
        yield from self.tell_waiting(planned)
        for number, job in enumerate(planned.jobs):
            if short := shortage():
                raise MagentsError(f"{len(planned.jobs) - number} tasks must wait: {short}.")
            self._tries[job.task.id] = self._tries.get(job.task.id, 0) + 1
            yield from self.begin(board, job)
        if planned.jobs:
            board = yield from self.look()
        self.looked(board)
        if planned.jobs or not self.over(board, planned.withheld):
            return None
        return ending(board, planned.left | dict.fromkeys(self.given_up(board), "its agent ends at once"))

    def recover(self) -> Iterator[Event]:
        """Settle what a killed command has left half-made: its children may have been at work as this one began."""
        if self.context.store.unsettled():
            from magents.fleet import recover

            for text in recover.recover(self.context):
                if self.changed("recovered", text, text):
                    yield Event("mended", text=text)

    def look(self) -> Generator[Event, None, Board]:
        """How things stand now; tells what has changed.

        Raises MagentsError when what runs cannot be known: then nothing is started or merged, nor given up.
        """
        board = load_board(self.context, self.request.folder, self.request.tag)
        yield from self.tell_changes(board)
        if board.problems:
            raise MagentsError("; ".join(board.problems))
        return board

    def merge(self, board: Board, auto: Auto) -> Generator[Event, None, set[str]]:
        """Merge what is finished; a problem that stays is told of once. Returns the ids of tasks that have one."""
        problems = set()
        for step in automerge.steps(self.context, board, auto):
            if step.what == "problem":
                problems.add(step.task.id)
            if self.changed("merge", step.task.id, step.text) or step.what != "problem":
                yield Event(step.what, step.task.id, step.agent.id, step.text)
        return problems

    def merges_next(self, board: Board, problems: set[str]) -> bool:
        """Whether the next round merges something, as far as can be told."""
        return any(task.id not in problems for task, _ in automerge.candidates(self.context, board))

    def restart_stuck(self, board: Board) -> Generator[Event, None, bool]:
        """Start agents that are stuck again, or leave them to a person; a problem that stays is told of once.
        Returns whether there were any."""
        acted = False
        for step in supervisor.steps(self.context, board, self.request.only):
            if self.changed("stuck", step.task.id, step.text) or step.what != "problem":
                yield Event(step.what, step.task.id, step.assignment.agent.id, step.text)
            if step.what == "stuck":
                yield from self.begin(board, Job(step.task, step.assignment))
            acted = acted or step.what != "problem"
        return acted

    def begin(self, board: Board, job: Job) -> Iterator[Event]:
        """Begin a task; tells how that went."""
        try:
            with isolated(f"task {job.task.id}"):
                agent = begin(self.context, board, job, self.request)
        except Conflict as error:  # another command was first
            yield Event("problem", job.task.id, text=error.message)
        except MagentsError as error:
            yield Event("failed", job.task.id, text=f"{error.message} {error.hint}")
        else:
            yield Event("again" if job.again else "started", job.task.id, agent.id, job.task.title)

    def tell_changes(self, board: Board) -> Iterator[Event]:
        """What has changed since the last look; the first one tells nothing but who waits for an answer."""
        first = "status" not in {about for about, _ in self._told}
        for task in board.tasks.tasks:
            assignment = board.assignments.get(task.id)
            status = assignment.status if assignment else None
            agent = assignment.agent.id if assignment and status else ""
            question = status.detail if status and asks(status) else ""
            if self.changed("status", task.id, task.status) and not first:
                yield Event("status", task.id, agent, task.status)
            if self.changed("question", task.id, question) and question:
                yield Event("waiting", task.id, agent, question)

    def tell_waiting(self, planned: Schedule) -> Iterator[Event]:
        """What would collide and therefore waits, once for each agent that it waits for; and what waits for a
        person's yes to its text."""
        for id, clash in planned.held.items():
            if self.changed("held", id, clash.who):
                yield Event("held", id, clash.who, clash.text)
        for id, why in planned.withheld.items():
            if (not self.request.only or id in self.request.only) and self.changed("withheld", id, why):
                yield Event("withheld", id, text=why)

    def changed(self, about: str, task: str, text: str) -> bool:
        """Whether something is to be told that was not told last; from now on it was."""
        before = self._told.get((about, task))
        self._told[about, task] = text
        return text != before

    def over(self, board: Board, withheld: Container[str]) -> bool:
        """Whether nothing goes on by itself, and no person is waited for; what was left to one is not, nor what is
        `withheld`."""
        given_up = self.given_up(board)
        gone = {id for id, assignment in board.assignments.items() if left(self.context, assignment.agent)}
        return not any(
            self.request.wants(task) and active(board, task)
            for task in board.tasks.tasks
            if task.id not in gone | given_up and task.id not in withheld
        )

    def set_aside(self, board: Board) -> set[str]:
        """Tasks that are not started now: given up, or with an agent that is stuck, whose starts are counted by
        `supervisor`."""
        return self.given_up(board) | supervisor.stuck(board).keys()

    def given_up(self, board: Board) -> set[str]:
        """Tasks whose agent could not be started, or has ended, as often as it may."""
        assignments = board.assignments
        return {
            id
            for id, tries in self._tries.items()
            if tries >= MAX_TRIES and (id not in assignments or assignments[id].ended)
        }


def asks(status: Status) -> bool:
    """Whether an agent waits for a person's answer."""
    return status.state == "waiting" and status.reason != "turn-failed"


def active(board: Board, task: Task) -> bool:
    """Whether a task is being worked on, is to be merged, or can be begun."""
    if task.status in ("in-progress", "review"):
        return task.id in board.assignments
    return task in board.plan.ready


def ending(board: Board, left: dict[str, str]) -> Event:
    """The last event."""
    open_ones = {task.id: left.get(task.id, "open") for task in board.tasks.tasks if task.status not in CLOSED}
    text = "; ".join(f"{id}: {why}" for id, why in list(open_ones.items())[:20])
    return Event("end", text=text or "done", left=open_ones)
