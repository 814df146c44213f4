"""What a workspace holds that no branch does, as git and the file system tell it."""

from __future__ import annotations

import os
import re
import stat

from magents.core.errors import MagentsError
from magents.core.tuples import NamedTuple
from magents.git.layout import GIVEN
from magents.git.pins.format import prefix
from magents.git.plumbing import git, objects, refs
from magents.system import fifos

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


OID = re.compile(rb"\b[0-9a-f]{7,64}\b")
"""An object's name; the plan of a series of cherry-picks has abbreviated ones."""
MOVE = re.compile(r"([0-9a-f]{40,64}) ([0-9a-f]{40,64}) [^\t]*\t?(.*)")
"""A line of a reflog: where from, where to, why."""
NOT_KEPT = frozenset({"index", "gitdir", "commondir", "locked", "index.lock", "modules"})
LARGEST_ADMIN = 64 * 1024 * 1024
UNREADABLE = "Mend its permissions; nothing was removed."
USUAL = ("H 10", "H 12")
"""How `git ls-files -v --stage` begins the line of a tracked file or link that it looks at."""


class Found(NamedTuple):
    """What `git status` tells, sorted by what to do about it."""

    branch: str
    head: str
    changed: list[str]
    staged: list[tuple[str, str, str, str]]
    """Stage, mode, object, path."""
    staging: bool
    """Whether the staging area differs from HEAD in anything."""


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


def own_refs(workspace: str, admin: str) -> list[tuple[str, str]]:
    """The refs of a clone that it was not given, pins aside: object and name."""
    try:
        given = set(fifos.read(os.path.join(admin, GIVEN)).splitlines())
    except OSError:
        given = set()
    return [
        (oid, name)
        for name, oid in refs(workspace).items()
        if f"{oid} {name}" not in given and not name.startswith(prefix("")[:-1])
    ]


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
    rows = objects(project, oids) if oids else []
    return list(dict.fromkeys((row[0], row[1]) for row in rows if len(row) == 3))
