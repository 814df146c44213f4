"""The only door to other programs.

Every command is a list of words, never a shell string; has a time limit; and when it fails, the error
shows what ran and what it said. A child is ended with SIGTERM first, so that git can remove its locks.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from magents.core.errors import CommandFailed, MagentsError, Missing
from magents.core.tuples import NamedTuple
from magents.system import fifos
from magents.system.child import Child, Late, TooMuch, ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import IO, BinaryIO, NoReturn, Protocol

    class Command(Protocol):
        """Where else a program can run: gives the command on this machine that runs `argv` there, each word as it
        is."""

        def __call__(self, argv: Sequence[str], *, tty: bool = False) -> list[str]:
            """`tty`: for a program that talks to the user's terminal."""


INSTALL = {
    "git": "apt-get install git   (macOS: brew install git)",
    "tmux": "apt-get install tmux   (macOS: brew install tmux)",
    "docker": "apt-get install docker.io   (others: https://docs.docker.com/engine/install/)",
}

# `git rev-parse --local-env-vars`, git 2.39: they tie git to the repository of a surrounding hook.
GIT_LOCAL = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
})  # fmt: skip
FED = 600
"""Seconds in which a command must take what it is given."""
MOST = 512 * 1024 * 1024
"""Bytes that a command may print, more or less."""
LOOK = 0.1
"""Seconds after which that is looked at, again and again."""
AHEAD = 1 << 16
"""Bytes that are written to a command in one go."""
KILLED = 60
"""Seconds in which one that was killed must end; a full disk or a dead network drive can hold it up."""
IN_FOLDER = 'CDPATH= cd -- "$1" && shift && exec "$@"'
STOOD = 10
"""How many fifos an error names at most."""
NESTED = frozenset({"TMUX", "TMUX_PANE"})
"""With them, tmux would talk to the server it was called in, and agents made there be lost elsewhere."""
ELSEWHERE = GIT_LOCAL | NESTED


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
        self,
        argv: Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        keep: Sequence[int] = (),
        merge_output: bool = False,
        target: BinaryIO | None = None,
    ) -> None:
        """`target`: a file that gets what it prints, which is not held in memory then."""
        self.argv = tuple(argv)
        self._result: Result | None = None
        self._stood: list[str] = []
        """The fifos that a git of ours was kept waiting by; see `fifos`."""
        self._child = start(
            self.argv, env, cwd=cwd, stdin=stdin is not None, stdout=True, stderr=not merge_output,
            merge=merge_output, keep=keep,
        )  # fmt: skip
        self._child.target = target
        if stdin is not None:
            self._child.give(stdin)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.code is None:
            self._end()

    def result(
        self, *, timeout: float = 120, ok: Sequence[int] | None = (0,), hint: str = "",
        max_output_bytes: int | None = None, watch: Callable[[int], None] | None = None,
    ) -> Result:  # fmt: skip
        """Wait for the end. Raises CommandFailed for an exit code not in `ok` (None: any will do) or
        after `timeout` seconds, and MagentsError when more than `max_output_bytes` (by default `MOST`) were
        printed; whatever interrupts the wait, the child is ended first. `watch` is called with its process
        number every moment while it runs, and may raise."""
        result = self._result = self._result or self._wait(timeout, hint, max_output_bytes or MOST, watch)
        if ok is not None and result.code not in ok:
            raise CommandFailed(self.argv, result.code, result.text, result.stderr, hint)
        return result

    def _wait(self, timeout: float, hint: str, most: int, watch: Callable[[int], None] | None) -> Result:
        child = self._child
        try:
            attend(child, self.argv, lambda until: child.talk(until, most), timeout, self._stood, watch)
        except Late:
            output, stderr = self._end()
            raise CommandFailed(self.argv, None, os.fsdecode(output), self._said(stderr), hint) from None
        except TooMuch:
            self._end()
            raise MagentsError(
                f"`{' '.join(self.argv)[:200]}` printed more than {most >> 20} MiB, and was ended.",
                "Nothing of it was used.",
            ) from None
        except BaseException:
            self._end()
            raise
        output, stderr = child.said()
        return Result(child.code or 0, output, self._said(stderr))

    def _said(self, stderr: bytes) -> str:
        """Its errors; with what it stood at where it has failed, which may well be why."""
        stood = dict.fromkeys(self._stood) if self._child.code else ()
        return decode(stderr) + "".join(f"{line}\n" for line in stood)

    def _end(self) -> tuple[bytes, bytes]:
        """End it; what it has printed. What it has started itself can live on with its pipes open, for as
        long as it likes: that is not waited for."""
        child = self._child
        child.signal(signal.SIGTERM)
        try:
            child.wait(time.monotonic() + 5)
        except Late:
            child.signal(signal.SIGKILL)
            child.wait(time.monotonic() + KILLED)
        with contextlib.suppress(Late):
            child.talk(time.monotonic() + 0.2)
        child.close()
        return child.said()


