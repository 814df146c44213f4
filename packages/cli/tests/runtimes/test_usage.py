"""The kernel's counters of containers, in both of its layouts (cgroups(7)), and how they are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from magents.runtimes.docker import usage

MIB = 1024 * 1024
ONE = {
    "memory.current": 20 * MIB, "memory.max": "max", "memory.stat": f"anon 5\ninactive_file {8 * MIB}\n",
    "cpu.stat": "usage_usec 2500000\nuser_usec 1\n", "pids.current": 7,
}  # fmt: skip
MANY = {
    "memory/x/memory.usage_in_bytes": 20 * MIB, "memory/x/memory.limit_in_bytes": 64 * MIB,
    "memory/x/memory.stat": f"inactive_file 1\ntotal_inactive_file {8 * MIB}\n",
    "cpuacct/x/cpuacct.usage": 2_500_000_000, "pids/x/pids.current": 7,
}  # fmt: skip


def files(top: Path, texts: dict[str, object]) -> None:
    for name, text in texts.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(f"{text}\n")


@pytest.mark.parametrize(("texts", "group", "most"), [
    (ONE, {"": "/"}, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")),
    (MANY, {"memory": "/x", "cpuacct": "/x", "pids": "/x"}, 64 * MIB),
])  # fmt: skip
def test_both_layouts(tmp_path, monkeypatch, texts, group, most):
    files(tmp_path, texts)
    monkeypatch.setattr(usage, "TOP", str(tmp_path))
    found = usage.measured(group)
    assert found is not None
    assert found[1:] == (12 * MIB, most, 2.5, 7)


@pytest.mark.parametrize("group", [{}, {"": "/gone"}, {"memory": "/gone"}])
def test_what_is_gone_is_not_known(group):
    assert usage.measured(group) is None


def test_the_process_of_another_machine_tells_nothing():
    """A number from an engine elsewhere may well be that of some process here."""
    assert usage.groups(str(os.getpid()), "0123456789abcdef") == {}
    assert usage.groups("0", "x") == usage.groups("", "x") == usage.groups("<no value>", "x") == {}


@pytest.mark.parametrize(("count", "said"), [
    (0, "0B"), (1023, "1023B"), (1024, "1KiB"), (438272, "428KiB"), (25276063744, "23.54GiB"), (1 << 60, "1.049e+06TiB"),
])  # fmt: skip
def test_sizes(count, said):
    assert usage.size(count) == said
