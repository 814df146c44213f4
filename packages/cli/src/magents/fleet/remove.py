"""Stopping agents, and removing and restoring their workspaces."""

from __future__ import annotations

import contextlib
import os
import time

from magents.core.errors import Conflict, MagentsError, Missing, NoAnswer, NotFound, Unkept
from magents.core.model import Agent
from magents.core.tuples import NamedTuple
from magents.fleet.context import CLAIMED, Context, isolated
from magents.git.workspaces import worktree
from magents.store import removal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from magents.git.pins.pinned import Kept
    from magents.git.pins.restore import Restored
    from magents.system.process import Feeding

BEFORE_S = 5
"""Seconds that commits get to come home from an agent that is about to be stopped: it can hold that up."""
AFTER_S = 20
"""The same for one that has been stopped, where they did not come before."""


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


def stop(context: Context, agent: Agent) -> None:
    """End its terminal and all that runs in it. Idempotent; the workspace stays."""
    with context.store.lock(agent.id):
        agent = context.store.get(agent.key)
        if agent.phase != "removed":  # by a command that had the lock before
            end(context, agent)


def end(
    context: Context, agent: Agent, *, collect: bool = True, meanwhile: Callable[[], None] | None = None
) -> Agent:
    """`stop`, for a caller that holds the lock; without `collect`, its commits are not brought home before.
    `meanwhile` may be called while its terminal is being closed.

    Raises MagentsError when it could not be stopped, and it is not called so then.
    """
    was = agent.phase
    if was != "stopped":
        with (
            contextlib.suppress(MagentsError),
            isolated(agent.id),
        ):  # its log keeps nobody from ending it
            let_it_save(context, agent)
    runtime = context.runtime(agent)
    late = collect and was == "active" and runtime.private and not bring_home(context, agent, BEFORE_S)
    agent = context.store.update(agent, phase="stopped")
    try:
        shown = runtime.stop(agent, context.folder(agent), meanwhile)
    except MagentsError:
        context.store.update(agent, phase=was)
        raise
    context.keep_screen(agent, shown)
    if late and not bring_home(context, agent, AFTER_S):
        context.warn(f"{agent.id}: its commits could not be had in time; they stay in its workspace")
    if was != "stopped":
        context.store.note(agent, "stopped")
    return agent


def bring_home(context: Context, agent: Agent, seconds: float) -> bool:
    """Collect its commits when it is stopped; one whose commits cannot be had is stopped all the same. False when
    that took too long: nothing of the agent runs any more once it is stopped, so that it can be tried again.

    Raises Missing when the runtime does not answer: then it cannot be stopped either.
    """
    try:
        kept_back = context.workspace(agent).collect(seconds) if os.path.isdir(agent.workspace) else ""
    except Missing:
        raise
    except NoAnswer:
        return False
    except MagentsError as error:
        kept_back = error.message
    if kept_back:
        context.warn(f"{agent.id}: {kept_back}")
    return True


def let_it_save(context: Context, agent: Agent) -> None:
    """Wait until its harness has written down the turn that has just ended; else it would not resume it."""
    harness = context.harness(agent)
    if not harness.saves:
        return
    from magents.guest import events, terminal

    log = events.read(context.desk(agent).here)
    last = next((event for event in reversed(log) if event.by == harness.name), None)
    rest = last.at + harness.saves - time.time() if last else 0
    if last and 0 < rest <= harness.saves:
        terminal.wait(lambda: harness.saved(last), rest)


def remove(context: Context, agent: Agent, *, discard: bool = False) -> Removed:
    """Stop it, pin all its work, then delete its workspace. Its branch stays.

    Raises Unkept, with the workspace untouched, when something of it cannot be pinned; with `discard`, that is
    given up, and all else is pinned.
    """
    with context.store.lock(agent.id):
        agent = context.store.get(agent.key)
        if agent.phase == "removed":  # by a command that had the lock before
            from magents.git.pins import snapshot

            return Removed(agent, agent.pin, snapshot.meta_of(agent.project, agent.pin).uncommitted)
        check_project(agent)
        workspace = context.workspace(agent)
        workspace.check_removable()
        with contextlib.ExitStack() as stack:
            begun: list[Feeding | None] = []
            agent = end(
                context, agent, collect=False,  # the pin brings everything home
                meanwhile=lambda: begun.append(stack.enter_context(workspace.begin_pin())),
            )  # fmt: skip
            context.progress(f"keeping the work of {agent.id}")
            agent = context.store.update(agent, phase="removing", pin="")
            absent = not os.path.isdir(agent.workspace)
            try:
                kept = keep(context, agent, *begun, discard=discard)
                agent = context.store.update(agent, pin=kept.ref)
            except BaseException:
                context.store.update(agent, phase="stopped")
                raise
        if kept.unkept:
            workspace.clear()
        return Removed(finish_removal(context, agent), kept.ref, kept.uncommitted, absent, kept.unkept)


