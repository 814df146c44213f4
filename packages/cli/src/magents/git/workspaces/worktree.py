"""The workspace of an agent on this machine: a git worktree beside the project."""

from __future__ import annotations

import contextlib
import os

from magents.core.errors import Conflict, MagentsError
from magents.core.text import one_line
from magents.git.layout import MAX_PATH_BYTES, admin_folder
from magents.git.plumbing import FILL_TIMEOUT_S, Retried, command, git, quiet
from magents.git.workspaces import disk
from magents.git.workspaces.base import Workspace
from magents.system import fifos

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from magents.git.diff import Change, Summary
    from magents.git.pins.format import Kept, Origin
    from magents.git.pins.read import Restored


class Worktree(Workspace):
    """A git worktree of the project. Modules that `create` does not need are imported late."""

    @property
    def maker(self) -> Origin:
        """The maker of its pins."""
        from magents.git.pins.format import Origin

        return Origin("worktree", self.agent.runtime)

    def fill(self, *, new: bool, track: str, workers: str, keep: Sequence[int]) -> Retried:
        """`git worktree add`."""
        agent = self.agent
        return add(
            agent.project, agent.workspace, agent.branch, agent.base_commit,
            new=new, track=track, workers=workers, keep=keep,
        )  # fmt: skip

    def diff(self, target: BinaryIO, *options: str) -> None:
        """Git runs in the workspace."""
        from magents.git import diff

        agent = self.agent
        start = diff.fork(agent.workspace, agent.base, agent.base_commit)
        diff.since(target, agent.workspace, start, *options)

    def files(self) -> list[Change]:
        """Git runs in the workspace."""
        from magents.git import diff

        return diff.files(self.agent.workspace, self.agent.base, self.agent.base_commit)

    def summary(self) -> Summary:
        """Git runs in the workspace."""
        from magents.git import diff

        return diff.summary(self.agent.workspace, self.agent.base, self.agent.base_commit)

    def uncommitted(self) -> list[str]:
        """Git runs in the workspace."""
        from magents.git import diff

        return diff.uncommitted(self.agent.workspace)

    def commit(self, message: str) -> None:
        """`git commit`, with the user's hooks."""
        from magents.git import diff

        diff.commit_all(self.agent.workspace, message)

    def check_removable(self) -> None:
        """The user locks it by `git worktree lock`."""
        check_unlocked(self.agent.project, self.agent.workspace)

    def pin(self) -> Kept:
        """Everything in the workspace; what git still knows of it, if its folder is gone."""
        from magents.git.pins import write
        from magents.git.pins.format import Kept

        agent = self.agent
        if not os.path.isdir(agent.workspace):
            return Kept(write.take_absent(agent.project, agent.workspace, agent.id, agent.branch, self.maker), 0)
        ref, meta, _ = write.take(agent.project, agent.workspace, agent.id, self._included(), self.maker)
        return Kept(ref, meta.uncommitted)

    def _included(self) -> list[str]:
        if not os.path.exists(os.path.join(self.agent.project, ".worktreeinclude")):
            return []
        from magents.git.workspaces import include

        return include.changed(self.agent.project, self.agent.workspace)

    def salvage(self) -> Kept:
        """All that can be read; what git knows of the workspace, if nothing can."""
        from magents.git.pins import salvage

        agent = self.agent
        if not os.path.isdir(agent.workspace):
            return self.pin()
        extra: list[str] = []
        with contextlib.suppress(MagentsError):
            extra = self._included()
        return salvage.of_worktree(agent.project, agent.workspace, agent.id, agent.branch, extra, self.maker)

    def remove(self) -> None:
        """Delete its folder and git's record of it."""
        disk.remove(self.agent.project, self.agent.workspace)

    def restore(self, pin: str, owner: tuple[int, int] | None, keep: Sequence[int], *, foreign: bool) -> Restored:
        """Make the worktree again, on its branch if that still is what it was."""
        from magents.git.pins import read
        from magents.git.workspaces import include

        agent = self.agent
        back = read.bring_back(agent.project, pin, agent.workspace, keep, foreign=foreign, branch=agent.branch)
        include.copy(agent.project, agent.workspace)
        return back


def add(
    project: str, path: str, branch: str, commit: str, *, new: bool, track: str = "", workers: str = "",
    keep: Sequence[int] = (),
) -> Retried:  # fmt: skip
    """Begin to check out `branch` in the empty folder `path`.

    With `new`, git makes the branch at `commit`; it follows the remote branch `track`, if given. `workers` is the
    number of processes that check files out; '' leaves that to the user's `checkout.workers`. (Two processes save a
    quarter of the time for 2,000 files.)
    """
    if not new:
        args = [path, branch]
    elif track:
        args = ["--track", "-b", branch, path, track]
    else:
        args = ["--no-track", "-b", branch, path, commit]
    parallel = ["-c", f"checkout.workers={workers}"] if workers else []
    parallel += quiet(project, commit)
    argv = command(project, *parallel, "worktree", "add", "--quiet", *args)
    undo = (lambda: drop_branch(project, branch, commit)) if new else None
    return Retried(argv, undo, keep=keep, timeout=FILL_TIMEOUT_S)


def check_unlocked(project: str, path: str) -> None:
    """Raises Conflict when the user has locked the worktree (`git worktree lock`)."""
    locked = os.path.join(admin_folder(project, path) or "/nowhere", "locked")
    with contextlib.suppress(OSError):
        raise Conflict(
            f"{path} is locked: {one_line(fifos.read(locked, MAX_PATH_BYTES)) or 'no reason given'}.",
            f"Unlock it: git -C {project} worktree unlock {path}",
        )


def drop_branch(project: str, branch: str, commit: str) -> None:
    """Delete a branch that still stands at `commit`, and its settings."""
    git(project, "update-ref", "-d", f"refs/heads/{branch}", commit, ok=None)
    git(project, "config", "--remove-section", f"branch.{branch}", ok=None)
