"""Two copies of one list, brought together so that nothing is lost. Pure.

`merge(base, ours, theirs)` works by tag, task and field, against what both last had in common. `ours` is the
project's own list, `theirs` the one that agents in containers share and that anything may have been written to.

- What one side alone has changed, the other gets. Of two new tasks with one id, theirs gets the next free one.
- Both have changed one text: both stay, one below the other; what was added to it is added once.
- A status goes to whichever is further along. Of other fields, ours stays.
- A task that one side has removed goes, unless the other has changed it. Theirs cannot take away a tag, nor all
  the tasks of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magents.taskmaster.parse import MASTER, id_of, is_tagged, listed, normal

if TYPE_CHECKING:
    from collections.abc import Mapping

GONE: Any = object()
"""Stands for what is not there."""
TEXTS = ("title", "description", "details", "testStrategy")
ALONG = ("pending", "in-progress", "review", "blocked", "deferred", "cancelled", "completed", "done")
"""Statuses; of two, the later one holds."""


def merge(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The document that both sides should have. It has the older form only where both do."""
    new = [normal(side) for side in (base, ours, theirs)]
    old_form = not is_tagged(ours) and (not is_tagged(theirs) or not theirs)
    merged = {
        tag: found
        for tag in union(*new[1:])
        if (found := of_tag(*(side.get(tag, GONE) for side in new))) is not GONE
    }
    return merged[MASTER] if old_form and MASTER in merged else merged


def union(*sides: Mapping[str, Any]) -> list[str]:
    """All keys, in the order of the first."""
    return list(dict.fromkeys(key for side in sides for key in side))


def of_tag(base: Any, ours: Any, theirs: Any) -> Any:
    """One tag."""
    if not has_tasks(ours) or not has_tasks(theirs):
        if has_tasks(ours):
            return ours
        return theirs if ours is GONE and has_tasks(theirs) and base != theirs else plain(base, ours, theirs)
    base = base if has_tasks(base) else {}
    merged = fields(base, ours, theirs, skip=("tasks",))
    if not theirs["tasks"] and len(ours["tasks"]) > 1:
        base = {}
    merged["tasks"] = of_tasks(listed(base.get("tasks")), ours["tasks"], theirs["tasks"])
    return {key: merged[key] for key in union(ours, merged) if key in merged}


def has_tasks(side: Any) -> bool:
    """Whether it is a tag."""
    return isinstance(side, dict) and isinstance(side.get("tasks"), list)


def of_tasks(base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any]:
    """The tasks of a tag, or the subtasks of a task: by id, in our order, new ones of theirs at the end."""
    if any(double(side) for side in (base, ours, theirs)):
        return ours + [task for task in theirs if task not in ours and task not in base]
    old, mine = by_id(base), by_id(ours)
    other = by_id(renumbered(old, mine, theirs))
    merged = []
    for id in union(mine, other):
        found = of_task(old.get(id, GONE), mine.get(id, GONE), other.get(id, GONE))
        if found is not GONE:
            merged.append(found)
    return merged


def double(tasks: list[Any]) -> bool:
    """Whether a task has no id or the id of another one, so that they cannot be told apart."""
    return len(by_id(tasks)) != len(tasks) or "" in by_id(tasks)


def by_id(tasks: list[Any]) -> dict[str, Any]:
    """The tasks by id."""
    return {id_of(task.get("id")): task for task in tasks if isinstance(task, dict)}


def renumbered(old: Mapping[str, Any], mine: Mapping[str, Any], theirs: list[Any]) -> list[Any]:
    """Their tasks, of which a new one gets another id where we have a new one of the same id.

    If we have it under another id already, because a merge was cut short, it gets that.
    """
    number = free({*old, *mine, *by_id(theirs)})
    names: dict[str, Any] = {}
    new = {meant(one): one["id"] for id, one in reversed(list(mine.items())) if id not in old}
    for id, task in by_id(theirs).items():
        if id in old or id not in mine or same(task, mine[id]):
            continue
        if meant(task) in new:
            names[id] = new[meant(task)]
        else:
            names[id] = like(task["id"], number)
            number += 1
    if not names:
        return theirs
    return [renamed(task, names, old) for task in theirs]


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two tasks are meant to be one."""
    return meant(one) == meant(other)


def meant(task: Mapping[str, Any]) -> str:
    """What makes two tasks be meant to be one."""
    return repr([task.get(field) for field in ("title", "description")])


def free(taken: set[str]) -> int:
    """The next number."""
    return max((int(id) for id in taken if id.isdecimal() and len(id) < 9), default=0) + 1


def like(old: Any, number: int) -> Any:
    """The number as the id was written."""
    return str(number) if isinstance(old, str) else number


def renamed(task: Any, names: Mapping[str, Any], old: Mapping[str, Any]) -> Any:
    """A task with its new id; a new task also with the new ids of what it depends on."""
    id = id_of(task.get("id"))
    if id in old:
        return task
    needs = [names.get(id_of(need), need) for need in listed(task.get("dependencies"))]
    changed = {"id": names.get(id, task.get("id"))} | ({"dependencies": needs} if "dependencies" in task else {})
    return {**task, **changed}


def of_task(base: Any, ours: Any, theirs: Any) -> Any:
    """One task."""
    if ours is GONE or theirs is GONE:
        left = theirs if ours is GONE else ours
        return GONE if left == base else left
    return fields(base if base is not GONE else {}, ours, theirs)


def fields(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any], skip: tuple[str, ...] = ()
) -> Any:
    """Each field by itself, in our order."""
    merged = {}
    for key in union(ours, theirs):
        if key in skip:
            continue
        three = base.get(key, GONE), ours.get(key, GONE), theirs.get(key, GONE)
        found = of_field(key, *three)
        if found is not GONE:
            merged[key] = found
    return merged


def of_field(key: str, base: Any, ours: Any, theirs: Any) -> Any:
    """One field."""
    if ours == theirs or theirs == base:
        return ours
    if key == "subtasks" and isinstance(ours, list) and isinstance(theirs, list):
        return of_tasks(listed(base), ours, theirs)
    if ours == base:
        return theirs
    if key == "dependencies" and isinstance(ours, list) and isinstance(theirs, list):
        return of_set(listed(base), ours, theirs)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return fields(base if isinstance(base, dict) else {}, ours, theirs)
    if key == "status" and ours in ALONG and theirs in ALONG:
        return max(ours, theirs, key=ALONG.index)
    if key in TEXTS and isinstance(ours, str) and isinstance(theirs, str):
        return of_text(base if isinstance(base, str) else "", ours, theirs, " / " if key == "title" else "\n\n")
    return theirs if ours is GONE else ours


def plain(base: Any, ours: Any, theirs: Any) -> Any:
    """What is no tag: theirs only where it alone has changed."""
    return theirs if ours == base and theirs is not GONE else ours


def of_set(base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any]:
    """A list whose order means nothing: what either has added, without what either has taken away."""
    before, mine, other = ({id_of(item): item for item in side} for side in (base, ours, theirs))
    kept = [item for id, item in mine.items() if id not in before or id in other]
    return kept + [item for id, item in other.items() if id not in before and id not in mine]


def of_text(base: str, ours: str, theirs: str, between: str) -> str:
    """Both texts; where theirs only adds to the old one, what it adds."""
    added = theirs[len(base) :] if base and theirs.startswith(base) else theirs
    if theirs in ours or (added.strip() and added.strip() in ours):
        return ours
    if ours in theirs:
        return theirs
    return ours + (added if added[:1].isspace() else between + added)
