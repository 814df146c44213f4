"""The processes of this machine: which there are, which carry a mark, and ending them."""

from __future__ import annotations

import os
import signal

from magents.system import process


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
        return [pid for pid in ids() if carries(pid, mark, where)]
    listed = process.run(["ps", "-axwwE", "-o", "pid=,command="], ok=None).text.splitlines()
    pids = [int(line.split(None, 1)[0]) for line in listed if f" {mark} " in f"{line} "]
    return [pid for pid in pids if pid != os.getpid()]


def ids() -> list[int]:
    """The numbers of all processes but this one, from /proc."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def carries(pid: int, mark: str, where: str = "environ") -> bool:
    """Whether a process started with the environment line `mark`, or that word; a zombie does not count."""
    line, text = os.fsencode(mark), b""
    try:
        handle = os.open(f"/proc/{pid}/{where}", os.O_RDONLY | os.O_CLOEXEC)  # half of what a file object takes
        try:
            while more := os.read(handle, 1 << 16):
                text += more
        finally:
            os.close(handle)
    except OSError:
        return False
    return line in text and line in text.split(b"\0")
