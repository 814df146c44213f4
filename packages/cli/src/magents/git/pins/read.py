"""Bringing a workspace back from its pin, exactly as it was."""

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
from magents.git.plumbing import branches, git, working_tree
from magents.git.trust import brought

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

UNMERGED = ("staged/1/", "staged/2/", "staged/3/")
SPARSE = ("info/", "config.worktree")
"""Git's files that define a sparse checkout. Git reads them before it fills the working tree."""
UNDER_WAY = (
    "admin/rebase-", "admin/MERGE_HEAD", "admin/CHERRY_PICK_HEAD", "admin/REVERT_HEAD", "admin/sequencer/",
    "admin/BISECT_LOG", "admin/info/sparse-checkout", "admin/sharedindex.", "modules.tar",
)  # fmt: skip
"""The files of a pin that have a meaning only together with all of git's files of the worktree."""
STATE = re.compile(
    r"[A-Z][A-Z_]*|config\.worktree|sharedindex\.[0-9a-f]+|(logs|refs|info|rebase-merge|rebase-apply|sequencer)/.*",
    re.DOTALL,
)
"""Git's files of a worktree that come back. None of them says where git's other files are, or what git runs."""


class Restored(NamedTuple):
    """What came back."""

    meta: Meta
    remark: str
    """Why HEAD is not on the branch again; '' if it is, or never was."""
    foreign: bool = False
    """Whether only the files came back, because we do not trust the pin's maker."""


def bring_back(
    project: str,
    ref: str,
    workspace: str,
    keep: Sequence[int] = (),
    *,
    foreign: bool | None = None,
    branch: str = "",
) -> Restored:
    """Make the worktree of a pin again in the empty folder `workspace`. The pin stays.

    The branch is checked out if it still stands at its commit; a deleted branch is made again. If it moved, or is
    checked out elsewhere, HEAD is detached at the commit, and `remark` says so.

    `foreign` says that we do not trust the pin's maker; by default that is so unless this machine recorded that our
    own git made the pin. Then only the files and what was staged come back, and only on the agent's `branch`.
    Nothing of the agent's git does.
    """
    meta = meta_of(project, ref)
    if foreign is None:
        foreign = format.is_foreign(project, ref)
    if foreign:
        check_programs(project, ref, meta)
    remark = not_on(meta, branch) if foreign else ""
    remark = remark or prepare_branch(project, meta)
    # The user's hook does not run: it ran when the workspace was made, and it may change files or fail.
    adding = [*UNHOOKED, "worktree", "add", "--quiet", "--detach", workspace]
    # A branch without a commit has none to check out. The pin stands in until HEAD is written.
    git(project, *adding, *([meta.head] if meta.head else ["--no-checkout", ref]), keep=keep)
    if not foreign:
        fill(project, ref, meta, workspace, {"HEAD"} if meta.branch and remark else set())
    else:
        if meta.branch and not remark:
            git(workspace, *UNHOOKED, "symbolic-ref", "HEAD", f"refs/heads/{meta.branch}")
        lay(project, ref, meta, workspace)
    return Restored(meta, remark, foreign)


def not_on(meta: Meta, branch: str) -> str:
    """Why an untrusted pin does not get the branch it names: it is not the agent's `branch`. '' if it is."""
    if not branch or meta.branch in ("", branch):
        return ""
    if not meta.head:
        raise Conflict(
            f"The pin is of the branch {meta.branch}, which had no commit, and not of {branch}.",
            "Nothing was brought back.",
        )
    return f"the pin is of the branch {meta.branch}, not of {branch}"


def check_programs(project: str, ref: str, meta: Meta) -> None:
    """Raises Unreadable when the user's configuration makes git run something that an untrusted pin brings."""
    brought.arrive_pin(project, ref, meta.id, meta.branch)  # earlier versions did not record pins on arrival
    if rows := brought.programs_in_pin(project, ref, meta.head):
        shown = ", ".join(one_line(row.name) for row in rows[:3])
        raise format.Unreadable(
            f"By your configuration git would run what {ref} brings from a container: {shown}.",
            "Look at it: magents trust --diff   and accept it: magents trust NAME",
        )


@contextlib.contextmanager
def naming(ref: str) -> Iterator[None]:
    """Turns what fails in the block into a MagentsError that names the pin."""
    hint = f"Look at it: git ls-tree -r {ref}"
    try:
        yield
    except OSError as error:
        raise MagentsError(f"{ref} cannot be brought back: {error.strerror}.", remedy(error, hint)) from error
    except (ValueError, RecursionError, tarfile.TarError) as error:
        raise MagentsError(f"{ref} cannot be brought back: {one_line(str(error))}.", hint) from error
    except CommandFailed as error:  # newer versions of git read no tree that is deeper than 2,048 folders
        raise MagentsError(f"{ref} cannot be brought back: {one_line(error.stderr)}.", hint) from error


def lay(project: str, ref: str, meta: Meta, workspace: str) -> None:
    """Put the files of an untrusted pin over a fresh checkout, and stage what was staged. The pin's index, its
    nested repositories, its configuration and git's other files are neither written nor read."""
    with naming(ref):
        kept = unpack.entries(project, ref)
        unpack.overlay(project, ref, meta, kept, workspace, nested=False)
        unpack.stage(kept, workspace)


