"""A program that was started, its pipes read and written up to a time."""

from __future__ import annotations

import os
import select
import time
from subprocess import DEVNULL, PIPE, STDOUT, Popen

from magents.core.errors import Missing
from magents.system import programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO, Protocol

    class Target(Protocol):
        """What gets output as it comes: a file, or something that looks at it."""

        def write(self, data: bytes, /) -> object:
            """Take more of it."""


# `git rev-parse --local-env-vars`, git 2.39: they tie git to the repository of a surrounding hook.
GIT_LOCAL = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
})  # fmt: skip
NESTED = frozenset({"TMUX", "TMUX_PANE"})
"""With them, tmux would talk to the server it was called in, and agents made there be lost elsewhere."""
ELSEWHERE = GIT_LOCAL | NESTED
PIPE_BYTES = 1 << 16
"""Bytes that are read or written at once: what a pipe holds."""
POLL_S = 0.001
"""Seconds between two looks for the end of a program, where the system cannot tell of it."""


class Late(Exception):
    """The time is over, and the program still runs or its pipes are still open."""


class TooMuch(Exception):
    """It has printed more than it may."""


class Child(Popen[bytes]):
    """A program under way, with a pipe at each of its standard files that is asked for; the others are null.

    It inherits these, the files `keep`, and nothing else. `subprocess` starts it; times are of the monotonic clock.
    """

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, *, cwd: str | None = None,
        stdin: bool = False, stdout: bool = False, stderr: bool = False, merge: bool = False,
        keep: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """`env` is added to this process's environment; `merge`: what it writes as errors goes where its output
        goes. Raises Missing when there is no such program or folder."""
        self.argv = tuple(argv)
        self.given = memoryview(b"")
        """What is still to be written to it."""
        self.target: Target | None = None
        """What gets its output as it comes, instead of `printed`."""
        self.passed = 0
        """How many bytes that has got."""
        if cwd is not None and not os.path.isdir(cwd):
            raise Missing(f"The folder {cwd} does not exist.")
        try:
            super().__init__(
                argv, bufsize=0, cwd=cwd, env=environment(env), pass_fds=keep,
                stdin=PIPE if stdin else DEVNULL, stdout=PIPE if stdout else DEVNULL,
                stderr=STDOUT if merge else PIPE if stderr else DEVNULL,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise programs.missing(argv[0]) from error
        except PermissionError as error:
            raise Missing(f"`{argv[0]}` may not be run: {error.strerror}.") from error
        if self.stdin:
            os.set_blocking(self.stdin.fileno(), False)
        self._printed = {file: bytearray() for file in (self.stdout, self.stderr) if file}

    @property
    def printed(self) -> tuple[bytes, bytes]:
        """What it has printed so far, on its two streams."""
        streams = (self.stdout, self.stderr)
        output, errors = (bytes(self._printed[file]) if file else b"" for file in streams)
        return output, errors

    def close(self) -> None:
        """Close our ends of its pipes."""
        for file in (self.stdin, self.stdout, self.stderr):
            if file:
                file.close()

    def wait_until(self, until: float) -> int:
        """Its exit code, once it has ended. Raises Late at that time."""
        while (code := self.poll()) is None:
            rest = until - time.monotonic()
            if rest <= 0:
                raise Late
            await_end(self.pid, rest)
        return code

    def give(self, data: bytes) -> None:
        """More of its input, which `feed` or `talk` is going to write."""
        self.given = memoryview(bytes(self.given) + data)

    def feed(self, until: float) -> None:
        """Write what was given. Raises Late at that time, BrokenPipeError when it reads no more."""
        assert self.stdin is not None
        while self.given:
            if not ready([self.stdin], until):
                raise Late
            self._write(self.stdin)

    def _write(self, file: IO[bytes]) -> None:
        self.given = self.given[file.write(self.given[:PIPE_BYTES]) or 0 :]

    def talk(self, until: float, max_bytes: int | None = None) -> None:
        """Write what was given, close its input, take what it prints, wait for its end.

        Raises Late at that time; then it can be called again. Raises TooMuch when it has printed more than
        `max_bytes`, more or less.
        """
        while files := [file for file in (self.stdin, *self._printed) if file and not file.closed]:
            if self.stdin in files and not self.given:
                self.stdin.close()
                continue
            able = ready(files, until)
            if not able:
                raise Late
            for file in able:
                if file is self.stdin:
                    try:
                        self._write(file)
                    except BrokenPipeError:
                        self.given = memoryview(b"")
                else:
                    self._take(file)
            if max_bytes is not None and sum(map(len, self._printed.values())) + self.passed > max_bytes:
                raise TooMuch
        self.wait_until(until)

    def _take(self, file: IO[bytes]) -> None:
        data = os.read(file.fileno(), PIPE_BYTES)
        if not data:
            file.close()
        elif self.target and file is self.stdout:
            self.target.write(data)
            self.passed += len(data)
        else:
            self._printed[file] += data


def environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """This process's environment without what ties git and tmux to where we were called, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    kept.update(extra or {})
    return kept


def ready(files: Sequence[IO[bytes]], until: float) -> list[IO[bytes]]:
    """Those that can be read from or written to, or whose other end is gone; none at the time `until`."""
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN if file.readable() else select.POLLOUT)
    able = [number for number, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000)]
    return [file for file in files if file.fileno() in able]


def await_end(pid: int, seconds: float) -> None:
    """Wait until a child has ended, or for so many seconds. Where the system cannot tell, for a moment.

    `Popen.wait` looks once a millisecond and more; from Python 3.15 on it does the same.
    """
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):  # macOS; a Linux before 5.3; too many files
        time.sleep(min(seconds, POLL_S))
        return
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(seconds * 1000)
    finally:
        os.close(handle)
