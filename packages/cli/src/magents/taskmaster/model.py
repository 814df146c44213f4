"""The nouns of a task list. Immutable."""

from typing import NamedTuple

FINISHED = ("done", "completed")
"""What Task Master calls a task that is done."""
HELD = ("blocked", "deferred", "cancelled")
"""Statuses by which a person keeps a task from being worked on."""
CLOSED = (*FINISHED, "cancelled", "deferred")
"""Nothing is to be done about such a task."""
PRIORITIES = ("critical", "high", "medium", "low")


class Task(NamedTuple):
    """One task, or one of its subtasks."""

    id: str
    """`3`, and of a subtask `3.2`."""
    title: str
    description: str = ""
    details: str = ""
    test_strategy: str = ""
    status: str = "pending"
    priority: str = "medium"
    dependencies: tuple[str, ...] = ()
    """Ids in full."""
    subtasks: tuple["Task", ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in FINISHED


class TaskList(NamedTuple):
    """The tasks of one tag, checked: ids are there once, dependencies exist and make no circle."""

    tag: str
    tasks: tuple[Task, ...]
    path: str
    """The file, for people."""

    def every(self) -> dict[str, Task]:
        """All tasks and subtasks by id."""
        return {t.id: t for task in self.tasks for t in (task, *task.subtasks)}


def rank(task: Task) -> tuple[int, tuple[tuple[int, int, str], ...]]:
    """What tasks are ordered by: priority, then id, `2` before `10`."""
    place = PRIORITIES.index(task.priority) if task.priority in PRIORITIES else PRIORITIES.index("medium")
    return place, number(task.id)


def number(id: str) -> tuple[tuple[int, int, str], ...]:
    """An id as people count it."""
    parts = id.split(".")
    return tuple((0, int(part), "") if part.isdecimal() and len(part) < 19 else (1, 0, part) for part in parts)
