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

import contextlib
import time

from magents.core.errors import CommandFailed, MagentsError, NoAnswer
from magents.core.text import one_line, plain
from magents.core.tuples import NamedTuple
from magents.git.inert import UNHOOKED
from magents.git.pins.format import prefix
from magents.git.plumbing import branches, command, git, is_ancestor, refs, run, working_tree
from magents.git.trust import brought
from magents.git.workspaces.quarantine import quarantine
from magents.system import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from magents.git.workspaces.quarantine import Quarantine
    from magents.system.there import Command

    Hold = Callable[[], AbstractContextManager[object]]

SERVE = f"{paths.LIBRARY}/serve"
"""The script in the image that git serves the clone by."""
PATIENCE = 60.0
"""Seconds that a collection may take. An agent that runs can hold it up for as long as it likes."""
ANCESTRY_S = 20
"""Seconds in which git finds out whether one commit is in the history of another; others may wait meanwhile."""
LOOKS = 5
"""How often a collection looks at refs that others move meanwhile."""
MAX_SAID_BYTES = 1 << 20
"""Bytes that git and the other end may say during a fetch, beside the objects."""
SHOWN_CHARACTERS = 2000
"""How much of that an error shows."""


class Collected(NamedTuple):
    """What `collect` brought home."""

    before: str
    """What the branch was at in the project; '' when it was not there."""
    after: str
    """What it is at now. Equal to `before` when there was nothing new."""
    kept_back: str = ""
    """Why the branch was not moved although the agent has commits for it; '' otherwise."""


@contextlib.contextmanager
def fetched(project: str, id: str, inside: Command, ref: str, seconds: float) -> Iterator[tuple[str, Quarantine]]:
    """Fetch a ref from the clone: its commit, and where that and all it leads to is, checked, to be moved to the
    project. `inside`: what runs `git upload-pack` where the agent is. Raises CommandFailed, MagentsError.

    The objects are checked as they come in: no tree can hold `.git` or `..`. No hook of anybody runs, no ref moves.
    """
    from shlex import join

    until = time.monotonic() + seconds
    with quarantine(project, id, limit()) as room:
        far = join(inside([SERVE, "git-upload-pack"]))
        # Without the limit, git 2.39 wants to lock a pack of 100 objects and more, and crashes.
        rows = run(
            command(
                project, "-c", "protocol.file.allow=always", "-c", "fetch.fsckObjects=true",
                "-c", f"fetch.unpackLimit={(1 << 31) - 1}",
                "fetch-pack", "--quiet", "--no-progress", f"--upload-pack={far}", paths.WORKSPACE, ref,
            ),
            env=room.env, timeout=seconds, max_output_bytes=MAX_SAID_BYTES, watch=room.check,
        ).text.splitlines()  # fmt: skip
        room.check()
        commit = next((row.split(" ")[0] for row in rows if row.endswith(f" {ref}")), "")
        if git(project, "cat-file", "-t", commit, env=room.env, ok=None).line != "commit":
            raise MagentsError(f"{one_line(ref)} of {id} is no commit.", "Nothing of it was taken.")
        whole = ("rev-list", "--objects", "--quiet", "--exclude-promisor-objects", commit, "--not", "--all")
        run(
            command(project, *whole), env=room.env, timeout=max(1, until - time.monotonic()),
            max_output_bytes=MAX_SAID_BYTES, watch=room.check,
        )  # fmt: skip
        yield commit, room


def limit() -> int:
    """Bytes that one fetch may bring."""
    from magents import config

    text = config.load()["COLLECT_LIMIT"]
    return int(text.rstrip("kmg")) << {"k": 10, "m": 20, "g": 30}.get(text[-1], 0)


def kept(id: str) -> str:
    """The ref that an agent's branch is collected to."""
    return f"{prefix(id)}branch"


