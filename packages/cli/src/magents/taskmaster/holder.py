"""Who holds the lock of a list: a process that can be seen, and ended, by whoever waits for it (Linux)."""

from __future__ import annotations

import contextlib
import os
import re
import time
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import MagentsError
from magents.core.text import one_line
from magents.system import processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Holder(NamedTuple):
    """A process that has a folder locked."""

    pid: int
    program: str
    """What it calls itself."""
    container: str
    """The name of the container that it runs in; '' for none, or where that cannot be told."""


MAX_HOLDERS = 5
"""How many are looked for."""
SEARCH_TIMEOUT_S = 1.0
"""Time to look for them in: an agent can have any number of processes, and these any number of files."""


def words(holders: Sequence[Holder]) -> str:
    """Who they are, for people."""
    named = [
        f"process {one.pid} ({one.program})" + (f" in the container {one.container}" if one.container else "")
        for one in holders
    ]
    return ", ".join(named) or "another process"


def end(holders: Sequence[Holder]) -> str:
    """What to do about them."""
    kill = " ".join(str(one.pid) for one in holders)
    return f"Wait for it, or end it: kill -KILL {kill}" if kill else "Wait for it to end."


def holders(folder: str) -> list[Holder]:
    """The processes that have `folder` locked; empty where none has, or where they cannot be seen.

    /proc/locks names who took a lock, which can have ended since: a child of it that has inherited the file is what
    keeps the lock. So each process that can be looked into is asked for the file itself.
    """
    try:
        about = os.stat(folder)
        pids = processes.ids()
    except OSError:
        return []
    until = time.monotonic() + SEARCH_TIMEOUT_S
    names: dict[str, str] = {}
    holding = (pid for pid in pids if holds(pid, about, until))
    return [holder_of(pid, names) for pid in islice(holding, MAX_HOLDERS)]


def holds(pid: int, about: os.stat_result, until: float) -> bool:
    """Whether a process has a file open that is locked, and is this one."""
    return any("FLOCK" in read(f"/proc/{pid}/fdinfo/{number}") for number in opened(pid, about, until))


def opened(pid: int, about: os.stat_result, until: float) -> Iterator[str]:
    """The numbers under which a process has a file open, as far as the time goes."""
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:  # it has gone, or is somebody else's
        return
    for number in numbers:
        if time.monotonic() > until:
            return
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), about):
                yield number


def holder_of(pid: int, names: dict[str, str]) -> Holder:
    """What is known of a process. `names`: of containers that were asked for already, by their ids."""
    match = re.search(r"[0-9a-f]{64}", read(f"/proc/{pid}/cgroup"))
    id = match[0] if match else ""
    if id and id not in names:
        names[id] = container_name(id)
    return Holder(pid, one_line(read(f"/proc/{pid}/comm"), 30), names.get(id, ""))


def container_name(id: str) -> str:
    """What the engine calls a container; the beginning of its id where it does not tell."""
    from magents.runtimes.docker.engine import docker

    try:
        return docker("inspect", "--format", "{{.Name}}", id, timeout=2).line.removeprefix("/")
    except MagentsError:
        return id[:12]


def read(path: str) -> str:
    """A file of /proc; '' where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65536)
    except OSError:
        return ""
