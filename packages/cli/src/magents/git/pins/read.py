"""Bringing a workspace back from its pin, exactly."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tarfile
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import CommandFailed, Conflict, MagentsError, NotFound, remedy
from magents.core.text import one_line
from magents.git.inert import UNHOOKED
from magents.git.layout import git_folder
from magents.git.pins import format, unpack
from magents.git.pins.format import Meta, meta_of
from magents.git.plumbing import git, working_tree
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
        foreign = format.is_foreign(project, ref)
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
        raise format.Unreadable(
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
        unpack.overlay(project, ref, meta, unpack.names(project, ref), path, nested=False)
        unpack.stage(project, ref, path)


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
    kept = unpack.names(project, ref)
    state = [n for n in kept if n.startswith("admin/") and (own or re.fullmatch(STATE, n[6:]))]
    unpack.write(project, ref, [n for n in state if n[6:].startswith(BEFORE)], "admin/", admin)
    if any(name.startswith("admin/info/sparse-checkout") for name in kept):
        git(path, *UNHOOKED, "sparse-checkout", "reapply", ok=None)
    unpack.overlay(project, ref, meta, kept, path)
    if "refs" in kept and own:  # a clone's
        write_refs(project, ref, kept, path)
    unpack.write(project, ref, [n for n in state if n[6:] not in skip], "admin/", admin)
    if "index" in kept:
        unpack.write(project, ref, ["index"], "", admin)
        write_trees(kept, path, admin)
    if "modules.tar" in kept:
        unpack.unpack(project, f"{ref}:modules.tar", os.path.join(admin, "modules"))
    git(path, *UNHOOKED, "update-index", "-q", "--refresh", ok=None)


def write_refs(project: str, ref: str, kept: Sequence[str], path: str) -> None:
    """Give a clone the refs again that it had made. Its reflogs come with git's other files."""
    for name in kept:
        if name.startswith("tags/"):
            content = git(project, "cat-file", "blob", f"{ref}:{name}").raw
            git(path, "hash-object", "-t", "tag", "-w", "--stdin", stdin=content)
    rows = [row.partition(" ") for row in git(project, "cat-file", "blob", f"{ref}:refs").text.split("\n")]
    found = [(name, oid) for oid, _, name in rows if oid and format.is_object(oid) and name.startswith("refs/")]
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


def bring_over(project: str, ref: str, path: str, *, foreign: bool | None = None) -> int:
    """Put the uncommitted work of a pin into a fresh checkout of the same branch.

    Returns how many files that were; 0, with nothing done, when there were none, when the pin is gone or the branch
    has moved since, or when it cannot go without the rest: a merge or rebase under way, a sparse checkout,
    submodules (`magents restore` brings that back). Raises `format.Unreadable`, with nothing done, for a pin that
    cannot be used.

    `foreign`: as for `bring_back`.
    """
    try:
        meta = meta_of(project, ref)
    except NotFound:
        return 0
    if not meta.uncommitted or git(path, "rev-parse", "HEAD").line != meta.head or not meta.branch:
        return 0
    kept = unpack.names(project, ref)
    if any(name.startswith((*UNMERGED, *UNDER_WAY)) for name in kept):
        return 0
    if format.is_foreign(project, ref) if foreign is None else foreign:
        check_programs(project, ref, meta)
        lay(project, ref, meta, path)
    else:
        with naming(ref):
            unpack.overlay(project, ref, meta, kept, path)
            unpack.write(project, ref, [name for name in kept if name == "index"], "", git_folder(path))
        git(path, *UNHOOKED, "update-index", "-q", "--refresh", ok=None)
    return meta.uncommitted
