"""Which tasks get an agent now, and why the others get none. Decides; what it decides on was looked up before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from magents import config, runtimes
from magents.taskmaster import collisions
from magents.taskmaster.model import rank

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from magents.fleet.context import Context
    from magents.taskmaster.board import Assignment, Board
    from magents.taskmaster.model import Task
    from magents.taskmaster.plan import Clash

NEEDED_MIB = 700
"""Memory that must be free for one more agent: what a harness takes, and some for its tests."""


class Request(NamedTuple):
    """How agents for tasks are to be made."""

    folder: str = "."
    tag: str = ""
    limit: int = 0
    """How many may be at work at once; 0 for the setting MAX_AGENTS."""
    only: Sequence[str] = ()
    """Ids of the only tasks to look at; empty for all."""
    runtime: str = ""
    harness: str = ""
    command: Sequence[str] = ()
    """A program to run in the place of the harness."""
    env: Mapping[str, str] = {}
    agent_text: bool = False
    """Whether an agent with the user's rights may be told what an agent in a container has written."""

    def wants(self, task: Task) -> bool:
        """Whether it is about this task."""
        return not self.only or task.id in self.only


class Job(NamedTuple):
    """A task that gets an agent."""

    task: Task
    previous: Assignment | None
    """The agent that worked on it before."""
    clash: Clash | None = None
    """What it may collide with all the same."""

    @property
    def again(self) -> bool:
        """Whether it goes on with what was begun."""
        return self.previous is not None


class Schedule(NamedTuple):
    """What is to be done now."""

    jobs: list[Job]
    left: dict[str, str]
    """Why each of the other open tasks gets none, by id."""
    limit: int
    held: dict[str, Clash]
    """Those of them that wait for what they would collide with."""
    withheld: dict[str, str]
    """Why those of them wait whose text a person has to accept first, by id."""


def schedule(
    context: Context, board: Board, request: Request, *, without: Container[str] = (), patient: bool = False
) -> Schedule:
    """Which tasks get an agent now: those in progress whose agent is not at work any more, then the ready ones that
    are not about to collide. `without`: ids of tasks that are given up. `patient`: what others wait for is going to
    be merged by itself, so nothing is begun that collides with it, even if nothing else runs.

    Raises NotFound for a task that is asked for and not there.
    """
    for id in request.only:
        board.task(id)
    limit = request.limit or int(config.load()["MAX_AGENTS"])
    busy = sum(assignment.busy for assignment in board.assignments.values())
    unaccepted = withheld(board, request)
    begun, ready = (
        [t for t in tasks if request.wants(t) and t.id not in without and t.id not in unaccepted]
        for tasks in candidates(board)
    )
    begun = begun[: max(0, limit - busy)]
    idle = not (busy or begun or patient)
    choice = collisions.choice(context, board, begun, ready, limit - busy - len(begun), idle=idle)
    jobs = [Job(t, board.assignments.get(t.id), choice.clashes.get(t.id)) for t in (*begun, *choice.chosen)]
    full = f"{limit} agents are at work already" if busy >= limit else f"no more than {limit} at once"
    left = reasons(board, request, full)
    left |= {id: f"waits for {clash.who}: {clash.text}" for id, clash in choice.held.items()}
    left |= unaccepted
    for job in jobs:
        left.pop(job.task.id, None)
    return Schedule(jobs, left, limit, choice.held, unaccepted)


def reasons(board: Board, request: Request, full: str) -> dict[str, str]:
    """Why each open task gets no agent, if it gets none; `full`: what to say of one for which there is no place."""
    every = board.tasks.every()
    left = {task.id: board.plan.left.get(task.id, "") for task in board.tasks.tasks if not task.done}
    for tasks in candidates(board):
        left |= {task.id: full if request.wants(task) else "not asked for" for task in tasks}
    for id, assignment in board.assignments.items():
        if id in left and assignment.status:
            left[id] = standing(every[id].status, assignment)
    return {id: why or "has an agent" for id, why in left.items()}


def standing(status: str, assignment: Assignment) -> str:
    """Why a task that has an agent gets no other."""
    id = assignment.agent.id
    if status == "review":
        return f"review: magents diff {id}, then magents merge {id}"
    return f"{id} is {assignment.status.state if assignment.status else ''}"


def candidates(board: Board) -> tuple[list[Task], list[Task]]:
    """All that could get an agent, in the order of their turn: what was begun, and what is ready."""
    every = board.tasks.every()
    begun = [
        every[id]
        for id, assignment in board.assignments.items()
        if id in every and every[id].status == "in-progress" and not assignment.merged and assignment.ended
    ]
    begun.sort(key=rank)
    at_work = {id for id, assignment in board.assignments.items() if not assignment.ended}
    return begun, [task for task in board.plan.ready if task.id not in at_work]


def unread(board: Board, task: Task, request: Request) -> list[str]:
    """The ids of the texts because of which no agent is begun for a task: its own and what it builds on, written by
    an agent that may less than the new one would, and accepted by nobody.

    One that goes on is not told its task again, see `assignments.again`.
    """
    previous = board.assignments.get(task.id)
    goes_on = previous and previous.status and request.runtime in ("", previous.agent.runtime)
    ids = board.texts_by_agents(task)
    if not ids or request.agent_text or goes_on:
        return []
    mode = request.runtime or runtimes.mode(config.load())
    return ids if runtimes.runtime(mode).traits.trusted else []


def withheld(board: Board, request: Request) -> dict[str, str]:
    """Why tasks that could get an agent wait for a person's yes to a text, by id."""
    return {
        task.id: f"{whose(ids)}: {accepting(ids)}"
        for tasks in candidates(board)
        for task in tasks
        if (ids := unread(board, task, request))
    }


def whose(ids: Sequence[str]) -> str:
    """Who wrote these texts."""
    return f"an agent wrote the text of {', '.join(ids)}"


def accepting(ids: Sequence[str]) -> str:
    """The command that accepts these texts."""
    return f"magents tasks --accept {','.join(ids)}"


def shortage() -> str:
    """Why memory does not allow for one more agent; '' when it does."""
    free = free_mib()
    if free is None or free >= NEEDED_MIB:
        return ""
    return f"memory is short: {free} MiB are free, {NEEDED_MIB} are needed for one more"


def free_mib() -> int | None:
    """Memory that is free for new programs, as Linux reckons; None where that cannot be told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:")), None)
    except (OSError, ValueError):
        return None
