"""Commands that talk to the user's terminal themselves."""

from __future__ import annotations

import contextlib
import os
import subprocess

from magents.system import programs
from magents.system.process.child import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import NoReturn


def feed(argv: Sequence[str], pieces: Iterable[bytes], *, env: Mapping[str, str] | None = None) -> None:
    """Run a command that shows its input on the user's terminal, a pager; its exit code means nothing.

    It is given the next piece once it has taken the one before, and no more once it has ended.
    """
    try:
        child = subprocess.Popen(argv, env=environment(env), stdin=subprocess.PIPE)
    except FileNotFoundError as error:
        raise programs.missing(argv[0]) from error
    with contextlib.suppress(BrokenPipeError), child:
        assert child.stdin is not None
        for piece in pieces:
            child.stdin.write(piece)


def interact(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run a command that talks to the user's terminal itself; returns its exit code."""
    try:
        return subprocess.run(argv, env=environment(env), check=False).returncode
    except FileNotFoundError as error:
        raise programs.missing(argv[0]) from error


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by a command, for programs that take over the user's terminal."""
    try:
        os.execvpe(argv[0], list(argv), environment(None))
    except FileNotFoundError as error:
        raise programs.missing(argv[0]) from error
