"""Removing agents: Magents keeps their work and deletes their workspaces."""

from __future__ import annotations

import os
from importlib import import_module

from magents.core.agent import Agent
from magents.core.errors import Conflict, MagentsError, Missing, NotFound, Unkept
from magents.core.tuples import NamedTuple
from magents.fleet import listeners
from magents.fleet.context import Context
from magents.fleet.stop import end
from magents.git.workspaces import disk
from magents.runtimes import Unknown
from magents.system.overlap import begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from magents.git.pins.format import Kept


class Removed(NamedTuple):
    """A workspace that was removed."""

    agent: Agent
    pin: str
    uncommitted: int
    """How many uncommitted files the pin holds."""
    absent: bool = False
    """Its folder was not there, so what was uncommitted in it could not be pinned."""
    unkept: Sequence[str] = ()
    """What could not be pinned and was given up, for people."""


def remove(context: Context, agent: Agent, *, discard: bool = False) -> Removed:
    """Stop it, pin all its work, then delete its workspace. Its branch stays.

    Raises Unkept, with the workspace untouched, when something in it cannot be pinned. With `discard`, that is
    given up, and all else is pinned.
    """
    with context.store.lock(agent.id):
        agent = context.store.get(agent.key)
        if agent.phase == "removed":  # by a command that had the lock before
            from magents.git.pins import format

            return Removed(agent, agent.pin, format.meta_of(agent.project, agent.pin).uncommitted)
        check_project(agent)
        workspace = context.workspace(agent)
        workspace.check_removable()
        loading = begin(import_module, "magents.git.pins.write")  # while its terminal is being closed
        agent = end(context, agent, collect=False)  # the pin brings everything home
        loading.result()
        context.progress(f"keeping the work of {agent.id}")
        agent = context.store.update(agent, phase="removing", pin="")
        absent = not os.path.isdir(agent.workspace)
        try:
            kept = keep(context, agent, discard=discard)
            agent = context.store.update(agent, pin=kept.ref)
        except BaseException:
            context.store.update(agent, phase="stopped")
            raise
        if kept.unkept:
            workspace.clear()
        return Removed(finish_removal(context, agent), kept.ref, kept.uncommitted, absent, kept.unkept)


def keep(context: Context, agent: Agent, *, discard: bool = False) -> Kept:
    """Pin all its work; with `discard`, all that can be pinned. Raises Unkept."""
    workspace = context.workspace(agent)
    if discard:
        return workspace.salvage()
    try:
        return workspace.pin()
    except Missing:
        raise
    except MagentsError as error:
        give_up = f"Or give up what cannot be kept: magents stop {agent.id} --remove-worktree --discard"
        raise Unkept(error.message, f"{error.hint}\n{give_up}".strip()) from error


def check_project(agent: Agent) -> None:
    """Raises NotFound when its project is not there: only the project can keep its work."""
    if not os.path.isdir(agent.project):
        raise NotFound(
            f"The project of {agent.id} is not there: {agent.project}.",
            f"Bring its disk back; or, if it is gone for good: magents stop {agent.id} --forget",
        )


def forget(context: Context, agent: Agent) -> None:
    """End what still runs of it and delete its record; nothing else is touched. Raises Conflict while its project
    is there: then `remove` keeps its work. If this machine does not have its mode, nothing can be ended, so only
    the record goes."""
    runtime = context.runtime(agent)
    known = not isinstance(runtime, Unknown)
    if known and os.path.isdir(agent.project):
        raise Conflict(
            f"The project of {agent.id} is there: {agent.project}.",
            f"Remove it instead, which keeps its work: magents stop {agent.id} --remove-worktree",
        )
    with context.store.lock(agent.id):
        if known:
            agent = end(context, context.store.get(agent.key), collect=False)
            runtime.remove(agent, context.folder(agent))
        context.store.forget(agent)
        try:
            disk.discard(context.folder(agent))
        except OSError as error:
            raise MagentsError(
                f"{error.filename} is left over: {error.strerror}.", "Delete it yourself."
            ) from error


def finish_removal(context: Context, agent: Agent) -> Agent:
    """Delete the workspace, which is pinned. If a killed command did not get to pin it, pin it first; nothing of
    the agent runs then that could hold that up."""
    if not agent.pin:
        context.keep_screen(agent, context.runtime(agent).stop(agent, context.folder(agent)))
        agent = context.store.update(agent, pin=keep(context, agent).ref)
    if context.runtime(agent).traits.keeps:  # a stopped one was needed until now, to pin what is in its workspace
        context.runtime(agent).remove(agent, context.folder(agent))
    context.workspace(agent).remove()
    agent = context.store.update(agent, phase="removed")
    context.store.note(agent, "removed", f"workspace removed, kept as {agent.pin}", pin=agent.pin)
    listeners.tell(context, "removed", agent)
    return agent
