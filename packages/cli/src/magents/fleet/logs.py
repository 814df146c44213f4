"""Reading what agents' terminals show and have shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from magents.core import text
from magents.fleet.context import SCREEN, Context
from magents.runtimes import Unknown

if TYPE_CHECKING:
    from magents.core.agent import Agent


def logs(context: Context, agent: Agent, styled: bool = False) -> list[str]:
    """The lines that an agent's terminal shows and has shown; of a stopped agent, those that it showed last.

    They hold no control sequences; with `styled`, colours alone.
    """
    shown = current(context, agent, styled)
    lines = [line.rstrip() for line in shown.split("\n")]
    while lines and not text.plain(lines[-1]).strip():
        lines.pop()
    return [text.styled(line) if styled else text.plain(line) for line in lines]


def current(context: Context, agent: Agent, styled: bool) -> str:
    """The terminal's text, live or kept."""
    folder, runtime = context.folder(agent), context.runtime(agent)
    terminals = [] if isinstance(runtime, Unknown) else [one for one in runtime.observe() if one.there]
    if any(one.label.get("folder") == folder if agent.key else one.id == agent.id for one in terminals):
        return context.terminal(agent).screen(agent.id, history=10**9, styled=styled)
    try:
        with open(os.path.join(folder, SCREEN), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
