"""Reading what an agent has changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from magents.core.errors import NotFound

if TYPE_CHECKING:
    from typing import BinaryIO

    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.git.diff import Change


def check_workspace(agent: Agent) -> None:
    """Raises NotFound when the workspace is not there."""
    if not os.path.isdir(agent.workspace):
        raise NotFound(f"The workspace of {agent.id} is not there: {agent.workspace}.", "Bring its disk back.")


def diff(context: Context, agent: Agent, target: BinaryIO, *options: str) -> None:
    """Write to an empty file: the bytes of `git diff` since its base, untracked files included."""
    check_workspace(agent)
    context.workspace(agent).diff(target, *options)


def files(context: Context, agent: Agent) -> list[Change]:
    """The changed files."""
    check_workspace(agent)
    return context.workspace(agent).files()
