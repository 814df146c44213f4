"""Commands whose input is open while they run."""

from __future__ import annotations

import os
import time

from magents.core.errors import CommandFailed
from magents.system.process.child import PIPE_BYTES, Child, Late, ready
from magents.system.process.running import KILLED_S, attend, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FEEDING_S = 600
"""How long a command may take to read what it is given."""
LEAVING_S = 30
"""How long one gets to end once its input has."""


class Feeding:
    """A command that is fed piece by piece; `finish()` waits for its end. Leaving its `with` block ends it."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._ahead = bytearray()
        self._child = Child(argv, stdin=True, stderr=True)
        self.pid = self._child.pid

    def __enter__(self) -> Feeding:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def write(self, data: bytes) -> None:
        """Give it more. Raises CommandFailed when it has ended already."""
        self._ahead += data
        if len(self._ahead) > PIPE_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._child.give(bytes(self._ahead))
        self._ahead.clear()
        try:
            attend(self._child, self._child.feed, FEEDING_S)
        except (BrokenPipeError, Late):
            self._wait(KILLED_S)
            raise failed(self._child) from None

    def finish(self, timeout: float = 600) -> None:
        """Close its input and wait for its end. Raises CommandFailed as `Running.result` does."""
        self._flush()
        self._wait(timeout)
        if self._child.returncode:
            raise failed(self._child)

    def _wait(self, timeout: float) -> None:
        try:
            attend(self._child, self._child.talk, timeout)
        except Late:
            self.stop()
            raise failed(self._child) from None
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it before its time, if it has not ended."""
        self._child.kill()
        self._child.wait_until(time.monotonic() + KILLED_S)
        self._child.close()


class Attended:
    """A command that runs while its `with` block does, and reads nothing: its input ends with the block, or with
    this process, however that ends. Then the command is to end by itself."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._child = Child(argv, stdin=True, stdout=True, stderr=True)

    def __enter__(self) -> Attended:
        return self

    def first_line(self, timeout: float) -> str:
        """The first line that it prints. Raises CommandFailed when it ends before, or that takes too long."""
        child = self._child
        assert child.stdout is not None
        line = b""
        until = time.monotonic() + timeout
        while not line.endswith(b"\n"):
            able = ready([child.stdout], until)
            more = os.read(child.stdout.fileno(), 1) if able else b""
            if not more:
                self._end(KILLED_S if able else 0)
                raise failed(child, late=not able)
            line += more
        return decode(line).strip()

    def _end(self, timeout: float) -> None:
        try:
            self._child.talk(time.monotonic() + timeout)
        except Late:
            self._child.kill()
            self._child.wait_until(time.monotonic() + KILLED_S)
        self._child.close()

    def __exit__(self, *_: object) -> None:
        self._end(LEAVING_S)


def failed(child: Child, *, late: bool = False) -> CommandFailed:
    """The error for one that has ended too early, or was too `late` and ended."""
    return CommandFailed(child.argv, None if late else child.returncode, "", decode(child.printed[1]))
