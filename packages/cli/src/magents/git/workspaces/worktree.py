"""The workspace of traditional mode: a git worktree beside the project."""

from __future__ import annotations

import contextlib
import errno
import os
import time

from magents.core.errors import CommandFailed, Conflict, MagentsError, remedy
from magents.core.text import one_line
from magents.core.tuples import NamedTuple
from magents.git.plumbing import STUMBLES, command, git, quiet, stumbled
from magents.system import fifos, process
from magents.system.process import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from magents.core.model import Agent
    from magents.git.changes import Change, Summary
    from magents.git.pins.pinned import Kept, Origin
    from magents.git.pins.restore import Restored


class Worktree(NamedTuple):
    """A git worktree of the project."""

    agent: Agent

    @property
    def maker(self) -> Origin:
        """Who makes its pins."""
        from magents.git.pins.pinned import Origin

        return Origin("worktree", self.agent.runtime)

    def fill(self, *, new: bool, track: str, workers: str, keep: Sequence[int]) -> Running:
        """`git worktree add`."""
        agent = self.agent
        return add(
            agent.project, agent.workspace, agent.branch, agent.base_commit,
            new=new, track=track, workers=workers, keep=keep,
        )  # fmt: skip

    def filled(self, filling: Running, *, new: bool, keep: Sequence[int]) -> None:
        """Wait, and try again where git stumbled over another worktree."""
        agent = self.agent
        finish(filling, agent.project, agent.branch, agent.base_commit, new=new, keep=keep)

    def hand_over(self, owner: tuple[int, int] | None) -> None:
        """Nothing: the agent runs as the user."""

    def collect(self, seconds: float = 0, hold: Callable[[], object] | None = None) -> str:
        """Nothing: its commits are in the project."""
        return ""

    def renew(self) -> None:
        """Nothing: it is the project's own branch."""

    def diff(self, target: BinaryIO, *options: str) -> None:
        """Asked of git right there."""
        from magents.git import changes

        agent = self.agent
        start = changes.fork(agent.workspace, agent.base, agent.base_commit)
        changes.since(target, agent.workspace, start, *options)

    def files(self) -> list[Change]:
        """Asked of git right there."""
        from magents.git import changes

        return changes.files(self.agent.workspace, self.agent.base, self.agent.base_commit)

    def summary(self) -> Summary:
        """Asked of git right there."""
        from magents.git import changes

        return changes.summary(self.agent.workspace, self.agent.base, self.agent.base_commit)

    def uncommitted(self) -> list[str]:
        """Asked of git right there."""
        from magents.git import changes

        return changes.uncommitted(self.agent.workspace)

    def commit(self, message: str) -> None:
        """`git commit`, with the user's hooks."""
        from magents.git import changes

        changes.commit_all(self.agent.workspace, message)

    def check_removable(self) -> None:
        """`git worktree lock` keeps it."""
        check_unlocked(self.agent.project, self.agent.workspace)

    def pin(self) -> tuple[str, int]:
        """Everything in it, or what git still knows of one that is gone."""
        from magents.git.pins import snapshot

        agent = self.agent
        if not os.path.isdir(agent.workspace):
            return snapshot.take_absent(agent.project, agent.workspace, agent.id, agent.branch, self.maker), 0
        extra = self._included()
        ref, meta = snapshot.take(agent.project, agent.workspace, agent.id, extra, self.maker)
        return ref, meta.uncommitted

    def _included(self) -> list[str]:
        if not os.path.exists(os.path.join(self.agent.project, ".worktreeinclude")):
            return []
        from magents.git.workspaces import include

        return include.changed(self.agent.project, self.agent.workspace)

    def salvage(self) -> Kept:
        """All that can be read; what git knows where nothing can."""
        from magents.git.pins import salvage
        from magents.git.pins.pinned import Kept

        agent = self.agent
        if not os.path.isdir(agent.workspace):
            return Kept(*self.pin())
        extra: list[str] = []
        with contextlib.suppress(MagentsError):
            extra = self._included()
        return salvage.of_worktree(agent.project, agent.workspace, agent.id, agent.branch, extra, self.maker)

    def clear(self) -> None:
        """Nothing: the user can delete all of it."""

    def remove(self) -> None:
        """Its folder and git's record of it."""
        remove(self.agent.project, self.agent.workspace)

    def restore(self, pin: str, owner: tuple[int, int] | None, keep: Sequence[int], *, foreign: bool) -> Restored:
        """A worktree again, on its branch where that still is what it was."""
        from magents.git.pins import restore
        from magents.git.workspaces import include

        agent = self.agent
        back = restore.bring_back(agent.project, pin, agent.workspace, keep, foreign=foreign, branch=agent.branch)
        include.copy(agent.project, agent.workspace)
        return back


