"""Whether a list that agents in containers could write may be brought into the user's. Pure.

Such a list is hostile input, and what is taken over stands in a file that the user tracks. So it must be one that
our own parser and Task Master both read, within bounds. What Task Master 0.43.1 wants of a task was found out by
experiment: an id, a title and a description that are not blank, one of its statuses and one of its priorities.

Only what differs from what is known to be there already is judged: what else is odd in a list is the user's own.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from magents.core.text import one_line
from magents.taskmaster import parse
from magents.taskmaster.model import PRIORITIES
from magents.taskmaster.parse import BadTasks, id_of, listed, normal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_BYTES = 16 * 1024 * 1024
"""Of a list that agents share, and of what it makes of the user's; one that is larger by itself may stay so."""
MAX_GROWTH_BYTES = 4 * 1024 * 1024
"""By which one change may make the user's list larger."""
MAX_VALUES = 1_000_000
"""Of JSON, as its brackets and commas tell: they bound the memory that it takes to be read."""
MAX_DEPTH = 16
"""Of lists and objects in each other. Task Master's own reach down six."""
MAX_NUMBER = 2**53 - 1
"""The largest whole number that every reader of JSON takes alike."""
MAX_TASKS = 5000
"""Tasks and subtasks, in all tags."""
MAX_NEEDS = 500
"""Dependencies of a task."""
MAX_TITLE_CHARS = 300
MAX_TEXT_CHARS = 200_000
STATUSES = ("pending", "in-progress", "done", "deferred", "cancelled", "blocked", "review")
TEXTS = ("description", "details", "testStrategy")
ID = "[A-Za-z0-9_-]{1,40}"
SUBTASK_ID = "[A-Za-z0-9_.-]{1,40}"
NEEDED = ("title", "description", "status", "priority")
"""Without which Task Master reads no task; a subtask needs but the first and the third."""
HINT = "Nothing of it was taken over."


def decode(text: str, path: str, own: int) -> dict[str, Any]:
    """The document of a text, as plain JSON has it. `own`: bytes of the user's list. Raises BadTasks."""
    if len(text) > max(MAX_BYTES, own):
        raise BadTasks(f"{path} is larger than {MAX_BYTES:,} bytes.", HINT)
    if sum(map(text.count, "{[,")) > MAX_VALUES:
        raise BadTasks(f"{path} holds more than {MAX_VALUES:,} values.", HINT)
    try:
        data = json.loads(text, parse_constant=refused)
    except (ValueError, RecursionError) as error:
        raise BadTasks(f"{path} is broken: {one_line(str(error))}.", HINT) from error
    if not isinstance(data, dict):
        raise BadTasks(f"{path} holds no tasks.", HINT)
    bounded(data, path)
    return data


def refused(name: str) -> Any:
    """NaN and Infinity, which Python reads and JSON does not know."""
    raise ValueError(f"{name} is no number of JSON")


def bounded(data: Mapping[str, Any], path: str) -> None:
    """Raises BadTasks for too many tasks, and for a value that other readers would take for another or for none."""
    ahead: list[tuple[Any, int]] = [(data, 1)]
    while ahead:
        value, depth = ahead.pop()
        if depth > MAX_DEPTH:
            raise BadTasks(f"{path} is nested more than {MAX_DEPTH} deep.", HINT)
        if isinstance(value, float | int) and not abs(value) <= MAX_NUMBER:
            raise BadTasks(f"{path} holds a number that is too large: {one_line(str(value), 30)}.", HINT)
        if isinstance(value, dict):
            if "__proto__" in value:
                raise BadTasks(f"{path} has a field `__proto__`, which no list needs.", HINT)
            ahead += ((below, depth + 1) for below in (*value, *value.values()))
        elif isinstance(value, list):
            ahead += ((below, depth + 1) for below in value)
        elif isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
            raise BadTasks(f"{path} holds a text of more than {MAX_TEXT_CHARS:,} characters.", HINT)
    lists = [section["tasks"] for section in parse.sections(data).values()]
    lists += [listed(task.get("subtasks")) for tasks in lists for task in tasks if isinstance(task, dict)]
    if sum(map(len, lists)) > MAX_TASKS:
        raise BadTasks(f"{path} has more than {MAX_TASKS:,} tasks.", HINT)


