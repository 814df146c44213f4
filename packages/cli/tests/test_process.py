"""The door to other programs."""

from __future__ import annotations

import os
import signal
import time

import pytest

from magents import process
from magents.errors import CommandFailed, MagentsError


@pytest.mark.parametrize("merge", [True, False])
def test_a_time_limit_holds_whatever_was_started(tmp_path, merge):
    """What the command leaves behind has its pipes, and would keep whoever reads them to their end."""
    pid = tmp_path / "pid"
    words = ["sh", "-c", f"echo said; sleep 120 & echo $! >'{pid}'; wait"]
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="took too long") as caught:
        process.run(words, timeout=0.5, merge_output=merge)
    assert time.monotonic() - began < 30
    assert caught.value.output == "said\n"
    os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("given", [None, b"x"])
def test_a_command_that_prints_without_end_is_ended(monkeypatch, given):
    monkeypatch.setattr(process, "MOST", 1 << 20)
    with pytest.raises(MagentsError, match="printed more than 1 MiB, and was ended"):
        process.run(["yes"], stdin=given)


def test_a_slow_reader_gets_all_its_input():
    given = b"x" * 1_000_000
    assert process.run(["sh", "-c", "sleep 0.4; wc -c"], stdin=given).text.strip() == "1000000"
