"""Moving the statuses of tasks in the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magents.taskmaster import file, parse

if TYPE_CHECKING:
    from collections.abc import Mapping


def move(root: str, tag: str, changes: Mapping[str, tuple[str, str]], wait: float = file.LOCK_WAIT_S) -> list[str]:
    """Set statuses: id → (from, to). One that is not at `from` any more stays as somebody else has set it.

    Returns the ids that were changed. All else in the file stays as it is.
    """
    if not changes:
        return []
    with file.locked(root, wait):
        data = file.load(root)
        section = parse.sections(data).get(tag, {"tasks": []})
        moved = [id for id, (before, after) in changes.items() if move_one(section["tasks"], id, before, after)]
        if moved:
            file.save(root, data)
    return moved


def move_one(tasks: list[Any], id: str, before: str, after: str) -> bool:
    """Set the status of a task in the document if it has the one of `before`. A task that is done has subtasks
    that are, as Task Master itself does it."""
    top, _, below = id.partition(".")
    found = pick(tasks, top)
    if below and found is not None:
        found = pick(parse.listed(found.get("subtasks")), below)
    if found is None or (found.get("status") or "pending") != before or before == after:
        return False
    found["status"] = after
    if after == "done":
        for child in parse.listed(found.get("subtasks")):
            if isinstance(child, dict) and child.get("status") != "cancelled":
                child["status"] = "done"
    return True


def pick(tasks: list[Any], id: str) -> dict[str, Any] | None:
    """The task, as it stands in the document, whose own id is this."""
    for task in tasks:
        if isinstance(task, dict) and parse.id_of(task.get("id")).rpartition(".")[2] == id:
            return task
    return None
