"""Calling git."""

from __future__ import annotations

import os
import time

from magents import process
from magents.errors import CommandFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, BinaryIO

STUMBLES = 50
"""How often git is asked again where it stumbles."""
LOOK = {"GIT_OPTIONAL_LOCKS": "0"}
"""For looking at a workspace in which an agent is at work: git takes no lock there."""
UNHOOKED = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
"""For git that works on what an agent has brought: where the user's `core.hooksPath` or `core.fsmonitor` is a
relative path, such as `.husky`, it leads to a program of the agent's."""


def command(where: str, *args: str) -> list[str]:
    """The words of a git command that works in the folder `where`."""
    return ["git", "-C", where, *args]


def git(
    where: str,
    *args: str,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    ok: Sequence[int] | None = (0,),
    timeout: float = 600,
    keep: Sequence[int] = (),
    hint: str = "",
) -> process.Result:
    """Run git in the folder `where`. Raises as `process.run` does."""
    return run(command(where, *args), env=env, stdin=stdin, ok=ok, timeout=timeout, keep=keep, hint=hint)


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
    process.stream(command(where, "cat-file", "--batch", "--buffer"), asked, target)
