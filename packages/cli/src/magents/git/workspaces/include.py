"""`.worktreeinclude`: which ignored files of the project are copied into a workspace.

This is a convention of Claude Code. The file holds patterns in gitignore syntax. A file is copied when it matches
one of them and git ignores it, so tracked files are never copied.

With this file the user decides what agents get to see. So a version that an agent in a container brought does not
count until it is accepted (see `brought`), not even after a merge: the last version before it counts. No link is
followed, and an agent in a container gets plain files only.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import stat
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import MagentsError
from magents.core.text import one_line
from magents.git.layout import has_record
from magents.git.pins.fastimport import cannot_read
from magents.git.plumbing import git
from magents.system.files import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = ".worktreeinclude"
MAX_PATTERNS_BYTES = 1024 * 1024


class Chosen(NamedTuple):
    """The patterns that count."""

    patterns: str
    remark: str = ""
    """Why they are not those in the project's file; '' if they are."""


def chosen(project: str) -> Chosen:
    """The patterns of a project's file, in the newest version that is the user's own."""
    path = os.path.join(project, NAME)
    if not os.path.lexists(path):
        return Chosen("")
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return Chosen("", f"{NAME} is no plain file, so no ignored file comes along")
    text = os.fsdecode(guarded.read(path, MAX_PATTERNS_BYTES))
    if not has_record(project):
        return Chosen(text)
    from magents.git.trust import brought

    foreign = brought.foreign(project, NAME)
    if not foreign:
        return Chosen(text)
    own = brought.own_version(project, NAME)
    patterns = git(project, "cat-file", "blob", own, ok=None).text if own else ""
    return Chosen(patterns, f"{NAME} is used as it was before {one_line(foreign.agent)} changed it")


@contextlib.contextmanager
def listed(patterns: str) -> Iterator[str]:
    """Writes the patterns to a file for git, and yields its path."""
    import tempfile  # imported late: few projects have patterns that do not count

    with tempfile.NamedTemporaryFile("w", prefix="magents-", encoding="utf-8", errors="surrogateescape") as file:
        file.write(patterns)
        file.flush()
        yield file.name


def wanted(folder: str, patterns: str) -> list[str]:
    """The ignored files below `folder`, relative to it, that match the patterns in the file `patterns`."""
    matching = git(folder, "ls-files", "-z", "--others", "--ignored", f"--exclude-from={patterns}").raw
    if not matching:
        return []
    ignored = git(folder, "check-ignore", "-z", "--stdin", stdin=matching, ok=(0, 1))
    return [name for name in ignored.text.split("\0") if name]


def own_files(project: str, folder: str, warn: Callable[[str], None] | None = None) -> list[str]:
    """The ignored files below `folder`, relative to it, that match the project's patterns. Calls `warn` when these
    are not the patterns in the project's file."""
    patterns, remark = chosen(project)
    if remark and warn:
        warn(f"{remark}; see: magents trust")
    if not patterns:
        return []
    if not remark:
        return wanted(folder, os.path.join(project, NAME))
    with listed(patterns) as file:
        return wanted(folder, file)


def copy(
    project: str, workspace: str, *, links: bool = True, warn: Callable[[str], None] | None = None
) -> list[str]:
    """Copy the project's files into a workspace, with their permissions and times; returns their names. Links stay
    links; without `links` they are left out."""
    names = [
        name for name in own_files(project, project, warn)
        if links or not os.path.islink(os.path.join(project, name))
    ]  # fmt: skip
    for name in names:
        source, target = os.path.join(project, name), os.path.join(workspace, name)
        try:
            check_inside(workspace, os.path.dirname(target))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.lexists(target):
                copy_one(project, name, target)
        except OSError as error:
            raise MagentsError(f"{source} cannot be copied to {target}: {error.strerror}.") from error
    return names


def copy_one(project: str, name: str, target: str) -> None:
    """Copy a file or a link of the project. Raises OSError, also for a path that leads over a link, and for other
    things."""
    *above, last = name.split("/")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(guarded.opened(os.path.realpath(project)))
        for part in above:
            folder = stack.enter_context(guarded.opened(part, folder))
        if stat.S_ISLNK(os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode):
            os.symlink(os.readlink(last, dir_fd=folder), target)
            return
        with open(os.open(last, guarded.READ, dir_fd=folder), "rb") as source:
            about = os.fstat(source.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise OSError(0, "it is no plain file")
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fchmod(file.fileno(), stat.S_IMODE(about.st_mode))
                os.utime(file.fileno(), ns=(about.st_atime_ns, about.st_mtime_ns))


def check_inside(workspace: str, folder: str) -> None:
    """Raises MagentsError when a link on the branch makes this folder lead out of the workspace."""
    top, real = os.path.realpath(workspace), os.path.realpath(folder)
    if os.path.commonpath([top, real]) != top:
        raise MagentsError(
            f"{folder} leads out of the workspace, to {real}.",
            f"Take it out of {NAME}, or the link off the branch.",
        )


def changed(project: str, workspace: str) -> list[str]:
    """The matching files of the workspace that differ from the project's. Raises MagentsError when one cannot be
    read."""
    names = own_files(project, workspace)
    try:
        return [name for name in names if differs(project, workspace, name)]
    except OSError as error:
        raise cannot_read(workspace, error) from error


def differs(project: str, workspace: str, name: str) -> bool:
    """Whether a file of the workspace differs from the project's."""
    mine, theirs = os.path.join(workspace, name), os.path.join(project, name)
    if os.path.islink(mine) or not os.path.isfile(theirs):
        return True
    return not filecmp.cmp(mine, theirs, shallow=False)


def digest(path: str) -> str:
    """The SHA-256 of a plain file; of a link, of where it leads; '' of anything else."""
    import hashlib  # imported late: a worktree needs no digest

    if os.path.islink(path):
        return hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()
    if not os.path.isfile(path):
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
