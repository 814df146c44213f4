"""Bringing removed agents back, also those of a lost store."""

from __future__ import annotations

import contextlib
import os

from magents import config, runtimes
from magents.core import names
from magents.core.agent import Agent
from magents.core.errors import Conflict, NotFound
from magents.core.text import one_line
from magents.fleet import create
from magents.fleet.context import CLAIMED, Context
from magents.git.pins import format
from magents.git.workspaces import disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.git.pins.read import Restored


def restore(context: Context, agent: Agent) -> tuple[Agent, Restored]:
    """Bring a removed workspace back; the agent is stopped then. Raises MagentsError, and then nothing is
    changed."""
    with context.store.lock(agent.id) as lock:
        agent = context.store.get(agent.key)
        if agent.phase != "removed":
            raise Conflict(f"{agent.id} is there already.", f"Go to it: magents attach {agent.id}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(context.folder(agent), CLAIMED))
        agent = context.store.update(agent, phase="restoring")
        try:
            from magents.fleet import origin

            disk.claim(agent.workspace)
            os.makedirs(context.folder(agent), mode=0o700, exist_ok=True)
            with open(os.path.join(context.folder(agent), CLAIMED), "w", encoding="utf-8"):
                pass
            context.progress(f"bringing {agent.workspace} back")
            owner = context.runtime(agent).owner()
            foreign = origin.is_foreign(context, agent.project, agent.pin)
            back = context.workspace(agent).restore(agent.pin, owner, keep=(lock,), foreign=foreign)
        except BaseException:
            give_up(context, agent)
            raise
        agent = context.store.update(agent, phase="stopped")
        context.store.note(agent, "restored", f"workspace restored from {agent.pin}", pin=agent.pin)
        return agent, back


def give_up(context: Context, agent: Agent) -> None:
    """Take a half-restored workspace away; its pin holds everything."""
    if os.path.exists(os.path.join(context.folder(agent), CLAIMED)):
        context.workspace(agent).remove()
    else:
        disk.discard_empty(agent.workspace)
    context.store.update(agent, phase="removed")


def find_removed(context: Context, id: str, folder: str, pin: str) -> Agent:
    """See `Fleet.find_removed`."""
    try:
        agent = context.store.find_removed(id)
    except NotFound:
        if any(agent.id == id for agent in context.store.live()):
            raise Conflict(f"{id} is there already.", f"Go to it: magents attach {id}") from None
        agent = recall(context, id, folder, pin)
    if not pin:
        return agent
    if pin not in format.pins(agent.project, agent.id):
        raise NotFound(f"{agent.id} has no pin {pin}.", f"See them: git for-each-ref {format.prefix(agent.id)}")
    return context.store.update(agent, pin=pin)


def recall(context: Context, id: str, folder: str, pin: str) -> Agent:
    """Make the record of a removed agent anew from this pin, or from its last one, because the store was lost.
    Raises NotFound.

    Its mode is the one that this machine wrote beside the pin, else that of new agents. Its workspace is where a
    new agent's would be. What a pin says of these two does not count.
    """
    here = context.project(folder)
    refs = format.pins(here.path, id) if names.is_id(id) else []
    if not refs:
        raise NotFound(f"There is no removed agent `{one_line(id)}`.", "See them all: magents list --removed")
    chosen = pin if pin in refs else refs[0]
    meta = format.meta_of(here.path, chosen)
    settings = config.load(here.settings)
    made = format.origin(here.path, chosen)
    mode = made.runtime if made else runtimes.mode(settings)
    if runtimes.runtime(mode).traits.workspace != "worktree":  # raises where this Magents does not have it
        check_branch(here.path, id, meta.branch or id)
    agent = Agent(
        0, id, here.path, meta.branch or id, here.head, meta.head, False, settings["AGENT"], (), mode,
        os.path.join(create.workspaces(here, settings), id), meta.taken, "removed", False, "", chosen,
    )  # fmt: skip
    return context.store.add(agent)


def check_branch(project: str, id: str, branch: str) -> None:
    """Raises Conflict for a branch of the user's: the commits of an agent in a container would go there. What the
    pin says does not decide: git's log of the branch tells whose it was, and so does the record of what the agent
    brought."""
    from magents.git.plumbing import git, refs
    from magents.git.trust import brought

    ref = f"refs/heads/{branch}"
    if ref not in refs(project, ref):
        return
    past = git(project, "log", "--walk-reflogs", "--format=%gs", ref, "--", ok=None).text.splitlines()
    if {f"magents: create {id}", f"magents: collect {id}"} & set(past):
        return
    record = brought.kept(project)
    if record is None or not any((row.agent, row.branch) == (id, branch) for row in record.arrivals):
        raise Conflict(
            f"The pin of {id} names the branch {one_line(branch)}, which is not known to have been the agent's.",
            f"If it was, set yours aside first: git branch -m {one_line(branch)} {one_line(branch)}-2",
        )
