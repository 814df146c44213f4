"""Reading what an agent has changed."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from magents.core.errors import NotFound
from magents.git.diff import held
from magents.git.trust import hooks, notice

if TYPE_CHECKING:
    from collections.abc import Sequence
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


def read(context: Context, agent: Agent, *options: str) -> bytes:
    """See `Fleet.diff`."""
    return held(lambda target: diff(context, agent, target, *options))


LISTED = ("--raw", "--no-abbrev")
"""Options with which git lists what a diff changes, before the diff: no line of a file can pass for that list."""


def write(context: Context, agent: Agent, target: BinaryIO, *options: str) -> list[str]:
    """See `Fleet.write_diff`; returns the files that run by themselves on the user's side."""
    diff(context, agent, target, *LISTED, *options)
    target.seek(0)
    return alone(agent, notice.split(target))


def runs_by_itself(context: Context, agent: Agent, changes: Sequence[Change]) -> list[str]:
    """See `Fleet.runs_by_itself`. Whether a `package.json` does depends on its content."""
    if any(change.path.endswith("package.json") for change in changes):
        with tempfile.TemporaryFile() as target:
            return write(context, agent, target)
    return alone(agent, [(change.path, "", "") for change in changes])


def alone(agent: Agent, rows: Sequence[tuple[str, str, str]]) -> list[str]:
    """The files among these changes, as `notice.split` tells them, that run by themselves on the user's side."""
    return notice.of(agent.project, rows, hooks.hook_paths(agent.project)[1])


def files(context: Context, agent: Agent) -> list[Change]:
    """The changed files."""
    check_workspace(agent)
    return context.workspace(agent).files()
