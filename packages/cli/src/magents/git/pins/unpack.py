"""Writing the files of a pin into a folder. Nothing of a pin can land outside the folder."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from magents.core.errors import MagentsError
from magents.core.text import one_line
from magents.git.inert import UNHOOKED
from magents.git.pins import format
from magents.git.plumbing import blobs, git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from magents.git.pins.format import Meta

CHUNK_BYTES = 1 << 20


class Entry(NamedTuple):
    """A file in a pin's tree."""

    mode: str
    type: str
    oid: str


def entries(project: str, ref: str) -> dict[str, Entry]:
    """All files in a pin's tree, by their names."""
    rows = git(project, "ls-tree", "-r", "-z", ref).text.split("\0")[:-1]
    split = (row.partition("\t") for row in rows)
    return {name: Entry(*about.split(" ")) for about, _, name in split}


def overlay(
    project: str, ref: str, meta: Meta, kept: Mapping[str, Entry], workspace: str, *, nested: bool = True
) -> None:
    """Put the changed and untracked files over a fresh checkout, and delete those that were deleted.

    `kept` are the pin's `entries`. Without `nested`, repositories within the workspace are left out.
    """
    files = [name for name in kept if name.startswith("files/")]
    if not all(format.is_inner(name.removeprefix("files/")) for name in files):
        raise format.unreadable(ref, f"a file of it {format.OUTSIDE}")
    for name in meta.deleted:
        erase(workspace, name)
    write(project, kept, files, "files/", workspace)
    for name, mode in meta.modes.items():
        if not os.path.islink(inside(workspace, name)):
            os.chmod(inside(workspace, name), mode & 0o777)
    for number, name in enumerate(meta.nested if nested else ()):
        erase(workspace, name)
        unpack(project, f"{ref}:nested/{number}.tar", inside(workspace, name))
    for name in meta.folders:
        os.makedirs(inside(workspace, name), exist_ok=True)


def stage(kept: Mapping[str, Entry], workspace: str) -> None:
    """Stage what the pin keeps as staged, without submodules.

    Git checks each name. The pin's own index is not read, so a file that was staged as deleted is deleted but not
    staged.
    """
    staged = {name.removeprefix("staged/0/"): entry for name, entry in kept.items() if name.startswith("staged/0/")}
    rows = [
        f"{entry.mode} {entry.oid} 0\t{name}\0"
        for name, entry in staged.items()
        if entry.type == "blob" and format.is_inner(name)
    ]
    if rows:
        git(workspace, *UNHOOKED, "update-index", "-z", "--index-info", stdin=os.fsencode("".join(rows)))


def erase(root: str, name: str) -> None:
    """Delete a file, link or folder, and the folders above it that become empty."""
    full = inside(root, name)
    clear(full)
    folder = os.path.dirname(full)
    while folder != root and os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)
        folder = os.path.dirname(folder)


def clear(path: str) -> None:
    """Delete whatever stands at a path."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def inside(root: str, name: str) -> str:
    """The full path of `name` below `root`.

    Raises MagentsError when the path leads out of `root`, by itself or by a link, or to git's own files: a pin from
    a container was written by an agent that we do not trust.
    """
    check_inner(root, name)
    full = os.path.join(root, name)
    parent = os.path.realpath(os.path.dirname(full))
    top = os.path.realpath(root)
    if parent != top and not parent.startswith(top + os.sep):
        raise MagentsError(f"{one_line(name)} would lie outside {root}.", "Nothing was written there.")
    return full


def check_inner(root: str, name: str) -> None:
    """Raises MagentsError when a name by itself leads out of a workspace, or to git's own files."""
    if not format.is_inner(name):
        raise MagentsError(f"`{one_line(name)}` would lie outside {root}.", "Nothing was written there.")


def write(project: str, kept: Mapping[str, Entry], names: Iterable[str], prefix: str, root: str) -> None:
    """Write these files of a pin below `root`, with their modes and without the prefix of their names."""
    chosen = [(name, kept[name]) for name in names if kept[name].type == "blob"]
    if not chosen:
        return
    with tempfile.TemporaryFile() as file:
        blobs(project, [entry.oid for _, entry in chosen], file)
        file.seek(0)
        for name, entry in chosen:
            size = int(file.readline().split()[2])
            put(cleared(root, name.removeprefix(prefix)), entry.mode, file, size)
            file.read(1)


def cleared(root: str, name: str) -> str:
    """As `inside`. Makes the folders above and deletes what is in the way."""
    check_inner(root, name)
    folder = root
    for part in name.split("/")[:-1]:
        folder = os.path.join(folder, part)
        if os.path.islink(folder) or (os.path.lexists(folder) and not os.path.isdir(folder)):
            os.unlink(folder)
        if not os.path.isdir(folder):
            os.mkdir(folder)
    full = inside(root, name)
    clear(full)
    return full


def put(path: str, mode: str, source: BinaryIO, size: int) -> None:
    """Write `size` bytes of `source` to a new file; for the mode of a link, make a link to where they say."""
    if mode == "120000":
        os.symlink(source.read(size), os.fsencode(path))
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o777 if mode == "100755" else 0o666), "wb") as file:
        while size:
            part = source.read(min(size, CHUNK_BYTES))
            file.write(part)
            size -= len(part)


def unpack(project: str, blob: str, target: str) -> None:
    """Unpack a tar archive of a pin into a folder. Nothing of the archive can land outside."""
    with tempfile.TemporaryFile() as file:
        oid = git(project, "rev-parse", "--verify", blob).line
        blobs(project, [oid], file)
        file.seek(0)
        file.readline()
        os.makedirs(target, exist_ok=True)
        # Python has filters since 3.11.4, and Debian 12 has an older one. `contained` checks hard links as well.
        known: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
        with tarfile.open(fileobj=file, mode="r|") as archive:
            archive.extractall(target, contained(archive, os.path.realpath(target)), **known)


def contained(archive: tarfile.TarFile, target: str) -> Iterator[tarfile.TarInfo]:
    """The members of an archive. Each is checked when its turn comes, because earlier ones can be links.

    Raises MagentsError for one that would land outside `target`, or be a second name of a file outside.
    """
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
