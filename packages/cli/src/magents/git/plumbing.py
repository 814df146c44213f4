"""Calling git, with the user's hooks only where they may run."""

from __future__ import annotations

import os
import sys
import time

from magents.core.errors import CommandFailed
from magents.core.names import STILL
from magents.core.tuples import NamedTuple
from magents.git import inert
from magents.git.inert import UNHOOKED
from magents.git.layout import GIVEN, common_of, has_record
from magents.system import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, BinaryIO

FILL_TIMEOUT_S = 3600
"""How long git may take to check a workspace out."""
RETRIES = 50
"""How often a git command is repeated that failed at a half-made worktree."""
RETRY_S = 0.02
HERE = False
"""Whether this process runs where the agent of a clone is; `guest/workspace.py` sets it."""
LOOK = {"GIT_OPTIONAL_LOCKS": "0"}
"""The environment for reading a workspace in which an agent works: git takes no lock there."""
BRANCHES = ("for-each-ref", "--format=%(refname)%00%(objectname)%00%(worktreepath)")
"""The query for branches; patterns follow, `read_branches` reads the answer."""


def command(where: str, *args: str) -> list[str]:
    """The argv of a git command that works in the folder `where`.

    It runs the user's hooks, unless one of them came from an agent in a container and nobody accepted it.
    """
    if STILL in os.environ:
        return ["git", *inert.options(where), "-C", where, *inert.arguments(args)]
    return ["git", "-C", where, *quiet(where), *args]


def quiet(where: str, *commits: str) -> Sequence[str]:
    """`UNHOOKED` where git must run no hook in the working tree `where`, or after it checked out one of `commits`
    there; else nothing. See `brought.hooks`. In an agent's clone the clone's own hooks run, but only where the
    agent is."""
    common = common_of(where)
    if not HERE and common and os.path.exists(os.path.join(common, GIVEN)):
        return UNHOOKED
    if not has_record(where):
        return ()
    from magents.git.trust import brought  # imported late: few projects have a record

    return UNHOOKED if brought.hooks(where, *commits) else ()


def git(
    where: str, *args: str, env: Mapping[str, str] | None = None, stdin: bytes | None = None, timeout: float = 600,
    keep: Sequence[int] = (), target: BinaryIO | None = None, ok: Sequence[int] | None = (0,), hint: str = "",
) -> process.Result:  # fmt: skip
    """Run git in the folder `where`. Options and errors are those of `process.run`."""
    running = Retried(command(where, *args), env=env, stdin=stdin, timeout=timeout, keep=keep, target=target)
    return running.result(ok=ok, hint=hint)


class Retried:
    """A git command under way, repeated while it fails at a half-made worktree. Leaving its `with` block ends it.

    Git dies, with nothing changed, when another command is just making a worktree, whose `commondir` is still empty
    (2.39: `failed to read .git/worktrees/x/commondir`).
    """

    def __init__(self, argv: Sequence[str], undo: Callable[[], object] | None = None, **options: Any) -> None:
        """`undo` takes back what a failed attempt left. `options` are those of `process.Running`."""
        self._argv, self._undo, self._options = argv, undo, options
        self._running = process.Running(argv, **options)

    def __enter__(self) -> Retried:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.__exit__()

    def result(self, **options: Any) -> process.Result:
        """As `process.Running.result`."""
        for _ in range(RETRIES):
            try:
                return self._running.result(**options)
            except CommandFailed as error:
                if not ("failed to read" in error.stderr and "commondir" in error.stderr):
                    raise
            if self._undo:
                self._undo()
            time.sleep(RETRY_S)
            self._running = process.Running(self._argv, **self._options)
        return self._running.result(**options)


class Branch(NamedTuple):
    """What git knows of one branch."""

    commit: str
    place: str
    """Where it is checked out, as git says; see `working_tree`. '' if it is checked out nowhere."""


def branches(where: str, *patterns: str) -> dict[str, Branch]:
    """The branches that match, by their full names."""
    return read_branches(git(where, *BRANCHES, *patterns).text)


def read_branches(text: str) -> dict[str, Branch]:
    """The answer to the query `BRANCHES`."""
    rows = (row.split("\0") for row in text.split("\n")[:-1])
    return {name: Branch(commit, place) for name, commit, place in rows}


def refs(where: str, *patterns: str) -> dict[str, str]:
    """The refs that match, sorted: full name → object."""
    # A name can hold what `splitlines` takes for the end of a line, such as U+2028.
    rows = git(where, "for-each-ref", "--format=%(objectname) %(refname)", *patterns).text.split("\n")[:-1]
    return {name: oid for oid, _, name in (row.partition(" ") for row in rows)}


def working_tree(place: str) -> str:
    """The working tree at a branch's `place`; '' where that is a bare repository, whose HEAD git counts as a
    checkout too."""
    if not place or os.path.isfile(os.path.join(place, ".git")):
        return place
    return "" if git(place, "rev-parse", "--is-bare-repository", ok=None).line == "true" else place


def is_ancestor(where: str, old: str, new: str, timeout: float = 600) -> bool:
    """Whether the history of `new` contains `old`. Raises CommandFailed, also after `timeout` seconds."""
    return git(where, "merge-base", "--is-ancestor", old, new, ok=(0, 1), timeout=timeout).code == 0


def is_set(where: str, setting: str) -> bool:
    """Whether a setting of git's is true."""
    return git(where, "config", "--type=bool", setting, ok=None).line == "true"


def objects(where: str, names: Iterable[str]) -> list[list[str]]:
    """What git knows of each object: `[id, type, size]`, or `[name, "missing"]`."""
    asked = os.fsencode("".join(f"{name}\n" for name in names))
    listed = git(where, "cat-file", "--batch-check", "--buffer", stdin=asked).text
    return [row.split(" ") for row in listed.split("\n")[:-1]]


def blobs(where: str, oids: Sequence[str], target: BinaryIO) -> None:
    """Write objects to a file in the form of `git cat-file --batch`: a line `OID TYPE SIZE`, the content, a
    newline. They are streamed and need not fit in memory."""
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    words = command(where, "cat-file", "--batch", "--buffer")
    process.run(words, stdin=asked, target=target, timeout=600, max_output_bytes=sys.maxsize)
