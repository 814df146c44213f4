"""Task Master's lists of tasks, worked off by agents. `Tasks` is the one door; `fleet` does not know this room."""

from __future__ import annotations

from magents.core.setting import Setting

__all__ = [
    "Assignment", "Auto", "Board", "Count", "Event", "Job", "Outcome", "Request", "Schedule", "Task", "Tasks",
]  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from magents.core.agent import Agent
    from magents.fleet import Fleet, View
    from magents.taskmaster.assignments import Outcome
    from magents.taskmaster.automerge import Auto
    from magents.taskmaster.board import Assignment, Board
    from magents.taskmaster.loop import Count, Event
    from magents.taskmaster.model import Task
    from magents.taskmaster.scheduler import Job, Request, Schedule


SETTINGS = (
    Setting("MAX_AGENTS", "4", "Agents of tasks at once",
            "How many agents `task-agents` lets work on a project's tasks at once.",
            form=r"[1-9]\d{0,3}", called="a number from 1"),
    Setting("SILENCE_TIMEOUT", "900", "Silence of an agent",
            "After how many seconds without a sign `task-agents --watch` starts a working agent again.",
            form=r"[1-9]\d{0,6}", called="a number of seconds"),
)  # fmt: skip


class Tasks:
    """Task Master's tasks and the agents that work on them.

    Every method raises `MagentsError` as those of `Fleet` do, and recovers first what a killed command has left
    half-made.

    >>> tasks = Tasks(Fleet())
    >>> tasks.board("~/project").plan.ready
    >>> tasks.create("3")
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.context = fleet.context

    def board(self, folder: str = ".", tag: str = "") -> Board:
        """The tasks of the project that `folder` lies in, and what their agents make of them.

        Statuses are moved to where they belong first: in-progress, review, done. `tag`: by default the one that
        Task Master uses now.
        """
        from magents.taskmaster.board import load_board

        self.fleet.recover()
        return load_board(self.context, folder, tag)

    def accept(self, board: Board, ids: Sequence[str]) -> Sequence[str]:
        """Take the texts of these tasks, which agents in containers wrote, for the user's. Returns the ids of those
        that an agent has changed since `board` was read, which stay as they are."""
        from magents.taskmaster import baseline

        marks = {id: board.by_agents[id] for id in ids if id in board.by_agents}
        return baseline.accept(self.context, board.project, board.tasks.tag, marks)

    def create(self, task: str, id: str = "", request: Request | None = None) -> Agent:
        """An agent for one task or subtask. Raises Conflict when it has one, or waits for another task."""
        from magents.taskmaster import assignments, scheduler

        self.fleet.recover()
        return assignments.create_for(self.context, task, id, request or scheduler.Request())

    def schedule(self, request: Request) -> Schedule:
        """What `start` would do now."""
        from magents.taskmaster import scheduler

        return scheduler.schedule(self.context, self.board(request.folder, request.tag), request)

    def start(self, request: Request, started: Callable[[Job, View], None] | None = None) -> Outcome:
        """Agents for all tasks that are ready, and for those in progress whose agent has ended; as many as may be
        at once. Can be called again and again. `started` is told of each agent."""
        from magents.taskmaster import assignments

        board = self.board(request.folder, request.tag)
        return assignments.start_ready(self.context, board, request, started or (lambda job, view: None))

    def watch(
        self, request: Request, looked: Callable[[Board], None] | None = None, auto: Auto | None = None
    ) -> Iterator[Event]:
        """Go on with `start` until nothing is left that could be done; yields what happens.

        `auto`: merge what is finished, and how; None leaves that to a person. `looked` is told of each look, about
        once a second.
        """
        from magents.taskmaster.loop import Loop

        self.fleet.recover()
        return Loop(self.context, request, looked or (lambda board: None), auto).run()

    @staticmethod
    def count(board: Board) -> Count:
        """The tasks in numbers."""
        from magents.taskmaster import loop

        return loop.count(board)

    @staticmethod
    def graph(board: Board, label: Callable[[Task], str]) -> Sequence[str]:
        """What waits for what, drawn in lines."""
        from magents.taskmaster import graph

        return graph.lines(board.tasks.tasks, label)

    @staticmethod
    def text(board: Board, id: str) -> str:
        """What an agent for this task would be told."""
        from magents.taskmaster import prompt

        task = board.tasks.every()[id]
        return prompt.write(task, prompt.branch(board.tasks.tag, task), {})

    @staticmethod
    def shortage() -> str:
        """Why there is no room for one more agent; '' where there is."""
        from magents.taskmaster import scheduler

        return scheduler.shortage()


def __getattr__(name: str) -> Any:
    """`Auto` and `Request`, which methods of `Tasks` take; imported at their first use."""
    if name == "Auto":
        from magents.taskmaster.automerge import Auto

        return Auto
    if name == "Request":
        from magents.taskmaster.scheduler import Request

        return Request
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
