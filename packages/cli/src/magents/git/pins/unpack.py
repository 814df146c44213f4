"""Laying the files of a pin into a folder, where nothing of it can land outside."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO

from magents.core.errors import MagentsError
from magents.core.text import one_line
from magents.git.inert import UNHOOKED
from magents.git.pins import format
from magents.git.pins.format import Meta
from magents.git.plumbing import blobs, git

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def overlay(project: str, ref: str, meta: Meta, kept: Sequence[str], path: str, *, nested: bool = True) -> None:
    """Put the changed and untracked files over a fresh checkout, and take away what was gone.

    Without `nested`, repositories within the workspace are left out.
    """
    files = [name for name in kept if name.startswith("files/")]
    if not all(format.is_inner(name.removeprefix("files/")) for name in files):
        raise format.unreadable(ref, f"a file of it {format.OUTSIDE}")
    for name in meta.deleted:
        erase(path, name)
    write(project, ref, files, "files/", path)
    for name, mode in meta.modes.items():
        if not os.path.islink(inside(path, name)):
            os.chmod(inside(path, name), mode & 0o777)
    for number, name in enumerate(meta.nested if nested else ()):
        erase(path, name)
        unpack(project, f"{ref}:nested/{number}.tar", inside(path, name))
    for name in meta.folders:
        os.makedirs(inside(path, name), exist_ok=True)


def stage(project: str, ref: str, path: str) -> None:
    """Stage the contents that a pin keeps as staged, submodules left out. Each name is checked by git; the pin's
    own index is not read, so what was staged as deleted is deleted and not staged."""
    found = {name.removeprefix("staged/0/"): about for name, about in entries(project, ref, "staged/0/").items()}
    rows = [
        f"{mode} {oid} 0\t{name}\0"
        for name, (mode, kind, oid) in found.items()
        if kind == "blob" and format.is_inner(name)
    ]
    if rows:
        git(path, *UNHOOKED, "update-index", "-z", "--index-info", stdin=os.fsencode("".join(rows)))


def erase(root: str, name: str) -> None:
    """Remove a file, link or folder, and the folders above it that are empty then."""
    full = inside(root, name)
    if os.path.isdir(full) and not os.path.islink(full):
        shutil.rmtree(full)
    elif os.path.lexists(full):
        os.unlink(full)
    folder = os.path.dirname(full)
    while folder != root and os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)
        folder = os.path.dirname(folder)


def inside(root: str, name: str) -> str:
    """The full path of `name` below `root`.

    Raises MagentsError when it is not below it, a link leads out of it, or it is git's own: a pin that comes
    from a container was written by someone we do not trust.
    """
    check_inner(root, name)
    full = os.path.join(root, name)
    parent = os.path.realpath(os.path.dirname(full))
    top = os.path.realpath(root)
    if parent != top and not parent.startswith(top + os.sep):
        raise MagentsError(f"{one_line(name)} would lie outside {root}.", "Nothing was written there.")
    return full


def check_inner(root: str, name: str) -> None:
    """Raises MagentsError when a name by itself leads out of a workspace, or is git's own."""
    if not format.is_inner(name):
        raise MagentsError(f"`{one_line(name)}` would lie outside {root}.", "Nothing was written there.")


def names(project: str, ref: str) -> list[str]:
    """All files of a pin."""
    return git(project, "ls-tree", "-r", "-z", "--name-only", ref).text.split("\0")[:-1]


def entries(project: str, ref: str, *below: str) -> dict[str, tuple[str, str, str]]:
    """Mode, type and object of the files of a pin, by name; `below`: folders in it that alone are looked at."""
    rows = git(project, "ls-tree", "-r", "-z", ref, *below).text.split("\0")[:-1]
    split = (row.partition("\t") for row in rows)
    return {name: (mode, kind, oid) for about, _, name in split for mode, kind, oid in [about.split(" ")]}


def write(project: str, ref: str, wanted: Sequence[str], strip: str, root: str) -> None:
    """Write files of a pin below `root`, without the prefix `strip`, with their modes."""
    if not wanted:
        return
    about = entries(project, ref)
    chosen = [(name, *about[name]) for name in wanted if about[name][1] == "blob"]
    with tempfile.TemporaryFile() as file:
        blobs(project, [oid for _, _, _, oid in chosen], file)
        file.seek(0)
        for name, mode, _, _ in chosen:
            size = int(file.readline().split()[2])
            put(inside_for_write(root, name.removeprefix(strip)), mode, file, size)
            file.read(1)


def inside_for_write(root: str, name: str) -> str:
    """`inside`, with the folders above made and what is in the way removed."""
    check_inner(root, name)
    folder = root
    for part in name.split("/")[:-1]:
        folder = os.path.join(folder, part)
        if os.path.islink(folder) or (os.path.lexists(folder) and not os.path.isdir(folder)):
            os.unlink(folder)
        if not os.path.isdir(folder):
            os.mkdir(folder)
    full = inside(root, name)
    if os.path.isdir(full) and not os.path.islink(full):
        shutil.rmtree(full)
    elif os.path.lexists(full):
        os.unlink(full)
    return full


def put(path: str, mode: str, source: BinaryIO, size: int) -> None:
    """Write `size` bytes of `source` to a new file, or a link to where they say."""
    if mode == "120000":
        os.symlink(source.read(size), os.fsencode(path))
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o777 if mode == "100755" else 0o666), "wb") as file:
        while size:
            part = source.read(min(size, 1024 * 1024))
            file.write(part)
            size -= len(part)


def unpack(project: str, blob: str, target: str) -> None:
    """Unpack a tar archive of a pin into a folder; nothing of it can land outside."""
    with tempfile.TemporaryFile() as file:
        oid = git(project, "rev-parse", "--verify", blob).line
        blobs(project, [oid], file)
        file.seek(0)
        file.readline()
        os.makedirs(target, exist_ok=True)
        # Python has filters from 3.11.4 on, and Debian 12 an older one; ours knows hard links as well.
        known: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
        with tarfile.open(fileobj=file, mode="r|") as archive:
            archive.extractall(target, contained(archive, os.path.realpath(target)), **known)


def contained(archive: tarfile.TarFile, target: str) -> Iterator[tarfile.TarInfo]:
    """The members of an archive, each looked at when its turn comes, since earlier ones can be links. Raises
    MagentsError for one that would land outside `target`, or be a second name of a file outside."""
    for member in archive:
        names = [member.name, member.linkname] if member.islnk() else [member.name]
        for name in names:
            place = os.path.realpath(os.path.join(target, name))
            if os.path.commonpath([place, target]) != target:
                raise MagentsError(
                    f"A kept folder has a file that leads out of it: {one_line(name)}.",
                    "Nothing more of it was brought back; look at what wrote it.",
                )
        yield member