def start(
    argv: Sequence[str], env: Mapping[str, str] | None, *, cwd: str | None = None, stdin: bool = False,
    stdout: bool = False, stderr: bool = False, merge: bool = False, keep: Sequence[int] = (),
) -> Child:  # fmt: skip
    """Start a program; `env` is added to this process's environment. Raises Missing."""
    words = argv
    if cwd is not None:
        if not os.path.isdir(cwd):
            raise Missing(f"The folder {cwd} does not exist.")
        if not find(argv[0]):
            raise missing(argv[0])
        words = ["sh", "-c", IN_FOLDER, "sh", cwd, *argv]
    try:
        return Child(words, environment(env), stdin=stdin, stdout=stdout, stderr=stderr, merge=merge, keep=keep)
    except FileNotFoundError as error:
        raise missing(argv[0]) from error
    except PermissionError as error:
        raise Missing(f"`{argv[0]}` may not be run: {error.strerror}.") from error


def attend(
    child: Child, argv: Sequence[str], step: Callable[[float], None], timeout: float, stood: list[str],
    watch: Callable[[int], None] | None = None,
) -> None:  # fmt: skip
    """Do a step that raises Late at the time it is given, and again, for `timeout` seconds; then let it raise.

    Meanwhile a git of ours is helped on where it stands at a fifo; `stood` gets a line for each, for people; and
    `watch` is called.
    """
    until, look = time.monotonic() + timeout, fifos.LOOK
    while True:
        end = min(until, time.monotonic() + look)
        try:
            step(end)
        except Late:
            if end == until:
                raise
        else:
            return
        if watch:
            watch(child.pid)
        told = fifos.release(child.pid) if argv[0] == "git" else []
        stood += told[: STOOD - len(stood)]
        look = fifos.AGAIN if told else fifos.LOOK


class Feeding:
    """A command that is fed piece by piece; `finish()` waits for its end. Leaving its `with` block ends it."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = tuple(argv)
        self._ahead = bytearray()
        self._child = start(self.argv, None, stdin=True, stderr=True)

    def __enter__(self) -> Feeding:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._child.pid

    def write(self, data: bytes) -> None:
        """Give it more. Raises CommandFailed when it has ended already."""
        self._ahead += data
        if len(self._ahead) > AHEAD:
            self._flush()

    def _flush(self) -> None:
        self._child.give(bytes(self._ahead))
        self._ahead.clear()
        try:
            attend(self._child, self.argv, self._child.feed, FED, [])
        except (BrokenPipeError, Late):
            self._wait(KILLED)
            raise self._failed() from None

    def finish(self, timeout: float = 600) -> None:
        """Close its input and wait for its end. Raises CommandFailed as `Running.result` does."""
        self._flush()
        self._wait(timeout)
        if self._child.code:
            raise self._failed()

    def _wait(self, timeout: float) -> None:
        try:
            attend(self._child, self.argv, self._child.talk, timeout, [])
        except Late:
            self.stop()
            raise self._failed() from None
        except BaseException:
            self.stop()
            raise

    def _failed(self) -> CommandFailed:
        return CommandFailed(self.argv, self._child.code, "", decode(self._child.said()[1]))

    def stop(self) -> None:
        """End it before its time, if it has not ended."""
        self._child.signal(signal.SIGKILL)
        self._child.wait(time.monotonic() + KILLED)
        self._child.close()


class Attended:
    """A command that runs while its `with` block does, and reads nothing: its input ends with the block, or with
    this process, however that ends. Then the command is to end by itself."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = tuple(argv)
        self._child = start(self.argv, None, stdin=True, stdout=True, stderr=True)

    def __enter__(self) -> Attended:
        return self

    def first_line(self, timeout: float) -> str:
        """The first line that it prints. Raises CommandFailed when it ends before, or that takes too long."""
        child = self._child
        assert child.stdout is not None
        said = b""
        until = time.monotonic() + timeout
        while not said.endswith(b"\n"):
            able = ready([child.stdout], until)
            more = os.read(child.stdout.fileno(), 1) if able else b""
            if not more:
                self._end(KILLED if able else 0)
                raise CommandFailed(self.argv, child.code if able else None, "", decode(child.said()[1]))
            said += more
        return decode(said).strip()

    def _end(self, timeout: float) -> None:
        try:
            self._child.talk(time.monotonic() + timeout)
        except Late:
            self._child.signal(signal.SIGKILL)
            self._child.wait(time.monotonic() + KILLED)
        self._child.close()

    def __exit__(self, *_: object) -> None:
        self._end(30)


