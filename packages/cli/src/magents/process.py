"""The only door to other programs.

Every command is a list of words, never a shell string; has a time limit; and when it fails, the error
shows what ran and what it said. A child is ended with SIGTERM first, so that git can remove its locks.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn

from magents import fifos
from magents.errors import CommandFailed, MagentsError, Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
MOST = 512 * 1024 * 1024
"""Bytes that a command may print, more or less."""
LOOK = 0.1
"""Seconds after which that is looked at, again and again."""
STOOD = 10
"""How many fifos an error names at most."""
NESTED = frozenset({"TMUX", "TMUX_PANE"})
"""With them, tmux would talk to the server it was called in, and agents made there be lost elsewhere."""


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
    ) -> None:
        self.argv = tuple(argv)
        self._result: Result | None = None
        self._stood: list[str] = []
        """The fifos that a git of ours was kept waiting by; see `fifos`."""
        try:
            self._child = subprocess.Popen(
                self.argv,
                cwd=cwd,
                env=environment(env),
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge_output else subprocess.PIPE,
                pass_fds=keep,
            )
        except FileNotFoundError as error:
            if cwd is not None and not os.path.isdir(cwd):
                raise Missing(f"The folder {cwd} does not exist.") from error
            raise missing(self.argv[0]) from error
        except PermissionError as error:
            raise Missing(f"`{self.argv[0]}` may not be run: {error.strerror}.") from error
        if stdin is not None:
            self._type(stdin)

    def _type(self, stdin: bytes) -> None:
        """Write its input beside: a `communicate` that was interrupted to look at the output does not go on
        writing (subprocess.Popen._communicate, Python 3.11)."""
        pipe, self._child.stdin = self._child.stdin, None
        assert pipe is not None
        threading.Thread(target=write_all, args=(pipe, stdin), daemon=True).start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.returncode is None:
            self._end()

    def result(self, *, timeout: float = 120, ok: Sequence[int] | None = (0,), hint: str = "") -> Result:
        """Wait for the end. Raises CommandFailed for an exit code not in `ok` (None: any will do) or
        after `timeout` seconds; whatever else interrupts the wait, the child is ended first."""
        result = self._result = self._result or self._wait(timeout, hint)
        if ok is not None and result.code not in ok:
            raise CommandFailed(self.argv, result.code, result.text, result.stderr, hint)
        return result

    def _wait(self, timeout: float, hint: str) -> Result:
        try:
            output, stderr = self._communicate(timeout)
        except subprocess.TimeoutExpired:
            output, stderr = self._end()
            raise CommandFailed(self.argv, None, os.fsdecode(output), self._said(stderr), hint) from None
        except BaseException:
            self._end()
            raise
        return Result(self._child.returncode, output, self._said(stderr))

    def _said(self, stderr: bytes | None) -> str:
        """Its errors; with what it stood at where it has failed, which may well be why."""
        stood = dict.fromkeys(self._stood) if self._child.returncode else ()
        return decode(stderr) + "".join(f"{line}\n" for line in stood)

    def _communicate(self, timeout: float) -> tuple[bytes, bytes]:
        """What it prints, looked at meanwhile: what runs where an agent is may print without end."""
        until = time.monotonic() + timeout
        look = LOOK
        while True:
            rest = until - time.monotonic()
            try:
                return self._child.communicate(timeout=max(0.0, min(rest, look)))
            except subprocess.TimeoutExpired as late:
                if max(len(late.output or b""), len(late.stderr or b"")) > MOST:
                    raise MagentsError(
                        f"`{' '.join(self.argv)[:200]}` printed more than {MOST >> 20} MiB, and was ended.",
                        "Nothing of it was used.",
                    ) from None
                if rest <= look:
                    raise
                stood = fifos.release(self._child.pid) if self.argv[0] == "git" else []
                self._stood += stood[: STOOD - len(self._stood)]
                look = fifos.AGAIN if stood else LOOK

    def _end(self) -> tuple[bytes, bytes]:
        """End it; what it has printed. What it has started itself can live on with its pipes open, for as
        long as it likes: that is not waited for."""
        self._child.terminate()
        try:
            self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        try:
            return self._child.communicate(timeout=0.2)
        except subprocess.TimeoutExpired as late:
            for pipe in (self._child.stdout, self._child.stderr):
                if pipe:
                    pipe.close()
            return late.output or b"", late.stderr or b""


def write_all(pipe: IO[bytes], data: bytes) -> None:
    """Write and close; whoever reads may stop reading when it likes."""
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(data)


class Feeding:
    """A command that is fed piece by piece; `finish()` waits for its end. Leaving its `with` block ends it."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = tuple(argv)
        try:
            self._child = subprocess.Popen(
                self.argv,
                env=environment(None),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise missing(self.argv[0]) from error
        threading.Thread(target=self._attend, daemon=True).start()

    def _attend(self) -> None:
        """A git that waits for a fifo takes no more input, and whoever feeds it waits as well."""
        while self._child.poll() is None:
            time.sleep(fifos.LOOK)
            fifos.release(self._child.pid)

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
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(data)
        except BrokenPipeError:
            _, said = self._child.communicate()
            raise CommandFailed(self.argv, self._child.returncode, "", decode(said)) from None

    def finish(self, timeout: float = 600) -> None:
        """Close its input and wait for its end. Raises CommandFailed as `Running.result` does."""
        try:
            _, said = self._child.communicate(timeout=timeout)
        except BaseException:
            self.stop()
            raise
        if self._child.returncode:
            raise CommandFailed(self.argv, self._child.returncode, "", decode(said))

    def stop(self) -> None:
        """End it before its time, if it has not ended."""
        if self._child.returncode is None:
            self._child.kill()
            self._child.communicate()


class Attended:
    """A command that runs while its `with` block does, and reads nothing: its input ends with the block, or with
    this process, however that ends. Then the command is to end by itself."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = tuple(argv)
        try:
            self._child = subprocess.Popen(
                self.argv,
                env=environment(None),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise missing(argv[0]) from error

    def __enter__(self) -> Attended:
        return self

    def first_line(self, timeout: float) -> str:
        """The first line that it prints. Raises CommandFailed when it ends before, or that takes too long."""
        assert self._child.stdout is not None
        said = b""
        until = time.monotonic() + timeout
        while not said.endswith(b"\n"):
            ready = select.select([self._child.stdout], [], [], max(0.0, until - time.monotonic()))[0]
            more = os.read(self._child.stdout.fileno(), 1) if ready else b""
            if not more:
                if not ready:
                    self._child.kill()
                _, errors = self._child.communicate()
                raise CommandFailed(self.argv, self._child.returncode if ready else None, "", decode(errors))
            said += more
        return decode(said).strip()

    def __exit__(self, *_: object) -> None:
        try:
            self._child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()


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
) -> Result:
    """Run a command to its end.

    `env` is added to this process's environment, `stdin` is what it reads (nothing by default), `keep`
    are file descriptors it inherits. Raises Missing when the program is not there and CommandFailed as
    `Running.result` does.
    """
    running = Running(argv, cwd=cwd, env=env, stdin=stdin, keep=keep, merge_output=merge_output)
    return running.result(timeout=timeout, ok=ok, hint=hint)


def stream(argv: Sequence[str], stdin: bytes, target: BinaryIO, timeout: float = 600) -> None:
    """Run a command whose output goes to a file as it comes. Raises CommandFailed like `run`."""
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
    last: list[str] = []
    running = Running(argv, env=env, merge_output=True)
    with running:
        late = threading.Event()

        def end() -> None:
            late.set()
            running._child.terminate()

        timer = threading.Timer(timeout, end)
        timer.daemon = True
        timer.start()
        try:
            assert running._child.stdout is not None
            with running._child.stdout as printed:
                for raw in printed:
                    line = decode(raw).rstrip("\r\n")
                    last = [*last[-39:], line]
                    each(line)
            code = running._child.wait()
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


def feed(argv: Sequence[str], stdin: bytes, *, env: Mapping[str, str] | None = None) -> None:
    """Run a command that shows its input on the user's terminal, a pager; its exit code means nothing."""
    try:
        subprocess.run(argv, env=environment(env), input=stdin, check=False)
    except FileNotFoundError as error:
        raise missing(argv[0]) from error


def interact(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run a command that talks to the user's terminal itself; returns its exit code."""
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


def environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """This process's environment without what ties git and tmux to where we were called, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if name not in GIT_LOCAL | NESTED}
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


def marked(mark: str) -> list[int]:
    """The processes that inherited the environment line `mark` (`NAME=value`), this one excepted.

    Reads /proc; where there is none (macOS) it asks `ps`, which shows the environment of one's own
    processes there.
    """
    if os.path.isdir("/proc/self"):
        return [pid for pid in proc_ids() if carries(pid, mark)]
    listed = run(["ps", "-axwwE", "-o", "pid=,command="], ok=None).text.splitlines()
    found = [int(line.split(None, 1)[0]) for line in listed if f" {mark} " in f"{line} "]
    return [pid for pid in found if pid != os.getpid()]


def proc_ids() -> list[int]:
    """The numbers of all processes but this one, from /proc."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def carries(pid: int, mark: str) -> bool:
    """Whether a process started with the environment line `mark`; a zombie does not count."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return os.fsencode(mark) in file.read().split(b"\0")
    except OSError:
        return False
