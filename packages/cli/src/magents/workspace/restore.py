"""Bringing a workspace back from its pin, exactly."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from magents.errors import CommandFailed, Conflict, MagentsError
from magents.text import one_line
from magents.workspace.git import blobs, git, working_tree
from magents.workspace.snapshot import Meta, git_folder, meta_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

UNMERGED = ("staged/1/", "staged/2/", "staged/3/")
BEFORE = ("info/", "config.worktree")
"""What git must know before it fills the working tree: sparse checkouts."""


UNDER_WAY = (
    "admin/rebase-", "admin/MERGE_HEAD", "admin/CHERRY_PICK_HEAD", "admin/REVERT_HEAD", "admin/sequencer/",
    "admin/BISECT_LOG", "admin/info/sparse-checkout", "admin/sharedindex.", "modules.tar",
)  # fmt: skip
"""What only makes sense together with git's files of the worktree that it began in."""


class Restored(NamedTuple):
    """What came back."""

    meta: Meta
    remark: str
    """Why HEAD is not on the branch again; '' if it is, or never was."""


def bring_back(project: str, ref: str, path: str, keep: Sequence[int] = ()) -> Restored:
    """Make the worktree of a pin again in the empty folder `path`. The pin stays.

    The branch is checked out where it still is what it was; if it is gone it is made again; if it has
    moved, or is checked out elsewhere, HEAD is detached at the commit it had, and `remark` says so.
    """
    meta = meta_of(project, ref)
    remark = prepare_branch(project, meta)
    # The user's hook is not asked: it has run when the workspace was made, and may change files or fail.
    adding = ["-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", path]
    # Before the first commit of a branch there is none to check out: the pin stands in until HEAD is written.
    git(project, *adding, *([meta.head] if meta.head else ["--no-checkout", ref]), keep=keep)
    fill(project, ref, meta, path, {"HEAD"} if meta.branch and remark else set())
    return Restored(meta, remark)


def fill(project: str, ref: str, meta: Meta, path: str, skip: Container[str] = ()) -> None:
    """Lay all that a pin holds over a fresh checkout of its commit. `skip`: files of git's own to leave out."""
    admin = git_folder(path)
    pinned = names(project, ref)
    write(
        project,
        ref,
        [n for n in pinned if n.startswith("admin/") and n[6:].startswith(BEFORE)],
        "admin/",
        admin,
    )
    if any(name.startswith("admin/info/sparse-checkout") for name in pinned):
        git(path, "sparse-checkout", "reapply", ok=None)
    overlay(project, ref, meta, pinned, path)
    if "refs" in pinned and os.path.isdir(os.path.join(path, ".git")):  # a clone's
        write_refs(project, ref, pinned, path)
    state = [n for n in pinned if n.startswith("admin/") and n[6:] not in skip]
    write(project, ref, state, "admin/", admin)
    if "index" in pinned:
        write(project, ref, ["index"], "", admin)
        write_trees(pinned, path, admin)
    if "modules.tar" in pinned:
        unpack(project, f"{ref}:modules.tar", os.path.join(admin, "modules"))
    git(path, "update-index", "-q", "--refresh", ok=None)


def write_refs(project: str, ref: str, pinned: Sequence[str], path: str) -> None:
    """Give a clone the refs again that it had made. Its reflogs come with git's other files."""
    for name in pinned:
        if name.startswith("tags/"):
            content = git(project, "cat-file", "blob", f"{ref}:{name}").raw
            git(path, "hash-object", "-t", "tag", "-w", "--stdin", stdin=content)
    rows = git(project, "cat-file", "blob", f"{ref}:refs").text.splitlines()
    lines = "".join(f"update {name} {oid}\n" for oid, _, name in (row.partition(" ") for row in rows))
    git(path, "update-ref", "--stdin", stdin=os.fsencode(lines))


def write_trees(pinned: Sequence[str], path: str, admin: str) -> None:
    """Make the trees again that the index remembers from a commit that was refused, or `git gc` would fail.

    They follow from the index; where it has conflicts, from what is not in conflict.
    """
    unmerged = [name[len("staged/1/") :] for name in pinned if name.startswith(UNMERGED)]
    with tempfile.TemporaryDirectory(prefix="magents-") as folder:
        copy = {"GIT_INDEX_FILE": shutil.copyfile(os.path.join(admin, "index"), os.path.join(folder, "index"))}
        if unmerged:
            listed = os.fsencode("\0".join(unmerged))
            git(path, "update-index", "--force-remove", "-z", "--stdin", env=copy, stdin=listed)
        git(path, "write-tree", env=copy, ok=None)


def prepare_branch(project: str, meta: Meta) -> str:
    """See to it that the branch can be checked out; else the reason why it cannot.

    Raises Conflict when it had no commit, so that there is no other place for HEAD, and has one now.
    """
    if not meta.branch:
        return ""
    form = "--format=%(refname)%00%(objectname)%00%(worktreepath)"
    listed = git(project, "for-each-ref", form, f"refs/heads/{meta.branch}").text.split("\n")[:-1]
    rows = [row.split("\0") for row in listed]
    own = [row[1:] for row in rows if row[0] == f"refs/heads/{meta.branch}"]
    if not meta.head:
        if not rows:
            return ""
        raise Conflict(
            f"The branch {meta.branch} had no commit when the workspace was removed; meanwhile it has.",
            f"Rename it and try again: git branch -m {meta.branch} {meta.branch}-2",
        )
    if not own and rows:  # git has no room for both `a` and `a/b`
        return f"the branch {meta.branch} cannot be beside {rows[0][0].removeprefix('refs/heads/')}"
    if not own:
        git(project, "update-ref", f"refs/heads/{meta.branch}", meta.head, "0" * len(meta.head))
        return ""
    commit, checked_out = own[0]
    if working_tree(checked_out):
        return f"the branch {meta.branch} is checked out at {checked_out}"
    if commit != meta.head:
        return f"the branch {meta.branch} has moved from {meta.head[:10]} to {commit[:10]}"
    return ""