def run(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float = 120,
    ok: Sequence[int] | None = (0,),
    keep: Sequence[int] = (),
    merge_output: bool = False,
    hint: str = "",
    max_output_bytes: int | None = None,
    target: BinaryIO | None = None,
    watch: Callable[[int], None] | None = None,
) -> Result:
    """Run a command to its end.

    `env` is added to this process's environment, `stdin` is what it reads (nothing by default), `keep`
    are file descriptors it inherits, `target` is a file that gets its output instead of the result. Raises Missing
    when the program is not there, and as `Running.result` does.
    """
    running = Running(argv, cwd=cwd, env=env, stdin=stdin, keep=keep, merge_output=merge_output, target=target)
    return running.result(timeout=timeout, ok=ok, hint=hint, max_output_bytes=max_output_bytes, watch=watch)


def here(argv: Sequence[str], *, tty: bool = False) -> list[str]:
    """The `Command` that runs it on this machine."""
    return list(argv)


def run_there(
    command: Command, argv: Sequence[str], *, timeout: float, ok: Sequence[int] | None = (0,),
    max_output_bytes: int | None = None, target: BinaryIO | None = None,
) -> Result:  # fmt: skip
    """`run` in another place, by `command`. `argv` may begin with assignments of its environment.

    What is late is ended there too, where that place is on this machine: it would go on when only its caller gives
    it up, and whoever has stopped it keeps it from ending by itself.
    """
    mark = f"MAGENTS_ASKED={os.urandom(8).hex()}"
    there = command(["env", mark, *argv])
    try:
        return run(there, timeout=timeout, ok=ok, max_output_bytes=max_output_bytes, target=target)
    except CommandFailed as error:
        # `env` itself, stopped before it became what it was to run, has the mark among its words alone.
        for pid in {*marked(mark), *marked(mark, "cmdline")} if error.code is None else ():
            end(pid, signal.SIGKILL)
        raise


