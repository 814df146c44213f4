"""The project's list of tasks and the one that its agents in containers share, kept the same.

Such an agent cannot reach the project, so it has a copy in `/shared`. What either side has changed is brought to
the other at each command that has to do with tasks, and at the end of each turn; see `tasks.sync`. What both had
in common last is kept beside the store, and which texts of tasks came from agents.

What agents write there is hostile input: it is taken over only where `tasks.admit` lets it, and their lock is not
waited for longer than a moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from magents.core.errors import MagentsError, remedy
from magents.core.text import one_line
from magents.fleet.context import digest
from magents.system.files import atomic, guarded
from magents.taskmaster import admit, file, parse, prompt
from magents.taskmaster import sync as merging

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from magents.core.agent import Agent
    from magents.fleet.context import Context

WAIT_S = 20.0
"""For the lock of the project's own list, which no container can hold."""
SHARED_WAIT_S = 1.0
"""For the lock of the shared one."""
LOCKED_OUT_S = 10.0
"""After that wait was in vain, the lock is only tried and not waited for, for so long."""

REFUSED = ".refused.json"
"""How the file's name ends that holds the last list that was refused."""
locked_out: dict[str, float] = {}
"""The folders whose lock was waited for in vain, and when (`time.monotonic`)."""
MAX_REASON_CHARS = 500
"""Of why a list is refused: a circle can name thousands of tasks."""
UNTOLD = ".refused"
"""How the file's name ends that says why, until the user was told."""


class Kept(NamedTuple):
    """What is kept from the last time."""

    signs: list[list[int]]
    """What told both files from others."""
    document: dict[str, Any]
    """What both held."""
    texts: dict[str, str]
    """`tag:id` of each task whose text an agent has written and no person has accepted → a digest of that text."""


def same(context: Context, project: str, wait: float = SHARED_WAIT_S, own_wait: float = WAIT_S) -> bool:
    """Bring both to the same; whether there was anything to do. Costs two `lstat` where neither has changed.

    `wait`: seconds for the lock that agents take; `own_wait`: for that of the project's list. Raises MagentsError
    when one of them cannot be used, or what agents have written is refused; the project's own is as before then.
    """
    shared = context.shared(project)
    if not (file.exists(project) and os.path.isdir(shared)):
        return False
    if recall(context, project).signs == signs(project, shared):
        return False
    file.make_folder(shared)  # an agent can have removed it
    with file.locked(project, own_wait), locked(context, shared, wait):
        last = recall(context, project)  # once more: another command may just have brought them together
        ours = file.load(project)
        admit.check_own(ours, file.path_of(project))
        try:
            theirs, merged = together(project, shared, last.document, ours)
        except parse.BadTasks as error:
            raise put_back(context, project, last, ours, error) from error
        texts = by_agents(last.texts, ours, merged)
        if texts != last.texts:  # before the project has them, for this can be killed between the two
            remember(context, project, last._replace(texts=texts))
        for root, old in ((shared, theirs), (project, ours)):
            if merged != old:
                file.save(root, merged)
        remember(context, project, Kept(signs(project, shared), merged, texts))
    return True


