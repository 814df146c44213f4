"""Bringing a workspace back from its pin, exactly."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tarfile
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from magents.core.errors import CommandFailed, Conflict, MagentsError, NotFound, remedy
from magents.core.text import one_line
from magents.git.pins import pinned
from magents.git.pins.pinned import Meta, meta_of
from magents.git.pins.snapshot import git_folder
from magents.git.plumbing import UNHOOKED, blobs, git, working_tree
from magents.git.trust import brought

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
STATE = re.compile(
    r"[A-Z][A-Z_]*|config\.worktree|sharedindex\.[0-9a-f]+|(logs|refs|info|rebase-merge|rebase-apply|sequencer)/.*",
    re.DOTALL,
)
"""Git's files of a worktree that come back: none that says where git's other files are, or what it runs."""


class Restored(NamedTuple):
    """What came back."""

    meta: Meta
    remark: str
    """Why HEAD is not on the branch again; '' if it is, or never was."""
    foreign: bool = False
    """Only its files came back: the pin was made by someone we do not trust."""


def bring_back(
    project: str, ref: str, path: str, keep: Sequence[int] = (), *, foreign: bool | None = None, branch: str = ""
) -> Restored:
    """Make the worktree of a pin again in the empty folder `path`. The pin stays.

    The branch is checked out where it still is what it was; if it is gone it is made again; if it has
    moved, or is checked out elsewhere, HEAD is detached at the commit it had, and `remark` says so.

    `foreign`: who made the pin is not trusted, by default if the pin's record does not say that our own git did.
    Then its files and what is staged come back, on the agent's `branch` alone; of its git nothing does.
    """
    meta = meta_of(project, ref)
    if foreign is None:
        foreign = pinned.is_foreign(project, ref)
    if foreign:
        check_programs(project, ref, meta)
    remark = not_on(meta, branch) if foreign else ""
    remark = remark or prepare_branch(project, meta)
    # The user's hook is not asked: it has run when the workspace was made, and may change files or fail.
    adding = [*UNHOOKED, "worktree", "add", "--quiet", "--detach", path]
    # Before the first commit of a branch there is none to check out: the pin stands in until HEAD is written.
    git(project, *adding, *([meta.head] if meta.head else ["--no-checkout", ref]), keep=keep)
    if not foreign:
        fill(project, ref, meta, path, {"HEAD"} if meta.branch and remark else set())
    else:
        if meta.branch and not remark:
            git(path, *UNHOOKED, "symbolic-ref", "HEAD", f"refs/heads/{meta.branch}")
        lay(project, ref, meta, path)
    return Restored(meta, remark, foreign)


def not_on(meta: Meta, branch: str) -> str:
    """Why a pin that we do not trust does not get its branch: it is not the agent's, or ''."""
    if not branch or meta.branch in ("", branch):
        return ""
    if not meta.head:
        raise Conflict(
            f"The pin is of the branch {meta.branch}, which had no commit, and not of {branch}.",
            "Nothing was brought back.",
        )
    return f"the pin is of the branch {meta.branch}, not of {branch}"


def check_programs(project: str, ref: str, meta: Meta) -> None:
    """Raises Unreadable when git would run, by the user's configuration, what a pin that we do not trust brings."""
    brought.arrive_pin(project, ref, meta.id, meta.branch)  # pins of earlier versions were not noted when they came
    if rows := brought.programs_in_pin(project, ref, meta.head):
        shown = ", ".join(one_line(row.name) for row in rows[:3])
        raise pinned.Unreadable(
            f"By your configuration git would run what {ref} brings from a container: {shown}.",
            "Look at it: magents trust --diff   and accept it: magents trust NAME",
        )


