"""Keeping what can be kept of a workspace that cannot be kept whole, once the user gives up the rest."""

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
    from collections.abc import Iterable

    from magents.git.pins.format import Origin

MAX_KEPT_BYTES = 1 << 32
"""The size of a file, or of a nested repository, that is kept; a file can claim to be larger than any disk."""
MAX_NAMED = 50
"""How many paths that cannot be kept are named."""
MAX_LINE_CHARS = 300
OPEN_TIMEOUT_S = 300
OPEN = r"""find "$1" -type d ! -perm -0700 -exec chmod u+rwx {} \;
find "$1" -type f ! -perm -0400 -exec chmod u+r {} +"""
"""Gives the owner the rights to all below a folder. `find` follows no link, and enters a folder last."""


def whole(project: str, workspace: str, id: str, extra: Iterable[str], maker: Origin) -> Kept:
    """`write.take`, but what cannot be kept is left out and named. Raises MagentsError."""
    open_up(workspace)
    if project != workspace:
        mend_link(project, workspace)
    ref, meta, unkept = write.take(project, workspace, id, extra, maker, unkeepable)
    lines = [line if len(line) < MAX_LINE_CHARS else f"{line[:150]} … {line[-100:]}" for line in unkept[:MAX_NAMED]]
    return Kept(ref, meta.uncommitted, lines)


def of_worktree(project: str, workspace: str, id: str, branch: str, extra: Iterable[str], maker: Origin) -> Kept:
    """What can be kept of a worktree, at least its commits. Raises MagentsError when not even these can be kept."""
    try:
        return whole(project, workspace, id, extra, maker)
    except (MagentsError, OSError, ValueError, RecursionError) as error:
        unkept = [f"what was not committed: {one_line(str(error), MAX_LINE_CHARS)}"]
    try:
        return Kept(write.take_absent(project, workspace, id, branch, maker), 0, unkept)
    except MagentsError:
        unkept.append("git's own files of the worktree")
        return Kept(write.take_absent(project, workspace, id, branch, maker, known=False), 0, unkept)


def open_up(folder: str) -> None:
    """Give the owner the rights to all that is below a folder, as far as that is possible."""
    process.run(["sh", "-c", OPEN, "sh", folder], ok=None, timeout=OPEN_TIMEOUT_S)


def mend_link(project: str, workspace: str) -> None:
    """Make a worktree's `.git` lead to the project's record of the worktree again. What stood there is renamed."""
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
    """Why a file, or a folder that is a repository, cannot be kept; '' if it can."""
    try:
        about = os.lstat(path)
        size = total(path) if stat.S_ISDIR(about.st_mode) else about.st_size
        if stat.S_ISREG(about.st_mode):
            check_readable(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, RecursionError) as error:
        return (isinstance(error, OSError) and error.strerror) or "too deep"
    return "" if size <= MAX_KEPT_BYTES else f"more than {MAX_KEPT_BYTES >> 30} GiB"


def total(folder: str) -> int:
    """The bytes of all plain files below a folder. Raises OSError when something cannot be read."""

    def refuse(error: OSError) -> None:
        raise error

    size = 0
    for place, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            about = os.lstat(os.path.join(place, name))
            if stat.S_ISREG(about.st_mode):
                check_readable(os.path.join(place, name))
                size += about.st_size
    return size


def check_readable(path: str) -> None:
    """Raises OSError when a plain file cannot be read."""
    os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
