"""Pinning all that a workspace holds and no branch does, before the workspace goes.

A pin is one commit under `refs/magents/<id>/<time>` of the user's repository. Its parents keep commits alive: HEAD,
the commits in HEAD's reflog and in the stash, and those that a merge or rebase under way needs. Its tree keeps the
rest, byte for byte, past filters and line-ending conversion:

    meta.json      see `format.Meta`
    index          the index as git wrote it
    staged/N/PATH  its blobs of stage N that HEAD does not have
    files/PATH     every changed or untracked file
    admin/PATH     git's files of this worktree: HEAD, its reflog, a rebase under way …
    named/OID      trees and blobs that these files name
    nested/N.tar   folders that are repositories of their own, with their history
    modules.tar    the repositories of checked-out submodules
    refs           of a clone: its branches, stash and tags, lines of `OID NAME`
    tags/OID       the annotated ones of these tags

`git fast-import` writes a pin in one go. The ref appears last, when everything is in.
"""

from __future__ import annotations

import contextlib
import os
import time

from magents.core.errors import CommandFailed, MagentsError
from magents.core.tuples import NamedTuple
from magents.git.layout import admin_folder, checked_folder, common_folder, git_folder
from magents.git.pins import survey
from magents.git.pins.fastimport import Stream, begin
from magents.git.pins.format import Meta, Origin, encoded, new_ref, origin_ref
from magents.git.plumbing import git, refs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from magents.git.pins.survey import State
    from magents.system.process.feeding import Feeding

KEPT_AS_SUCH = frozenset({"objects", "refs", "packed-refs", "magents"})
"""Files in a clone's git folder that a pin does not keep as files, because it keeps the objects and refs."""
OURS = Origin("worktree", "tmux")
"""The maker of a pin where nobody says another."""
NAMED_MODES = {"tree": "040000", "blob": "100644"}


class Contents(NamedTuple):
    """The paths of a workspace, by what a pin does with them."""

    files: list[str]
    nested: list[str]
    deleted: list[str]
    uncommitted: int
    unkept: dict[str, str]
    """Path → why it cannot be kept."""


def take(
    project: str, workspace: str, id: str, extra: Iterable[str] = (), maker: Origin = OURS,
    unkeepable: Callable[[str], str] | None = None,
) -> tuple[str, Meta, list[str]]:  # fmt: skip
    """Pin everything in a workspace; returns the ref, what the pin says of itself, and what was left out.

    `extra` are ignored files to keep as well. `maker` is recorded beside the pin, but not for the pin of a clone
    (where `project` is the workspace): whoever fetches that pin records it. `unkeepable` says why a path cannot be
    kept, and '' for one that can; such paths are left out. Without `unkeepable` nothing is left out.

    Raises MagentsError, with nothing pinned, when something cannot be read: then the workspace must not be removed.
    """
    with begin(project) as writing:
        try:
            return pin(writing, project, workspace, id, extra, maker, unkeepable)
        except CommandFailed as error:
            raise unwritten(writing, project, workspace, error) from error


