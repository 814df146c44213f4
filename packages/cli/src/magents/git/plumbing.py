"""Calling git."""

from __future__ import annotations

import os
import sys
import time

from magents.core.errors import CommandFailed
from magents.core.names import STILL
from magents.git import inert
from magents.git.inert import UNHOOKED
from magents.git.layout import GIVEN, common_of, has_record
from magents.system import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, BinaryIO

FILL_S = 3600
"""How long git may take to check a workspace out."""
STUMBLES = 50
"""How often git is asked again where it stumbles."""
HERE = False
"""Whether we run where the agent of a clone is; `guest/workspace.py` sets it."""
LOOK = {"GIT_OPTIONAL_LOCKS": "0"}
"""For looking at a workspace in which an agent is at work: git takes no lock there."""


def command(where: str, *args: str) -> list[str]:
    """The words of a git command that works in the folder `where`. It runs the user's hooks, but none while there
    is one among them that an agent in a container brought and nobody accepted."""
    if STILL in os.environ:
        return ["git", *inert.options(where), "-C", where, *inert.arguments(args)]
    return ["git", "-C", where, *quiet(where), *args]


def quiet(where: str, *commits: str) -> Sequence[str]:
    """Options with which git runs no hook, where it must not: see `brought.hooks`. In the clone of an agent its own
    hooks run, but only where the agent is."""
    common = common_of(where)
    if not HERE and common and os.path.exists(os.path.join(common, GIVEN)):
        return UNHOOKED
    if not has_record(where):
        return ()  # as for most projects; nothing is imported
    from magents.git.trust import brought

    return UNHOOKED if brought.hooks(where, *commits) else ()


def git(
    where: str,
    *args: str,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    ok: Sequence[int] | None = (0,),
    timeout: float = 600,
    keep: Sequence[int] = (),
    hint: str = "",
    target: BinaryIO | None = None,
) -> process.Result:
    """Run git in the folder `where`. Raises as `process.run` does."""
    words = command(where, *args)
    return run(words, env=env, stdin=stdin, ok=ok, timeout=timeout, keep=keep, hint=hint, target=target)


def run(words: Sequence[str], **options: Any) -> process.Result:
    """`process.run`, again while git stumbles."""
    for _ in range(STUMBLES):
        try:
            return process.run(words, **options)
        except CommandFailed as error:
            if not stumbled(error):
                raise
        time.sleep(0.02)
    return process.run(words, **options)


def stumbled(error: CommandFailed) -> bool:
    """Whether git only came upon a worktree that was just being made: it dies of one whose `commondir` is
    still empty, before it has changed anything (git 2.39, `failed to read .git/worktrees/x/commondir`)."""
    return "failed to read" in error.stderr and "commondir" in error.stderr


def working_tree(path: str) -> str:
    """The place that git names for a branch that is checked out; '' where that is a bare repository, whose HEAD
    git counts as a checkout too."""
    if not path or os.path.isfile(os.path.join(path, ".git")):
        return path
    return "" if git(path, "rev-parse", "--is-bare-repository", ok=None).line == "true" else path


def blobs(where: str, oids: Sequence[str], target: BinaryIO) -> None:
    """Write objects to a file in the form of `git cat-file --batch`: a line `OID TYPE SIZE`, the content,
    a newline. Streamed: they need not fit in memory."""
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    words = command(where, "cat-file", "--batch", "--buffer")
    process.run(words, stdin=asked, target=target, timeout=600, max_output_bytes=sys.maxsize)
