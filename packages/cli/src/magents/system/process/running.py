"""Running a command to its end."""

from __future__ import annotations

import contextlib
import os
import time

from magents.core.errors import CommandFailed, MagentsError
from magents.core.tuples import NamedTuple
from magents.system import fifos
from magents.system.process.child import Child, Late, TooMuch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from magents.system.process.child import Target

MAX_OUTPUT_BYTES = 512 * 1024 * 1024
"""What a command may print, more or less."""
KILLED_S = 60
"""How long one that was killed may take to end; a full disk or a dead network drive can hold it up."""
ENDING_S = 5
"""How long one gets to end by itself when it is told to."""
LAST_WORDS_S = 0.2
"""For how long the pipes of one that was ended are read."""
MAX_FIFOS = 10
"""How many fifos an error names."""


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    raw: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Its output. Bytes that are not UTF-8 survive a round trip through `os.fsencode`."""
        return os.fsdecode(self.raw)

    @property
    def line(self) -> str:
        """Its output without the newline at the end."""
        return self.text.rstrip("\n")


class Running:
    """A command that was started; `result()` waits for it. Leaving its `with` block ends it."""

    def __init__(
        self, argv: Sequence[str], *, cwd: str | None = None, env: Mapping[str, str] | None = None,
        stdin: bytes | None = None, keep: Sequence[int] = (), merge_output: bool = False,
        target: Target | None = None, timeout: float = 120, max_output_bytes: int | None = None,
    ) -> None:  # fmt: skip
        """See `run`; `timeout` counts from when the result is asked for."""
        self.argv = tuple(argv)
        self._timeout = timeout
        self._max_bytes = max_output_bytes
        self._result: Result | None = None
        self._fifos: list[str] = []
        """The fifos that a git of ours was kept waiting by, a line for each; see `fifos`."""
        self._child = Child(
            self.argv, env, cwd=cwd, stdin=stdin is not None, stdout=True, stderr=not merge_output,
            merge=merge_output, keep=keep,
        )  # fmt: skip
        self._child.target = target
        if stdin is not None:
            self._child.give(stdin)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.returncode is None:
            self._end()

    def result(
        self, *, ok: Sequence[int] | None = (0,), hint: str = "", watch: Callable[[int], None] | None = None
    ) -> Result:
        """Wait for the end. Raises CommandFailed for an exit code not in `ok` (None: any will do) or when the time
        is over, and MagentsError when too much was printed; whatever interrupts the wait, the child is ended first.
        `watch` is called with its process number every moment while it runs, and may raise."""
        result = self._result = self._result or self._wait(hint, watch)
        if ok is not None and result.code not in ok:
            raise CommandFailed(self.argv, result.code, result.text, result.stderr, hint)
        return result

    def _wait(self, hint: str, watch: Callable[[int], None] | None) -> Result:
        child, max_bytes = self._child, self._max_bytes or MAX_OUTPUT_BYTES
        try:
            attend(child, lambda until: child.talk(until, max_bytes), self._timeout, self._fifos, watch)
        except Late:
            output, errors = self._end()
            raise CommandFailed(self.argv, None, os.fsdecode(output), self._errors(errors), hint) from None
        except TooMuch:
            self._end()
            raise MagentsError(
                f"`{' '.join(self.argv)[:200]}` printed more than {max_bytes >> 20} MiB, and was ended.",
                "Nothing of it was used.",
            ) from None
        except BaseException:
            self._end()
            raise
        output, errors = child.printed
        return Result(child.returncode, output, self._errors(errors))

    def _errors(self, errors: bytes) -> str:
        """What it told of errors; with the fifos where it has failed, which may well be why."""
        lines = dict.fromkeys(self._fifos) if self._child.returncode else ()
        return decode(errors) + "".join(f"{line}\n" for line in lines)

    def _end(self) -> tuple[bytes, bytes]:
        """End it; what it has printed. What it has started itself can live on with its pipes open, for as
        long as it likes: that is not waited for."""
        child = self._child
        child.terminate()
        try:
            child.wait_until(time.monotonic() + ENDING_S)
        except Late:
            child.kill()
            child.wait_until(time.monotonic() + KILLED_S)
        with contextlib.suppress(Late):
            child.talk(time.monotonic() + LAST_WORDS_S)
        child.close()
        return child.printed


def run(
    argv: Sequence[str], *, cwd: str | None = None, env: Mapping[str, str] | None = None,
    stdin: bytes | None = None, timeout: float = 120, ok: Sequence[int] | None = (0,), keep: Sequence[int] = (),
    merge_output: bool = False, hint: str = "", max_output_bytes: int | None = None, target: Target | None = None,
    watch: Callable[[int], None] | None = None,
) -> Result:  # fmt: skip
    """Run a command to its end.

    `env` is added to this process's environment, `stdin` is what it reads (nothing by default), `timeout` are
    seconds, `keep` are file descriptors it inherits, `max_output_bytes` is what it may print (MAX_OUTPUT_BYTES by
    default), `target` gets its output as it comes instead of the result. Raises Missing when the program is not
    there, and as `Running.result` does.
    """
    running = Running(
        argv, cwd=cwd, env=env, stdin=stdin, keep=keep, merge_output=merge_output, target=target, timeout=timeout,
        max_output_bytes=max_output_bytes,
    )  # fmt: skip
    return running.result(ok=ok, hint=hint, watch=watch)


def attend(
    child: Child, step: Callable[[float], None], timeout: float, lines: list[str] | None = None,
    watch: Callable[[int], None] | None = None,
) -> None:  # fmt: skip
    """Do a step that raises Late at the time it is given, and again, for `timeout` seconds; then let it raise.

    All the while a git of ours is helped on where it stands at a fifo; `lines` gets a line for each, for people;
    and `watch` is called.
    """
    until, pause = time.monotonic() + timeout, fifos.LOOK_S
    while True:
        end = min(until, time.monotonic() + pause)
        try:
            step(end)
        except Late:
            if end == until:
                raise
        else:
            return
        if watch:
            watch(child.pid)
        released = fifos.release(child.pid) if child.argv[0] == "git" else []
        if lines is not None:
            lines += released[: MAX_FIFOS - len(lines)]
        pause = fifos.AGAIN_S if released else fifos.LOOK_S


def decode(raw: bytes) -> str:
    """Text of something printed for people."""
    return raw.decode("utf-8", "replace")