def check_absent(path: str) -> None:
    """Raises Conflict when something is where a workspace is to be made."""
    if os.path.lexists(path):
        raise Conflict(f"{path} is there already.", "Move it away, or choose another id: magents create BRANCH ID")


def claim(path: str) -> None:
    """Make the folder of a new workspace, so that from here on it is provably ours.

    Raises Conflict when something is there already, and MagentsError when it cannot be made.
    """
    check_absent(path)
    try:
        make(path)
    except FileExistsError as error:
        raise Conflict(
            f"{path} is there already.", "Move it away, or choose another id: magents create BRANCH ID"
        ) from error
    except OSError as error:
        raise MagentsError(
            f"{path} cannot be made: {error.strerror}.",
            remedy(error, "Choose another place: magents config --set WORKSPACES=FOLDER"),
        ) from error


def make(path: str) -> None:
    """Make a new folder in the folder of workspaces, which a sweep can just be removing. Raises OSError.

    A sweep removes that folder once, so it is lost as often as other commands end their last agent just
    now: a matter of moments. The limit is for a folder that cannot be, such as behind a dangling link.
    """
    until = time.monotonic() + SWEPT
    while True:
        with contextlib.suppress(FileExistsError):  # there, and gone again before makedirs looked twice
            os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            os.mkdir(path)
        except FileNotFoundError:
            if time.monotonic() > until:
                raise
        else:
            return
        time.sleep(0.001)


def add(
    project: str, path: str, branch: str, commit: str, *, new: bool, track: str = "", workers: str = "",
    keep: Sequence[int] = (),
) -> Running:  # fmt: skip
    """Begin to check out `branch` in the empty folder `path`; with `new`, the branch is made at `commit`
    and follows the remote branch `track`, if given.

    `workers`: how many processes check files out (two take a quarter off the time for 2,000 files);
    '' leaves that to the user's `checkout.workers`.
    """
    if not new:
        args = [path, branch]
    elif track:
        args = ["--track", "-b", branch, path, track]
    else:
        args = ["--no-track", "-b", branch, path, commit]
    parallel = ["-c", f"checkout.workers={workers}"] if workers else []
    parallel += quiet(project, commit)
    return Running(command(project, *parallel, "worktree", "add", "--quiet", *args), keep=keep)


def check_unlocked(project: str, path: str) -> None:
    """Raises Conflict when the user has locked the worktree (`git worktree lock`)."""
    locked = os.path.join(admin(project, path) or "/nowhere", "locked")
    with contextlib.suppress(OSError):
        raise Conflict(
            f"{path} is locked: {one_line(fifos.read(locked, PATH_BYTES)) or 'no reason given'}.",
            f"Unlock it: git -C {project} worktree unlock {path}",
        )


def finish(adding: Running, project: str, branch: str, commit: str, *, new: bool, keep: Sequence[int] = ()) -> None:
    """Wait for the checkout that `add` began. Raises CommandFailed.

    Git stumbles over another worktree that is just being made; then it is asked again.
    """
    for _ in range(STUMBLES):
        try:
            adding.result(timeout=3600)
            return
        except CommandFailed as error:
            if not stumbled(error):
                raise
        if new:
            drop_branch(project, branch, commit)
        time.sleep(0.02)
        adding = Running(adding.argv, keep=keep)
    adding.result(timeout=3600)


def remove(project: str, path: str) -> None:
    """Delete a worktree and git's record of it, whatever is in it and however broken it is.

    At once it is moved aside and git forgets it; its files are deleted by a process of its own, because
    that takes as long as there are files. Idempotent. Only after `snapshot.take` may one be sure that
    nothing is lost by it. Raises MagentsError when it can neither be moved nor deleted.
    """
    record = admin(project, path)
    parent = os.path.dirname(path)
    try:
        if os.path.lexists(path):
            aside = os.path.join(parent, f"{TRASH}{os.path.basename(path)}-{time.time_ns()}")
            try:
                os.rename(path, aside)
            except OSError:  # a mount point, a parent that may not be written
                discard(path)
        forget(common_folder(project), record)
    except OSError as error:
        raise MagentsError(
            f"{error.filename or path} cannot be deleted: {error.strerror}.",
            "Mend its permissions and try again.",
        ) from error
    sweep(parent)