def collect(
    project: str, id: str, branch: str, commit: str, inside: Command, seconds: float = PATIENCE,
    hold: Hold = contextlib.nullcontext,
) -> Collected:  # fmt: skip
    """Bring the agent's branch home.

    The branch in the project follows if it is where the last collection, or the beginning at `commit`, has
    left it, or behind the agent's. One that the user has moved elsewhere or has checked out is left alone:
    what is new is at `refs/magents/<id>/branch` then, and `kept_back` says so. Raises MagentsError; NoAnswer when
    the fetch takes longer than `seconds`.

    `hold` is entered once all is here and before anything of the project is changed: a lock, and a last look.
    """
    looks = LOOKS
    while True:
        looks -= 1
        try:
            return collected(project, id, branch, commit, inside, seconds, hold)
        except CommandFailed as error:
            if error.code is None:
                raise NoAnswer(id, seconds) from error
            if not (looks and "cannot lock ref" in error.stderr):
                raise unfetched(project, f"commits of {id}", "Nothing was changed. They are", error) from error
        time.sleep(0.1)  # another command, or the user, has just moved one of the refs


def unfetched(project: str, what: str, hint: str, error: CommandFailed) -> MagentsError:
    """The error for what could not be fetched, with the end of what was said."""
    late = "It took too long.\n" if error.code is None else f"Exit code {error.code}.\n"
    return MagentsError(
        f"The {what} could not be brought to {project}:\n{late}{plain(error.stderr[-SHOWN_CHARACTERS:]).strip()}",
        f"{hint} still in its workspace.",
    )


def collected(
    project: str, id: str, branch: str, commit: str, inside: Command, seconds: float, hold: Hold
) -> Collected:
    """`collect`, from one look at the refs. Raises CommandFailed, also when one of them was moved since."""
    ref = kept(id)
    last = refs(project, ref).get(ref, "")
    try:
        with fetched(project, id, inside, f"refs/heads/{branch}", seconds) as (after, room), hold():
            room.move()
            # Whoever has collected meanwhile may know of more.
            update(project, id, ref, after, last)
            return follow(project, id, branch, commit, after, last or commit)
    except CommandFailed as error:
        if "no such remote ref" not in error.stderr:
            raise
    before = refs(project, f"refs/heads/{branch}").get(f"refs/heads/{branch}", "")
    return Collected(before, before, f"{id} has no branch {branch} any more")


def follow(project: str, id: str, branch: str, commit: str, after: str, last: str) -> Collected:
    """Move the project's branch to what was collected, if the user has left it at `last`. Raises CommandFailed."""
    name, ref, onto = f"refs/heads/{branch}", kept(id), f"{prefix(id)}onto"
    known = branches(project, name, onto)
    before, place = known.get(name, ("", ""))
    if after == before:
        return Collected(before, after)
    own = (commit, known[onto].commit) if onto in known else (commit,)
    brought.arrive(project, brought.Arrival(branch, after, own, id, time.time()))
    checked_out = working_tree(place)
    if checked_out:
        return Collected(before, before, f"{branch} is checked out at {checked_out}; see {ref}")
    if before not in ("", last) and not is_ancestor(project, before, after, ANCESTRY_S):
        return Collected(before, before, f"{branch} was moved here meanwhile; what {id} has is at {ref}")
    move = ("update-ref", "-m", f"magents: collect {id}", name, after, before or "0" * len(after))
    git(project, *move, env={"LC_ALL": "C"})
    return Collected(before, after)


def update(project: str, id: str, ref: str, after: str, before: str) -> None:
    """Move a ref of ours that is at `before`, '' for one that is not there. Raises CommandFailed."""
    words = ("update-ref", "-m", f"magents: collect {id}", ref, after, before or "0" * len(after))
    git(project, *UNHOOKED, *words, env={"LC_ALL": "C"})


def fetch(project: str, id: str, inside: Command, there: str, ref: str, seconds: float) -> None:
    """Fetch the ref `there` to one that the project does not have. Raises CommandFailed, MagentsError."""
    with fetched(project, id, inside, there, seconds) as (commit, room):
        room.move()
        update(project, id, ref, commit, "")
