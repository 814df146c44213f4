"""Moving a checkout of the user's forward to a merge: all of it, or nothing.

`git merge --ff-only` leaves a working tree half changed when it cannot write a file. So `preflight` looks for
obstacles first, and a merge that fails midway is undone: the files that it changed, and only those, become what
they were. A journal holds what they were, so that the next merge can undo one that was killed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import FREE, CommandFailed, Conflict, MagentsError
from magents.core.text import one_line, plain
from magents.git import preflight
from magents.git.layout import git_folder
from magents.git.plumbing import git, quiet
from magents.system.files import atomic, guarded, locks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

JOURNAL = "magents-merge"
"""The file in a checkout's git folder that holds what the checkout was before the merge under way."""
FULL_DISK_BYTES = 1024 * 1024
"""A disk with less room counts as full."""


Mark = list[int] | None
"""Tells whether a file is what it was; None: there was no file."""


class Before(NamedTuple):
    """What a checkout was before a merge, as far as the merge touches the checkout."""

    commit: str
    after: str
    files: dict[str, Mark]
    folders: list[str]
    """The folders that the merge makes, the deepest first."""


# --- laying it in


def lay(checkout: str, before: str, after: str) -> None:
    """Move a clean checkout of a branch, and the branch, from one commit to a later one.

    Raises Conflict when that fails; then both are what they were, but for files that the error names. Untracked and
    ignored files in the way make it fail.
    """
    rows = preflight.check(checkout, before, after)
    was = Before(before, after, marks(checkout, [row.path for row in rows]), absent(checkout, rows))
    with journal(checkout, was) as handle:
        try:
            git(
                checkout, *quiet(checkout, before, after), "merge", "--ff-only", "--no-autostash",
                "--no-overwrite-ignore", "--quiet", after, timeout=3600, keep=(handle,),
            )  # fmt: skip
        except BaseException as error:
            if head(checkout) == after and isinstance(error, CommandFailed):
                return  # the merge is complete; what failed came later
            room = FREE if is_full(checkout) else ""  # git does not say why it could not write
            left = take_back(checkout, was) if head(checkout) == before else []
            if isinstance(error, CommandFailed):
                raise failed(checkout, error, left, room) from error
            raise


def is_full(checkout: str) -> bool:
    """Whether hardly any room is left on the checkout's disk."""
    disk = os.statvfs(checkout)
    return disk.f_bavail * disk.f_frsize < FULL_DISK_BYTES or bool(disk.f_files and not disk.f_favail)


def failed(checkout: str, error: CommandFailed, left: Sequence[str], room: str) -> Conflict:
    """The error for a merge that could not go into a checkout."""
    output = "\n".join(plain(error.stderr).strip().splitlines()[-20:])
    if left:
        shown = ", ".join(one_line(name) for name in left[: preflight.MAX_NAMED_FILES]) + (
            " …" if len(left) > preflight.MAX_NAMED_FILES else ""
        )
        return Conflict(
            f"{checkout} could not be brought to the merge; nothing was merged, but these files could not be put "
            f"back: {shown}.\n{output}",
            f"{room} Then: git -C {checkout} restore --source=HEAD -- .".strip(),
        )
    return Conflict(
        f"{checkout} could not be brought to the merge; nothing was merged:\n{output}",
        room or "Move what is in the way, then merge again.",
    )


def head(checkout: str) -> str:
    """The commit that is checked out; '' if there is none."""
    return git(checkout, "rev-parse", "HEAD", ok=None).line


def real(checkout: str) -> Callable[[str], bool]:
    """A function that tells whether no link is on the way to a folder of the checkout."""
    known: dict[str, bool] = {}
    top = os.path.realpath(checkout)

    def tell(folder: str) -> bool:
        if folder not in known:
            full = os.path.join(top, folder) if folder else top
            known[folder] = os.path.realpath(full) == full
        return known[folder]

    return tell


def marks(checkout: str, paths: Iterable[str]) -> dict[str, Mark]:
    """The marks of these files now."""
    is_real = real(checkout)
    return {path: mark(checkout, path) if is_real(os.path.dirname(path)) else None for path in paths}


