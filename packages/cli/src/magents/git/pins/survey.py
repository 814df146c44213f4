"""What a workspace holds that no branch does, as git and the file system tell."""

from __future__ import annotations

import os
import re
import stat

from magents.core.errors import CommandFailed, MagentsError
from magents.core.tuples import NamedTuple
from magents.git.layout import GIVEN
from magents.git.pins.fastimport import cannot_read
from magents.git.pins.format import prefix
from magents.git.plumbing import LOOK, command, git, objects, refs
from magents.system import fifos
from magents.system.process import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

OID = re.compile(rb"\b[0-9a-f]{7,64}\b")
"""An object's id, which can be abbreviated: the plan of a series of cherry-picks has short ids."""
MOVE = r"([0-9a-f]{40,64}) ([0-9a-f]{40,64}) [^\t]*\t?(.*)"
"""A line of a reflog: the commit before, the commit after, the reason."""
NOT_KEPT = frozenset({"index", "gitdir", "commondir", "locked", "index.lock", "modules"})
"""Git's files of a worktree that a pin does not keep as such."""
MAX_ADMIN_BYTES = 64 * 1024 * 1024
USUAL = ("H 10", "H 12")
"""How `git ls-files -v --stage` begins the line of a file or link that git watches for changes."""
STATUS = (
    "status", "--porcelain=v2", "-z", "--branch", "--no-ahead-behind", "--untracked-files=all", "--no-renames",
    "--ignore-submodules=none",
)  # fmt: skip


class Staged(NamedTuple):
    """An entry of the index that HEAD does not have."""

    stage: str
    mode: str
    oid: str
    path: str


class State(NamedTuple):
    """What git knows of a working tree."""

    branch: str
    """The branch checked out; '' for a detached HEAD."""
    head: str
    """The commit checked out; '' if there is none yet."""
    changed: list[str]
    """The files changed, untracked or deleted, and untracked repositories."""
    staged: list[Staged]
    differs: bool
    """Whether the index differs from HEAD in anything."""
    hidden: list[str] = []  # noqa: RUF012 - never changed
    """Files that are there, and whose changes git was told to ignore."""
    absent: list[str] = []  # noqa: RUF012 - never changed
    """Files that are not there, and whose changes git was told to ignore."""
    modules: list[str] = []  # noqa: RUF012 - never changed
    """The submodules that are checked out."""
    unread: str = ""
    """What git says of folders that it could not read; '' if it read all."""


def look(workspace: str) -> State:
    """Ask git for the state of a working tree. Raises MagentsError when git cannot read it."""
    env = {**LOOK, "LC_ALL": "C"}
    asked_status = Running(command(workspace, *STATUS), env=env)
    asked_index = Running(command(workspace, "ls-files", "-v", "--stage", "-z"), env=env)
    try:
        status = asked_status.result()
        hidden, absent, modules = read_index(asked_index.result().text, workspace)
    except CommandFailed as error:
        asked_index.result(ok=None)
        raise MagentsError(
            f"{workspace} cannot be read by git, so nothing was removed:\n{error.stderr.strip()}",
            "Mend it, or move what you need out of it and delete the folder yourself.",
        ) from error
    unread = status.stderr.strip() if "could not open directory" in status.stderr else ""
    return read_status(status.text)._replace(hidden=hidden, absent=absent, modules=modules, unread=unread)


def read_status(text: str) -> State:
    """The answer of `git status --porcelain=v2 -z --branch`; git-status(1) describes it."""
    branch = head = ""
    differs = False
    changed: list[str] = []
    staged: list[Staged] = []
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
                staged.append(Staged("0", mode, oid, path))
                differs |= row[2] != "." or row[3] == "A"  # `.A`: git add --intent-to-add
            case "u ":
                _, _, _, m1, m2, m3, _, o1, o2, o3, path = row.split(" ", 10)
                changed.append(path)
                differs = True
                staged += [Staged(*entry, path) for entry in (("1", m1, o1), ("2", m2, o2), ("3", m3, o3))]
            case "? ":
                changed.append(row[2:].rstrip("/"))
    # Zeros stand for nothing.
    return State(
        branch, head, changed, [row for row in staged if row.oid.strip("0") and row.mode.strip("0")], differs
    )


def read_index(text: str, workspace: str) -> tuple[list[str], list[str], list[str]]:
    """The `hidden`, `absent` and `modules` of a `State`, from `git ls-files -v --stage -z`."""
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