@contextlib.contextmanager
def naming(ref: str) -> Iterator[None]:
    """Tell of what fails while a pin is laid out by the pin's name."""
    hint = f"Look at it: git ls-tree -r {ref}"
    try:
        yield
    except OSError as error:
        raise MagentsError(f"{ref} cannot be brought back: {error.strerror}.", remedy(error, hint)) from error
    except (ValueError, RecursionError, tarfile.TarError) as error:
        raise MagentsError(f"{ref} cannot be brought back: {one_line(str(error))}.", hint) from error
    except CommandFailed as error:  # newer ones of git read no tree that is deeper than 2,048 folders
        raise MagentsError(f"{ref} cannot be brought back: {one_line(error.stderr)}.", hint) from error


def lay(project: str, ref: str, meta: Meta, path: str) -> None:
    """Lay the files of a pin that we do not trust over a fresh checkout, and stage what was staged. Of its git's
    own files, configuration, repositories within and index nothing is written or read."""
    with naming(ref):
        overlay(project, ref, meta, names(project, ref), path, nested=False)
        stage(project, ref, path)


def fill(project: str, ref: str, meta: Meta, path: str, skip: Container[str] = ()) -> None:
    """Lay all that a pin holds over a fresh checkout of its commit. `skip`: files of git's own to leave out.

    Only for a pin that we trust; or where the agent is, in a clone of its own.
    """
    with naming(ref):
        fill_all(project, ref, meta, path, skip)


def fill_all(project: str, ref: str, meta: Meta, path: str, skip: Container[str]) -> None:
    """`fill`."""
    admin = git_folder(path)
    own = os.path.isdir(os.path.join(path, ".git"))
    kept = names(project, ref)
    state = [n for n in kept if n.startswith("admin/") and (own or re.fullmatch(STATE, n[6:]))]
    write(project, ref, [n for n in state if n[6:].startswith(BEFORE)], "admin/", admin)
    if any(name.startswith("admin/info/sparse-checkout") for name in kept):
        git(path, *UNHOOKED, "sparse-checkout", "reapply", ok=None)
    overlay(project, ref, meta, kept, path)
    if "refs" in kept and own:  # a clone's
        write_refs(project, ref, kept, path)
    write(project, ref, [n for n in state if n[6:] not in skip], "admin/", admin)
    if "index" in kept:
        write(project, ref, ["index"], "", admin)
        write_trees(kept, path, admin)
    if "modules.tar" in kept:
        unpack(project, f"{ref}:modules.tar", os.path.join(admin, "modules"))
    git(path, *UNHOOKED, "update-index", "-q", "--refresh", ok=None)


def write_refs(project: str, ref: str, kept: Sequence[str], path: str) -> None:
    """Give a clone the refs again that it had made. Its reflogs come with git's other files."""
    for name in kept:
        if name.startswith("tags/"):
            content = git(project, "cat-file", "blob", f"{ref}:{name}").raw
            git(path, "hash-object", "-t", "tag", "-w", "--stdin", stdin=content)
    rows = [row.partition(" ") for row in git(project, "cat-file", "blob", f"{ref}:refs").text.split("\n")]
    found = [(name, oid) for oid, _, name in rows if oid and pinned.is_object(oid) and name.startswith("refs/")]
    lines = "".join(f"update {name}\0{oid}\0\0" for name, oid in found)
    git(path, *UNHOOKED, "update-ref", "-z", "--stdin", stdin=os.fsencode(lines))


