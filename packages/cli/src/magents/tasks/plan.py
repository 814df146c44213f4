"""Which task is next. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from magents.tasks.model import HELD, Task, TaskList, rank

if TYPE_CHECKING:
    from collections.abc import Iterable

MANY = 5
"""Dependencies that are named before the rest are counted."""


class Plan(NamedTuple):
    """The tasks, sorted by what can be done about them."""

    ready: tuple[Task, ...]
    """Pending, every dependency done; the most urgent first."""
    left: dict[str, str]
    """Why each of the others is not ready, by id; in the same order."""


def plan(tasks: TaskList) -> Plan:
    """What can be begun now, and why the rest cannot."""
    every = tasks.every()
    ready: list[Task] = []
    left: dict[str, str] = {}
    for task in sorted(tasks.tasks, key=rank):
        if why := reason(task, every):
            left[task.id] = why
        else:
            ready.append(task)
    return Plan(tuple(ready), left)


def reason(task: Task, every: dict[str, Task]) -> str:
    """Why a task cannot be begun; '' when it can."""
    if task.status != "pending":
        return task.status
    return waiting([every[id] for id in waits_for(task, every)])


def waits_for(task: Task, every: dict[str, Task]) -> list[str]:
    """The ids of what must be done before a task: what it depends on, and for a subtask what its task does."""
    above = every.get(task.id.rpartition(".")[0])
    wanted = (*task.dependencies, *(above.dependencies if above else ()))
    return [id for id in dict.fromkeys(wanted) if not every[id].done]


def waiting(open_ones: list[Task]) -> str:
    """In words, what is waited for."""
    if not open_ones:
        return ""
    shown = ", ".join(f"{t.id} ({t.status})" if t.status in HELD else t.id for t in open_ones[:MANY])
    more = len(open_ones) - MANY
    return f"waits for {shown}" + (f" and {more} more" if more > 0 else "")


def order(tasks: Iterable[Task]) -> list[Task]:
    """All of them so that each comes after what it depends on, the most urgent first where there is a choice.

    Dependencies on what is not among them do not count.
    """
    from heapq import heapify, heappop, heappush

    by_id = {task.id: task for task in tasks}
    after: dict[str, list[str]] = {}
    missing: dict[str, int] = {}
    for task in by_id.values():
        inside = [id for id in task.dependencies if id in by_id]
        missing[task.id] = len(inside)
        for id in inside:
            after.setdefault(id, []).append(task.id)
    heap = [(rank(task), task.id) for task in by_id.values() if not missing[task.id]]
    heapify(heap)
    done = []
    while heap:
        _, id = heappop(heap)
        done.append(by_id[id])
        for next_one in after.get(id, ()):
            missing[next_one] -= 1
            if not missing[next_one]:
                heappush(heap, (rank(by_id[next_one]), next_one))
    return done
