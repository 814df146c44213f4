"""Pinning all that a workspace holds and no branch does, before the workspace goes.

A pin is one commit under `refs/magents/<id>/<time>` of the user's repository. Its parents keep the commits
alive: HEAD, all that HEAD's reflog and the stash know, and what a merge or rebase under way needs. Its
tree keeps the rest, byte for byte, past filters and line-ending conversion:

    meta.json      see `pinned.Meta`
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
import stat
import time

from magents.core.errors import CommandFailed, MagentsError
from magents.core.tuples import NamedTuple
from magents.git.pins.fastimport import Stream, begin
from magents.git.pins.pinned import STAMP as STAMP
from magents.git.pins.pinned import Meta as Meta
from magents.git.pins.pinned import Origin, encoded, new_ref, origin_ref
from magents.git.pins.pinned import meta_of as meta_of
from magents.git.pins.pinned import pins as pins
from magents.git.pins.pinned import prefix as prefix
from magents.git.plumbing import GIVEN, LOOK, command, git
from magents.git.workspaces import worktree
from magents.system import fifos, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from magents.system.process import Feeding

OID = re.compile(rb"\b[0-9a-f]{7,64}\b")
"""An object's name; the plan of a series of cherry-picks has abbreviated ones."""
MOVE = re.compile(r"([0-9a-f]{40,64}) ([0-9a-f]{40,64}) [^\t]*\t?(.*)")
"""A line of a reflog: where from, where to, why."""
NOT_KEPT = frozenset({"index", "gitdir", "commondir", "locked", "index.lock", "modules"})
OF_A_CLONE = frozenset({"objects", "refs", "packed-refs", "magents"})
"""What of a repository's own folder is not kept as files: objects and refs are kept as such."""
OURS = Origin("worktree", "tmux")
"""Who makes a pin where nothing else is said."""
LARGEST_ADMIN = 64 * 1024 * 1024
UNREADABLE = "Mend its permissions; nothing was removed."
USUAL = ("H 10", "H 12")
"""How `git ls-files -v --stage` begins the line of a tracked file or link that it looks at."""
NAMED_MODES = {"tree": "040000", "blob": "100644"}


class Found(NamedTuple):
    """What `git status` tells, sorted by what to do about it."""

    branch: str
    head: str
    changed: list[str]
    staged: list[tuple[str, str, str, str]]
    """Stage, mode, object, path."""
    staging: bool
    """Whether the staging area differs from HEAD in anything."""


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
        os.unlink(os.path.join(worktree.common_folder(project), f"fast_import_crash_{writing.pid}"))
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
        found = read_status(said.text)
        hidden, absent, modules = read_index(asked[1].result().text, workspace)
    except CommandFailed as error:
        asked[1].result(ok=None)  # let it end, too
        raise MagentsError(
            f"{workspace} cannot be read by git, so nothing was removed:\n{error.stderr.strip()}",
            "Mend it, or move what you need out of it and delete the folder yourself.",
        ) from error
    unread = said.stderr.strip() if "could not open directory" in said.stderr else ""  # git passes over it
    if unread and not spare:
        raise MagentsError(f"{workspace} cannot be read whole:\n{unread}", UNREADABLE)
    admin = admin or git_folder(workspace)
    stashes = reflog(project, worktree.common_folder(project), "refs/stash")
    paths = list(dict.fromkeys([*found.changed, *hidden, *modules, *extra]))
    spared = {path: why for path in paths if spare and (why := spare(os.path.join(workspace, path)))}
    paths = [path for path in paths if path not in spared]
    kinds = {path: kind(os.path.join(workspace, path)) for path in paths}
    changed, own_modules = set(found.changed), set(modules)
    deleted = [path for path in paths if kinds[path] == "gone" and path in changed]
    if not os.path.exists(os.path.join(admin, "info", "sparse-checkout")):  # it has them absent by itself
        deleted += absent
    nested = [path for path in paths if kinds[path] == "folder"]
    kept_files = [path for path in paths if kinds[path] == "file"]
    meta = Meta(
        id, found.branch, found.head, workspace, time.time(), deleted, nested,
        len([path for path in paths if path not in own_modules]), [subject for _, subject in stashes if subject],
        unusual_modes(workspace, kept_files), emptied(workspace, deleted),
    )  # fmt: skip
    ref = new_ref(id, meta.taken)
    kept = admin_files(admin, NOT_KEPT | OF_A_CLONE if own else NOT_KEPT)
    moves = reflog(workspace, admin, "HEAD")
    own_refs = refs(workspace, admin) if own else []
    oids = {oid for oid, _ in [*stashes, *moves, *own_refs]} | mentioned(kept)
    if own:
        oids |= {oid.decode() for name, data in kept.items() if "logs/" in name for oid in re.findall(OID, data)}
    named = existing(project, sorted(oids - {found.head}))
    tags = annotated(project, [oid for oid, what in named if what == "tag"])
    if tags:
        named = existing(project, sorted(oids | mentioned(tags) - {found.head}))
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
    admin = worktree.admin(project, workspace) if known else ""
    staged: list[tuple[str, str, str, str]] = []
    if admin:
        own = {"GIT_DIR": admin}
        branch = git(project, "symbolic-ref", "-q", "--short", "HEAD", env=own, ok=None).line
        head = git(project, "rev-parse", "--verify", "-q", "HEAD^{commit}", env=own, ok=None).line
        staged = read_stages(git(project, "ls-files", "--stage", "-z", env=own).text)
    else:
        head = git(project, "rev-parse", "--verify", "-q", f"refs/heads/{branch}", ok=None).line
    kept = admin_files(admin) if admin else {}
    moves = reflog(project, admin, "HEAD") if admin else []
    named = existing(project, sorted({oid for oid, _ in moves} | mentioned(kept)))
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