def mark(checkout: str, path: str) -> Mark:
    """The mark of a file now; None where there is none, or a folder."""
    try:
        about = os.lstat(os.path.join(checkout, path))
    except OSError:
        return None
    if stat.S_ISDIR(about.st_mode):
        return None
    return [about.st_mode, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns]


def absent(checkout: str, rows: Iterable[preflight.Touched]) -> list[str]:
    """The folders that new files need and that are not there yet, the deepest first."""
    made: set[str] = set()
    for row in rows:
        folder = row.path if row.mode == preflight.GITLINK else os.path.dirname(row.path)
        while row.added and folder and folder not in made and not os.path.isdir(os.path.join(checkout, folder)):
            made.add(folder)
            folder = os.path.dirname(folder)
    return sorted(made, key=lambda folder: -folder.count("/"))


def take_back(checkout: str, was: Before, mine: Callable[[str], bool] = lambda path: True) -> list[str]:
    """Undo a merge that did not come to its end; returns the files that could not be put back.

    `mine` tells whether the merge made a file what it is now. Other files are left alone.
    """
    now = marks(checkout, was.files)
    differ = [path for path, old in was.files.items() if now[path] != old and mine(path)]
    for path in differ:
        if was.files[path] is None:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(checkout, path))
    for folder in was.folders:
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join(checkout, folder))
    lost = [path for path in differ if was.files[path] is not None]
    if lost:
        asked = os.fsencode("".join(f"{path}\0" for path in lost))
        git(checkout, "checkout-index", "--force", "--quiet", "-z", "--stdin", stdin=asked, ok=None)
    git(checkout, "update-index", "-q", "--refresh", ok=None)
    if not differ:
        return []
    words = ("diff-files", "--name-only", "-z", "--no-renames")
    changed = set(git(checkout, *words, ok=None).text.split("\0"))
    there = marks(checkout, differ)
    return [path for path in differ if (path in changed if was.files[path] else there[path])]


# --- what a killed one left


def journal_of(checkout: str) -> str:
    """The path of a checkout's journal."""
    return os.path.join(os.path.realpath(git_folder(checkout)), JOURNAL)


@contextlib.contextmanager
def journal(checkout: str, was: Before) -> Iterator[int]:
    """Keep a journal while a merge goes into the checkout. Yields its handle, which holds the journal's lock; git
    inherits it."""
    path = journal_of(checkout)
    try:
        atomic.write(os.path.dirname(path), JOURNAL, json.dumps(was))
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MagentsError(
            f"{path} cannot be written: {error.strerror}; nothing was merged.",
            FREE if error.errno == errno.ENOSPC else "Mend its permissions.",
        ) from error
    try:
        locks.take(handle, math.inf)
        yield handle
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    except Exception:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        raise
    finally:
        os.close(handle)


def heal(checkout: str) -> None:
    """Undo what a killed merge left in a checkout. Files that somebody changed since are left alone.

    Raises Conflict while a git works in the checkout, or seems to.
    """
    path = journal_of(checkout)
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        if not locks.take(file.fileno()):
            raise Conflict(f"Another merge is being laid into {checkout}.", "Wait for its end.")
        try:
            was = Before(*json.load(file))
        except (ValueError, TypeError):  # the merge was killed before it began
            os.unlink(path)
            return
        lock = os.path.join(os.path.dirname(path), "index.lock")
        at = head(checkout)
        if at == was.commit and os.path.lexists(lock):
            raise Conflict(
                f"A merge into {checkout} was killed and left it half changed, and git's lock: {lock}.",
                f"If no git is at work there: rm {lock}   The next merge puts the files back.",
            )
        if at == was.commit:
            new = {row.path: row for row in preflight.touched(checkout, was.commit, was.after)}
            take_back(checkout, was, lambda name: name in new and is_of(checkout, new[name]))
        os.unlink(path)


def is_of(checkout: str, row: preflight.Touched) -> bool:
    """Whether a file is what a merge makes of it, complete or not: gone, or the beginning of the new content."""
    full = os.path.join(checkout, row.path)
    if not os.path.lexists(full) or row.mode == preflight.GITLINK:
        return True
    blob = git(checkout, "cat-file", "blob", row.new, ok=None).raw if not row.gone else b""
    if os.path.islink(full):
        return os.fsencode(os.readlink(full)) == blob
    return not row.gone and blob.startswith(guarded.read(full, len(blob) + 1))
