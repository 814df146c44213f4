"""What containers use of what they may have: memory, processors, processes.

The kernel counts it, and where the engine runs on this machine its counters are files that anybody may read:
that takes milliseconds, however many containers there are. `docker stats` waits for one to two seconds, and for
longer where containers come and go. So it is asked only of an engine that is elsewhere, or in a virtual machine.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from magents.runtimes.docker.engine import docker
from magents.system import process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from magents.runtimes.docker.engine import Container

TOP = "/sys/fs/cgroup"
"""Where the kernel's counters are (cgroups(7))."""
BETWEEN_S = 0.1
"""Seconds between the two looks from which the use of processors is computed."""
STATS_TIMEOUT_S = 10
"""Seconds that `docker stats` gets."""
INSPECT_TIMEOUT_S = 5
"""Seconds that the engine gets to list their processes: one container can keep it from that."""
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Use(NamedTuple):
    """What a container uses at one moment."""

    at: float
    """Seconds of a clock that only goes forward."""
    memory: int
    """Bytes, without those of files that the kernel can let go of at once."""
    most: int
    """Bytes that it may have; those of the machine where nothing less is said."""
    processors: float
    """Seconds of processors' time since it began."""
    processes: int


def usage(seen: Sequence[Container]) -> dict[str, str]:
    """The use of each of these running containers, by their names, for people. One that ends meanwhile is left
    out. Raises as `docker` does."""
    if not seen:
        return {}
    groups = found(seen)
    before = {name: use for name, group in groups.items() if (use := measured(group))}
    if not before:
        return asked(seen)
    time.sleep(BETWEEN_S)
    told = {}
    for row in seen:
        if row.name in before and (now := measured(groups[row.name])):
            then = before[row.name]
            share = 100 * max(0.0, now.processors - then.processors) / (now.at - then.at)
            told[row.name] = line(row, f"{size(now.memory)}/{size(now.most)}", f"{share:.2f}%", str(now.processes))
    return told


def line(row: Container, memory: str, share: str, processes: str) -> str:
    """For people."""
    cpus, pids = row.label.get("cpus", "?"), row.label.get("pids", "?")
    return f"{memory} {share} of {cpus} cpu {processes}/{pids} pids"


def found(seen: Sequence[Container]) -> dict[str, dict[str, str]]:
    """The groups that the kernel counts for, by the container's name; see `groups`. In one call."""
    words = ("docker", "inspect", "--type", "container", "--format", "{{.Id}} {{.State.Pid}}")
    # With an exit code other than 0 it has told of the others.
    rows = process.run(
        [*words, *(row.container for row in seen)], timeout=INSPECT_TIMEOUT_S, ok=None
    ).text.splitlines()
    pids = {id: pid for id, _, pid in (row.partition(" ") for row in rows)}
    return {row.name: groups(pids.get(row.container, ""), row.container) for row in seen}


def groups(pid: str, container: str) -> dict[str, str]:
    """The container's folder for each counter: `memory`, `pids`, `cpuacct`; '' where one is for all. `pid`: of its
    first process. Nothing where that number is not this machine's: then the process is another one.
    """
    try:
        with open(f"/proc/{int(pid)}/cgroup", encoding="utf-8", errors="replace") as file:
            rows = [row.rstrip("\n").split(":", 2) for row in file]
    except (OSError, ValueError):
        return {}
    # What runs inside may have made groups of its own below the container's.
    mine = [(names, re.match(f".*{re.escape(container)}[^/]*", path)) for _, names, path in rows]
    return {name: path[0] for names, path in mine if path for name in names.split(",")}


def measured(group: dict[str, str]) -> Use | None:
    """What is used now; None where it cannot be read."""
    try:
        return of_many(group) if "memory" in group else of_one(group[""])
    except (OSError, ValueError, LookupError):
        return None


def of_one(path: str) -> Use:
    """The second version of the kernel's groups (cgroup-v2): one folder for all."""
    top = TOP + path
    cold = field(f"{top}/memory.stat", "inactive_file")
    return Use(
        time.monotonic(), max(0, int(read(f"{top}/memory.current")) - cold), bounded(read(f"{top}/memory.max")),
        field(f"{top}/cpu.stat", "usage_usec") / 1e6, int(read(f"{top}/pids.current")),
    )  # fmt: skip


def of_many(group: dict[str, str]) -> Use:
    """The first version: a folder for each kind of thing."""
    memory, processors, pids = (f"{TOP}/{name}{group[name]}" for name in ("memory", "cpuacct", "pids"))
    cold = field(f"{memory}/memory.stat", "total_inactive_file")
    return Use(
        time.monotonic(), max(0, int(read(f"{memory}/memory.usage_in_bytes")) - cold),
        bounded(read(f"{memory}/memory.limit_in_bytes")),
        int(read(f"{processors}/cpuacct.usage")) / 1e9, int(read(f"{pids}/pids.current")),
    )  # fmt: skip


def read(path: str) -> str:
    """A counter. Raises OSError."""
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def field(path: str, name: str) -> int:
    """A counter in a file of several. Raises LookupError, OSError."""
    return int(dict(row.split(" ", 1) for row in read(path).splitlines())[name])


def bounded(most: str) -> int:
    """A limit of memory in bytes: at most what the machine has."""
    all_there_is = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(int(most), all_there_is) if most.isdigit() else all_there_is


def size(count: float) -> str:
    """Bytes as docker tells them: four digits at most."""
    unit = 0
    while count >= 1024 and unit < len(UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.4g}{UNITS[unit]}"


def asked(seen: Sequence[Container]) -> dict[str, str]:
    """The same by `docker stats`."""
    form = "{{.Name}}\t{{.MemUsage}}\t{{.CPUPerc}}\t{{.PIDs}}"
    # Of all there are: asked for one that ends just now, docker would tell nothing of the others.
    answer = docker("stats", "--no-stream", "--format", form, timeout=STATS_TIMEOUT_S).text.splitlines()
    cells = {row.split("\t")[0]: row.split("\t")[1:] for row in answer if row.count("\t") == 3}
    return {
        row.name: line(row, memory.replace(" ", ""), share, processes)
        for row in seen
        for memory, share, processes in [cells.get(row.name, ["--", "", ""])]
        if not memory.startswith("--")
    }
