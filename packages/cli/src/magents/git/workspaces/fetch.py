"""Bringing the commits of an agent's clone home.

Commits come home by a fetch whose other end, `git upload-pack`, runs where the agent is. So the project's git never
reads the clone's configuration, hooks, attributes or index, and takes only checked objects.

In the project, an agent's refs are below `refs/magents/<id>/`:

    base    the commit it began at, so that no gc deletes what the clone borrows
    onto    the commit of its base branch at that time, for the same reason
    branch  its branch as last collected
"""

from __future__ import annotations

import contextlib
import time
from shlex import join

from magents import config
from magents.core.errors import CommandFailed, MagentsError, NoAnswer
from magents.core.text import one_line, plain
from magents.core.tuples import NamedTuple
from magents.git.inert import UNHOOKED
from magents.git.pins.format import prefix
from magents.git.plumbing import Retried, branches, command, git, is_ancestor, refs, working_tree
from magents.git.trust import brought
from magents.git.workspaces.base import COLLECT_TIMEOUT_S
from magents.git.workspaces.quarantine import quarantine
from magents.system import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from magents.git.workspaces.base import Hold
    from magents.git.workspaces.quarantine import Quarantine
    from magents.system.there import Command

SERVE = f"{paths.LIBRARY}/serve"
"""The script in the image that serves the clone to git."""
ANCESTRY_TIMEOUT_S = 20
"""How long git may search a history: other commands can be waiting for the lock meanwhile."""
ATTEMPTS = 5
"""How often a collection starts again because others moved a ref meanwhile."""
ATTEMPT_S = 0.1
MAX_OUTPUT_BYTES = 1 << 20
"""How much git and the other end may print during a fetch."""
SHOWN_OUTPUT_CHARS = 2000
"""How much of that an error shows."""
UNPACK_LIMIT = (1 << 31) - 1


class Collected(NamedTuple):
    """What `collect` did to the branch in the project."""

    before: str
    """The commit before; '' if there was no branch."""
    after: str
    """The commit after. Equal to `before` if there was nothing new."""
    kept_back: str = ""
    """Why the branch did not move although the agent has commits for it; '' otherwise."""


@contextlib.contextmanager
def fetched(project: str, id: str, inside: Command, ref: str, seconds: float) -> Iterator[tuple[str, Quarantine]]:
    """Fetch a ref from the clone. Yields its commit, and the quarantine that holds the new objects.

    `inside` runs `git upload-pack` where the agent is. Git checks the objects as they come in: no tree can hold
    `.git` or `..`. No hook runs, and no ref moves. Raises CommandFailed, MagentsError.
    """
    until = time.monotonic() + seconds
    with quarantine(project, id, limit()) as room:
        upload_pack = join(inside([SERVE, "git-upload-pack"]))
        # Without the limit, git 2.39 tries to lock a pack of 100 objects or more, and crashes.
        rows = Retried(
            command(
                project, "-c", "protocol.file.allow=always", "-c", "fetch.fsckObjects=true",
                "-c", f"fetch.unpackLimit={UNPACK_LIMIT}",
                "fetch-pack", "--quiet", "--no-progress", f"--upload-pack={upload_pack}", paths.WORKSPACE, ref,
            ),
            env=room.env, timeout=seconds, max_output_bytes=MAX_OUTPUT_BYTES,
        ).result(watch=room.check).text.splitlines()  # fmt: skip
        room.check()
        commit = next((row.split(" ")[0] for row in rows if row.endswith(f" {ref}")), "")
        if git(project, "cat-file", "-t", commit, env=room.env, ok=None).line != "commit":
            raise MagentsError(f"{one_line(ref)} of {id} is no commit.", "Nothing of it was taken.")
        whole = ("rev-list", "--objects", "--quiet", "--exclude-promisor-objects", commit, "--not", "--all")
        left = max(1, until - time.monotonic())
        checking = Retried(command(project, *whole), env=room.env, timeout=left, max_output_bytes=MAX_OUTPUT_BYTES)
        checking.result(watch=room.check)
        yield commit, room


