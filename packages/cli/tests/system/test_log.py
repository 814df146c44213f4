"""The log of unexpected errors: what stands in it, what never does, and that nothing is lost over it."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
import time

import pytest

from conftest import run, until
from magents.core.agent import Agent
from magents.core.errors import MagentsError
from magents.system import log
from magents.system.isolated import isolated

KEY = "sk-ant-0123456789abcdefghij"
CRASH = """\
import sys
from magents.system import log
def meet(text): raise ValueError(text)
try: meet(sys.argv[1])
except ValueError as error: sys.exit(log.unexpected(error, sys.argv[2:]) or 0)
"""


def crash(text: str, *words: str, code: int = 0, **env: str):
    """Have a process of its own write down an error with this text."""
    return run(sys.executable, "-c", CRASH, text, *words, code=code, **env)


def text() -> str:
    with open(log.path(), encoding="utf-8") as file:
        return file.read()


@pytest.fixture
def broken(fleet, project) -> Agent:
    """An agent whose row in the store has been damaged."""
    agent = fleet.create("one", folder=str(project), command=("sleep", "300"))
    damage(fleet, agent, "command", "no JSON")
    return agent


def damage(fleet, agent: Agent, column: str, value: str) -> None:
    with sqlite3.connect(fleet.context.store.path) as base:
        base.execute(f"UPDATE agents SET {column} = ? WHERE key = ?", (value, agent.key))
    base.close()


def test_a_command_that_meets_a_defect_says_where_its_traceback_is(broken, magents):
    done = magents("list", code=1)
    assert "Traceback" not in done.err and len(done.err.strip().splitlines()) == 2
    assert "a defect of Magents: JSONDecodeError: " in done.err and log.path() in done.err
    assert stat.S_IMODE(os.stat(log.path()).st_mode) == 0o600
    first, *rest = text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ magents list: json\.decoder\.JSONDecodeError: .*", first)
    assert rest[0] == "   Traceback (most recent call last):" and all(line.startswith("   ") for line in rest)
    assert re.fullmatch(r"   magents \d.*, Python 3\..*, git \d.*, tmux \d.*, (Linux|Darwin) .*", rest[-1])
    for words, env in (
        (("--verbose", "list"), {}),
        (("list", "--verbose"), {}),
        (("list",), {"MAGENTS_VERBOSE": "1"}),
    ):
        shown = magents(*words, code=1, **env).err
        assert "a defect of Magents" in shown and 'File "' in shown and "json.loads" in shown
    # The same again and again, as by `list --watch`, is written once.
    magents("list", code=1)
    assert text().count(" magents list:") == 1


def test_doctor_shows_the_last_errors_with_their_time(broken, fleet, magents):
    magents("list", code=1)
    damage(fleet, broken, "command", "[]")
    said = magents("doctor", code=None).out
    assert re.search(r"--  error: \d{4}-\d\d-\d\d \d\d:\d\d magents list: json\.decoder\.JSONDecodeError", said)
    for record in range(5):
        crash(f"number {record}", "list")
    said = magents("doctor", code=None).out
    assert re.findall(r"number \d", said) == ["number 4", "number 3", "number 2"]
    with open(log.path(), "w", encoding="utf-8") as file:
        file.write("2020-01-01T00:00:00Z magents list: ValueError: long ago\n")
    assert "error: " not in magents("doctor", code=None).out


def test_verbose_shows_where_a_refusal_came_from(magents, project):
    quiet, shown = (magents(*words, code=1).err for words in (("diff", "none"), ("--verbose", "diff", "none")))
    assert quiet in shown and "Traceback" not in quiet and "NotFound" in shown
    assert not os.path.exists(log.path())


def test_a_recovery_that_meets_a_defect(fleet, project):
    agent = fleet.create("one", folder=str(project), command=("sleep", "300"))
    damage(fleet, agent, "phase", "removing")
    damage(fleet, agent, "command", "no JSON")
    command = (sys.executable, "-m", "magents.fleet.recover", fleet.context.store.folder, str(agent.key))
    run(*command, code=1)
    assert " magents recovery: json.decoder.JSONDecodeError" in text()


def test_a_collector_that_meets_a_defect(fleet, project):
    agent = fleet.create("one", folder=str(project), command=("sleep", "300"))
    damage(fleet, agent, "command", "no JSON")
    run(sys.executable, "-m", "magents.daemon.collector", fleet.context.store.folder, code=1)
    assert " magents collector: json.decoder.JSONDecodeError" in text()


def test_what_one_agent_makes_our_code_raise(place):
    with pytest.raises(MagentsError, match="x: ZeroDivisionError"), isolated("x"):
        raise ZeroDivisionError("a defect")
    assert "ZeroDivisionError: a defect" in text() and "test_log.py" in text()


HARNESS = """\
from magents.harnesses import Record
from magents.harnesses.base import Harness
class Plug(Harness):
    name = "plug"
    def start(self, start): raise KeyError(start.prompt)