def write_trees(kept: Sequence[str], path: str, admin: str) -> None:
    """Make the trees again that the index remembers from a commit that was refused, or `git gc` would fail.

    They follow from the index; where it has conflicts, from what is not in conflict.
    """
    unmerged = [name[len("staged/1/") :] for name in kept if name.startswith(UNMERGED)]
    with tempfile.TemporaryDirectory(prefix="magents-") as folder:
        copy = {"GIT_INDEX_FILE": shutil.copyfile(os.path.join(admin, "index"), os.path.join(folder, "index"))}
        if unmerged:
            listed = os.fsencode("\0".join(unmerged))
            git(path, *UNHOOKED, "update-index", "--force-remove", "-z", "--stdin", env=copy, stdin=listed)
        git(path, *UNHOOKED, "write-tree", env=copy, ok=None)


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
        git(project, *UNHOOKED, "update-ref", f"refs/heads/{meta.branch}", meta.head, "0" * len(meta.head))
        return ""
    commit, checked_out = own[0]
    if working_tree(checked_out):
        return f"the branch {meta.branch} is checked out at {checked_out}"
    if commit != meta.head:
        return f"the branch {meta.branch} has moved from {meta.head[:10]} to {commit[:10]}"
    return ""


def overlay(project: str, ref: str, meta: Meta, kept: Sequence[str], path: str, *, nested: bool = True) -> None:
    """Put the changed and untracked files over a fresh checkout, and take away what was gone.

    Without `nested`, repositories within the workspace are left out.
    """
    files = [name for name in kept if name.startswith("files/")]
    if not all(pinned.is_inner(name.removeprefix("files/")) for name in files):
        raise pinned.unreadable(ref, f"a file of it {pinned.OUTSIDE}")
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
    if not pinned.is_inner(name):
        raise MagentsError(f"`{one_line(name)}` would lie outside {root}.", "Nothing was written there.")


def names(project: str, ref: str) -> list[str]:
    """All files of a pin."""
    return git(project, "ls-tree", "-r", "-z", "--name-only", ref).text.split("\0")[:-1]


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


def entries(project: str, ref: str, *below: str) -> dict[str, tuple[str, str, str]]:
    """Mode, type and object of the files of a pin, by name; `below`: folders in it that alone are looked at."""
    rows = git(project, "ls-tree", "-r", "-z", ref, *below).text.split("\0")[:-1]
    split = (row.partition("\t") for row in rows)
    return {name: (mode, kind, oid) for about, _, name in split for mode, kind, oid in [about.split(" ")]}


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


def bring_over(project: str, ref: str, path: str, *, foreign: bool | None = None) -> int:
    """Put the uncommitted work of a pin into a fresh checkout of the same branch.

    Returns how many files that were; 0, with nothing done, when there were none, when the pin is gone or the branch
    has moved since, or when it cannot go without the rest: a merge or rebase under way, a sparse checkout,
    submodules (`magents restore` brings that back). Raises `pinned.Unreadable`, with nothing done, for a pin that
    cannot be used.

    `foreign`: as for `bring_back`.
    """
    try:
        meta = meta_of(project, ref)
    except NotFound:
        return 0
    if not meta.uncommitted or git(path, "rev-parse", "HEAD").line != meta.head or not meta.branch:
        return 0
    kept = names(project, ref)
    if any(name.startswith((*UNMERGED, *UNDER_WAY)) for name in kept):
        return 0
    if pinned.is_foreign(project, ref) if foreign is None else foreign:
        check_programs(project, ref, meta)
        lay(project, ref, meta, path)
    else:
        with naming(ref):
            overlay(project, ref, meta, kept, path)
            write(project, ref, [name for name in kept if name == "index"], "", git_folder(path))
        git(path, *UNHOOKED, "update-index", "-q", "--refresh", ok=None)
    return meta.uncommitted


def stage(project: str, ref: str, path: str) -> None:
    """Stage the contents that a pin keeps as staged, submodules left out. Each name is checked by git; the pin's
    own index is not read, so what was staged as deleted is deleted and not staged."""
    found = {name.removeprefix("staged/0/"): about for name, about in entries(project, ref, "staged/0/").items()}
    rows = [
        f"{mode} {oid} 0\t{name}\0"
        for name, (mode, kind, oid) in found.items()
        if kind == "blob" and pinned.is_inner(name)
    ]
    if rows:
        git(path, *UNHOOKED, "update-index", "-z", "--index-info", stdin=os.fsencode("".join(rows)))
