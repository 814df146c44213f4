"""What the project's list and its shared copy last had in common, and which texts of tasks came from agents.

Both are kept beside the store, outside of all that agents in containers see.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from magents.core.errors import MagentsError, remedy
from magents.fleet.context import digest
from magents.system.files import atomic
from magents.taskmaster import file, parse, prompt
from magents.taskmaster.sync import TEXTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from magents.fleet.context import Context

LOCK_WAIT_S = 20.0
"""For the lock of the project's own list, which no container can hold."""


class Baseline(NamedTuple):
    """What is kept from the last time."""

    signs: list[list[int]]
    """What told both files from others."""
    document: dict[str, Any]
    """What both held."""
    texts: dict[str, str]
    """`tag:id` of each task whose text an agent has written and no person has accepted → a digest of that text."""


def path_of(context: Context, project: str, end: str = ".json") -> str:
    """The file that it is kept in."""
    return os.path.join(context.store.folder, "tasks", digest(project) + end)


def load(context: Context, project: str) -> Baseline:
    """What was kept the last time; an empty one where nothing was."""
    try:
        with open(path_of(context, project), encoding="utf-8") as stored:
            last = json.load(stored)
        return Baseline(last["signs"], last["document"], last.get("texts", {}))
    except (OSError, ValueError, KeyError, TypeError):
        return Baseline([], {}, {})


def save(context: Context, project: str, baseline: Baseline) -> None:
    """Keep it for the next time."""
    write(path_of(context, project), json.dumps(baseline._asdict()).encode())


def write(path: str, data: bytes) -> None:
    """Have a file of ours that holds this, in one step. Raises MagentsError."""
    folder, name = os.path.split(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        atomic.write(folder, name, data)
    except OSError as error:
        raise MagentsError(f"{path} cannot be written: {error.strerror}.", remedy(error)) from error


def by_agents(before: Mapping[str, str], ours: Mapping[str, Any], merged: Mapping[str, Any]) -> dict[str, str]:
    """`Baseline.texts` once `merged` has taken the place of `ours`. A marked text stays marked, whatever is made of
    it, until a person accepts it or the task is gone."""
    own, now = digests(ours), digests(merged)
    return {key: digest for key, digest in before.items() if key in now} | {
        key: digest for key, digest in now.items() if own.get(key) != digest
    }


def digests(document: Mapping[str, Any]) -> dict[str, str]:
    """A digest of what each task tells an agent, its subtasks included, by `tag:id`."""
    from hashlib import sha256

    by_task = {}
    for tag, section in parse.sections(document).items():
        for task in filter(lambda raw: isinstance(raw, dict), section["tasks"]):
            texts = [[part.get(key) for key in TEXTS] for part in parts(task)]
            key = prompt.ref(tag, parse.id_of(task.get("id")))
            by_task[key] = sha256(json.dumps(texts).encode()).hexdigest()
    return by_task


def parts(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A task and its subtasks, as they stand in the document."""
    return [task, *(child for child in parse.listed(task.get("subtasks")) if isinstance(child, dict))]


def marked(context: Context, project: str, tag: str) -> dict[str, str]:
    """The ids of the tasks of a tag whose text an agent has written and nobody has accepted → its mark.

    Read the list first: what is in it has its mark before.
    """
    before = prompt.ref(tag, "")
    texts = load(context, project).texts
    return {key.removeprefix(before): mark for key, mark in texts.items() if key.startswith(before)}


def accept(context: Context, project: str, tag: str, marks: Mapping[str, str]) -> list[str]:
    """Take the texts of these tasks, by id, for the user's own from now on, as far as their marks are those that
    `marked` gave. Returns the ids whose text an agent has changed since."""
    with file.locked(project, LOCK_WAIT_S):
        last = load(context, project)
        now = {id: last.texts.get(prompt.ref(tag, id)) for id in marks}
        taken = {prompt.ref(tag, id) for id, mark in marks.items() if now[id] == mark}
        save(context, project, last._replace(texts={k: v for k, v in last.texts.items() if k not in taken}))
    return [id for id, mark in marks.items() if now[id] not in (mark, None)]
