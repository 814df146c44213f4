"""The door to other programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import until
from magents.core.errors import CommandFailed, MagentsError, Missing
from magents.system import process
from magents.system.process import feeding
from magents.system.there import run_there


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


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="ps would have to be asked again and again")
def test_what_is_late_in_another_place_is_ended_there(tmp_path):
    pid = tmp_path / "pid"
    with pytest.raises(CommandFailed, match="took too long"):
        words = ["sh", "-c", f"sleep 120 & echo $! >'{pid}'; kill -STOP $!; wait"]
        run_there(lambda argv, tty=False: ["nice", *argv], words, timeout=0.5)
    until(lambda: not alive(int(pid.read_text())))


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended may not have been waited for."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("given", [None, b"x"])
def test_a_command_that_prints_without_end_is_ended(monkeypatch, given):
    monkeypatch.setattr("magents.system.process.running.MAX_OUTPUT_BYTES", 1 << 20)
    with pytest.raises(MagentsError, match="printed more than 1 MiB, and was ended"):
        process.run(["yes"], stdin=given)
    with pytest.raises(MagentsError, match="printed more than 2 MiB, and was ended"):
        process.run(["yes"], stdin=given, max_output_bytes=2 << 20)


def test_a_slow_reader_gets_all_its_input():
    given = b"x" * 1_000_000
    assert process.run(["sh", "-c", "sleep 0.4; wc -c"], stdin=given).text.strip() == "1000000"


def test_the_limit_holds_for_one_that_has_closed_its_pipes():
    with pytest.raises(CommandFailed, match="took too long"):
        process.run(["sh", "-c", "exec >&- 2>&-; sleep 60"], timeout=0.3)


def test_where_the_system_cannot_tell_of_an_end(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert process.run(["sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 3"], ok=[3]).code == 3
    with pytest.raises(CommandFailed, match="took too long"):
        process.run(["sh", "-c", "exec >&- 2>&-; sleep 60"], timeout=0.3)


def test_a_signal_that_python_ignores_ends_a_program():
    assert process.run(["sh", "-c", "kill -PIPE $$"], ok=None).code == -signal.SIGPIPE


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_it_inherits_nothing_but_what_it_is_to_keep(tmp_path):
    """A tmux server would hold the lock of whoever has called for as long as it lives."""
    with (tmp_path / "given").open("w") as given, (tmp_path / "kept").open("w") as kept:
        os.set_inheritable(given.fileno(), True)
        listed = process.run(["sh", "-c", "ls -l /proc/$$/fd"], keep=[kept.fileno()]).text
    assert str(tmp_path / "kept") in listed
    assert str(tmp_path / "given") not in listed


def test_one_whose_standard_files_are_closed_can_call_programs(tmp_path):
    script = f"""
from magents.system import process
open({os.fspath(tmp_path / "said")!r}, "w").write(process.run(["sh", "-c", "cat; echo out; echo err >&2"], stdin=b"in ").text)
"""
    subprocess.run(["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, script], check=True, timeout=60)
    assert (tmp_path / "said").read_text() == "in out\n"


def test_the_ends_of_children_may_be_ignored():
    script = 'import signal; signal.signal(17, 1); from magents.system import process; print(process.run(["echo", "x"]).line)'
    done = subprocess.run([sys.executable, "-c", script], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "x\n"


def test_in_a_folder(tmp_path):
    folder = tmp_path / "-a b$c"
    folder.mkdir()
    assert process.run(["pwd"], cwd=str(folder)).line == str(folder)
    assert process.run(["sh", "-c", 'echo "$1"', "sh", "'\" $x"], cwd=str(folder)).line == "'\" $x"
    with pytest.raises(Missing, match="does not exist"):
        process.run(["pwd"], cwd=str(folder / "none"))
    with pytest.raises(Missing, match="`no-such-program` was not found"):
        process.run(["no-such-program"], cwd=str(folder))


def test_one_that_cannot_be_run(tmp_path):
    with pytest.raises(Missing, match="`no-such-program` was not found"):
        process.run(["no-such-program"])
    with pytest.raises(Missing, match="may not be run"):
        process.run([str(tmp_path)])


def test_feeding_one_that_ends_before_its_time():
    with (
        feeding.Feeding(["sh", "-c", "echo no more >&2; exit 3"]) as git,
        pytest.raises(CommandFailed, match="no more"),
    ):
        for _ in range(100):
            git.write(b"x" * 100_000)
