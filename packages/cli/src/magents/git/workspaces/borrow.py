"""Making a private clone that borrows the project's objects."""

from __future__ import annotations

import os

from magents.core.tuples import NamedTuple
from magents.git.inert import UNHOOKED
from magents.git.layout import GIVEN, common_folder
from magents.git.pins.format import prefix
from magents.git.plumbing import FILL_S, command, git, refs
from magents.system import paths
from magents.system.process import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


DEEPEST = 5
"""How many repositories git follows that each borrow from the next (gitrepository-layout(5))."""


def borrowed(project: str) -> list[str]:
    """The folders of objects that a clone of the project reads: its own, and those that it borrows from."""
    found: list[str] = []
    ahead = [os.path.join(common_folder(project), "objects")]
    for _ in range(DEEPEST + 1):
        found += [folder for folder in ahead if folder not in found]
        ahead = [other for folder in ahead for other in alternates(folder)]
    return found


def alternates(objects: str) -> list[str]:
    """The other folders of objects that one names, absolute."""
    try:
        with open(os.path.join(objects, "info", "alternates"), encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n") for line in file]
    except OSError:
        return []
    return [os.path.normpath(os.path.join(objects, line)) for line in lines if line and not line.startswith("#")]


def renounce(project: str, id: str) -> None:
    """Delete the refs that an agent's clone needed. Its pins stay."""
    names = ("base", "onto", "branch")
    lines = "".join(f"delete {prefix(id)}{name}\n" for name in names)
    git(project, "update-ref", "--stdin", stdin=lines.encode())


class Beginning(NamedTuple):
    """Where a clone begins."""

    branch: str
    commit: str
    base: str
    """A branch's name, or ''."""
    new: bool
    """The project does not have the branch yet, and gets it."""
    track: str = ""
    """The remote branch that a new one follows; '' for none."""


def fill(project: str, path: str, id: str, start: Beginning, workers: str = "") -> Running:
    """Begin to make a clone in the empty folder `path`.

    It has its branch, the base and the tags; no remote, since from where the agent is the project cannot be
    reached. Faster than `git clone --shared`, which asks the project for each of its refs. The project gets
    the branch if it is new, and pins what is borrowed.
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
    return Running(command(path, *UNHOOKED, *parallel, "reset", "--hard", "--quiet"), env=here, timeout=FILL_S)


def announce(project: str, id: str, start: Beginning, onto: str) -> None:
    """Make the branch in the project if it is new, and pin what the clone is going to borrow."""
    lines = [f"update {prefix(id)}base {start.commit}"]
    if onto:
        lines.append(f"update {prefix(id)}onto {onto}")
    if start.new and start.track:
        git(project, "branch", "--track", start.branch, start.track)
    elif start.new:
        lines.append(f"create refs/heads/{start.branch} {start.commit}")
    git(project, "update-ref", "-m", f"magents: create {id}", "--stdin", stdin="\n".join(lines).encode() + b"\n")


def are_elsewhere(objects: Sequence[str]) -> bool:
    """Whether a container finds any of these folders at another path than it has here."""
    return any(paths.borrowed(folder) != folder for folder in objects)


def furnish(path: str, refs: dict[str, str], objects: Sequence[str]) -> None:
    """Write a new repository's refs, and where its container finds the objects that it borrows. The first of these
    folders names the others itself, by their paths here."""
    folders = [paths.borrowed(folder) for folder in (objects if are_elsewhere(objects) else objects[:1])]
    alternates = "".join(f"{folder}\n" for folder in folders)
    rows = "".join(f"{refs[name]} {name}\n" for name in sorted(refs))
    for name, text in {"packed-refs": rows, GIVEN: rows, "objects/info/alternates": alternates}.items():
        full = os.path.join(path, ".git", name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
