"""Which task is next. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from magents.core.text import one_line
from magents.taskmaster.model import HELD, Task, TaskList, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_TASKS_NAMED = 5
"""Dependencies that are named before the rest are counted."""
MAX_FILES_NAMED = 2
"""The same of files."""


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
    shown = ", ".join(f"{t.id} ({t.status})" if t.status in HELD else t.id for t in open_ones[:MAX_TASKS_NAMED])
    more = len(open_ones) - MAX_TASKS_NAMED
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


class Work(NamedTuple):
    """What an agent does, or is going to do."""

    who: str
    """The agent's id."""
    urgency: int
    """The first part of `rank`: less is more urgent."""
    files: frozenset[str]
    """Those it changes, as far as that can be foreseen."""


class Clash(NamedTuple):
    """What a task would collide with."""

    who: str
    """The agent."""
    files: tuple[str, ...]
    """That both would change, sorted. Names as git has them."""

    @property
    def text(self) -> str:
        """In words, fit to print."""
        shown = ", ".join(one_line(name) for name in self.files[:MAX_FILES_NAMED])
        more = len(self.files) - MAX_FILES_NAMED
        return f"both change {shown}" + (f" and {more} more" if more > 0 else "")


class Choice(NamedTuple):
    """Which tasks are begun."""

    chosen: tuple[Task, ...]
    """In the order of their turn."""
    held: dict[str, Clash]
    """Those that wait, by id, for what they would collide with."""
    clashes: dict[str, Clash]
    """What those that were chosen all the same would collide with, by id."""


def choose(
    ready: Sequence[Task], living: Iterable[Work], work: Callable[[Task], Work], slots: int, *, idle: bool
) -> Choice:
    """Of the ready tasks, the most urgent first, those that collide neither with living work nor with each other.

    One that would collide waits, but not for work that is less urgent than itself. `idle`: nothing else runs; then
    the first of those that wait is begun all the same, if no other is. `work` tells what a task would be, and is
    asked of no more tasks than needed.
    """
    changed: dict[str, list[Work]] = {}
    for one in living:
        add(changed, one)
    choice = Choice((), {}, {})
    chosen: list[Task] = []
    for task in ready:
        if len(chosen) >= slots:
            break
        mine = work(task)
        first, clash = collision(mine, changed)
        if clash and first <= mine.urgency:
            choice.held[task.id] = clash
            continue
        if clash:
            choice.clashes[task.id] = clash
        chosen.append(task)
        add(changed, mine)
    if not chosen and idle and choice.held and slots > 0:
        chosen = [task for task in ready if task.id in choice.held][:1]
        choice.clashes[chosen[0].id] = choice.held.pop(chosen[0].id)
    return choice._replace(chosen=tuple(chosen))


def add(changed: dict[str, list[Work]], work: Work) -> None:
    """Note in which files somebody is at work."""
    for name in work.files:
        changed.setdefault(name, []).append(work)


def collision(mine: Work, changed: dict[str, list[Work]]) -> tuple[int, Clash | None]:
    """The most urgent work that changes a file which this one changes, too: its urgency, and what it is."""
    others = {other for name in mine.files for other in changed.get(name, ())}
    if not others:
        return 0, None
    other = min(others, key=lambda work: (work.urgency, work.who))
    return other.urgency, Clash(other.who, tuple(sorted(mine.files & other.files)))
