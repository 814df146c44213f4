"""Pinning all that a workspace holds and no branch does, before the workspace goes.

A pin is one commit under `refs/magents/<id>/<time>` of the user's repository. Its parents keep the commits
alive: HEAD, all that HEAD's reflog and the stash know, and what a merge or rebase under way needs. Its
tree keeps the rest, byte for byte, past filters and line-ending conversion:

    meta.json      see `format.Meta`
    index          the staging area as git wrote it
    staged/N/PATH  its blobs of stage N that HEAD does not have
    files/PATH     every changed or untracked file
    admin/PATH     git's files of this worktree: HEAD, its reflog, a rebase under way …
    named/OID      trees and blobs that these name
    nested/N.tar   folders that are repositories of their own, with their history
    modules.tar    the repositories of checked-out submodules
    refs           of a clone: its branches, stash and tags, lines of `OID NAME`
    tags/OID       the annotated ones of these tags

`git fast-import` writes it in one go: the ref appears last, and only when everything is in.
"""

from __future__ import annotations

import contextlib
import os
import re
import time

from magents.core.errors import CommandFailed, MagentsError
from magents.git.layout import admin_folder, checked_folder, common_folder, git_folder
from magents.git.pins import survey
from magents.git.pins.fastimport import Stream, begin
from magents.git.pins.format import Meta, Origin, encoded, new_ref, origin_ref
from magents.git.plumbing import LOOK, command, git
from magents.system import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from magents.system.process.feeding import Feeding
OF_A_CLONE = frozenset({"objects", "refs", "packed-refs", "magents"})
"""What of a repository's own folder is not kept as files: objects and refs are kept as such."""
OURS = Origin("worktree", "tmux")
"""Who makes a pin where nothing else is said."""
NAMED_MODES = {"tree": "040000", "blob": "100644"}


def take(
    project: str, workspace: str, id: str, extra: Sequence[str] = (), maker: Origin = OURS
) -> tuple[str, Meta]:
    """Pin everything in a workspace; returns the ref and what it holds.

    `extra` are ignored files to keep as well. `maker` is written down beside the pin, but for a clone's (there
    `project` is the workspace): whoever fetches that does it.
    Raises MagentsError, with nothing pinned, when anything cannot be read: then the workspace must not be removed.
    """
    ref, meta, _ = take_part(project, workspace, id, extra, None, maker)
    return ref, meta


def take_part(
    project: str, workspace: str, id: str, extra: Sequence[str], spare: Callable[[str], str] | None,
    maker: Origin = OURS,
) -> tuple[str, Meta, list[str]]:  # fmt: skip
    """`take`, and what was left out. `spare` tells why a path cannot be kept, '' where it can; None: there must be
    no such path."""
    with begin(project) as writing:
        try:
            return pin(writing, project, workspace, id, extra, spare, maker)
        except CommandFailed as error:
            raise unwritten(writing, project, workspace, error) from error