def forget(common: str, record: str) -> None:
    """Let git forget a worktree: its folder there (if any) is moved away in one step and then deleted, with
    what a killed command has left so. Half-deleted in its place, it could not be told any more."""
    if record:
        os.rename(record, os.path.join(common, f"{FORGOTTEN}{os.path.basename(record)}-{time.time_ns()}"))
    for name in os.listdir(common):
        if name.startswith(FORGOTTEN):
            discard(os.path.join(common, name))


SWEPT = 5.0
"""Seconds in which a workspace's folder must be made, however often the folder around it is swept away."""
PATH_BYTES = 4096
"""How long a path can be."""
FORGOTTEN = "magents-trash-"
TRASH = ".magents-trash-"
CLEAR_S = 600
CLEAR = """find "$1" -type d ! -perm -0700 -exec chmod u+rwx {} \\; 2>/dev/null; rm -rf -- "$1\""""
"""Deletes a folder however deep it is, and although its owner was denied the rights to what is in it."""
SWEEP = f"""trap '' HUP INT
clear() {{ rm -rf -- "$1" 2>/dev/null || {{ {CLEAR}; }}; }}
for trash in "$1"/.magents-trash-*; do clear "$trash"; done
case $1 in *-agents) rmdir -- "$1" ;; esac"""


def sweep(parent: str) -> None:
    """Let a process of its own delete what was moved aside in a folder of workspaces, and that folder too
    when nothing is left in it. What a killed one has left, the next one takes."""
    if os.path.isdir(parent):
        process.leave(["sh", "-c", SWEEP, "sh", parent])


def discard(folder: str) -> None:
    """Delete a folder with all that is in it, also what may not be written, following no link. Raises OSError.
    For small ones; another command may be deleting it at the same time."""
    try:
        delete(folder)
    except OSError:
        if os.path.islink(folder):  # its rights are those of where it leads
            raise
        unlock(folder)
        delete(folder)


def unlock(folder: str) -> None:
    """Let what is in a folder be read and deleted, as far as that is for us to say."""
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)
    for place, folders, _ in os.walk(folder):
        for full in (os.path.join(place, name) for name in folders):
            with contextlib.suppress(OSError):
                if not os.path.islink(full):
                    os.chmod(full, 0o700)


def delete(folder: str) -> None:
    """`discard`, where that is allowed."""
    if os.path.islink(folder):
        os.unlink(folder)
        return
    try:
        for place, folders, files in os.walk(folder, topdown=False):
            for name in [*files, *folders]:
                full = os.path.join(place, name)
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(full) if name in folders and not os.path.islink(full) else os.unlink(full)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(folder)
    except (OSError, RecursionError) as error:
        process.run(["sh", "-c", CLEAR, "sh", folder], ok=None, timeout=CLEAR_S)
        if os.path.lexists(folder):
            raise OSError(errno.ENOTEMPTY, "something in it may not be deleted", folder) from error


def admin(project: str, path: str) -> str:
    """Git's own folder for the worktree at `path` (`.git/worktrees/…`); '' if it has none.

    Found from the repository's side, because an agent can write the workspace's side, which can also be
    gone or half-made: each of git's folders there names the worktree that it is for.
    """
    folder = os.path.join(common_folder(project), "worktrees")
    wanted = {os.path.join(path, ".git"), os.path.join(os.path.realpath(path), ".git")}
    names = os.listdir(folder) if os.path.isdir(folder) else []
    first = os.path.basename(path)
    for name in sorted(names, key=lambda name: (name != first, name)):
        with contextlib.suppress(OSError):
            told = fifos.read(os.path.join(folder, name, "gitdir"), PATH_BYTES).rstrip("\n")
            if os.path.normpath(os.path.join(folder, name, told)) in wanted:
                return os.path.join(folder, name)
    return ""


def common_folder(project: str) -> str:
    """The git folder of a repository, which all its working trees share."""
    usual = os.path.join(project, ".git")
    if os.path.isdir(usual):
        return usual
    return git(project, "rev-parse", "--path-format=absolute", "--git-common-dir").line


def drop_branch(project: str, branch: str, commit: str) -> None:
    """Delete a branch that was made and never used: only while it still stands at `commit`."""
    git(project, "update-ref", "-d", f"refs/heads/{branch}", commit, ok=None)
    git(project, "config", "--remove-section", f"branch.{branch}", ok=None)


def discard_empty(path: str) -> None:
    """Remove a workspace's folder that nothing was put into, and the folder of workspaces if it is empty."""
    with contextlib.suppress(OSError):
        os.rmdir(path)
    with contextlib.suppress(OSError):
        if os.path.dirname(path).endswith("-agents"):
            os.rmdir(os.path.dirname(path))