RECORD = Record("plug", "Plug", "plug:Plug")
"""


def test_what_a_plugin_raises(place, project, magents):
    site, info = place.top / "site", place.top / "site/plug-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "plug.py").write_text(HARNESS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[magents.harnesses]\nplug = plug:RECORD\n")
    words = ("create", "x", "--agent", "plug", "--prompt", "a secret plan")
    said = magents(*words, code=1, PYTHONPATH=str(site)).err
    assert "the harness `plug`: KeyError" in said and log.path() in said and "Traceback" not in said
    assert "magents create … --agent … --prompt …: KeyError: '…'" in text()
    assert 'plug.py", line 5, in start' in text() and "secret" not in text()


def test_no_key_and_no_prompt_stands_in_it(place, monkeypatch):
    (place.home / ".magents-config").write_text("API_KEYS=MY_LOGIN\nexport SOME_TOKEN='of-the-file'\n")
    secrets = {
        "ANTHROPIC_API_KEY": "of-anthropic", "MY_LOGIN": "of-my-login", "DB_PASSWORD": "of-the-base",
        "CERT_KEY": "first line\nsecond line", "SSH_AUTH_SOCK": "/tmp/agent.7",
    }  # fmt: skip
    told = f"{' '.join(secrets.values())} of-the-file {KEY} https://me:my-word@host/ OTHER_KEY=of-another"
    told += ' {"password": "of-json"} Authorization: Bearer of-bearer value-of-env the\nprompt id-1'
    words = (
        "create",
        "id-1",
        "--prompt",
        "the\nprompt",
        "--env=X=value-of-env",
        "--env",
        "Y=value-of-y",
        "--",
        "sh",
        KEY,
    )
    crash(told + " value-of-y", *words, **secrets)
    for secret in ("first line", "second line", "agent.7", "of-", KEY, "my-word", "value-", "prompt\n"):
        assert secret not in text().replace("--prompt", ""), secret
    assert "magents create … --prompt … --env --env … … … …: ValueError: " in text()
    assert "https://me:…@host/" in text() and "id-1" in text()


def test_it_is_bounded_and_what_was_before_is_kept_once(place):
    os.makedirs(place.state)
    for name in (log.path(), f"{log.path()}.1"):
        with open(name, "w", encoding="utf-8") as file:
            file.write(f"{name}\n" + "   x\n" * (log.MAX_LOG_BYTES // 5))
    crash("new", "list")
    assert text().count("\n") < 30 and "ValueError: new" in text()
    with open(f"{log.path()}.1", encoding="utf-8") as file:
        assert file.readline() == f"{log.path()}\n"
    crash("é" * 60_000 + "the end", "list")
    assert "the end" in text() and os.path.getsize(log.path()) < 2 * log.MAX_RECORD_BYTES
    assert [record.summary.split(":")[0] for record in log.last(5)] == ["magents list"] * 2


def test_many_write_at_once(place):
    many = [
        subprocess.Popen([sys.executable, "-c", CRASH, f"number {number:02} {'x' * 20_000}", "list"])
        for number in range(12)
    ]
    assert [process.wait(60) for process in many] == [0] * 12
    assert sorted(re.findall(r"\n   ValueError: (number \d\d) x{20000}\n", text())) == [
        f"number {n:02}" for n in range(12)
    ]
    assert len(log.last(100)) == 12 and text().count("Traceback") == 12


def test_whoever_holds_it_up_keeps_nobody_waiting(place):
    os.makedirs(place.state)
    with subprocess.Popen(["flock", place.state, "sleep", "60"]) as holder:
        until(lambda: subprocess.run(["flock", "-n", place.state, "true"], check=False).returncode == 1)
        began = time.monotonic()
        crash("late", "list")
        assert time.monotonic() - began < 20 and "ValueError: late" in text()
        holder.terminate()


def test_a_log_that_cannot_be_written_hides_no_error(broken, magents):
    os.mkdir(log.path())
    said = magents("list", code=1).err
    assert "a defect of Magents: JSONDecodeError" in said and "could not be written down: Is a directory" in said
    assert "Traceback" in said  # so that it is not lost


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
def test_a_full_disk_hides_no_error(broken, magents):
    os.symlink("/dev/full", log.path())
    said = magents("list", code=1).err
    assert (
        "a defect of Magents: JSONDecodeError" in said
        and "could not be written down: No space left" in said
        and "Traceback" in said
    )


def test_what_a_full_disk_has_cut_short_is_taken_back(place):
    crash("first", "list")
    before = text()
    limited = ["sh", "-c", f'ulimit -f {len(before) // 512 + 1}; exec "$@"', "sh"]
    run(*limited, sys.executable, "-B", "-c", CRASH, "second " + "x" * 2000, "list", code=1)
    assert text() == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
def test_output_that_finds_no_room_is_no_defect(fleet, place):
    """The disk that takes the output is full: that is told once, and nothing of it is written down as unexpected."""
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "magents", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=buffered,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device")
    assert "defect" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_nothing_that_a_terminal_obeys_is_written_down(place):
    """The words of an error can be an agent's, and people read the log with `cat`."""
    crash("one\x1b]0;owned\x07two\x9b31m\rthree", "list")
    with open(log.path(), "rb") as file:
        assert not {0x1B, 0x07, 0x0D} & set(written := file.read())
    assert "\x9b" not in written.decode()
    assert "onetwo" in written.decode()
