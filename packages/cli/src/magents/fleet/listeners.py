"""Rooms that join an agent's life. This room does not know them: it tells them of each moment.

A listener is a module with a function of (context, agent) for each `Moment`, with `findings` (context) for `magents
doctor`, and with `GUIDE` and `SERVERS`: what `CLAUDE.md` tells agents that share a folder, and the MCP servers that
they are offered. The module is imported when it has something to do. See docs/adr/0025-listeners.md.
"""

from __future__ import annotations

import os

from magents.core.errors import MagentsError
from magents.core.tuples import NamedTuple
from magents.system.isolated import isolated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Literal

    from magents.core.agent import Agent
    from magents.fleet.context import Context

    Moment = Literal["starting", "turn_ended", "merged", "removed"]
    """`starting`: its program is about to run. `turn_ended`: its turn is over, and its commits were brought home
    from its container. `merged`, `removed`: its branch has just been merged, its workspace removed."""


class Listener(NamedTuple):
    """What is known of a listener before it is imported."""

    module: str
    folder: str
    """A folder at the top of each project that it has to do with. The folder that agents share has a copy. It
    changes while they work, so its uncommitted changes keep no merge back."""

    def load(self) -> ModuleType:
        """The module."""
        from importlib import import_module

        return import_module(self.module)


LISTENERS = (Listener("magents.taskmaster.listener", ".taskmaster"),)


def folders() -> list[str]:
    """The folders at the top of a project that change while agents work."""
    return [listener.folder for listener in LISTENERS]


def tell(context: Context, moment: Moment, agent: Agent) -> None:
    """Tell the listeners that have to do with this agent. An error of one of them becomes a warning, and stops
    nothing."""
    for listener in LISTENERS:
        if agent.task or os.path.lexists(os.path.join(agent.project, listener.folder)):
            try:
                with isolated(agent.id):
                    getattr(listener.load(), moment)(context, agent)
            except MagentsError as error:
                context.warn(f"{error.message} {error.hint}".rstrip())