def read_stages(text: str) -> list[tuple[str, str, str, str]]:
    """`git ls-files --stage -z`: stage, mode, object, path."""
    rows = (row.partition("\t") for row in text.split("\0") if row)
    return [(stage, mode, oid, path) for about, _, path in rows for mode, oid, stage in [about.split(" ")]]


def read_status(text: str) -> Found:
    """`git status --porcelain=v2 -z --branch`, format in git-status(1)."""
    branch = head = ""
    staging = False
    changed: list[str] = []
    staged: list[tuple[str, str, str, str]] = []
    for row in text.split("\0"):
        match row[:2]:
            case "# ":
                name, _, value = row[2:].partition(" ")
                if name == "branch.oid" and value != "(initial)":
                    head = value
                elif name == "branch.head" and value != "(detached)":
                    branch = value
            case "1 ":
                _, _, _, _, mode, _, _, oid, path = row.split(" ", 8)
                changed.append(path)
                staged += known("0", mode, oid, path)
                staging |= row[2] != "." or row[3] == "A"  # `.A`: git add --intent-to-add
            case "u ":
                _, _, _, m1, m2, m3, _, o1, o2, o3, path = row.split(" ", 10)
                changed.append(path)
                staging = True
                for stage, mode, oid in (("1", m1, o1), ("2", m2, o2), ("3", m3, o3)):
                    staged += known(stage, mode, oid, path)
            case "? ":
                changed.append(row[2:].rstrip("/"))
    return Found(branch, head, changed, staged, staging)


def known(stage: str, mode: str, oid: str, path: str) -> list[tuple[str, str, str, str]]:
    """A staged object, unless it stands for nothing."""
    return [] if not oid.strip("0") or not mode.strip("0") else [(stage, mode, oid, path)]


def read_index(text: str, workspace: str) -> tuple[list[str], list[str], list[str]]:
    """From `git ls-files -v --stage -z`: files whose changes git has been told not to look at, those that are
    there and those that are not; and the submodules that are checked out."""
    hidden: list[str] = []
    absent: list[str] = []
    modules: list[str] = []
    for row in (row for row in text.split("\0") if row and not row.startswith(USUAL)):
        about, _, path = row.partition("\t")
        flag, mode, *_ = about.split(" ")
        full = os.path.join(workspace, path)
        if mode == "160000":
            if os.path.lexists(os.path.join(full, ".git")):
                modules.append(path)
        elif flag.islower() or flag in "Ss":
            (hidden if os.path.lexists(full) else absent).append(path)
    return hidden, absent, modules


def emptied(workspace: str, deleted: Sequence[str]) -> list[str]:
    """The folders above these files that are there, as folders."""
    above: set[str] = set()
    for path in deleted:
        while (path := os.path.dirname(path)) and path not in above:
            above.add(path)
    return sorted(path for path in above if kind(os.path.join(workspace, path)) == "folder")