def together(
    project: str, shared: str, base: Mapping[str, Any], ours: Mapping[str, Any]
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The shared document and what both sides should have. Raises BadTasks for what must not be taken over."""
    own = len(file.encode(ours))
    theirs = admitted(shared, (base, ours), own)
    merged = merging.merge(base, ours, theirs)
    if merged != ours:
        path = f"{file.path_of(project)} with what agents have changed"
        admit.check_merged(merged, len(file.encode(merged)), own, path)
    return theirs, merged


def admitted(shared: str, known: tuple[Mapping[str, Any], ...], own: int) -> dict[str, Any]:
    """The shared document, checked; empty where there is none. Raises BadTasks."""
    if not file.exists(shared):
        return {}
    path = file.path_of(shared)
    theirs = admit.decode(file.content(shared, path), path, own)
    admit.check(theirs, known, path)
    return theirs


def put_back(
    context: Context, project: str, last: Kept, ours: Mapping[str, Any], error: parse.BadTasks
) -> parse.BadTasks:
    """Give agents the user's list in the place of one that is refused, which is kept; the error that tells of it.

    It waits in a file as well until a command of the user's tells it: the collector cannot.
    """
    shared, kept = context.shared(project), place(context, project, REFUSED)
    keep(kept, guarded.read_below(shared, f"{file.BELOW}/{file.NAME}", admit.MAX_BYTES))
    hint = f"It is kept in {kept}; agents have your list again."
    try:
        file.save(shared, ours)
        remember(context, project, Kept(signs(project, shared), dict(ours), last.texts))
    except MagentsError as failed:
        hint = f"Agents keep it, because yours cannot be put in its place: {failed.message}"
    why = one_line(error.message, MAX_REASON_CHARS)
    said = f"what agents of {os.path.basename(project)} have made of their list is refused: {why}"
    found = parse.BadTasks(f"{said} {sharers(context, project)}", hint)
    keep(place(context, project, UNTOLD), f"{found.message} {found.hint}".encode("utf-8", "replace"))
    return found


def secluded(context: Context, agent: Agent) -> bool:
    """Whether an agent has the shared list and not the project's own."""
    return context.runtime(agent).traits.workspace != "worktree"


def sharers(context: Context, project: str) -> str:
    """Whom it can have been."""
    ids = [agent.id for agent in context.store.live() if agent.project == project and secluded(context, agent)]
    return f"Which of them wrote it cannot be told; they are: {', '.join(ids)}." if ids else ""


@contextlib.contextmanager
def locked(context: Context, shared: str, wait: float) -> Iterator[None]:
    """The lock that agents take too, so that it is not waited for again and again. Raises Locked, and says whose
    it is."""
    if wait <= SHARED_WAIT_S and time.monotonic() - locked_out.get(shared, -LOCKED_OUT_S) < LOCKED_OUT_S:
        wait = 0.0
    try:
        with file.locked(shared, wait):
            locked_out.pop(shared, None)
            yield
    except file.Locked as error:
        if wait:
            locked_out[shared] = time.monotonic()
        raise file.Locked(*held_by(shared)) from error


def held_by(shared: str) -> tuple[str, str]:
    """Who holds the lock of the shared list, and what to do about it."""
    from magents.fleet import holder

    found = holder.holders(os.path.join(shared, file.FOLDER))
    said = f"the list in /shared is locked by {holder.words(found)}; what was known before counts."
    return said, holder.end(found)


def locks(context: Context) -> list[tuple[str, str]]:
    """Which shared lists are locked just now, by whom, and what to do about it."""
    projects = {agent.project for agent in context.store.live() if secluded(context, agent)}
    found = []
    for project in sorted(projects):
        try:
            with file.locked(context.shared(project), 0):
                pass
        except file.Locked:
            said, hint = held_by(context.shared(project))
            found.append((f"{os.path.basename(project)}: {said}", hint))
        except MagentsError:
            pass  # `tasks` tells of it
    return found


def try_same(context: Context, project: str) -> None:
    """`same`; if it cannot be done, that is told and stops nothing. So is what was refused meanwhile."""
    try:
        same(context, project)
    except MagentsError as error:
        tell(context, f"{error.message} {error.hint}")
    with contextlib.suppress(OSError):
        with open(place(context, project, UNTOLD), encoding="utf-8") as kept:
            tell(context, kept.read())
        os.remove(place(context, project, UNTOLD))


def tell(context: Context, why: str) -> None:
    """Warn that agents in containers have another list, once for each reason."""
    if why not in context.told:
        context.told.add(why)
        context.warn(f"the tasks of agents in containers are not brought together with yours: {why}")


def by_agents(before: Mapping[str, str], ours: Mapping[str, Any], merged: Mapping[str, Any]) -> dict[str, str]:
    """`Kept.texts`, once `merged` has taken the place of `ours`. What was marked stays so, whatever is made of the
    text, until a person accepts it or the task is gone."""
    mine, now = digests(ours), digests(merged)
    return {key: text for key, text in before.items() if key in now} | {
        key: text for key, text in now.items() if mine.get(key) != text
    }


def digests(document: Mapping[str, Any]) -> dict[str, str]:
    """A digest of what each task tells an agent, its subtasks included, by `tag:id`."""
    from hashlib import sha256

    found = {}
    for tag, section in parse.sections(document).items():
        for task in filter(lambda one: isinstance(one, dict), section["tasks"]):
            told = [[one.get(key) for key in merging.TEXTS] for one in parts(task)]
            key = prompt.ref(tag, parse.id_of(task.get("id")))
            found[key] = sha256(json.dumps(told).encode()).hexdigest()
    return found


def parts(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A task and its subtasks, as they stand in the document."""
    return [task, *(child for child in parse.listed(task.get("subtasks")) if isinstance(child, dict))]


def marked(context: Context, project: str, tag: str) -> dict[str, str]:
    """The ids of the tasks of a tag whose text an agent has written and nobody has accepted → its mark.

    Read the list first: what is in it has its mark before.
    """
    before = prompt.ref(tag, "")
    texts = recall(context, project).texts
    return {key.removeprefix(before): mark for key, mark in texts.items() if key.startswith(before)}


def accept(context: Context, project: str, tag: str, marks: Mapping[str, str]) -> list[str]:
    """Take the texts of these tasks, by id, for the user's own from now on, as far as their marks are those that
    `marked` gave. Returns the ids whose text an agent has changed since."""
    with file.locked(project, WAIT_S):
        last = recall(context, project)
        now = {id: last.texts.get(prompt.ref(tag, id)) for id in marks}
        taken = {prompt.ref(tag, id) for id, mark in marks.items() if now[id] == mark}
        remember(context, project, last._replace(texts={k: v for k, v in last.texts.items() if k not in taken}))
    return [id for id, mark in marks.items() if now[id] not in (mark, None)]


def signs(project: str, shared: str) -> list[list[int]]:
    """What tells whether either was written."""
    return [file.sign(project), file.sign(shared)]


def place(context: Context, project: str, end: str = ".json") -> str:
    """Where the last common state is kept: outside of all that agents in containers see."""
    return os.path.join(context.store.folder, "tasks", digest(project) + end)


def recall(context: Context, project: str) -> Kept:
    """What was kept the last time; nothing where there was none."""
    try:
        with open(place(context, project), encoding="utf-8") as kept:
            found = json.load(kept)
        return Kept(found["signs"], found["document"], found.get("texts", {}))
    except (OSError, ValueError, KeyError, TypeError):
        return Kept([], {}, {})


def remember(context: Context, project: str, kept: Kept) -> None:
    """Keep it for the next time."""
    keep(place(context, project), json.dumps(kept._asdict()).encode())


def keep(path: str, data: bytes) -> None:
    """Have a file of ours that holds this, in one step. Raises MagentsError."""
    folder, name = os.path.split(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        atomic.write(folder, name, data)
    except OSError as error:
        raise MagentsError(f"{path} cannot be written: {error.strerror}.", remedy(error)) from error