def keep(context: Context, agent: Agent, begun: Feeding | None = None, *, discard: bool = False) -> Kept:
    """Pin all its work; with `discard`, what can be pinned of it. Raises Unkept."""
    workspace = context.workspace(agent)
    if discard:
        return workspace.salvage()
    from magents.git.pins.pinned import Kept

    try:
        return Kept(*workspace.pin(begun))
    except Missing:
        raise
    except MagentsError as error:
        give_up = f"Or give up what cannot be kept: magents stop {agent.id} --remove-worktree --discard"
        raise Unkept(error.message, f"{error.hint}\n{give_up}".strip()) from error


def check_project(agent: Agent) -> None:
    """Raises NotFound when its project is not there, which alone can keep its work."""
    if not os.path.isdir(agent.project):
        raise NotFound(
            f"The project of {agent.id} is not there: {agent.project}.",
            f"Bring its disk back; or, if it is gone for good: magents stop {agent.id} --forget",
        )


def forget(context: Context, agent: Agent) -> None:
    """End what still runs of it and delete its record; nothing else is touched. Raises Conflict while its
    project is there: then it is removed and can be restored."""
    if os.path.isdir(agent.project):
        raise Conflict(
            f"The project of {agent.id} is there: {agent.project}.",
            f"Remove it instead, which keeps its work: magents stop {agent.id} --remove-worktree",
        )
    with context.store.lock(agent.id):
        agent = end(context, context.store.get(agent.key), collect=False)
        context.runtime(agent).remove(agent, context.folder(agent))
        context.store.forget(agent)
        try:
            worktree.discard(context.folder(agent))
        except OSError as error:
            raise MagentsError(
                f"{error.filename} is left over: {error.strerror}.", "Delete it yourself."
            ) from error


def finish_removal(context: Context, agent: Agent) -> Agent:
    """Remove what is pinned. Where a killed command did not get to pin it, that comes first; nothing of the agent
    runs then that could hold it up."""
    if not agent.pin:
        context.keep_screen(agent, context.runtime(agent).stop(agent, context.folder(agent)))
        agent = context.store.update(agent, pin=keep(context, agent).ref)
    if context.runtime(agent).private:  # a stopped one was needed until now, to pin what is in its workspace
        context.runtime(agent).remove(agent, context.folder(agent))
    context.workspace(agent).remove()
    agent = context.store.update(agent, phase="removed")
    context.store.note(agent, removal(agent.pin))
    return agent


def restore_workspace(context: Context, agent: Agent) -> tuple[Agent, Restored]:
    """Bring a removed workspace back; the agent is stopped then. Raises MagentsError, nothing changed."""
    with context.store.lock(agent.id) as lock:
        agent = context.store.get(agent.key)
        if agent.phase != "removed":
            raise Conflict(f"{agent.id} is there already.", f"Go to it: magents attach {agent.id}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(context.folder(agent), CLAIMED))
        agent = context.store.update(agent, phase="restoring")
        try:
            from magents.fleet import origin

            worktree.claim(agent.workspace)
            os.makedirs(context.folder(agent), mode=0o700, exist_ok=True)
            with open(os.path.join(context.folder(agent), CLAIMED), "w", encoding="utf-8"):
                pass
            context.progress(f"bringing {agent.workspace} back")
            owner = context.runtime(agent).owner()
            foreign = origin.is_foreign(context, agent.project, agent.pin)
            back = context.workspace(agent).restore(agent.pin, owner, keep=(lock,), foreign=foreign)
        except BaseException:
            give_up_restoring(context, agent)
            raise
        agent = context.store.update(agent, phase="stopped")
        context.store.note(agent, f"workspace restored from {agent.pin}")
        return agent, back


def give_up_restoring(context: Context, agent: Agent) -> None:
    """Take a half-restored workspace away; its pin holds everything."""
    if os.path.exists(os.path.join(context.folder(agent), CLAIMED)):
        context.workspace(agent).remove()
    else:
        worktree.discard_empty(agent.workspace)
    context.store.update(agent, phase="removed")