def overlay(project: str, ref: str, meta: Meta, pinned: Sequence[str], path: str, *, nested: bool = True) -> None:
    """Put the changed and untracked files over a fresh checkout, and take away what was gone.

    Without `nested`, repositories within the workspace are left out.
    """
    for name in meta.deleted:
        erase(path, name)
    write(project, ref, [name for name in pinned if name.startswith("files/")], "files/", path)
    for name, mode in meta.modes.items():
        if not os.path.islink(inside(path, name)):
            os.chmod(inside(path, name), mode & 0o777)
    for number, name in enumerate(meta.nested if nested else ()):
        erase(path, name)
        unpack(project, f"{ref}:nested/{number}.tar", inside(path, name))
    for name in meta.folders:
        os.makedirs(inside(path, name), exist_ok=True)


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
    if os.path.isabs(name) or set(name.lower().split("/")) & {"", ".", "..", ".git"}:
        raise MagentsError(f"`{one_line(name)}` would lie outside {root}.", "Nothing was written there.")
    full = os.path.join(root, name)
    parent = os.path.realpath(os.path.dirname(full))
    top = os.path.realpath(root)
    if parent != top and not parent.startswith(top + os.sep):
        raise MagentsError(f"{name} would lie outside {root}.", "Nothing was written there.")
    return full


def names(project: str, ref: str) -> list[str]:
    """All files of a pin."""
    return git(project, "ls-tree", "-r", "-z", "--name-only", ref).text.split("\0")[:-1]


def write(project: str, ref: str, wanted: Sequence[str], strip: str, root: str) -> None:
    """Write files of a pin below `root`, without the prefix `strip`, with their modes."""
    if not wanted:
        return
    modes = {}
    for row in git(project, "ls-tree", "-r", "-z", ref).text.split("\0")[:-1]:
        about, _, name = row.partition("\t")
        modes[name] = about.split(" ")
    chosen = [(name, *modes[name]) for name in wanted]
    with tempfile.TemporaryFile() as file:
        blobs(project, [oid for _, _, _, oid in chosen], file)
        file.seek(0)
        for name, mode, _, _ in chosen:
            size = int(file.readline().split()[2])
            put(inside_for_write(root, name.removeprefix(strip)), mode, file, size)
            file.read(1)


def inside_for_write(root: str, name: str) -> str:
    """`inside`, with the folders above made and what is in the way removed."""
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


def bring_over(project: str, ref: str, path: str, *, foreign: bool = False) -> int:
    """Put the uncommitted work of a pin into a fresh checkout of the same branch.

    Returns how many files that were; 0, with nothing done, when there were none, when the branch has moved
    since, or when it cannot go without the rest: a merge or rebase under way, a sparse checkout, submodules
    (`magents restore` brings that back).

    `foreign`: the pin was written in a container, by someone we do not trust. Its files come over; what git
    would act upon does not: repositories within it stay in the pin, its staging area is made anew.
    """
    try:
        meta = meta_of(project, ref)
    except MagentsError:
        return 0
    if not meta.uncommitted or git(path, "rev-parse", "HEAD").line != meta.head or not meta.branch:
        return 0
    pinned = names(project, ref)
    if any(name.startswith((*UNMERGED, *UNDER_WAY)) for name in pinned):
        return 0
    overlay(project, ref, meta, pinned, path, nested=not foreign)
    if foreign:
        stage(project, ref, pinned, path)
    else:
        write(project, ref, [name for name in pinned if name == "index"], "", git_folder(path))
    git(path, "update-index", "-q", "--refresh", ok=None)
    return meta.uncommitted


def stage(project: str, ref: str, pinned: Sequence[str], path: str) -> None:
    """Make the staging area of a pin again from its entries alone, each checked by git, submodules left out."""
    if "index" not in pinned:
        return
    try:
        with tempfile.TemporaryDirectory(prefix="magents-") as folder:
            write(project, ref, ["index"], "", folder)
            pinned_rows = entries(path, {"GIT_INDEX_FILE": os.path.join(folder, "index")})
    except CommandFailed:
        return  # no index, or one of several files: what is staged comes over as changed files
    gone = entries(path, {}).keys() - pinned_rows.keys()
    rows = [row for row in pinned_rows.values() if not row.startswith(b"160000 ")]
    rows += [b"0 " + b"0" * 40 + b"\t" + name for name in gone]
    git(path, "update-index", "-z", "--index-info", stdin=b"".join(row + b"\0" for row in rows))


def entries(path: str, env: dict[str, str]) -> dict[bytes, bytes]:
    """The entries of an index, as `git ls-files --stage` tells them, by their paths."""
    rows = git(path, "ls-files", "--stage", "-z", env=env).raw.split(b"\0")
    return {row.partition(b"\t")[2]: row for row in rows if row}
