"""What an agent's workspace can do, be it a worktree on this machine or a clone of the agent's own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from magents.git.diff import Change, Summary
    from magents.git.pins import format
    from magents.git.pins.read import Restored
    from magents.git.workspaces import fetch


class Filling(Protocol):
    """A checkout under way. Leaving its `with` block ends it."""

    def __enter__(self) -> Filling: ...

    def __exit__(self, *_: object) -> None: ...

    def result(self) -> object:
        """Wait for its end. Raises CommandFailed."""


class Workspace(Protocol):
    """An agent's own copy of the project. Every method raises MagentsError."""

    def fill(self, *, new: bool, track: str, workers: str, keep: Sequence[int]) -> Filling:
        """Begin to check its branch out in its folder, which is empty; see `worktree.add`."""

    def hand_over(self, owner: tuple[int, int] | None) -> None:
        """Give its files to the user and group that the agent runs as; None: they are theirs already."""

    def collect(self, seconds: float = fetch.PATIENCE, hold: fetch.Hold = contextlib.nullcontext) -> str:
        """Bring its commits to the project; why the branch there did not follow, or ''.

        Raises NoAnswer when the agent, in a place of its own, has not given them within `seconds`. `hold` is
        entered once they are here, before anything of the project is changed.
        """

    def renew(self) -> None:
        """Let its git know the newest commit of its base branch, as far as it has not gone its own way there."""

    def diff(self, target: BinaryIO, *options: str) -> None:
        """Write to an empty file: `git diff` of all that it changed since its base, untracked files too."""

    def files(self) -> list[Change]:
        """The changed files with their numbers of lines."""

    def summary(self) -> Summary:
        """The work in numbers."""

    def uncommitted(self) -> list[str]:
        """The files changed, untracked or gone since the last commit."""

    def commit(self, message: str) -> None:
        """Commit everything that is uncommitted."""

    def check_removable(self) -> None:
        """Raises Conflict when the user has locked it."""

    def pin(self) -> tuple[str, int]:
        """Keep everything in it below `refs/magents/<id>/`; the ref and how many files were uncommitted."""

    def salvage(self) -> format.Kept:
        """As `pin` where that fails: keep what can be kept, at least its commits, and tell what could not be."""

    def clear(self) -> None:
        """Delete in it what the user who calls could not. Only after `salvage`; may fail, and says nothing then."""

    def remove(self) -> None:
        """Delete it, whatever is in it. Idempotent; only after `pin` is nothing lost by it."""

    def restore(self, pin: str, owner: tuple[int, int] | None, keep: Sequence[int], *, foreign: bool) -> Restored:
        """Bring it back from a pin into its folder, which is empty. `foreign`: we do not trust who made the pin."""