def check(data: Mapping[str, Any], known: Sequence[Mapping[str, Any]], path: str) -> None:
    """Whether what differs from every document in `known` is as it should be. Raises BadTasks."""
    before = [normal(side) for side in known]
    for tag, section in normal(data).items():
        old = [side[tag] for side in before if tag in side]
        if section not in old:
            check_tag(tag, section, old, path)


def check_tag(tag: str, section: Any, old: Sequence[Any], path: str) -> None:
    """The same for one tag, of which `old` are the known ones."""
    if not isinstance(section, dict) or not isinstance(section.get("tasks"), list):
        raise BadTasks(f"{path}: the tag {one_line(tag, 40)} holds no tasks.", HINT)
    if not old and not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", tag):
        raise BadTasks(f"{path}: {one_line(tag, 40)!r} is no name of a tag.", HINT)
    parse.tasks({tag: section}, tag, path)
    tasks = [by_id(side.get("tasks")) for side in old if isinstance(side, dict)]
    for task in section["tasks"]:
        check_task(task, [side[own] for side in tasks if (own := id_of(task["id"])) in side], path)


def by_id(tasks: Any) -> dict[str, dict[str, Any]]:
    """Tasks by id."""
    return {id_of(task.get("id")): task for task in listed(tasks) if isinstance(task, dict)}


def check_task(task: dict[str, Any], old: Sequence[dict[str, Any]], path: str, above: str = "") -> None:
    """The same for one task, or for a subtask of the task `above`."""
    id = f"{above}.{id_of(task['id'])}" if above else id_of(task["id"])
    if not old and not re.fullmatch(SUBTASK_ID if above else ID, str(task["id"])):
        raise BadTasks(f"{path}: {id} is no id of a task.", HINT)
    for key in NEEDED[::2] if above else NEEDED:
        if key not in task and (not old or any(key in side for side in old)):
            raise BadTasks(f"{path}: task {id} has no {key}.", HINT)
    for key, value in task.items():
        if key == "subtasks" and isinstance(value, list):
            below = [by_id(side.get(key)) for side in old]
            for child in value if value and not above else ():
                check_task(child, [side[own] for side in below if (own := id_of(child["id"])) in side], path, id)
        if not any(key in side and side[key] == value for side in old) and (why := wrong(key, value, above)):
            raise BadTasks(f"{path}: {one_line(key, 40)} of task {id} {why}.", HINT)


def wrong(key: str, value: Any, above: str) -> str:
    """What is wrong with a field; '' when nothing is."""
    if key == "title":
        return "" if isinstance(value, str) and 0 < len(value.strip()) <= MAX_TITLE_CHARS else "is none"
    if key in TEXTS:
        if not isinstance(value, str | None):
            return "is no text"
        return "is empty" if key == "description" and not above and not (value or "").strip() else ""
    if key == "status":
        return "" if value in (*STATUSES, *(["completed"] if above else [])) else "is none of Task Master's"
    if key == "priority":
        return "" if value in PRIORITIES else "is none of Task Master's"
    if key == "dependencies":
        plain = isinstance(value, list) and all(isinstance(one, int | str) for one in value)
        return "" if plain and len(value) <= MAX_NEEDS else f"is no list of at most {MAX_NEEDS} ids"
    if key == "subtasks":
        return "" if isinstance(value, list) and not (above and value) else "is no list of tasks without any below"
    return ""


def check_own(data: Mapping[str, Any], path: str) -> None:
    """Whether a list can be shared with agents: it can be read, and would be admitted again. Raises BadTasks."""
    bounded(data, path)
    for tag in parse.sections(data):
        parse.tasks(data, tag, path)


def check_merged(merged: Mapping[str, Any], size: int, own: int, path: str) -> None:
    """Whether what was made of both lists may take the place of the user's. `size` and `own`: bytes of both.

    Raises BadTasks.
    """
    if size > own + MAX_GROWTH_BYTES or size > max(own, MAX_BYTES):
        raise BadTasks(f"{path} would grow from {own:,} to {size:,} bytes.", HINT)
    check_own(merged, path)
