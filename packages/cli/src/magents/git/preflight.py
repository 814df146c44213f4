"""What keeps a merge from going into a checkout, as far as it is known before anything changes."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import FREE, Conflict
from magents.core.text import one_line
from magents.git.plumbing import git, is_set, objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


GITLINK = "160000"
MAX_NAMED_FILES = 5
"""How many files an error names."""


class Touched(NamedTuple):
    """A file that differs between two commits."""

    path: str
    old_mode: str
    mode: str
    """'000000' where the commit has no such file."""
    old: str
    """The object id of the content; all zeros where the commit has no such file."""
    new: str

    @property
    def added(self) -> bool:
        """Whether the file is new."""
        return not self.old_mode.strip("0")

    @property
    def gone(self) -> bool:
        """Whether the file is deleted."""
        return not self.mode.strip("0")


def touched(project: str, before: str, after: str) -> list[Touched]:
    """The files that differ between two commits, sorted by path."""
    raw = git(project, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", before, after).text
    words = raw.split("\0")[:-1]
    rows = []
    for about, path in zip(words[::2], words[1::2], strict=True):
        old_mode, mode, old, new, _ = about.lstrip(":").split(" ")
        rows.append(Touched(path, old_mode, mode, old, new))
    return rows


# --- beforehand


def check(checkout: str, before: str, after: str) -> list[Touched]:
    """The files that a merge touches. Raises Conflict when something is known to keep them from the checkout."""
    rows = touched(checkout, before, after)
    for check_one in (check_names, check_writable, check_room):
        check_one(checkout, rows)
    check_case(checkout, rows, after)
    return rows


def refuse(checkout: str, why: str, names: Sequence[str], hint: str) -> Conflict:
    """The error that names the files which cannot go into a checkout."""
    shown = "\n".join(f"  {one_line(name)}" for name in names[:MAX_NAMED_FILES])
    more = f"\n  and {len(names) - MAX_NAMED_FILES} more" if len(names) > MAX_NAMED_FILES else ""
    return Conflict(f"{checkout} cannot be brought to the merge; nothing was merged. {why}:\n{shown}{more}", hint)


def check_names(checkout: str, rows: Sequence[Touched]) -> None:
    """Raises Conflict for paths that are too long for the file system."""
    name_max, path_max = limit(checkout, "PC_NAME_MAX", 255), limit(checkout, "PC_PATH_MAX", 4096)
    top = len(os.fsencode(checkout)) + 1

    def long(path: str) -> bool:
        raw = os.fsencode(path)
        return top + len(raw) >= path_max or any(len(part) > name_max for part in raw.split(b"/"))

    if names := [row.path for row in rows if not row.gone and long(row.path)]:
        raise refuse(checkout, "Names are too long there", names, "Let the agent give them shorter names.")


def limit(path: str, what: str, usual: int) -> int:
    """A limit of the file system; the `usual` one where the system names none."""
    try:
        value = os.pathconf(path, what)
    except (OSError, ValueError):
        return usual
    return value if value > 0 else usual


def check_writable(checkout: str, rows: Sequence[Touched]) -> None:
    """Raises Conflict for files in folders that may not be written."""
    writable: dict[str, bool] = {}

    def may(folder: str) -> bool:
        if folder not in writable:
            full = os.path.join(checkout, folder)
            there = os.path.isdir(full) or not folder
            writable[folder] = os.access(full, os.W_OK | os.X_OK) if there else may(os.path.dirname(folder))
        return writable[folder]

    if names := [row.path for row in rows if not may(os.path.dirname(row.path))]:
        raise refuse(checkout, "Files cannot be written there", names, "Mend the permissions, then merge again.")


def check_room(checkout: str, rows: Sequence[Touched]) -> None:
    """Raises Conflict when the disk has no room for the files. A sparse checkout is not checked: its need is not
    known."""
    if is_set(checkout, "core.sparseCheckout"):
        return
    disk = os.statvfs(checkout)
    asked = {oid for row in rows for oid in contents(row)}
    sizes = {answer[0]: int(answer[2]) for answer in objects(checkout, asked) if len(answer) == 3}
    block = disk.f_frsize or 1

    def blocks(oid: str, mode: str) -> int:
        return 0 if mode == GITLINK else -(-sizes.get(oid, 0) // block)

    need = sum(blocks(row.new, row.mode) - blocks(row.old, row.old_mode) for row in rows)
    new = sum(row.added for row in rows) - sum(row.gone for row in rows)
    if need > disk.f_bavail or (disk.f_files and new > disk.f_favail):
        raise Conflict(
            f"{checkout} cannot be brought to the merge; nothing was merged. Its disk has no room: "
            f"{need * block} bytes are needed, {disk.f_bavail * block} are free.",
            FREE,
        )


def contents(row: Touched) -> Iterator[str]:
    """The old and the new content of a file, submodules aside."""
    for oid, mode in ((row.old, row.old_mode), (row.new, row.mode)):
        if mode != GITLINK and mode.strip("0"):
            yield oid


def check_case(checkout: str, rows: Sequence[Touched], after: str) -> None:
    """Raises Conflict for new files whose names differ from others only in case, on a file system that takes the
    two for one."""
    if not is_set(checkout, "core.ignorecase"):
        return
    new = {row.path for row in rows if row.added}
    seen: dict[str, str] = {}
    clashes = []
    for path in git(checkout, "ls-tree", "-r", "-z", "--name-only", after).text.split("\0")[:-1]:
        other = seen.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if other != path and new & {other, path}:
            clashes.append(f"{other} and {path}")
    if clashes:
        raise refuse(checkout, "Names differ only in case", clashes, "Let the agent rename them.")