def stream(argv: Sequence[str], stdin: bytes, target: BinaryIO, timeout: float = 600) -> None:
    """Run a command whose output goes to a file as it comes. Raises CommandFailed like `run`."""
    import subprocess

    done = subprocess.run(
        argv, env=environment(None), input=stdin, stdout=target, stderr=subprocess.PIPE, timeout=timeout,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise CommandFailed(tuple(argv), done.returncode, "", decode(done.stderr))


def follow(
    argv: Sequence[str], each: Callable[[str], object], *, env: Mapping[str, str] | None = None,
    timeout: float = 600, hint: str = "",
) -> None:  # fmt: skip
    """Run a command and give each line that it prints, on either stream, to `each` as it comes.

    Raises as `run` does; the error has the last lines. Whatever interrupts it, the command is ended first.
    """
    from threading import Event, Timer

    last: list[str] = []
    running = Running(argv, env=env, merge_output=True)
    child = running._child
    assert child.stdout is not None
    with running, open(child.stdout.fileno(), "rb", closefd=False) as printed:
        late = Event()

        def end() -> None:
            late.set()
            child.signal(signal.SIGTERM)

        timer = Timer(timeout, end)
        timer.daemon = True
        timer.start()
        try:
            for raw in printed:
                line = decode(raw).rstrip("\r\n")
                last = [*last[-39:], line]
                each(line)
            code = child.wait(time.monotonic() + timeout)
            child.close()
        finally:
            timer.cancel()
        if code or late.is_set():
            raise CommandFailed(tuple(argv), None if late.is_set() else code, "\n".join(last), "", hint)


def tail(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout: float, most: int) -> None:
    """Run a command that may print without end: of both its streams in one, the `most` last bytes are kept.

    What it leaves running in the background is not waited for. Raises CommandFailed as `run` does, with that end.
    """
    kept = bytearray()
    until = time.monotonic() + timeout
    running = Running(argv, cwd=cwd, env=env, merge_output=True)
    child = running._child
    assert child.stdout is not None
    with running, child.stdout as printed:
        while (code := child.poll()) is None and time.monotonic() < until:
            if not take(printed, kept, most):
                time.sleep(0.01)
        take(printed, kept, most)  # what came last: a pipe holds no more than this reads
    if code != 0:
        raise CommandFailed(tuple(argv), code, decode(bytes(kept)), "")


def take(printed: IO[bytes], kept: bytearray, most: int) -> bool:
    """Read what there is within a moment, and keep the end of it all. False when nothing came."""
    if not select.select([printed], [], [], LOOK)[0]:
        return False
    more = os.read(printed.fileno(), 1 << 16)
    kept += more
    del kept[:-most]
    return bool(more)


def feed(argv: Sequence[str], pieces: Iterable[bytes], *, env: Mapping[str, str] | None = None) -> None:
    """Run a command that shows its input on the user's terminal, a pager; its exit code means nothing.

    It is given the next piece once it has taken the one before, and no more once it has ended.
    """
    import subprocess

    try:
        child = subprocess.Popen(argv, env=environment(env), stdin=subprocess.PIPE)
    except FileNotFoundError as error:
        raise missing(argv[0]) from error
    with contextlib.suppress(BrokenPipeError), child:
        assert child.stdin is not None
        for piece in pieces:
            child.stdin.write(piece)


def interact(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run a command that talks to the user's terminal itself; returns its exit code."""
    import subprocess

    try:
        return subprocess.run(argv, env=environment(env), check=False).returncode
    except FileNotFoundError as error:
        raise missing(argv[0]) from error


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by a command, for programs that take over the user's terminal."""
    try:
        os.execvpe(argv[0], list(argv), environment(None))
    except FileNotFoundError as error:
        raise missing(argv[0]) from error


BACKGROUND = """trap '' HUP INT; cd /; unset MAGENTS_FOLDER; "$@" </dev/null >/dev/null 2>&1 &"""


def detach(argv: Sequence[str]) -> None:
    """Start a command that goes on when this process and its terminal are gone, and says nothing.

    An agent that started it does not take it along when it ends (`marked`).
    """
    run(["sh", "-c", BACKGROUND, "sh", *argv], timeout=30)


_left: list[Child] = []


def leave(argv: Sequence[str]) -> None:
    """Start a command that says nothing, and go on. When this process ends just now, it may not have got far."""
    _left[:] = [child for child in _left if child.poll() is None]  # else they would stay as zombies
    _left.append(start(argv, None))


def environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """This process's environment without what ties git and tmux to where we were called, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    kept.update(extra or {})
    return kept


def missing(program: str) -> Missing:
    """The error that says how to get a program."""
    hint = f"Install it: {INSTALL[program]}" if program in INSTALL else "Install it, or mend your PATH."
    return Missing(f"The program `{program}` was not found.", hint)


def decode(raw: bytes | None) -> str:
    """Text of something printed for people."""
    return (raw or b"").decode("utf-8", "replace")


def find(program: str) -> str:
    """The path of a program as a shell would find it; '' if there is none. `shutil.which` does the same,
    but `shutil` brings every archive format with it, and this is asked at each `create`."""
    if os.path.dirname(program):
        return program if runnable(program) else ""
    paths = (os.path.join(folder, program) for folder in os.get_exec_path())
    return next((path for path in paths if runnable(path)), "")


def runnable(path: str) -> bool:
    """Whether it is a file that may be run."""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def end(pid: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Send a signal to one process; one that is gone already is no error."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def marked(mark: str, where: str = "environ") -> list[int]:
    """The processes that inherited the environment line `mark` (`NAME=value`), this one excepted; `where` is
    "cmdline" for those that have it among their words.

    Reads /proc; where there is none (macOS) it asks `ps`, which shows the environment of one's own
    processes there.
    """
    if os.path.isdir("/proc/self"):
        return [pid for pid in proc_ids() if carries(pid, mark, where)]
    listed = run(["ps", "-axwwE", "-o", "pid=,command="], ok=None).text.splitlines()
    found = [int(line.split(None, 1)[0]) for line in listed if f" {mark} " in f"{line} "]
    return [pid for pid in found if pid != os.getpid()]


def proc_ids() -> list[int]:
    """The numbers of all processes but this one, from /proc."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def carries(pid: int, mark: str, where: str = "environ") -> bool:
    """Whether a process started with the environment line `mark`, or that word; a zombie does not count."""
    line, said = os.fsencode(mark), b""
    try:
        handle = os.open(f"/proc/{pid}/{where}", os.O_RDONLY | os.O_CLOEXEC)  # half of what a file object takes
        try:
            while more := os.read(handle, 1 << 16):
                said += more
        finally:
            os.close(handle)
    except OSError:
        return False
    return line in said and line in said.split(b"\0")
