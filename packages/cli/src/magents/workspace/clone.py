"""The workspace of Docker mode: a private clone that borrows the project's objects.

A worktree's `.git` leads into the user's own repository, where a hook or a line of configuration that an
agent writes would run as the user. A clone of its own keeps the agent's git apart: it reads the project's
objects, mounted read-only at the same absolute path, and writes only its own. The other way, commits come
home by `collect`: a fetch whose other end, `git upload-pack`, runs where the agent is. So the project's git
never reads the clone's configuration, hooks, attributes or index, and takes nothing but checked objects.

In the project, an agent's refs are below `refs/magents/<id>/`:

    base    the commit it began at, so that no gc takes what the clone borrows
    onto    what its base branch was at then, for the same reason
    branch  its branch as last collected
"""

from __future__ import annotations

import os
import time

from magents.errors import CommandFailed, MagentsError
from magents.process import Running
from magents.text import plain
from magents.tuples import NamedTuple
from magents.workspace import brought
from magents.workspace.git import GIVEN, command, git, working_tree
from magents.workspace.snapshot import prefix
from magents.workspace.worktree import common_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

THERE = "/workspace"
"""Where the agent finds its workspace."""
SERVE = "/usr/local/lib/magents/serve"
"""The script in the image that git serves the clone by."""
PATIENCE = 60.0
"""Seconds that a collection may take. An agent that runs can hold it up for as long as it likes."""
LOOKS = 5
"""How often a collection looks at refs that others move meanwhile."""
DEEPEST = 5
"""How many repositories git follows that each borrow from the next (gitrepository-layout(5))."""


class Collected(NamedTuple):
    """What `collect` brought home."""

    before: str
    """What the branch was at in the project; '' when it was not there."""
    after: str
    """What it is at now. Equal to `before` when there was nothing new."""
    kept_back: str = ""
    """Why the branch was not moved although the agent has commits for it; '' otherwise."""


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
    listed = git(project, "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags", *base).text.splitlines()
    known = {name: oid for oid, _, name in (row.partition(" ") for row in listed)}
    refs = {name: oid for name, oid in known.items() if name.startswith("refs/tags/") or name in base}
    announce(project, id, start, refs.get("".join(base), ""))
    making.result()
    furnish(
        path, refs | {f"refs/heads/{start.branch}": start.commit}, os.path.join(common_folder(project), "objects")
    )
    parallel = ["-c", f"checkout.workers={workers}"] if workers else []
    return Running(command(path, *parallel, "reset", "--hard", "--quiet"))


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


def furnish(path: str, refs: dict[str, str], objects: str) -> None:
    """Write a new repository's refs, and where it borrows from."""
    rows = "".join(f"{refs[name]} {name}\n" for name in sorted(refs))
    for name, text in {"packed-refs": rows, GIVEN: rows, "objects/info/alternates": f"{objects}\n"}.items():
        full = os.path.join(path, ".git", name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)


def fetch(project: str, words: Sequence[str], refspecs: Sequence[str], timeout: float) -> None:
    """Fetch from the clone. `words` lead to where `git upload-pack` is to run. Raises CommandFailed.

    The objects are checked as they come in: no tree can hold `.git` or `..`. No hook of anybody runs.
    """
    # git-remote-ext(1): a blank parts words, `%` begins an escape, and `%S` is `git-upload-pack`.
    far = " ".join(word.replace("%", "%%").replace(" ", "% ") for word in words)
    git(
        project, "-c", "protocol.ext.allow=always", "-c", "fetch.fsckObjects=true",
        "-c", "core.hooksPath=/dev/null",
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
        "--no-auto-maintenance", "--refmap=", f"ext::{far} {SERVE} %S {THERE}", *refspecs,
        env={"LC_ALL": "C"}, timeout=timeout,
    )  # fmt: skip


def kept(id: str) -> str:
    """The ref that an agent's branch is collected to."""
    return f"{prefix(id)}branch"


def collect(project: str, id: str, branch: str, commit: str, words: Sequence[str]) -> Collected:
    """Bring the agent's branch home.

    The branch in the project follows if it is where the last collection, or the beginning at `commit`, has
    left it, or behind the agent's. One that the user has moved elsewhere or has checked out is left alone:
    what is new is at `refs/magents/<id>/branch` then, and `kept_back` says so. Raises MagentsError.
    """
    looks = LOOKS
    while True:
        looks -= 1
        try:
            return collected(project, id, branch, commit, words)
        except CommandFailed as error:
            if not (looks and "cannot lock ref" in error.stderr):
                raise MagentsError(
                    f"The commits of {id} could not be brought to {project}:\n{plain(error.stderr).strip()}",
                    "Nothing was changed. They are still in its workspace.",
                ) from error
        time.sleep(0.1)  # another command, or the user, has just moved one of the refs


def collected(project: str, id: str, branch: str, commit: str, words: Sequence[str]) -> Collected:
    """`collect`, from one look at the refs. Raises CommandFailed, also when one of them was moved since."""
    ref = kept(id)
    known = refs(project, ref, f"refs/heads/{branch}", f"{prefix(id)}onto")
    last = known.get(ref, (commit, ""))[0]
    before, checked_out = known.get(f"refs/heads/{branch}", ("", ""))
    try:
        fetch(project, words, [f"+refs/heads/{branch}:{ref}"], PATIENCE)
    except CommandFailed as error:
        if "couldn't find remote ref" in error.stderr:
            return Collected(before, before, f"{id} has no branch {branch} any more")
        raise
    after = git(project, "rev-parse", ref).line
    if after == before:
        return Collected(before, after)
    own = (commit, *known.get(f"{prefix(id)}onto", ())[:1])
    brought.arrive(project, brought.Arrival(branch, after, own, id, time.time()))
    checked_out = working_tree(checked_out)
    if checked_out:
        return Collected(before, before, f"{branch} is checked out at {checked_out}; see {ref}")
    if before not in ("", last) and not is_ancestor(project, before, after):
        return Collected(before, before, f"{branch} was moved here meanwhile; what {id} has is at {ref}")
    move = ("update-ref", "-m", f"magents: collect {id}", f"refs/heads/{branch}", after, before or "0" * 40)
    git(project, *move, env={"LC_ALL": "C"})
    return Collected(before, after)


def refs(project: str, *names: str) -> dict[str, tuple[str, str]]:
    """Those of these refs that there are: name → commit, and the working tree that has it checked out."""
    form = "--format=%(refname)%00%(objectname)%00%(worktreepath)"
    rows = [row.split("\0") for row in git(project, "for-each-ref", form, *names).text.split("\n")[:-1]]
    return {name: (oid, where) for name, oid, where in rows if name in names}


def is_ancestor(project: str, old: str, new: str) -> bool:
    """Whether the history of `new` has `old`."""
    return git(project, "merge-base", "--is-ancestor", old, new, ok=(0, 1)).code == 0