def read_stages(text: str) -> list[Staged]:
    """The answer of `git ls-files --stage -z`."""
    rows = (row.partition("\t") for row in text.split("\0") if row)
    return [Staged(stage, mode, oid, path) for about, _, path in rows for mode, oid, stage in [about.split(" ")]]


def emptied(workspace: str, deleted: Iterable[str]) -> list[str]:
    """The folders above these files that are still there."""
    above: set[str] = set()
    for path in deleted:
        while (path := os.path.dirname(path)) and path not in above:
            above.add(path)
    return sorted(path for path in above if kind(os.path.join(workspace, path)) == "folder")


def kind(path: str) -> str:
    """`file` (or link), `folder` or `gone`. Other things, such as sockets, count as gone: a pin cannot keep
    them."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "gone"
    except OSError as error:
        raise cannot_read(path, error) from error
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) or stat.S_ISLNK(mode) else "gone"


def unusual_modes(workspace: str, paths: Iterable[str]) -> dict[str, int]:
    """The permissions of those plain files that have others than git gives."""
    about = {path: os.lstat(os.path.join(workspace, path)).st_mode for path in paths}
    return {
        path: mode & 0o777
        for path, mode in about.items()
        if stat.S_ISREG(mode) and mode & 0o777 not in (0o644, 0o755)
    }


def own_refs(workspace: str, admin: str) -> dict[str, str]:
    """The refs of a clone that the clone was not made with, without pins: name → object."""
    try:
        given = set(fifos.read(os.path.join(admin, GIVEN)).split("\n"))
    except OSError:
        given = set()
    pins = prefix("")[:-1]
    known = refs(workspace).items()
    return {name: oid for name, oid in known if f"{oid} {name}" not in given and not name.startswith(pins)}


def annotated(project: str, oids: Iterable[str]) -> dict[str, bytes]:
    """These annotated tags, and the tags that they tag, as files of a pin. They mention what was tagged last."""
    tags: dict[str, bytes] = {}
    ahead = list(oids)
    while ahead:
        oid = ahead.pop()
        tags[f"tags/{oid}"] = content = git(project, "cat-file", "tag", oid).raw
        inner = re.match(rb"object ([0-9a-f]+)\ntype tag\n", content)
        ahead += [inner[1].decode()] if inner else []
    return tags


def admin_files(admin: str, skip: frozenset[str] = NOT_KEPT) -> dict[str, bytes]:
    """Git's small files for one worktree, without those in `skip`. Raises MagentsError when one cannot be read."""
    files: dict[str, bytes] = {}

    def refuse(error: OSError) -> None:
        raise cannot_read(admin, error) from error

    for folder, inner, names in os.walk(admin, onerror=refuse):
        if folder == admin:
            inner[:] = [name for name in inner if name not in skip]
        for name in names:
            path = os.path.join(folder, name)
            if (folder == admin and name in skip) or not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            if os.path.getsize(path) > MAX_ADMIN_BYTES:
                raise MagentsError(f"{path} is too large to keep.", "Look at it; nothing was removed.")
            try:
                with open(path, "rb") as file:
                    files[os.path.relpath(path, admin)] = file.read()
            except OSError as error:
                refuse(error)
    return files


def reflog(where: str, folder: str, name: str) -> list[tuple[str, str]]:
    """The commits in a reflog below the git folder `folder`, each with its message.

    It is read from its file, if there is one (gitrepository-layout(5)): that saves two calls of git at each
    removal.
    """
    if os.path.isdir(os.path.join(folder, "reftable")):
        listed = git(where, "log", "-g", "--format=%H %gs", name, "--", ok=None).text
        return [(oid, subject) for oid, _, subject in (row.partition(" ") for row in listed.splitlines())]
    try:
        text = fifos.read(os.path.join(folder, "logs", name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise cannot_read(folder, error) from error
    moves = [match for row in text.split("\n") if (match := re.match(MOVE, row))]
    first = [(move[1], "") for move in moves[:1]]
    return [(oid, subject) for oid, subject in [*first, *((move[2], move[3]) for move in moves)] if oid.strip("0")]


def mentioned(files: Iterable[bytes]) -> Iterator[str]:
    """The object ids in these files."""
    return (oid.decode() for data in files for oid in re.findall(OID, data))


def existing(project: str, oids: Sequence[str]) -> dict[str, str]:
    """Those of the objects that git still has: full id → type."""
    rows = objects(project, oids) if oids else []
    return {row[0]: row[1] for row in rows if len(row) == 3}
