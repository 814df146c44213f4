"""From a document, as it stands in the file, to a checked list of tasks. Pure.

The document may have been written by an agent: nothing about its form is taken for granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magents.core.errors import MagentsError, NotFound
from magents.core.text import one_line, plain
from magents.taskmaster.model import Task, TaskList

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

MASTER = "master"
"""Task Master's first tag, and what the tag of an untagged file is called."""


class BadTasks(MagentsError):
    """A list of tasks that makes no sense."""


def is_tagged(data: Mapping[str, Any]) -> bool:
    """Whether a document has the newer form, tag → tasks; an empty one has."""
    return not isinstance(data.get("tasks"), list)


def normal(data: Mapping[str, Any]) -> dict[str, Any]:
    """The newer form."""
    return dict(data) if is_tagged(data) else {MASTER: dict(data)}


def sections(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each tag with what stands below it."""
    return {
        tag: found
        for tag, found in normal(data).items()
        if isinstance(found, dict) and isinstance(found.get("tasks"), list)
    }


def tasks(data: Mapping[str, Any], tag: str, path: str) -> TaskList:
    """The tasks of a tag. Raises NotFound for an unknown tag, and BadTasks."""
    known = sections(data)
    if tag not in known:
        has = ", ".join(one_line(name) for name in known) or "none"
        raise NotFound(f"{path} has no tag `{one_line(tag)}`; it has: {has}.", "Name one: --tag TAG")
    found = tuple(task_of(raw, path) for raw in known[tag]["tasks"])
    every = [t for task in found for t in (task, *task.subtasks)]
    check(every, path)
    return TaskList(tag, found, path)


def task_of(raw: Any, path: str, above: str = "", siblings: Container[str] = ()) -> Task:
    """One task; `above`: the id of the task that it is a subtask of."""
    if not isinstance(raw, dict):
        raise BadTasks(f"{path}: {one_line(str(raw), 40)} stands where a task should.", "Mend the file.")
    own = id_of(raw.get("id"))
    if not own:
        raise BadTasks(f"{path}: a task has no id: {one_line(str(raw.get('title', '')), 60)}", "Give it one there.")
    id = f"{above}.{own.rpartition('.')[2]}" if above else own
    title = one_line(words(raw.get("title")), 300)
    if not title:
        raise BadTasks(f"{path}: task {id} has no title.", "Give it one there.")
    below = [child for child in listed(raw.get("subtasks")) if not above]
    names = {id_of(child.get("id")).rpartition(".")[2] for child in below if isinstance(child, dict)}
    return Task(
        id, title, words(raw.get("description")), words(raw.get("details")), words(raw.get("testStrategy")),
        one_line(words(raw.get("status")), 30) or "pending", one_line(words(raw.get("priority")), 30) or "medium",
        tuple(dict.fromkeys(whole(id_of(d), above, siblings) for d in listed(raw.get("dependencies")))),
        tuple(task_of(child, path, id, names) for child in below),
    )  # fmt: skip


def whole(id: str, above: str, siblings: Container[str]) -> str:
    """A dependency's id in full: among subtasks a plain number means another one of the same task."""
    return f"{above}.{id}" if above and "." not in id and id in siblings else id


def id_of(value: Any) -> str:
    """An id as text; '' where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return one_line(text, 40)


def words(value: Any) -> str:
    """Text without control sequences."""
    return plain(value).strip() if isinstance(value, str) else ""


def listed(value: Any) -> list[Any]:
    """A list; empty where it is none."""
    return value if isinstance(value, list) else []


def check(every: list[Task], path: str) -> None:
    """Raises BadTasks for an id that is there twice, a dependency that is not, and a circle."""
    by_id: dict[str, Task] = {}
    for task in every:
        if task.id in by_id:
            raise BadTasks(
                f"{path}: two tasks have the id {task.id}: “{by_id[task.id].title}” and “{task.title}”.",
                "Give one of them another id there, or run: task-master fix-dependencies",
            )
        by_id[task.id] = task
    for task in every:
        for wanted in task.dependencies:
            if wanted not in by_id:
                raise BadTasks(
                    f"{path}: task {task.id} depends on {wanted or 'something without an id'}, which is not there.",
                    f"Remove it: task-master remove-dependency --id={task.id} --depends-on={wanted}",
                )
    if circle := find_circle(by_id):
        raise BadTasks(
            f"{path}: these tasks wait for each other: {' → '.join(circle)}.",
            f"Break the circle: task-master remove-dependency --id={circle[0]} --depends-on={circle[1]}",
        )


def find_circle(by_id: Mapping[str, Task]) -> list[str]:
    """Ids of which each depends on the next, the last of them the first again; empty if there is none."""
    closed: set[str] = set()
    for start in by_id:
        if start in closed:
            continue
        trail, open_ones = [start], {start}
        ahead = [iter(by_id[start].dependencies)]
        while ahead:
            following = next(ahead[-1], None)
            if following is None:
                ahead.pop()
                last = trail.pop()
                open_ones.discard(last)
                closed.add(last)
            elif following in open_ones:
                return [*trail[trail.index(following) :], following]
            elif following not in closed:
                trail.append(following)
                open_ones.add(following)
                ahead.append(iter(by_id[following].dependencies))
    return []
