"""The project's list of tasks and the one that its agents in containers share, kept the same.

Such an agent cannot reach the project, so it has a copy in `/shared`. What either side has changed is brought to
the other at each command that has to do with tasks, and at the end of each turn; see `tasks.sync`. What both had
in common last is kept beside the store.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from magents.errors import MagentsError
from magents.fleet.context import digest
from magents.tasks import file
from magents.tasks import sync as merging

if TYPE_CHECKING:
    from magents.fleet.context import Context


def same(context: Context, project: str, wait: float = 20.0) -> bool:
    """Bring both to the same; whether there was anything to do. Costs two `lstat` where neither has changed.

    Raises MagentsError when one of them cannot be used, and then has changed neither.
    """
    shared = context.shared(project)
    if not (file.exists(project) and os.path.isdir(shared)):
        return False
    if recall(context, project)[0] == signs(project, shared):
        return False
    with contextlib.suppress(OSError):  # an agent can have removed it
        os.makedirs(os.path.dirname(file.path_of(shared)), exist_ok=True)
    with file.locked(project, wait), file.locked(shared, wait):
        _, base = recall(context, project)  # once more: another command may just have brought them together
        ours = file.load(project)
        theirs = file.load(shared) if file.exists(shared) else {}
        merged = merging.merge(base, ours, theirs)
        for root, old in ((shared, theirs), (project, ours)):
            if merged != old:
                file.save(root, merged)
        remember(context, project, signs(project, shared), merged)
    return True


def try_same(context: Context, project: str) -> None:
    """`same`; if it cannot be done, that is told and stops nothing."""
    try:
        same(context, project)
    except MagentsError as error:
        context.warn(f"the tasks of agents in containers are not brought together with yours: {error.message}")


def signs(project: str, shared: str) -> list[list[int]]:
    """What tells whether either was written."""
    return [file.sign(project), file.sign(shared)]


def place(context: Context, project: str) -> str:
    """Where the last common state is kept."""
    return os.path.join(context.store.folder, "tasks", f"{digest(project)}.json")


def recall(context: Context, project: str) -> tuple[list[list[int]], dict[str, Any]]:
    """The signs and the document of the last time; nothing where there was none."""
    try:
        with open(place(context, project), encoding="utf-8") as kept:
            found = json.load(kept)
        return found["signs"], found["document"]
    except (OSError, ValueError, KeyError, TypeError):
        return [], {}


def remember(context: Context, project: str, signs: list[list[int]], document: dict[str, Any]) -> None:
    """Keep what both have now."""
    path = place(context, project)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    new = f"{path}.{os.getpid()}"
    with open(new, "w", encoding="utf-8") as kept:
        json.dump({"signs": signs, "document": document}, kept)
    os.replace(new, path)
