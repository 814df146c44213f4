"""Running commands in another place."""

from __future__ import annotations

import os
import signal

from magents.core.errors import CommandFailed
from magents.system import process, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from magents.system.process.child import Target

    class Command(Protocol):
        """What leads to another place: gives the command on this machine that runs `argv` there, each word as it
        is."""

        def __call__(self, argv: Sequence[str], *, tty: bool = False) -> list[str]:
            """`tty`: for a program that talks to the user's terminal."""


def here(argv: Sequence[str], *, tty: bool = False) -> list[str]:
    """The `Command` of this machine."""
    return list(argv)


def run_there(
    command: Command, argv: Sequence[str], *, timeout: float, ok: Sequence[int] | None = (0,),
    max_output_bytes: int | None = None, target: Target | None = None,
) -> process.Result:  # fmt: skip
    """`process.run` in another place, to which `command` leads. `argv` may begin with assignments of variables.

    What is late is ended there too, where that place is on this machine: it would go on when only its caller gives
    it up, and whoever has stopped it keeps it from ending by itself.
    """
    mark = f"MAGENTS_ASKED={os.urandom(8).hex()}"
    there = command(["env", mark, *argv])
    try:
        return process.run(there, timeout=timeout, ok=ok, max_output_bytes=max_output_bytes, target=target)
    except CommandFailed as error:
        # `env` itself, stopped before it became what it was to run, has the mark among its words alone.
        late = {*processes.marked(mark), *processes.marked(mark, "cmdline")} if error.code is None else ()
        for pid in late:
            processes.end(pid, signal.SIGKILL)
        raise
