"""Keeping what can be kept of a workspace that cannot be kept whole, where the user gives up the rest."""

from __future__ import annotations

import contextlib
import os
import stat
import time

from magents.core.errors import MagentsError
from magents.core.text import one_line
from magents.git import layout
from magents.git.pins import write
from magents.git.pins.format import Kept
from magents.system import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from magents.git.pins.format import Meta, Origin

LARGEST_BYTES = 1 << 32
"""What a file or a repository within may have; one can be said to be larger than any disk."""
MOST_NAMED = 50
OPEN_S = 300
OPEN = r"""find "$1" -type d ! -perm -0700 -exec chmod u+rwx {} \;
find "$1" -type f ! -perm -0400 -exec chmod u+r {} +"""
"""Gives the owner the rights to all below a folder. `find` follows no link, and looks into a folder last."""


def whole(
    project: str, workspace: str, id: str, extra: Sequence[str], maker: Origin
) -> tuple[str, Meta, list[str]]:
    """`write.take`, but what cannot be kept is left out and named. Raises MagentsError."""
    open_up(workspace)
    if project != workspace:
        mend_link(project, workspace)
    ref, meta, unkept = write.take_part(project, workspace, id, extra, unkeepable, maker=maker)
    return ref, meta, [line if len(line) < 300 else f"{line[:150]} … {line[-100:]}" for line in unkept[:MOST_NAMED]]


def of_worktree(project: str, workspace: str, id: str, branch: str, extra: Sequence[str], maker: Origin) -> Kept:
    """What can be kept of a worktree; at least its commits. Raises MagentsError when not even these can be."""
    try:
        ref, meta, unkept = whole(project, workspace, id, extra, maker)
        return Kept(ref, meta.uncommitted, unkept)
    except (MagentsError, OSError, ValueError, RecursionError) as error:
        unkept = [f"what was not committed: {one_line(str(error), 300)}"]
    try:
        return Kept(write.take_absent(project, workspace, id, branch, maker), 0, unkept)
    except MagentsError:
        unkept.append("git's own files of the worktree")
        return Kept(write.take_absent(project, workspace, id, branch, maker, known=False), 0, unkept)


def open_up(folder: str) -> None:
    """Give the owner the rights to all that is below, as far as that is possible."""
    process.run(["sh", "-c", OPEN, "sh", folder], ok=None, timeout=OPEN_S)


def mend_link(project: str, workspace: str) -> None:
    """Let a worktree's `.git` lead again to what the project has of it. A folder in its place gets another name."""
    link = os.path.join(workspace, ".git")
    with contextlib.suppress(MagentsError, OSError):
        try:
            layout.checked_folder(project, workspace)
        except MagentsError:
            admin = layout.admin_folder(project, workspace)
            if not admin or os.path.islink(workspace):
                return
            if os.path.lexists(link):
                os.rename(link, f"{link}-{time.time_ns()}")
            with open(link, "x", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"gitdir: {admin}\n")


def unkeepable(path: str) -> str:
    """Why a file, or a folder that is a repository, cannot be kept; '' where it can."""
    try:
        about = os.lstat(path)
        if stat.S_ISREG(about.st_mode):
            os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
        size = total(path) if stat.S_ISDIR(about.st_mode) else about.st_size
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, RecursionError) as error:
        return (isinstance(error, OSError) and error.strerror) or "too deep"
    return "" if size <= LARGEST_BYTES else f"more than {LARGEST_BYTES >> 30} GiB"


def total(folder: str) -> int:
    """The bytes of all files below. Raises OSError when something cannot be read."""

    def refuse(error: OSError) -> None:
        raise error

    size = 0
    for place, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            about = os.lstat(os.path.join(place, name))
            if stat.S_ISREG(about.st_mode):
                os.close(os.open(os.path.join(place, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
                size += about.st_size
    return size
