"""Dependencies drawn as a tree. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magents.taskmaster.model import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from magents.taskmaster.model import Task


def lines(tasks: Sequence[Task], shown: Callable[[Task], str]) -> list[str]:
    """What begins with nothing before it, and below each task what waits for it.

    A task that waits for several stands, with all below it, where it is met first; elsewhere only its number.
    """
    by_id = {task.id: task for task in tasks}
    below: dict[str, list[Task]] = {}
    roots = []
    for task in sorted(tasks, key=rank):
        needs = [id for id in dict.fromkeys(task.dependencies) if id in by_id]
        for id in needs:
            below.setdefault(id, []).append(task)
        if not needs:
            roots.append(task)
    drawn: list[str] = []
    seen: set[str] = set()
    # Not recursive: a chain of two thousand tasks is a tree as deep.
    ahead = [(task, "", "") for task in reversed(roots)]
    while ahead:
        task, first, rest = ahead.pop()
        children = below.get(task.id, [])
        if task.id in seen:
            drawn.append(f"{first}{task.id} (above)")
            continue
        seen.add(task.id)
        drawn.append(f"{first}{shown(task)}")
        for number, child in enumerate(reversed(children)):
            joint, space = ("└─ ", "   ") if number == 0 else ("├─ ", "│  ")
            ahead.append((child, rest + joint, rest + space))
    return drawn