def unwritten(writing: Feeding, project: str, workspace: str, error: CommandFailed) -> MagentsError:
    """A short error for a pin that could not be written. Deletes the crash report that git wrote."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(common_folder(project), f"fast_import_crash_{writing.pid}"))
    reason = next((line for line in error.stderr.splitlines() if line.startswith("fatal: ")), error.message)
    return MagentsError(
        f"What is in {workspace} cannot be kept, so nothing was removed:\n{reason.removeprefix('fatal: ')}",
        "See whether the disk is full: magents doctor",
    )


def pin(
    writing: Feeding, project: str, workspace: str, id: str, extra: Iterable[str], maker: Origin,
    unkeepable: Callable[[str], str] | None,
) -> tuple[str, Meta, list[str]]:  # fmt: skip
    """`take`, with the git that writes the pin."""
    is_clone = project == workspace
    admin = git_folder(workspace) if is_clone else checked_folder(project, workspace)
    state = survey.look(workspace)
    if state.unread and not unkeepable:
        raise MagentsError(
            f"{workspace} cannot be read whole:\n{state.unread}", "Mend its permissions; nothing was removed."
        )
    stashes = survey.reflog(project, common_folder(project), "refs/stash")
    contents = sort(workspace, admin, state, extra, unkeepable)
    meta = Meta(
        id, state.branch, state.head, workspace, time.time(),
        contents.deleted, contents.nested, contents.uncommitted,
        [subject for _, subject in stashes if subject], survey.unusual_modes(workspace, contents.files),
        survey.emptied(workspace, contents.deleted),
    )  # fmt: skip
    ref = new_ref(id, meta.taken)
    kept = survey.admin_files(admin, survey.NOT_KEPT | KEPT_AS_SUCH if is_clone else survey.NOT_KEPT)
    own_refs = survey.own_refs(workspace, admin) if is_clone else {}
    oids = {oid for oid, _ in [*stashes, *survey.reflog(workspace, admin, "HEAD")]} | set(own_refs.values())
    # A worktree's reflogs hold commits of HEAD alone, which are known by now.
    oids.update(survey.mentioned(data for name, data in kept.items() if is_clone or not name.startswith("logs/")))
    named = survey.existing(project, sorted(oids - {state.head}))
    tags = survey.annotated(project, [oid for oid, type in named.items() if type == "tag"])
    if tags:
        oids.update(survey.mentioned(tags.values()))
        named = survey.existing(project, sorted(oids - {state.head}))
    beside = ("", "") if is_clone else (origin_ref(ref), maker.path)
    with Stream(writing, ref, message(id), [state.head, *commits(named)], beside) as stream:
        stream.text("meta.json", encoded(meta))
        if own_refs:
            stream.data("refs", os.fsencode("".join(f"{oid} {name}\n" for name, oid in own_refs.items())))
        for name, content in tags.items():
            stream.data(name, content)
        index = os.path.join(admin, "index")
        write_state(stream, index if state.differs or state.hidden or state.absent else "", state.staged, kept)
        for path in contents.files:
            stream.file(f"files/{path}", os.path.join(workspace, path))
        for oid, type in named.items():
            if type in NAMED_MODES:
                stream.known(f"named/{oid}", NAMED_MODES[type], oid)
        for number, path in enumerate(contents.nested):
            stream.folder(f"nested/{number}.tar", os.path.join(workspace, path))
        if os.path.isdir(os.path.join(admin, "modules")):
            stream.folder("modules.tar", os.path.join(admin, "modules"))
    return ref, meta, [*state.unread.splitlines(), *(f"{path}: {why}" for path, why in contents.unkept.items())]


def sort(
    workspace: str, admin: str, state: State, extra: Iterable[str], unkeepable: Callable[[str], str] | None
) -> Contents:
    """Find out what a pin does with each path. Raises MagentsError when one cannot be read."""
    paths = list(dict.fromkeys([*state.changed, *state.hidden, *state.modules, *extra]))
    unkept = {path: why for path in paths if unkeepable and (why := unkeepable(os.path.join(workspace, path)))}
    paths = [path for path in paths if path not in unkept]
    kinds = {path: survey.kind(os.path.join(workspace, path)) for path in paths}
    changed, modules = set(state.changed), set(state.modules)
    deleted = [path for path in paths if kinds[path] == "gone" and path in changed]
    if not os.path.exists(
        os.path.join(admin, "info", "sparse-checkout")
    ):  # a sparse checkout leaves them out itself
        deleted += state.absent
    return Contents(
        [path for path in paths if kinds[path] == "file"], [path for path in paths if kinds[path] == "folder"],
        deleted, sum(path not in modules for path in paths), unkept,
    )  # fmt: skip


def message(id: str) -> str:
    """The message of a pin's commit."""
    return f"Work of {id}, kept by Magents"


def commits(named: Mapping[str, str]) -> list[str]:
    """The commits among these objects."""
    return [oid for oid, type in named.items() if type == "commit"]


def write_state(stream: Stream, index: str, staged: Iterable[survey.Staged], kept: Mapping[str, bytes]) -> None:
    """Write the file `index`, if there is one, what is staged, and git's own files."""
    if os.path.exists(index):
        stream.file("index", index)
    for entry in staged:
        stream.known(f"staged/{entry.stage}/{entry.path}", entry.mode, entry.oid)
    for path, content in kept.items():
        stream.data(f"admin/{path}", content)


def take_absent(
    project: str, workspace: str, id: str, branch: str, maker: Origin = OURS, also: Sequence[str] = (), *,
    known: bool = True,
) -> str:  # fmt: skip
    """Pin what git still knows of a workspace whose folder is gone or cannot be read; returns the ref.

    That is its HEAD, its reflog and its index; its uncommitted files are wherever the folder is. `also` are more
    refs to keep. Without `known`, git's own files of the workspace are not used: then only its branch is kept.
    """
    admin = admin_folder(project, workspace) if known else ""
    staged: list[survey.Staged] = []
    kept: dict[str, bytes] = {}
    oids: set[str] = set()
    if admin:
        own = {"GIT_DIR": admin}
        branch = git(project, "symbolic-ref", "-q", "--short", "HEAD", env=own, ok=None).line
        head = git(project, "rev-parse", "--verify", "-q", "HEAD^{commit}", env=own, ok=None).line
        staged = survey.read_stages(git(project, "ls-files", "--stage", "-z", env=own).text)
        kept = survey.admin_files(admin)
        oids.update(survey.mentioned(data for name, data in kept.items() if not name.startswith("logs/")))
        oids.update(oid for oid, _ in survey.reflog(project, admin, "HEAD"))
    else:
        head = git(project, "rev-parse", "--verify", "-q", f"refs/heads/{branch}", ok=None).line
    parents = [head, *commits(survey.existing(project, sorted(oids)))]
    if also:
        parents += refs(project, *also).values()
    meta = Meta(id, branch, head, workspace, time.time(), [], [], 0, [])
    ref = new_ref(id, meta.taken)
    with Stream(begin(project), ref, message(id), parents, (origin_ref(ref), maker.path)) as stream:
        stream.text("meta.json", encoded(meta))
        write_state(stream, os.path.join(admin, "index") if staged else "", staged, kept)
    return ref


def record(project: str, ref: str, commit: str, maker: Origin) -> None:
    """Record who made a pin that was fetched and stands at `commit`. A pin without a record is not trusted."""
    with Stream(begin(project), origin_ref(ref), "Who made it, kept by Magents", []) as stream:
        stream.known(maker.path, "160000", commit)