def unwritten(writing: Feeding, project: str, workspace: str, error: CommandFailed) -> MagentsError:
    """The error for a pin that could not be written, in short; the report that git wrote of it goes."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(common_folder(project), f"fast_import_crash_{writing.pid}"))
    said = next((line for line in error.stderr.splitlines() if line.startswith("fatal: ")), error.message)
    return MagentsError(
        f"What is in {workspace} cannot be kept, so nothing was removed:\n{said.removeprefix('fatal: ')}",
        "See whether the disk is full: magents doctor",
    )


def pin(
    writing: Feeding, project: str, workspace: str, id: str, extra: Sequence[str],
    spare: Callable[[str], str] | None, maker: Origin,
) -> tuple[str, Meta, list[str]]:  # fmt: skip
    """`take_part`, with the git that will write the pin."""
    own = project == workspace
    admin = "" if own else checked_folder(project, workspace)
    asked = [
        process.Running(command(workspace, *args), env={**LOOK, "LC_ALL": "C"})
        for args in (
            ("status", "--porcelain=v2", "-z", "--branch", "--no-ahead-behind",
             "--untracked-files=all", "--no-renames", "--ignore-submodules=none"),
            ("ls-files", "-v", "--stage", "-z"),
        )
    ]  # fmt: skip
    try:
        said = asked[0].result()
        found = survey.read_status(said.text)
        hidden, absent, modules = survey.read_index(asked[1].result().text, workspace)
    except CommandFailed as error:
        asked[1].result(ok=None)  # let it end, too
        raise MagentsError(
            f"{workspace} cannot be read by git, so nothing was removed:\n{error.stderr.strip()}",
            "Mend it, or move what you need out of it and delete the folder yourself.",
        ) from error
    unread = said.stderr.strip() if "could not open directory" in said.stderr else ""  # git passes over it
    if unread and not spare:
        raise MagentsError(f"{workspace} cannot be read whole:\n{unread}", survey.UNREADABLE)
    admin = admin or git_folder(workspace)
    stashes = survey.reflog(project, common_folder(project), "refs/stash")
    paths = list(dict.fromkeys([*found.changed, *hidden, *modules, *extra]))
    spared = {path: why for path in paths if spare and (why := spare(os.path.join(workspace, path)))}
    paths = [path for path in paths if path not in spared]
    kinds = {path: survey.kind(os.path.join(workspace, path)) for path in paths}
    changed, own_modules = set(found.changed), set(modules)
    deleted = [path for path in paths if kinds[path] == "gone" and path in changed]
    if not os.path.exists(os.path.join(admin, "info", "sparse-checkout")):  # it has them absent by itself
        deleted += absent
    nested = [path for path in paths if kinds[path] == "folder"]
    kept_files = [path for path in paths if kinds[path] == "file"]
    meta = Meta(
        id, found.branch, found.head, workspace, time.time(), deleted, nested,
        len([path for path in paths if path not in own_modules]), [subject for _, subject in stashes if subject],
        survey.unusual_modes(workspace, kept_files), survey.emptied(workspace, deleted),
    )  # fmt: skip
    ref = new_ref(id, meta.taken)
    kept = survey.admin_files(admin, survey.NOT_KEPT | OF_A_CLONE if own else survey.NOT_KEPT)
    moves = survey.reflog(workspace, admin, "HEAD")
    own_refs = survey.refs(workspace, admin) if own else []
    oids = {oid for oid, _ in [*stashes, *moves, *own_refs]} | survey.mentioned(kept)
    if own:
        oids |= {
            oid.decode() for name, data in kept.items() if "logs/" in name for oid in re.findall(survey.OID, data)
        }
    named = survey.existing(project, sorted(oids - {found.head}))
    tags = survey.annotated(project, [oid for oid, what in named if what == "tag"])
    if tags:
        named = survey.existing(project, sorted(oids | survey.mentioned(tags) - {found.head}))
    commits = [oid for oid, what in named if what == "commit"]
    beside = ("", "") if own else (origin_ref(ref), maker.path)
    stream = Stream(writing, ref, f"Work of {id}, kept by Magents", [found.head, *commits], beside)
    with stream:
        stream.text("meta.json", encoded(meta))
        if own_refs:
            stream.data("refs", os.fsencode("".join(f"{oid} {name}\n" for oid, name in own_refs)))
        for name, content in tags.items():
            stream.data(name, content)
        if (found.staging or hidden or absent) and os.path.exists(os.path.join(admin, "index")):
            stream.file("index", os.path.join(admin, "index"))
        for stage, mode, oid, path in found.staged:
            stream.known(f"staged/{stage}/{path}", mode, oid)
        for path in kept_files:
            stream.file(f"files/{path}", os.path.join(workspace, path))
        for path, content in kept.items():
            stream.data(f"admin/{path}", content)
        for oid, what in named:
            if what in NAMED_MODES:
                stream.known(f"named/{oid}", NAMED_MODES[what], oid)
        for number, path in enumerate(nested):
            stream.folder(f"nested/{number}.tar", os.path.join(workspace, path))
        if os.path.isdir(os.path.join(admin, "modules")):
            stream.folder("modules.tar", os.path.join(admin, "modules"))
    return ref, meta, [*unread.splitlines(), *(f"{path}: {why}" for path, why in spared.items())]


def take_absent(
    project: str, workspace: str, id: str, branch: str, maker: Origin = OURS, also: Sequence[str] = (), *,
    known: bool = True,
) -> str:  # fmt: skip
    """Pin what git still knows of a workspace whose folder is not there, or cannot be read; returns the ref.

    That is its HEAD, its reflog, its staging area. Its uncommitted files are wherever the folder is. `also`: other
    refs to keep. Without `known`, git's own files of it are passed over: its branch is left.
    """
    admin = admin_folder(project, workspace) if known else ""
    staged: list[tuple[str, str, str, str]] = []
    if admin:
        own = {"GIT_DIR": admin}
        branch = git(project, "symbolic-ref", "-q", "--short", "HEAD", env=own, ok=None).line
        head = git(project, "rev-parse", "--verify", "-q", "HEAD^{commit}", env=own, ok=None).line
        staged = survey.read_stages(git(project, "ls-files", "--stage", "-z", env=own).text)
    else:
        head = git(project, "rev-parse", "--verify", "-q", f"refs/heads/{branch}", ok=None).line
    kept = survey.admin_files(admin) if admin else {}
    moves = survey.reflog(project, admin, "HEAD") if admin else []
    named = survey.existing(project, sorted({oid for oid, _ in moves} | survey.mentioned(kept)))
    commits = [oid for oid, what in named if what == "commit"]
    if also:
        commits += git(project, "for-each-ref", "--format=%(objectname)", *also).text.split()
    meta = Meta(id, branch, head, workspace, time.time(), [], [], 0, [])
    ref = new_ref(id, meta.taken)
    beside = (origin_ref(ref), maker.path)
    with Stream(begin(project), ref, f"Work of {id}, kept by Magents", [head, *commits], beside) as stream:
        stream.text("meta.json", encoded(meta))
        if staged:
            stream.file("index", os.path.join(admin, "index"))
        for stage, mode, oid, path in staged:
            stream.known(f"staged/{stage}/{path}", mode, oid)
        for path, content in kept.items():
            stream.data(f"admin/{path}", content)
    return ref


def record(project: str, ref: str, commit: str, maker: Origin) -> None:
    """Write down who made a pin that was fetched, and is at that commit. One without that is not trusted."""
    with Stream(begin(project), origin_ref(ref), "Who made it, kept by Magents", []) as stream:
        stream.known(maker.path, "160000", commit)