def kind(path: str) -> str:
    """`file` (or link), `folder`, `gone`; what is neither file nor folder cannot be kept, only named."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "gone"
    except OSError as error:
        raise MagentsError(f"{path} cannot be read: {error.strerror}.", UNREADABLE) from error
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) or stat.S_ISLNK(mode) else "gone"


def unusual_modes(workspace: str, paths: Sequence[str]) -> dict[str, int]:
    """The permissions of those plain files that have others than git gives by itself."""
    about = {path: os.lstat(os.path.join(workspace, path)).st_mode for path in paths}
    return {
        path: mode & 0o777
        for path, mode in about.items()
        if stat.S_ISREG(mode) and mode & 0o777 not in (0o644, 0o755)
    }


def checked_folder(project: str, workspace: str) -> str:
    """Git's own folder for a worktree. Raises MagentsError where its `.git` leads elsewhere: an agent can write
    that file, and git would read what is there."""
    admin = worktree.admin(project, workspace)
    link = os.path.join(workspace, ".git")
    forged = os.path.islink(workspace) or os.path.islink(link) or os.path.isdir(link)
    leads = "" if forged else git_folder(workspace)
    if forged or not admin or "\0" in leads or os.path.realpath(leads) != os.path.realpath(admin):
        raise MagentsError(
            f"{link} does not lead to what {project} has of this worktree, so nothing was removed.",
            f"See whether git can mend it: git -C {project} worktree repair {workspace}",
        )
    return admin


def git_folder(workspace: str) -> str:
    """Git's own folder for this working tree, as its `.git` says (gitrepository-layout(5))."""
    path = os.path.join(workspace, ".git")
    if os.path.isdir(path):
        return path
    try:
        text = fifos.read(path, worktree.PATH_BYTES).partition("\n")[0]
    except OSError as error:
        raise MagentsError(f"{path} cannot be read: {error.strerror}.", "Nothing was removed.") from error
    return os.path.normpath(os.path.join(workspace, text.removeprefix("gitdir: ")))


def refs(workspace: str, admin: str) -> list[tuple[str, str]]:
    """The refs of a clone that it was not given, pins aside: object and name."""
    try:
        given = set(fifos.read(os.path.join(admin, GIVEN)).splitlines())
    except OSError:
        given = set()
    rows = git(workspace, "for-each-ref", "--format=%(objectname) %(refname)").text.splitlines()
    mine = [row for row in rows if row not in given and f" {prefix('')[:-1]}" not in row]
    return [(oid, name) for oid, _, name in (row.partition(" ") for row in mine)]


def annotated(project: str, oids: Sequence[str]) -> dict[str, bytes]:
    """Tags, as files of a pin, and the tags that these are of; what was tagged last is `mentioned` in them."""
    found: dict[str, bytes] = {}
    ahead = list(oids)
    while ahead:
        oid = ahead.pop()
        found[f"tags/{oid}"] = content = git(project, "cat-file", "tag", oid).raw
        inner = re.match(rb"object ([0-9a-f]+)\ntype tag\n", content)
        ahead += [inner[1].decode()] if inner else []
    return found


def admin_files(admin: str, passed_over: frozenset[str] = NOT_KEPT) -> dict[str, bytes]:
    """Git's small files for one worktree. Raises MagentsError when one cannot be read."""
    files: dict[str, bytes] = {}

    def refuse(error: OSError) -> None:
        raise MagentsError(f"{error.filename} cannot be read: {error.strerror}.", UNREADABLE) from error

    for folder, inner, names in os.walk(admin, onerror=refuse):
        if folder == admin:
            inner[:] = [name for name in inner if name not in passed_over]
        for name in names:
            path = os.path.join(folder, name)
            if (folder == admin and name in passed_over) or not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            if os.path.getsize(path) > LARGEST_ADMIN:
                raise MagentsError(f"{path} is too large to keep.", "Look at it; nothing was removed.")
            try:
                with open(path, "rb") as file:
                    files[os.path.relpath(path, admin)] = file.read()
            except OSError as error:
                refuse(error)
    return files


def reflog(where: str, folder: str, name: str) -> list[tuple[str, str]]:
    """The commits that a reflog below the git folder `folder` knows, each with its message.

    Read from the file where there is one (gitrepository-layout(5)): two calls of git less at each removal.
    """
    if os.path.isdir(os.path.join(folder, "reftable")):
        said = git(where, "log", "-g", "--format=%H %gs", name, "--", ok=None).text
        return [(oid, subject) for oid, _, subject in (row.partition(" ") for row in said.splitlines())]
    try:
        said = fifos.read(os.path.join(folder, "logs", name))
        rows = [found for row in said.split("\n") if (found := re.match(MOVE, row))]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MagentsError(f"{error.filename} cannot be read: {error.strerror}.", UNREADABLE) from error
    first = [(row[1], "") for row in rows[:1]]
    moves = [(row[2], row[3]) for row in rows]
    return [(oid, subject) for oid, subject in [*first, *moves] if oid.strip("0")]


def mentioned(files: dict[str, bytes]) -> set[str]:
    """The objects that these files name, reflogs aside: what a merge or rebase under way needs."""
    named = [data for name, data in files.items() if not name.startswith("logs/")]
    return {oid.decode() for data in named for oid in re.findall(OID, data)}


def existing(project: str, oids: Sequence[str]) -> list[tuple[str, str]]:
    """Those of the objects that git still has, in full, each with its type."""
    if not oids:
        return []
    listed = git(project, "cat-file", "--batch-check", stdin="\n".join(oids).encode()).text
    rows = [row.split(" ") for row in listed.splitlines()]
    return list(dict.fromkeys((row[0], row[1]) for row in rows if len(row) == 3))