def limit() -> int:
    """How many bytes one fetch may bring."""
    text = config.load()["COLLECT_LIMIT"]
    return int(text.rstrip("kmg")) << {"k": 10, "m": 20, "g": 30}.get(text[-1], 0)


def kept(id: str) -> str:
    """The ref that holds an agent's branch as last collected."""
    return f"{prefix(id)}branch"


def collect(
    project: str, id: str, branch: str, commit: str, inside: Command, seconds: float = COLLECT_TIMEOUT_S,
    hold: Hold = contextlib.nullcontext,
) -> Collected:  # fmt: skip
    """Bring the agent's branch home.

    The branch in the project follows if it stands where the last collection (or the beginning, at `commit`) left
    it, or behind the agent's. A branch that the user moved elsewhere or checked out is left alone. Then the commits
    are at `refs/magents/<id>/branch`, and `kept_back` says so.

    `hold` is entered when all objects are here and nothing of the project has changed yet. Raises MagentsError;
    NoAnswer when the fetch takes longer than `seconds`.
    """
    attempts = ATTEMPTS
    while True:
        attempts -= 1
        try:
            return collected(project, id, branch, commit, inside, seconds, hold)
        except CommandFailed as error:
            if error.code is None:
                raise NoAnswer(id, seconds) from error
            if not (attempts and "cannot lock ref" in error.stderr):
                raise unfetched(project, f"commits of {id}", "Nothing was changed. They are", error) from error
        time.sleep(ATTEMPT_S)


def unfetched(project: str, what: str, hint: str, error: CommandFailed) -> MagentsError:
    """The error for a fetch that failed, with the end of its output."""
    end = "It took too long.\n" if error.code is None else f"Exit code {error.code}.\n"
    return MagentsError(
        f"The {what} could not be brought to {project}:\n{end}{plain(error.stderr[-SHOWN_OUTPUT_CHARS:]).strip()}",
        f"{hint} still in its workspace.",
    )


def collected(
    project: str, id: str, branch: str, commit: str, inside: Command, seconds: float, hold: Hold
) -> Collected:
    """`collect`, once. Raises CommandFailed, also when somebody moved one of the refs meanwhile."""
    ref = kept(id)
    last = refs(project, ref).get(ref, "")
    try:
        with fetched(project, id, inside, f"refs/heads/{branch}", seconds) as (after, room), hold():
            room.move()
            # This fails if somebody else collected meanwhile, who may know more.
            update(project, id, ref, after, last)
            return follow(project, id, branch, commit, after, last or commit)
    except CommandFailed as error:
        if "no such remote ref" not in error.stderr:
            raise
    before = refs(project, f"refs/heads/{branch}").get(f"refs/heads/{branch}", "")
    return Collected(before, before, f"{id} has no branch {branch} any more")


def follow(project: str, id: str, branch: str, commit: str, after: str, last: str) -> Collected:
    """Move the project's branch to the collected commit `after`, if it still stands at `last`. Raises
    CommandFailed."""
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
    if before not in ("", last) and not is_ancestor(project, before, after, ANCESTRY_TIMEOUT_S):
        return Collected(before, before, f"{branch} was moved here meanwhile; what {id} has is at {ref}")
    move = ("update-ref", "-m", f"magents: collect {id}", name, after, before or "0" * len(after))
    git(project, *move, env={"LC_ALL": "C"})
    return Collected(before, after)


def update(project: str, id: str, ref: str, after: str, before: str) -> None:
    """Move a ref of ours from `before`, which is '' for a new ref. Raises CommandFailed."""
    words = ("update-ref", "-m", f"magents: collect {id}", ref, after, before or "0" * len(after))
    git(project, *UNHOOKED, *words, env={"LC_ALL": "C"})


def fetch(project: str, id: str, inside: Command, there: str, ref: str, seconds: float) -> None:
    """Fetch the ref `there` to the new ref `ref`. Raises CommandFailed, MagentsError."""
    with fetched(project, id, inside, there, seconds) as (commit, room):
        room.move()
        update(project, id, ref, commit, "")
