"""The project's list of tasks and the one that its agents in containers share, kept the same.

Such an agent cannot reach the project, so it has a copy in `/shared`. What either side has changed is brought to
the other at each command that has to do with tasks, and at the end of each turn; see `sync`. What both had in
common last is in `baseline`.

What agents write there is hostile input: it is taken over only where `admit` lets it, and their lock is not
waited for longer than a moment.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

from magents.core.errors import MagentsError
from magents.core.text import one_line
from magents.system.files import guarded
from magents.taskmaster import admit, baseline, file, parse
from magents.taskmaster import sync as merging
from magents.taskmaster.baseline import Baseline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from magents.core.agent import Agent
    from magents.fleet.context import Context

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


def update(
    context: Context, project: str, wait: float = SHARED_WAIT_S, own_wait: float = baseline.LOCK_WAIT_S
) -> bool:
    """Bring both to the same; whether there was anything to do. Costs two `lstat` where neither has changed.

    `wait`: seconds for the lock that agents take; `own_wait`: for that of the project's list. Raises MagentsError
    when one of them cannot be used, or what agents have written is refused; the project's own is as before then.
    """
    shared = context.shared(project)
    if not (file.exists(project) and os.path.isdir(shared)):
        return False
    if baseline.load(context, project).signs == signs(project, shared):
        return False
    file.make_folder(shared)  # an agent can have removed it
    with file.locked(project, own_wait), locked(context, shared, wait):
        last = baseline.load(context, project)  # once more: another command may just have brought them together
        ours = file.load(project)
        admit.check_own(ours, file.path_of(project))
        try:
            theirs, merged = merged_with(project, shared, last.document, ours)
        except parse.BadTasks as error:
            raise put_back(context, project, last, ours, error) from error
        texts = baseline.by_agents(last.texts, ours, merged)
        if texts != last.texts:  # before the project has them, for this can be killed between the two
            baseline.save(context, project, last._replace(texts=texts))
        for root, old in ((shared, theirs), (project, ours)):
            if merged != old:
                file.save(root, merged)
        baseline.save(context, project, Baseline(signs(project, shared), merged, texts))
    return True


def merged_with(
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
    context: Context, project: str, last: Baseline, ours: Mapping[str, Any], error: parse.BadTasks
) -> parse.BadTasks:
    """Give agents the user's list in the place of one that is refused, which is kept; the error that tells of it.

    It waits in a file as well until a command of the user's tells it: the collector cannot.
    """
    shared, kept = context.shared(project), baseline.path_of(context, project, REFUSED)
    baseline.write(kept, guarded.read_below(shared, f"{file.BELOW}/{file.NAME}", admit.MAX_BYTES))
    hint = f"It is kept in {kept}; agents have your list again."
    try:
        file.save(shared, ours)
        baseline.save(context, project, Baseline(signs(project, shared), dict(ours), last.texts))
    except MagentsError as failed:
        hint = f"Agents keep it, because yours cannot be put in its place: {failed.message}"
    why = one_line(error.message, MAX_REASON_CHARS)
    message = f"what agents of {os.path.basename(project)} have made of their list is refused: {why}"
    refusal = parse.BadTasks(f"{message} {sharers(context, project)}", hint)
    untold = baseline.path_of(context, project, UNTOLD)
    baseline.write(untold, f"{refusal.message} {refusal.hint}".encode("utf-8", "replace"))
    return refusal


def shares(context: Context, agent: Agent) -> bool:
    """Whether an agent has the shared list and not the project's own."""
    return context.runtime(agent).traits.workspace != "worktree"


def sharers(context: Context, project: str) -> str:
    """Whom it can have been."""
    ids = [agent.id for agent in context.store.live() if agent.project == project and shares(context, agent)]
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
    from magents.taskmaster import holder

    holders = holder.holders(os.path.join(shared, file.FOLDER))
    message = f"the list in /shared is locked by {holder.words(holders)}; what was known before counts."
    return message, holder.end(holders)


def locks(context: Context) -> list[tuple[str, str]]:
    """Which shared lists are locked just now, by whom, and what to do about it."""
    projects = {agent.project for agent in context.store.live() if shares(context, agent)}
    held = []
    for project in sorted(projects):
        try:
            with file.locked(context.shared(project), 0):
                pass
        except file.Locked:
            message, hint = held_by(context.shared(project))
            held.append((f"{os.path.basename(project)}: {message}", hint))
        except MagentsError:
            pass  # `tasks` tells of it
    return held


def try_update(context: Context, project: str) -> None:
    """`update`; if it cannot be done, that is told and stops nothing. So is what was refused meanwhile."""
    try:
        update(context, project)
    except MagentsError as error:
        tell(context, f"{error.message} {error.hint}")
    untold = baseline.path_of(context, project, UNTOLD)
    with contextlib.suppress(OSError):
        with open(untold, encoding="utf-8") as refusal:
            tell(context, refusal.read())
        os.remove(untold)


def tell(context: Context, why: str) -> None:
    """Warn that agents in containers have another list, once for each reason."""
    if why not in context.warned:
        context.warned.add(why)
        context.warn(f"the tasks of agents in containers are not brought together with yours: {why}")


def signs(project: str, shared: str) -> list[list[int]]:
    """What tells whether either was written."""
    return [file.sign(project), file.sign(shared)]
