"""What an agent is called that works on a task, and what it is told. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from magents import names
from magents.errors import UsageError
from magents.tasks.parse import MASTER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from magents.tasks.model import Task

TEMPLATE = """\
You work on task {id} of this project: {title}

{description}

{details}

{subtasks}

{testStrategy}

{dependencies}

You are on the branch {branch}. Do this task and nothing else, test it, and commit all of it to this branch.
Other agents work on the other tasks. `task-master show {id}` shows this task, `task-master list` all of them.
Leave the status of the task alone: it is set for you.
"""
LONGEST = 90_000
"""Bytes of a prompt; see `fleet.prompts`."""
TITLES = {
    "details": "Details:", "testStrategy": "How it is tested:", "subtasks": "Its parts:",
    "dependencies": "It builds on these tasks, which are done:",
}  # fmt: skip


def ref(tag: str, id: str) -> str:
    """How an agent's record names its task."""
    return f"{tag}:{id}"


def unref(text: str) -> tuple[str, str]:
    """The tag and the id in it."""
    tag, _, id = text.rpartition(":")
    return tag, id


def branch(tag: str, task: Task) -> str:
    """`task/<id>-<slug>`; for another tag than Task Master's first, that goes before the id."""
    return f"task/{stem(tag, task.id)}-{slug(task.title)}".removesuffix("-")


def agent_id(tag: str, task: Task) -> str:
    """`task-<id>`."""
    return names.slug(f"task-{stem(tag, task.id)}")


def stem(tag: str, id: str) -> str:
    """An id that is a part of a branch's name."""
    whole = id if tag == MASTER else f"{slug(tag)}-{id}"
    return re.sub(r"(?<!\d)\.|\.(?!\d)|[^A-Za-z0-9.-]+", "-", whole).strip("-") or "x"


def slug(text: str) -> str:
    """A short part of a name; '' where no letter or digit is left."""
    try:
        return names.slug(text)[:40].rstrip("-")
    except UsageError:
        return ""


def write(task: Task, name: str, delivered: Mapping[str, str], template: str = "") -> str:
    """The prompt. `name`: the branch. `delivered`: id → what that task, on which this one depends, brought.

    A template's `{title}` and its like are filled in; whatever else is in it stays.
    """
    parts = {
        "id": task.id, "title": task.title, "branch": name, "description": task.description,
        "details": task.details, "testStrategy": task.test_strategy,
        "subtasks": "\n".join(part(child) for child in task.subtasks),
        "dependencies": "\n".join(f"- {id}: {text}" for id, text in delivered.items()),
    }  # fmt: skip
    if not template:
        parts |= {key: f"{title}\n{parts[key]}" for key, title in TITLES.items() if parts[key]}
    text = re.sub(r"\{(\w+)\}", lambda m: parts.get(m[1], m[0]), template or TEMPLATE)
    return shorten(re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", task.id)


def part(child: Task) -> str:
    """A subtask in a few lines."""
    state = f" ({child.status})" if child.status != "pending" else ""
    more = "".join(f"\n  {line}" for text in (child.description, child.details) for line in text.splitlines())
    return f"- {child.id} {child.title}{state}{more}"


def shorten(text: str, id: str) -> str:
    """The prompt, cut where no program would take it."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= LONGEST:
        return raw.decode()
    return f"{raw[:LONGEST].decode('utf-8', 'ignore')}\n… cut here; the whole: task-master show {id}\n"
