"""Ending a container, also one whose agent keeps the engine from it."""

from __future__ import annotations

import os
import signal

from magents.runtimes.docker.engine import Silent, docker
from magents.system import processes

END_TIMEOUT_S = 20
"""Seconds that the engine gets to end a container, and to delete one."""


def end(*words: str, container: str) -> None:
    """Run `docker WORDS CONTAINER`, which ends it.

    An agent can keep the engine from that: the engine waits for each program that it starts in the container, and
    such a program runs as the agent's user from its very beginning. So what the engine does not end in time is
    ended here.
    """
    try:
        docker(*words, container, timeout=END_TIMEOUT_S)
    except Silent:
        if not kill(container):
            raise
        docker(*words, container, timeout=END_TIMEOUT_S)


def kill(container: str) -> bool:
    """Kill all that runs in a container; False where none of it is found on this machine."""
    found = [pid for pid in processes.ids() if is_in(container, pid)] if os.path.isdir("/proc/self") else []
    for pid in found:
        processes.end(pid, signal.SIGKILL)
    return bool(found)


def is_in(container: str, pid: int) -> bool:
    """Whether a process is in this container: the kernel's groups have the engine's number of it as their name."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            return container in file.read()
    except OSError:
        return False
