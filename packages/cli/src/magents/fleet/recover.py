"""Recovery: completing or undoing what killed commands have left half-made, for each agent in a process of its own.

How long a recovery takes can depend on the agent: its git can hang, its files can be many. So each recovery has a
time limit, and holds the lock of its agent only. The agent's history notes the attempt, so that no later command
repeats it by itself.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from magents.core.errors import MagentsError, NotFound
from magents.core.status import UNSETTLED
from magents.fleet import create, remove, restore
from magents.fleet.context import Context, boot
from magents.guest import events
from magents.store import Store
from magents.system import log
from magents.system.process import background

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from magents.core.agent import Agent
    from magents.fleet.observe import View

GLANCE_TIMEOUT_S = 3
"""Seconds that a command waits for a recovery that depends on what is in the agent's workspace."""
WAIT_TIMEOUT_S = 10
"""The same for any other recovery: it takes away a container, a folder, a branch."""
GRACE_S = 10
"""Seconds that a recovery gets to end once its time is over."""
RECOVERY_TIMEOUT_S = 300
"""Seconds that a recovery may take."""


def recover(context: Context, named: Agent | None = None, *, again: bool = False) -> list[str]:
    """Complete or undo what killed commands have begun, each in a process of its own; returns a line for each.

    Cheap where there is nothing to do. An agent that a living command works on is left alone. So is an agent whose
    recovery was tried before, unless it is the `named` one, or all are to be tried `again`; for these two the
    caller waits. For a recovery that may depend on the agent, any other caller waits a moment only.
    """
    begun = time.time()
    waiting: list[tuple[Agent, float]] = []
    for agent in context.store.unsettled():
        asked = again or (named is not None and named.key == agent.key)
        if (asked or not tried(context, agent)) and not context.store.busy(agent.id):
            background.detach([sys.executable, "-m", __name__, context.store.folder, str(agent.key)])
            waiting.append((agent, time.monotonic() + patience(agent, asked)))
    return [outcome(context, agent, begun, until) for agent, until in waiting]


def tried(context: Context, agent: Agent) -> bool:
    """Whether nothing has happened to it since its recovery was tried."""
    past = context.store.history(agent)
    return bool(past) and past[-1].kind in ("recovering", "recovery-failed")


def patience(agent: Agent, asked: bool) -> float:
    """For how many seconds a caller waits for its recovery."""
    if asked:
        return RECOVERY_TIMEOUT_S + GRACE_S
    return GLANCE_TIMEOUT_S if agent.phase == "removing" and not agent.pin else WAIT_TIMEOUT_S


def outcome(context: Context, agent: Agent, begun: float, until: float) -> str:
    """What has become of a recovery by the time `until` of the monotonic clock."""
    while time.monotonic() < until:
        try:
            now, last = context.store.get(agent.key), context.store.history(agent)[-1:]
        except NotFound:
            return f"{agent.id}: its creation was cut short, and has been undone"
        if last and last[0].at > begun and last[0].kind == "recovery-failed":
            return f"{agent.id}: {last[0].text}"
        if now.phase not in UNSETTLED and not context.store.busy(agent.id):
            return f"{agent.id}: {context.store.history(agent)[-1].text}"
        time.sleep(0.02)
    return f"{agent.id}: {agent.phase} was cut short, and is mended in the background"


class Late(BaseException):
    """The time is over. A BaseException, so that no code on the way handles it as an error."""


def attempt(context: Context, agent: Agent) -> None:
    """Recover an agent, for a caller that holds its lock. The agent's history tells the result."""
    context.store.note(agent, "recovering", "its recovery has begun")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(RECOVERY_TIMEOUT_S)
    why = result = ""
    try:
        result = complete_or_undo(context, agent)
    except Late:
        why = f"It took longer than {RECOVERY_TIMEOUT_S} s."
    except MagentsError as error:
        why = f"{error.message} {error.hint}".strip()
    except OSError as error:
        why = str(error)
    signal.alarm(0)
    if why:
        text = f"{agent.phase} was cut short, and cannot be mended: {why} Try again: magents doctor --fix"
        context.store.note(agent, "recovery-failed", text)
    elif result:
        context.store.note(agent, "recovered", result)


def late(*_: object) -> NoReturn:
    """End the recovery that is under way."""
    raise Late


def complete_or_undo(context: Context, agent: Agent) -> str:
    """Complete or undo the killed command of one agent; returns what was done, '' where no record is left."""
    if agent.phase == "creating":
        if has_started(context, agent):
            context.store.update(agent, phase="active", boot=boot())
            return "its creation was cut short, but it runs"
        create.undo(context, agent)
        return ""
    if agent.phase == "removing":
        remove.finish_removal(context, agent)
        return "its removal was cut short, and has been completed"
    restore.give_up(context, agent)
    return "its restoration was cut short, and has been undone; restore it again"


def has_started(context: Context, agent: Agent) -> bool:
    """Whether its program was started: what the program has done must not be undone, nor done again. Its terminal
    or its container may be there before, while the workspace is not ready yet."""
    return any(event.by == "wrapper" for event in events.read(context.place(agent)))


def main(folder: str, key: int) -> None:
    """The process: one for each agent that needs it."""
    with log.recorded("recovery"):
        store = Store(folder)
        agent = store.get(key)
        with store.lock(agent.id, wait=1):
            agent = store.get(key)
            if agent.phase in UNSETTLED:
                attempt(Context(store, lambda step: None, lambda text: store.note(agent, "note", text)), agent)


def adopt(context: Context, view: View) -> Agent:
    """Make a record for an orphan. Its own folder stays where its processes know it; a link leads there. Raises
    Conflict when another agent has the id or the branch."""
    observations = context.runtime(view.agent).observe()
    label = next((s.label for s in observations if s.id == view.agent.id), {})
    folder = label.get("folder", "")
    if not os.path.isdir(folder) or not view.agent.project:
        raise NotFound(
            f"{view.agent.id} cannot be adopted: its folder is gone.",
            f"End it: tmux kill-session -t =magents-{view.agent.id}",
        )
    agent = context.store.add(view.agent)
    own = context.folder(agent)
    os.makedirs(os.path.dirname(own), mode=0o700, exist_ok=True)
    if own != folder:
        os.symlink(folder, own)  # see Store.folder_of
    context.store.note(agent, "adopted", "adopted")
    return agent


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
