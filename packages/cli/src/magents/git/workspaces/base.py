"""What an agent's workspace can do, be it a worktree on this machine or a clone of the agent's own."""

from __future__ import annotations

import contextlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO, Protocol

    from magents.core.agent import Agent
    from magents.git.diff import Change, Summary
    from magents.git.pins.format import Kept
    from magents.git.pins.read import Restored
    from magents.git.plumbing import Retried

    Hold = Callable[[], AbstractContextManager[object]]
else:
    Protocol = object  # `typing` takes too long to load on the way of every command

COLLECT_TIMEOUT_S = 60.0
"""An agent that runs can hold a collection up for as long as it likes."""


class Workspace(Protocol):
    """An agent's own copy of the project. Every method may raise MagentsError.

    Some methods do nothing here: they are for workspaces that need it done.
    """

    agent: Agent

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def fill(self, *, new: bool, track: str, workers: str, keep: Sequence[int]) -> Retried:
        """Begin to check the agent's branch out in the workspace's folder, which is empty; see `worktree.add`."""

    def hand_over(self, owner: tuple[int, int] | None) -> None:
        """Give the files to the user and group that the agent runs as; None: they are theirs already."""
        return

    def collect(self, seconds: float = COLLECT_TIMEOUT_S, hold: Hold = contextlib.nullcontext) -> str:
        """Bring the agent's commits to the project; returns why the branch there did not follow, or ''.

        Raises NoAnswer when an agent in a place of its own does not give its commits within `seconds`. `hold` is
        entered when the commits are here, before anything of the project changes.
        """
        return ""

    def renew(self) -> None:
        """Give the agent's git the newest commit of the base branch, unless that branch has commits of the
        agent's."""
        return

    def diff(self, target: BinaryIO, *options: str) -> None:
        """Write the output of `git diff` since the agent's base, with untracked files, to an empty file."""

    def files(self) -> list[Change]:
        """The changed files with their line counts."""

    def summary(self) -> Summary:
        """The agent's work in numbers."""

    def uncommitted(self) -> list[str]:
        """The files changed, added or deleted since the last commit."""

    def commit(self, message: str) -> None:
        """Commit everything that is uncommitted."""

    def check_removable(self) -> None:
        """Raises Conflict when the user locked the workspace."""
        return

    def pin(self) -> Kept:
        """Keep everything in the workspace below `refs/magents/<id>/`."""

    def salvage(self) -> Kept:
        """As `pin`, where that fails: keep what can be kept, at least the commits, and say what could not be
        kept."""

    def clear(self) -> None:
        """Delete what the calling user may not delete, as far as possible. Only after `salvage`."""
        return

    def remove(self) -> None:
        """Delete the workspace, whatever is in it. Idempotent. Nothing is lost only after `pin`."""

    def restore(self, pin: str, owner: tuple[int, int] | None, keep: Sequence[int], *, foreign: bool) -> Restored:
        """Bring the workspace back from a pin into its folder, which is empty. `foreign`: the pin is not
        trusted."""
