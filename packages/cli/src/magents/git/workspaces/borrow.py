"""Making a private clone for an agent in a container.

A worktree's `.git` leads into the user's own repository, where a hook or a setting that an agent writes would run
as the user. A clone keeps the agent's git apart: it reads the project's objects, mounted read-only at the same
path, and writes only its own. `fetch` brings its commits home.
"""

from __future__ import annotations

import os

from magents.core.tuples import NamedTuple
from magents.git.inert import UNHOOKED
from magents.git.layout import GIVEN, common_folder
from magents.git.pins.format import prefix
from magents.git.plumbing import FILL_TIMEOUT_S, Retried, command, git, refs
from magents.system import paths
from magents.system.process import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


MAX_DEPTH = 5
"""How many repositories git follows that each borrow from the next (gitrepository-layout(5))."""


def borrowed(project: str) -> list[str]:
    """The folders of objects that a clone of the project reads: the project's, and those that the project borrows
    from."""
    folders: list[str] = []
    ahead = [os.path.join(common_folder(project), "objects")]
    for _ in range(MAX_DEPTH + 1):
        folders += [folder for folder in ahead if folder not in folders]
        ahead = [other for folder in ahead for other in alternates(folder)]
    return folders


def alternates(objects: str) -> list[str]:
    """The folders that a folder of objects borrows from, as absolute paths."""
    try:
        with open(os.path.join(objects, "info", "alternates"), encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n") for line in file]
    except OSError:
        return []
    return [os.path.normpath(os.path.join(objects, line)) for line in lines if line and not line.startswith("#")]


def renounce(project: str, id: str) -> None:
    """Delete the refs that an agent's clone needed. The agent's pins stay."""
    names = ("base", "onto", "branch")
    lines = "".join(f"delete {prefix(id)}{name}\n" for name in names)
    git(project, "update-ref", "--stdin", stdin=lines.encode())


class Beginning(NamedTuple):
    """What a clone begins with."""

    branch: str
    commit: str
    base: str
    """The name of the base branch, or ''."""
    new: bool
    """Whether the project does not have the branch yet, and gets it."""
    track: str = ""
    """The remote branch that a new branch follows; '' for none."""


def fill(project: str, path: str, id: str, start: Beginning, workers: str = "") -> Retried:
    """Begin to make a clone in the empty folder `path`.

    It has its branch, the base branch and the tags, and no remote: the agent cannot reach the project. This is
    faster than `git clone --shared`, which asks the project for each of its refs. The project gets a new branch,
    and refs that keep what the clone borrows.
    """
    shape = ["--object-format=sha256"] if len(start.commit) == 64 else []
    making = Running(["git", "init", "--quiet", "--template=", f"--initial-branch={start.branch}", *shape, path])
    base = [f"refs/heads/{start.base}"] if start.base else []
    known = refs(project, "refs/tags", *base)
    given = {name: oid for name, oid in known.items() if name.startswith("refs/tags/") or name in base}
    announce(project, id, start, given.get("".join(base), ""))
    making.result()
    objects = borrowed(project)
    furnish(path, given | {f"refs/heads/{start.branch}": start.commit}, objects)
    parallel = ["-c", f"checkout.workers={workers}"] if workers else []
    here = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": objects[0]} if are_elsewhere(objects) else {}
    argv = command(path, *UNHOOKED, *parallel, "reset", "--hard", "--quiet")
    return Retried(argv, env=here, timeout=FILL_TIMEOUT_S)


def announce(project: str, id: str, start: Beginning, onto: str) -> None:
    """Make a new branch in the project, and keep what the clone is about to borrow."""
    lines = [f"update {prefix(id)}base {start.commit}"]
    if onto:
        lines.append(f"update {prefix(id)}onto {onto}")
    if start.new and start.track:
        git(project, "branch", "--track", start.branch, start.track)
    elif start.new:
        lines.append(f"create refs/heads/{start.branch} {start.commit}")
    git(project, "update-ref", "-m", f"magents: create {id}", "--stdin", stdin="\n".join(lines).encode() + b"\n")


def are_elsewhere(objects: Sequence[str]) -> bool:
    """Whether a container has any of these folders at another path than this machine."""
    return any(paths.borrowed(folder) != folder for folder in objects)


def furnish(path: str, refs: dict[str, str], objects: Sequence[str]) -> None:
    """Write a new repository's refs, and the paths in the container of the objects that it borrows. The first
    folder names the others itself, by their paths on this machine."""
    folders = [paths.borrowed(folder) for folder in (objects if are_elsewhere(objects) else objects[:1])]
    alternates = "".join(f"{folder}\n" for folder in folders)
    rows = "".join(f"{refs[name]} {name}\n" for name in sorted(refs))
    for name, text in {"packed-refs": rows, GIVEN: rows, "objects/info/alternates": alternates}.items():
        full = os.path.join(path, ".git", name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
