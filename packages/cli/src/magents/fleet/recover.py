"""Recovery: bringing an agent whose command was killed to where it is whole, in a process of its own.

What is waited for meanwhile can depend on the agent: its git can hang, its files can be many. So a recovery has a
limit, and holds the lock of its agent, which keeps nobody else waiting. The agent's history tells that it was
tried, so that no command after it tries again by itself.
"""

from __future__ import annotations

import signal
import sys

from magents.core.errors import MagentsError
from magents.core.status import UNSETTLED
from magents.fleet import create, remove
from magents.fleet.context import Context, boot
from magents.guest import events
from magents.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from magents.core.agent import Agent

LIMIT_S = 300
"""Seconds that a recovery may take."""
TRIED = "recovery: "
"""Begins a line of history that tells of a recovery under way, or of one that has failed."""
FAILED = f"{TRIED}failed: "

UNDONE = "its creation was cut short, and has been undone"


class Late(BaseException):
    """The time is over. Nothing on the way takes it for an error that it can deal with."""


def recover(context: Context, agent: Agent) -> None:
    """Settle an agent, for a caller that holds its lock; its history tells how that went."""
    context.store.note(agent, f"{TRIED}begun")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT_S)
    try:
        said = settle(context, agent)
    except Late:
        said = failed(agent, f"It took longer than {LIMIT_S} s.")
    except MagentsError as error:
        said = failed(agent, f"{error.message} {error.hint}".strip())
    except OSError as error:
        said = failed(agent, str(error))
    signal.alarm(0)
    if said != UNDONE:  # of that, no record is left
        context.store.note(agent, said)


def late(*_: object) -> NoReturn:
    """End what is under way."""
    raise Late


def failed(agent: Agent, why: str) -> str:
    """The line of history for a recovery that has failed."""
    return f"{FAILED}{agent.phase} was cut short, and cannot be mended: {why} Try again: magents doctor --fix"


def settle(context: Context, agent: Agent) -> str:
    """Bring one agent whose command was killed to where it is whole; what was done."""
    if agent.phase == "creating":
        if has_started(context, agent):
            context.store.update(agent, phase="active", boot=boot())
            return "its creation was cut short, but it runs"
        create.undo(context, agent)
        return UNDONE
    if agent.phase == "removing":
        remove.finish_removal(context, agent)
        return "its removal was cut short, and has been completed"
    remove.give_up_restoring(context, agent)
    return "its restoration was cut short, and has been undone; restore it again"


def has_started(context: Context, agent: Agent) -> bool:
    """Whether its program was started: what it has done must not be undone, nor done again. Its terminal or its
    container may well be there before, with the workspace not yet ready."""
    return any(event.by == "wrapper" for event in events.read(context.desk(agent).here))


def main(folder: str, key: int) -> None:
    """The process: one for each agent that needs it."""
    store = Store(folder)
    agent = store.get(key)
    with store.lock(agent.id, wait=1):
        agent = store.get(key)
        if agent.phase in UNSETTLED:
            recover(Context(store, lambda step: None, lambda text: store.note(agent, text)), agent)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
