"""Task Master's own MCP server, as a child."""

from __future__ import annotations

import fcntl
import os
import select
import signal

from tools import mode
from wire import decode, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wire import Message


class Failed(Exception):
    """The server is not there or of no more use; the words are for whoever called it."""


class Server:
    """The real server while it runs. It inherits the lock's descriptor: were this program killed in the middle of
    a call, the list would stay locked until the server has ended too."""

    def __init__(self, argv: Sequence[str], root: str) -> None:
        import subprocess

        os.makedirs(os.path.join(root, ".taskmaster", "tasks"), exist_ok=True)
        self.folder = os.open(os.path.join(root, ".taskmaster"), os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.child = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, cwd=root,
                env={**os.environ, "TASK_MASTER_PROJECT_ROOT": root, "TASK_MASTER_TOOLS": mode()},
                pass_fds=(self.folder,), start_new_session=True,
            )  # fmt: skip
        except OSError:
            os.close(self.folder)
            raise
        assert self.child.stdin and self.child.stdout and self.child.stderr
        self.files = (self.child.stdin, self.child.stdout, self.child.stderr)
        self.pipes = [file.fileno() for file in self.files[1:]]
        self.waiter: tuple[int, int] | None = None
        self.errors = b""
        self.rest = b""

    def tell(self, message: Message) -> None:
        """Send it a message."""
        send(self.files[0].fileno(), message)

    def hear(self, ready: Sequence[int]) -> list[Message]:
        """The messages that have come. Raises Failed when it has ended."""
        out, err = self.pipes
        if err in ready:
            self.errors = (self.errors + os.read(err, 65536))[-2000:]
        if out not in ready:
            return []
        data = os.read(out, 65536)
        if not data:
            raise Failed(f"Task Master's MCP server has ended: {self.last_words()}")
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        return [message for message in map(decode, lines) if isinstance(message, dict)]

    def last_words(self) -> str:
        """How it ended: its exit code, and the last lines of its errors."""
        code = self.end(1.0)
        while select.select(self.pipes[1:], [], [], 0)[0]:
            more = os.read(self.pipes[1], 65536)
            if not more:
                break
            self.errors = (self.errors + more)[-2000:]
        lines = [line.strip() for line in self.errors.decode(errors="replace").split("\n") if line.strip()]
        return "; ".join([f"exit code {code}", *lines[-6:]])

    def try_lock(self, wait: float) -> bool:
        """Whether the list is ours now. Where it is not, a child waits in line for it: who only asks again and
        again stays behind those who do."""
        if self.waiter and self.waiter[1] not in select.select([self.waiter[1]], [], [], 0)[0]:
            return False
        if self.waiter and self.stop_waiting():
            return True  # the descriptor that it has locked is this one
        try:
            fcntl.flock(self.folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.wait_in_line(wait)
            return False
        return True

    def wait_in_line(self, seconds: float) -> None:
        """Let a child wait for the lock, not for ever. It ends when it has it; its pipe tells."""
        mine, its = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(int(seconds) + 5)
                for handle in set(range(64)) - {self.folder, its}:
                    try:
                        os.close(handle)  # or others would not see that our end is closed
                    except OSError:
                        pass
                fcntl.flock(self.folder, fcntl.LOCK_EX)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(its)
        self.waiter = (pid, mine)

    def stop_waiting(self) -> bool:
        """End that child, if there is one; whether it has got the lock."""
        if not self.waiter:
            return False
        pid, pipe = self.waiter
        self.waiter = None
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        os.close(pipe)
        return status == 0

    def sources(self) -> list[int]:
        """The descriptors that tell of news."""
        return [*self.pipes, *([self.waiter[1]] if self.waiter else [])]

    def unlock(self) -> None:
        """Let others write, and wait for the lock no more."""
        self.stop_waiting()
        fcntl.flock(self.folder, fcntl.LOCK_UN)

    def end(self, patience: float = 2.0) -> int | None:
        """End it and what it has started; its exit code. Without its stdin it ends by itself."""
        import subprocess

        self.files[0].close()
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            self.signal(number)
            try:
                self.child.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        self.signal(signal.SIGKILL)
        return self.child.returncode

    def signal(self, number: int) -> None:
        """Send it to all in its session."""
        try:
            os.killpg(self.child.pid, number)
        except OSError:
            pass  # there is none left

    def close(self) -> None:
        """End it, and give back all that it took here."""
        self.end()
        self.unlock()
        os.close(self.folder)
        for file in self.files:
            file.close()
