"""Making whole again: what killed commands have left half-made, orphans, agents that a lost store knew."""

from __future__ import annotations

import contextlib
import os

from magents import config, events, names, runtimes
from magents.errors import Conflict, MagentsError, NotFound
from magents.fleet import create, remove
from magents.fleet.context import boot
from magents.model import Agent
from magents.text import one_line
from magents.workspace import pinned, project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.fleet.context import Context
    from magents.fleet.look import View


def mend(context: Context) -> list[str]:
    """Complete or undo what killed commands have begun; returns what was done, a line each.

    Cheap where there is nothing to do. An agent that a living command is at work on is left alone.
    """
    said = []
    for agent in context.store.unsettled():
        with contextlib.suppress(Conflict, NotFound), context.store.lock(agent.id, wait=0):
            now = context.store.get(agent.key)
            if now.phase in ("creating", "removing", "restoring"):
                said.append(try_to_settle(context, now))
    return said


def try_to_settle(context: Context, agent: Agent) -> str:
    """`settle`; one that fails is told of, and tried again next time: it must not block all commands."""
    try:
        return settle(context, agent)
    except MagentsError as error:
        why = f"{error.message} {error.hint}"
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
    return f"{agent.id}: {agent.phase} was cut short, and cannot be mended: {why}"


def settle(context: Context, agent: Agent) -> str:
    """Bring one agent whose command was killed to where it is whole."""
    if agent.phase == "creating":
        if has_started(context, agent):
            context.store.update(agent, phase="active", boot=boot())
            return f"{agent.id}: its creation was cut short, but it runs"
        create.undo(context, agent)
        return f"{agent.id}: its creation was cut short, and has been undone"
    if agent.phase == "removing":
        remove.finish_removal(context, agent)
        return f"{agent.id}: its removal was cut short, and has been completed"
    remove.give_up_restoring(context, agent)
    return f"{agent.id}: its restoration was cut short, and has been undone; restore it again"


def has_started(context: Context, agent: Agent) -> bool:
    """Whether its program was started: what it has done must not be undone, nor done again. Its terminal or its
    container may well be there before, with the workspace not yet ready."""
    return any(event.by == "wrapper" for event in events.read(context.desk(agent).here))


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
    runtimes.runtime(mode)  # raises where this Magents does not have it
    agent = Agent(
        0, id, found.path, meta.branch or id, found.head, meta.head, False, settings["AGENT"], (), mode,
        os.path.join(create.workspaces(found, settings), id), meta.taken, "removed", False, "", chosen,
    )  # fmt: skip
    return context.store.add(agent)


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
