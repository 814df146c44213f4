"""A program that was started: its pipes, and waiting for it with a limit. Only `process` uses this.

`subprocess` can do all of it. It takes 2 ms to import and half a millisecond to start a program, and one that
is about to end is looked at once a millisecond: a tenth of what `magents stop` takes (docs/adr/0014-child.md).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import time
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO, BinaryIO

CHUNK = 1 << 16
"""Bytes that are read or written at once: what a pipe holds."""
FROM = 3
"""Where a program's own files begin."""
RESTORED = [signal.SIGPIPE, signal.SIGXFSZ]
"""Signals that Python ignores and a program is not to."""


class Late(Exception):
    """The time is over, and the program still runs or its pipes are still open."""


class TooMuch(Exception):
    """It has printed more than it may."""


class Child:
    """A program under way, with a pipe at each of its standard files that is asked for; the others are null.

    It inherits these and the files `keep`, under other numbers, and nothing else. `env` is all of its
    environment. Raises FileNotFoundError or PermissionError when it cannot be started.
    """

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], *, stdin: bool = False, stdout: bool = False,
        stderr: bool = False, merge: bool = False, keep: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """`merge`: what it writes as errors goes where its output goes."""
        self.code: int | None = None
        """Its exit code once it has ended and been waited for; minus a signal's number where one has ended it."""
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        self.stderr: IO[bytes] | None = None
        self.target: BinaryIO | None = None
        """Where what it prints goes as it comes, instead of being held."""
        self.passed = 0
        """How many bytes have gone there."""
        self._given = memoryview(b"")
        self._said: dict[IO[bytes], bytearray] = {}
        self._looking = allocate_lock()
        theirs: list[int] = []
        actions: list[tuple[object, ...]] = []

        def joined(number: int, wanted: bool) -> IO[bytes] | None:
            """Its standard file of that number: our end of a pipe to it, or null."""
            if not wanted:
                actions.append((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0))
                return None
            reading, writing = pipe()
            mine, other = (writing, reading) if number == 0 else (reading, writing)
            theirs.append(other)
            actions.append((os.POSIX_SPAWN_DUP2, other, number))
            os.set_blocking(mine, number != 0)
            return open(mine, "rb" if mine == reading else "wb", buffering=0)

        try:
            self.stdin, self.stdout = joined(0, stdin), joined(1, stdout)
            if merge:
                actions.append((os.POSIX_SPAWN_DUP2, 1, 2))
            else:
                self.stderr = joined(2, stderr)
            actions += inherited(keep)
            self.pid = os.posix_spawnp(argv[0], tuple(argv), env, file_actions=actions, setsigdef=RESTORED)
        except BaseException:
            self.close()
            raise
        finally:
            for file in theirs:
                os.close(file)
        self._said = {file: bytearray() for file in (self.stdout, self.stderr) if file}

    def close(self) -> None:
        """Close our ends of its pipes."""
        for file in (self.stdin, self.stdout, self.stderr):
            if file:
                file.close()

    def poll(self) -> int | None:
        """Its exit code, or None while it runs. Several threads may ask."""
        with self._looking:
            if self.code is None:
                try:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                    self.code = os.waitstatus_to_exitcode(status) if pid else None
                except ChildProcessError:  # whoever has started us ignores the ends of children, and so do we
                    self.code = 0
            return self.code

    def wait(self, until: float) -> int:
        """Its exit code, once it has ended. Raises Late at the time `until` of the monotonic clock."""
        while (code := self.poll()) is None:
            rest = until - time.monotonic()
            if rest <= 0:
                raise Late
            ends(self.pid, rest)
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def give(self, data: bytes) -> None:
        """More of its input, which `feed` or `talk` is going to write."""
        self._given = memoryview(bytes(self._given) + data)

    def feed(self, until: float) -> None:
        """Write what was given. Raises Late at the time `until`, BrokenPipeError when it reads no more."""
        assert self.stdin is not None
        while self._given:
            if not ready([self.stdin], until):
                raise Late
            self._write()

    def _write(self) -> None:
        assert self.stdin is not None
        with contextlib.suppress(BlockingIOError):
            self._given = self._given[os.write(self.stdin.fileno(), self._given[:CHUNK]) :]

    def talk(self, until: float, most: int | None = None) -> None:
        """Write what was given, close its input, take what it prints, wait for its end; then `said` has all.

        Raises Late at the time `until` of the monotonic clock; then it can be called again. Raises TooMuch when it
        has printed more than `most` bytes, more or less.
        """
        while names := [file for file in (self.stdin, *self._said) if file and not file.closed]:
            if self.stdin in names and not self._given:
                self.stdin.close()
                continue
            able = ready(names, until)
            if not able:
                raise Late
            for file in able:
                if file is self.stdin:
                    try:
                        self._write()
                    except BrokenPipeError:
                        self._given = memoryview(b"")
                elif data := os.read(file.fileno(), CHUNK):
                    self._take(file, data)
                else:
                    file.close()
            if most is not None and sum(map(len, self._said.values())) + self.passed > most:
                raise TooMuch
        self.wait(until)

    def _take(self, file: IO[bytes], data: bytes) -> None:
        if self.target and file is self.stdout:
            self.target.write(data)
            self.passed += len(data)
        else:
            self._said[file] += data

    def said(self) -> tuple[bytes, bytes]:
        """What it has printed so far, on its two streams."""
        output, errors = (bytes(self._said[file]) if file else b"" for file in (self.stdout, self.stderr))
        return output, errors


def ready(files: Sequence[IO[bytes]], until: float) -> list[IO[bytes]]:
    """Those that can be read from or written to, or whose other end is gone; none at the time `until`."""
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN if file.readable() else select.POLLOUT)
    able = [number for number, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000)]
    return [file for file in files if file.fileno() in able]


def pipe() -> tuple[int, int]:
    """Where to read and where to write; neither is in the place of a standard file that is closed here."""
    return above(os.pipe())


def above(ends: tuple[int, int]) -> tuple[int, int]:
    """The same two files with numbers from `FROM` on."""
    moved = tuple(file if file >= FROM else fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, FROM) for file in ends)
    for file in ends:
        if file < FROM:
            os.close(file)
    return moved[0], moved[1]


def inherited(keep: Sequence[int]) -> list[tuple[int, ...]]:
    """What gives a program these files and no others that are open here.

    Python opens files so that programs do not inherit them. But this process may have been given some: a tmux
    server would hold them for as long as it lives, and with them a lock or a pipe of whoever called. Each of
    `keep` gets another number, for one that is copied to its own would be closed.
    """
    free = max(keep, default=0) + 1
    new = range(free, free + len(keep))
    given = []
    for name in os.listdir("/dev/fd"):
        number = int(name)
        with contextlib.suppress(OSError):  # the one by which they are listed
            if number >= FROM and number not in new and os.get_inheritable(number):
                given.append(number)
    return [
        *((os.POSIX_SPAWN_DUP2, *pair) for pair in zip(keep, new, strict=True)),
        *((os.POSIX_SPAWN_CLOSE, number) for number in given),
    ]


def ends(pid: int, seconds: float) -> None:
    """Wait until a child has ended, or for so many seconds. Where the system cannot tell, for a moment."""
    try:
        watch = os.pidfd_open(pid)
    except (AttributeError, OSError):  # macOS; a Linux before 5.3; too many files
        time.sleep(min(seconds, 0.001))
        return
    try:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.poll(seconds * 1000)
    finally:
        os.close(watch)
