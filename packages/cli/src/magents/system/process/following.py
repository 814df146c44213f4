"""Commands whose output is looked at as it comes."""

from __future__ import annotations

import os
import time

from magents.core.errors import CommandFailed
from magents.system.process.child import PIPE_BYTES, ready
from magents.system.process.running import Running, decode, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO

LOOK_S = 0.1
"""How long output is waited for before the end of the command is looked for."""
MAX_LINES = 40
"""How many of the last lines an error has."""


class Lines:
    """Output that is given on line by line."""

    def __init__(self, each: Callable[[str], object]) -> None:
        self.last: list[str] = []
        self._each = each
        self._begun = b""

    def write(self, data: bytes) -> None:
        """Take more of it."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            self._take(line)

    def end(self) -> None:
        """Take what has no newline at its end."""
        if self._begun:
            self._take(self._begun)

    def _take(self, raw: bytes) -> None:
        line = decode(raw).rstrip("\r")
        self.last = [*self.last[1 - MAX_LINES :], line]
        self._each(line)


def follow(
    argv: Sequence[str], each: Callable[[str], object], *, env: Mapping[str, str] | None = None,
    timeout: float = 600, hint: str = "",
) -> None:  # fmt: skip
    """Run a command and give each line that it prints, on either stream, to `each` as it comes.

    Raises as `run` does; the error has the last lines. Whatever interrupts it, the command is ended first.
    """
    lines = Lines(each)
    try:
        run(argv, env=env, merge_output=True, target=lines, timeout=timeout)
        lines.end()
    except CommandFailed as error:
        lines.end()
        raise CommandFailed(error.argv, error.code, "\n".join(lines.last), "", hint) from error


def tail(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout: float, max_bytes: int) -> None:
    """Run a command that may print without end: of both its streams in one, the `max_bytes` last bytes are kept.

    What it leaves running in the background is not waited for. Raises CommandFailed as `run` does, with that end.
    """
    kept = bytearray()
    until = time.monotonic() + timeout
    with Running(argv, cwd=cwd, env=env, merge_output=True) as running:
        child = running._child
        assert child.stdout is not None
        with child.stdout as printed:
            while (code := child.poll()) is None and time.monotonic() < until:
                if not take(printed, kept, max_bytes):
                    time.sleep(0.01)
            take(printed, kept, max_bytes)  # what came last: a pipe holds no more than this reads
    if code != 0:
        raise CommandFailed(tuple(argv), code, decode(bytes(kept)), "")


def take(printed: IO[bytes], kept: bytearray, max_bytes: int) -> bool:
    """Read what there is within a moment, and keep the end of it all. False when nothing came."""
    if not ready([printed], time.monotonic() + LOOK_S):
        return False
    more = os.read(printed.fileno(), PIPE_BYTES)
    kept += more
    del kept[:-max_bytes]
    return bool(more)