def fill(project: str, ref: str, meta: Meta, workspace: str, skip: Container[str] = ()) -> None:
    """Put all that a pin holds over a fresh checkout of its commit, without git's own files in `skip`.

    Only for a trusted pin; or where the agent is, in its own clone.
    """
    with naming(ref):
        admin = git_folder(workspace)
        is_clone = os.path.isdir(os.path.join(workspace, ".git"))
        kept = unpack.entries(project, ref)
        state = [n for n in kept if n.startswith("admin/") and (is_clone or re.fullmatch(STATE, n[6:]))]
        unpack.write(project, kept, [n for n in state if n[6:].startswith(SPARSE)], "admin/", admin)
        if any(name.startswith("admin/info/sparse-checkout") for name in kept):
            git(workspace, *UNHOOKED, "sparse-checkout", "reapply", ok=None)
        unpack.overlay(project, ref, meta, kept, workspace)
        if "refs" in kept and is_clone:
            write_refs(project, ref, kept, workspace)
        unpack.write(project, kept, [n for n in state if n[6:] not in skip], "admin/", admin)
        if "index" in kept:
            unpack.write(project, kept, ["index"], "", admin)
            write_trees(kept, workspace, admin)
        if "modules.tar" in kept:
            unpack.unpack(project, f"{ref}:modules.tar", os.path.join(admin, "modules"))
        git(workspace, *UNHOOKED, "update-index", "-q", "--refresh", ok=None)


def write_refs(project: str, ref: str, kept: Iterable[str], workspace: str) -> None:
    """Give a clone its own refs again. Their reflogs come back with git's other files."""
    for name in kept:
        if name.startswith("tags/"):
            content = git(project, "cat-file", "blob", f"{ref}:{name}").raw
            git(workspace, "hash-object", "-t", "tag", "-w", "--stdin", stdin=content)
    rows = [row.partition(" ") for row in git(project, "cat-file", "blob", f"{ref}:refs").text.split("\n")]
    chosen = [(name, oid) for oid, _, name in rows if oid and format.is_object(oid) and name.startswith("refs/")]
    lines = "".join(f"update {name}\0{oid}\0\0" for name, oid in chosen)
    git(workspace, *UNHOOKED, "update-ref", "-z", "--stdin", stdin=os.fsencode(lines))


def write_trees(kept: Iterable[str], workspace: str, admin: str) -> None:
    """Write the trees that the index remembers from a refused commit. Without them `git gc` fails.

    They are made from the index, without its files in conflict.
    """
    unmerged = [name[len("staged/1/") :] for name in kept if name.startswith(UNMERGED)]
    with tempfile.TemporaryDirectory(prefix="magents-") as folder:
        copy = {"GIT_INDEX_FILE": shutil.copyfile(os.path.join(admin, "index"), os.path.join(folder, "index"))}
        if unmerged:
            listed = os.fsencode("\0".join(unmerged))
            git(workspace, *UNHOOKED, "update-index", "--force-remove", "-z", "--stdin", env=copy, stdin=listed)
        git(workspace, *UNHOOKED, "write-tree", env=copy, ok=None)


def prepare_branch(project: str, meta: Meta) -> str:
    """Make the pin's branch ready to be checked out; returns '' then, else the reason why it cannot be.

    Raises Conflict when the branch had no commit and has one now: HEAD has no other place to be.
    """
    if not meta.branch:
        return ""
    name = f"refs/heads/{meta.branch}"
    known = branches(project, name)  # also finds `a/b` for `a`
    own = known.get(name)
    if not meta.head:
        if not known:
            return ""
        raise Conflict(
            f"The branch {meta.branch} had no commit when the workspace was removed; meanwhile it has.",
            f"Rename it and try again: git branch -m {meta.branch} {meta.branch}-2",
        )
    if not own and known:  # git cannot have both `a` and `a/b`
        return f"the branch {meta.branch} cannot be beside {next(iter(known)).removeprefix('refs/heads/')}"
    if not own:
        git(project, *UNHOOKED, "update-ref", name, meta.head, "0" * len(meta.head))
        return ""
    if working_tree(own.place):
        return f"the branch {meta.branch} is checked out at {own.place}"
    if own.commit != meta.head:
        return f"the branch {meta.branch} has moved from {meta.head[:10]} to {own.commit[:10]}"
    return ""


def bring_over(project: str, ref: str, workspace: str, *, foreign: bool | None = None) -> int:
    """Put the uncommitted work of a pin into a fresh checkout of the same branch; returns the number of its files.

    Returns 0, with nothing done, when the pin has no such files or is gone, when the branch moved since, or when
    the work needs more than its files: a merge or rebase under way, a sparse checkout, submodules. `magents
    restore` brings those back. Raises `format.Unreadable`, with nothing done, when the pin cannot be used.

    `foreign`: as for `bring_back`.
    """
    try:
        meta = meta_of(project, ref)
    except NotFound:
        return 0
    if not meta.uncommitted or git(workspace, "rev-parse", "HEAD").line != meta.head or not meta.branch:
        return 0
    kept = unpack.entries(project, ref)
    if any(name.startswith((*UNMERGED, *UNDER_WAY)) for name in kept):
        return 0
    if format.is_foreign(project, ref) if foreign is None else foreign:
        check_programs(project, ref, meta)
        lay(project, ref, meta, workspace)
    else:
        with naming(ref):
            unpack.overlay(project, ref, meta, kept, workspace)
            unpack.write(project, kept, [name for name in kept if name == "index"], "", git_folder(workspace))
        git(workspace, *UNHOOKED, "update-index", "-q", "--refresh", ok=None)
    return meta.uncommitted
