"""Making whole again: what killed commands have left half-made, orphans, agents that a lost store knew."""

from __future__ import annotations

import os
import sys
import time

from magents import config, runtimes
from magents.core import names
from magents.core.agent import Agent
from magents.core.errors import Conflict, NotFound
from magents.core.status import UNSETTLED
from magents.core.text import one_line
from magents.fleet import create, recover
from magents.git import project
from magents.git.pins import pinned
from magents.system import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.fleet.context import Context
    from magents.fleet.look import View

GLANCE_S = 3
"""Seconds that a command waits for a recovery that depends on what is in the agent's workspace."""
OTHERS_S = 10
"""The same for any other: its container, its folder, its branch are taken away."""
ENDING_S = 10
"""Seconds that a recovery gets to end once its time is over."""


def mend(context: Context, named: Agent | None = None, *, again: bool = False) -> list[str]:
    """Complete or undo what killed commands have begun, each in a process of its own; a line for each.

    Cheap where there is nothing to do. An agent that a living command is at work on is left alone, and so is one
    whose recovery was tried before, unless it is the one that is `named`, or all are to be tried `again`. These two
    are waited for; what may depend on the agent is not, but for a moment.
    """
    begun, waiting = time.time(), list[tuple[Agent, float]]()
    for agent in context.store.unsettled():
        asked = again or (named is not None and named.key == agent.key)
        if (asked or not tried(context, agent)) and not context.store.busy(agent.id):
            process.detach([sys.executable, "-m", recover.__name__, context.store.folder, str(agent.key)])
            waiting.append((agent, time.monotonic() + patience(agent, asked)))
    return [outcome(context, agent, begun, until) for agent, until in waiting]


def tried(context: Context, agent: Agent) -> bool:
    """Whether nothing has happened to it since its recovery was tried."""
    past = context.store.history(agent)
    return bool(past) and past[-1].what.startswith(recover.TRIED)


def patience(agent: Agent, asked: bool) -> float:
    """For how many seconds its recovery is waited for."""
    if asked:
        return recover.LIMIT_S + ENDING_S
    return GLANCE_S if agent.phase == "removing" and not agent.pin else OTHERS_S


def outcome(context: Context, agent: Agent, begun: float, until: float) -> str:
    """What has become of a recovery by the time `until` of the monotonic clock."""
    while time.monotonic() < until:
        try:
            now, last = context.store.get(agent.key), context.store.history(agent)[-1:]
        except NotFound:
            return f"{agent.id}: {recover.UNDONE}"
        if last and last[0].at > begun and last[0].what.startswith(recover.FAILED):
            return f"{agent.id}: {last[0].what.removeprefix(recover.FAILED)}"
        if now.phase not in UNSETTLED and not context.store.busy(agent.id):
            return f"{agent.id}: {context.store.history(agent)[-1].what}"
        time.sleep(0.02)
    return f"{agent.id}: {agent.phase} was cut short, and is mended in the background"


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
    if pin not in pinned.pins(agent.project, agent.id):
        raise NotFound(f"{agent.id} has no pin {pin}.", f"See them: git for-each-ref {pinned.prefix(agent.id)}")
    return context.store.update(agent, pin=pin)


def recall(context: Context, id: str, folder: str, pin: str) -> Agent:
    """Make the record of a removed agent anew from this pin or else its last: the store was lost. Raises NotFound.

    Its mode is what this machine wrote down beside the pin, else that of a new agent; its workspace is where a new
    agent's would be. A pin says nothing of the two that counts.
    """
    found = project.locate(folder)
    refs = pinned.pins(found.path, id) if names.is_id(id) else []
    if not refs:
        raise NotFound(f"There is no removed agent `{one_line(id)}`.", "See them all: magents list --removed")
    chosen = pin if pin in refs else refs[0]
    meta = pinned.meta_of(found.path, chosen)
    settings = config.load(found.settings)
    made = pinned.origin(found.path, chosen)
    mode = made.runtime if made else "docker" if settings.flag("DOCKER_ENABLED") else "tmux"
    if runtimes.runtime(mode).private:  # raises where this Magents does not have it
        check_branch(found.path, id, meta.branch or id)
    agent = Agent(
        0, id, found.path, meta.branch or id, found.head, meta.head, False, settings["AGENT"], (), mode,
        os.path.join(create.workspaces(found, settings), id), meta.taken, "removed", False, "", chosen,
    )  # fmt: skip
    return context.store.add(agent)


def check_branch(project: str, id: str, branch: str) -> None:
    """Raises Conflict for a branch of the user's: the commits of an agent in a container would go there. Its pin
    may say what it likes; git's log of the branch tells whose it was, and so does what the agent brought."""
    from magents.git.plumbing import git
    from magents.git.trust import brought
    from magents.git.workspaces import clone

    ref = f"refs/heads/{branch}"
    if not clone.refs(project, ref):
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


def adopt(context: Context, view: View) -> Agent:
    """Make a record for an orphan. Its own folder stays where it is known to its processes, so that is
    where a link leads. Raises Conflict when the id or the branch has another agent."""
    seen = context.runtime(view.agent).observe()
    label = next((s.label for s in seen if s.id == view.agent.id), {})
    folder = label.get("folder", "")
    if not os.path.isdir(folder) or not view.agent.project:
        raise NotFound(
            f"{view.agent.id} cannot be adopted: its folder is gone.",
            f"End it: tmux kill-session -t =magents-{view.agent.id}",
        )
    agent = context.store.add(view.agent)
    place = context.folder(agent)
    os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
    if place != folder:
        os.symlink(folder, place)  # see Store.place
    context.store.note(agent, "adopted")
    return agent
