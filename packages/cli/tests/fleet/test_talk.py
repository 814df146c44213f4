"""Talking to agents that are plain programs: waiting, reading, typing. Claude's part is in test_claude.py."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from conftest import until
from magents import Fleet
from magents.cli.commands.logs import Follower
from magents.core.errors import Conflict, UsageError
from magents.core.text import plain
from magents.system import paths

EVENT = os.path.join(paths.share(), "magents-event")


@pytest.fixture
def make(fleet, project):
    """Make an agent that runs a shell script."""

    def call(script: str, id: str = "one"):
        return fleet.create(id, folder=str(project), command=["sh", "-c", script])

    return call


def test_wait_until_done(fleet, make):
    agent = make("until [ -e go ]; do sleep 0.05; done")
    short = fleet.wait([agent], "done", timeout=0.3)
    assert (short.reached, short.timed_out) == (False, True)
    assert short.states["one"].state == "running"
    Path(agent.workspace, "go").touch()
    waited = fleet.wait([agent], "done", timeout=30)
    assert (waited.reached, waited.timed_out) == (True, False)
    assert waited.states["one"].state == "done"


def test_wait_for_all_of_several(fleet, make):
    first = make("exit 0", "first")
    second = make("until [ -e go ]; do sleep 0.05; done", "second")
    assert fleet.wait([first], "done", timeout=30).reached
    assert fleet.wait([first, second], "done", timeout=0.3).timed_out
    threading.Timer(0.4, Path(second.workspace, "go").touch).start()
    waited = fleet.wait([first, second], "done", timeout=30)
    assert waited.reached
    assert set(waited.states) == {"first", "second"}


def test_wait_gives_up_on_what_cannot_be(fleet, make):
    failed = make("exit 4", "failed")
    running = make("sleep 300", "running")
    waited = fleet.wait([failed, running], "done", timeout=300)
    assert (waited.reached, waited.timed_out) == (False, False)
    assert waited.states["failed"].detail == "exit code 4"
    done = make("exit 0", "done")
    until(lambda: fleet.status(done).state == "done")
    assert fleet.wait([done], "waiting", timeout=30) == (False, False, {"done": fleet.status(done)})


def test_wait_until_stopped(fleet, make):
    agent = make("sleep 300")
    assert fleet.wait([agent], "stopped", timeout=0.2).timed_out
    timer = threading.Timer(0.3, lambda: Fleet().stop(agent))
    timer.start()
    assert fleet.wait([agent], "stopped", timeout=30).reached
    timer.join()
    timer = threading.Timer(0.3, lambda: Fleet().remove(agent))
    timer.start()
    assert fleet.wait([agent], "stopped", timeout=30).reached
    timer.join()
    assert fleet.wait([agent], "stopped", timeout=30).reached  # removed is stopped, too


def test_wait_until_waiting(fleet, project, monkeypatch, place):
    """A stand-in for claude that reports what its hooks would."""
    folder = place.top / "bin"
    folder.mkdir()
    (folder / "claude").write_text(
        f'#!/bin/sh\nsay() {{ {EVENT} "$MAGENTS_FOLDER" claude "$@"; }}\n'
        'say UserPromptSubmit "{}"\nuntil [ -e ask ]; do sleep 0.05; done\n'
        """say PermissionRequest '{"tool_name":"Bash","tool_input":{"command":"rm -rf x"}}'\n"""
        'until [ -e go ]; do sleep 0.05; done\nsay PostToolUse "{}"\nsay Stop "{}"\nexec sleep 300\n'
    )
    (folder / "claude").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    agent = fleet.create("one", folder=str(project), harness="claude", prompt="do it")
    until(lambda: fleet.status(agent).state == "working")
    assert fleet.wait([agent], "waiting", timeout=0.3).timed_out
    Path(agent.workspace, "ask").touch()
    waited = fleet.wait([agent], "waiting", timeout=30)
    assert waited.reached
    assert waited.states["one"].detail == "Bash: rm -rf x"
    assert fleet.wait([agent], "done", timeout=0.3).timed_out


def test_send_types_into_a_plain_program(fleet, make):
    agent = make('while read -r line; do echo "[$line]" >>said; done')
    assert fleet.send(agent, "hello $HOME `x` #{pid}").how == "typed"
    said = Path(agent.workspace, "said")
    until(lambda: said.exists() and said.read_text() == "[hello $HOME `x` #{pid}]\n")
    fleet.send(agent, "two\nlines\x1b[31m\x07")
    until(lambda: said.read_text().endswith("[two]\n[lines]\n"))
    fleet.send(agent, "-flag")
    until(lambda: said.read_text().endswith("[-flag]\n"))
    with pytest.raises(UsageError):
        fleet.send(agent, "")


def test_send_to_what_does_not_run(fleet, make):
    agent = make("exit 0")
    until(lambda: fleet.status(agent).state == "done")
    with pytest.raises(Conflict, match="one is done"):
        fleet.send(agent, "hello")
    fleet.stop(agent)
    with pytest.raises(Conflict, match="one is stopped"):
        fleet.send(fleet.find("one"), "hello")


def test_what_an_agent_says_decides_nothing(fleet, make):
    """Its last words begin as ours do about a program that has ended, and it still waits for the next prompt."""
    tells = 'tell() { "$MAGENTS_EVENT" "$MAGENTS_FOLDER" command "$@"; }'
    agent = make(f"{tells}; tell done 'exit code 3 is gone'; read -r line; tell waiting \"$line?\"; exec sleep 300")
    until(lambda: fleet.status(agent).detail == "exit code 3 is gone")
    assert fleet.wait([agent], "waiting", timeout=0.5).timed_out
    assert fleet.wait([agent], "stopped", timeout=0.5).timed_out
    assert fleet.send(agent, "which one").how == "typed"
    assert fleet.wait([agent], "waiting", timeout=30).reached
    assert fleet.status(agent).detail == "which one?"


HOSTILE = r"printf '\033]0;title\007\033[31mred\033[0m \033Pq#0\033\\ \302\2332J end\n'"


def test_logs_are_free_of_control_sequences(fleet, make):
    agent = make(f"{HOSTILE}; exec sleep 300")
    until(lambda: "end" in "".join(fleet.logs(agent)))
    lines = list(fleet.logs(agent))
    assert "red" in lines[0]
    assert [plain(line) for line in lines] == lines
    assert "\x1b[31m" in "".join(fleet.logs(agent, styled=True))
    fleet.stop(agent)
    assert "red" in fleet.logs(agent)[0]
    assert [plain(line) for line in fleet.logs(agent)] == list(fleet.logs(agent))


def test_logs_reach_far_back(fleet, make):
    agent = make("seq 5000; exec sleep 300")
    until(lambda: "5000" in fleet.logs(agent))
    assert list(fleet.logs(agent)) == [str(n) for n in range(1, 5001)]
    fleet.stop(agent)
    assert list(fleet.logs(agent)) == [str(n) for n in range(1, 5001)]
    fleet.remove(agent)
    assert list(fleet.logs(agent)) == [str(n) for n in range(1, 5001)]


def test_logs_of_an_ended_program_keep_its_last_words(fleet, make):
    agent = make("echo first; echo the last words")
    until(lambda: fleet.status(agent).state == "done")
    until(lambda: fleet.logs(agent)[:2] == ["first", "the last words"])


def test_follower_tells_each_line_once(fleet, make):
    agent = make('n=0; while [ $n -lt 300 ]; do n=$((n+1)); echo "line $n"; sleep 0.005; done; exec sleep 300')
    follower, told = Follower([]), []

    def all_told() -> bool:
        told.extend(follower.next(list(fleet.logs(agent))))
        return "line 300" in told

    until(all_told, 30, pause=0.05)
    assert told == [f"line {n}" for n in range(1, 301)]


def test_follower_waits_until_a_line_is_settled():
    follower = Follower(["old", "thinking."])
    assert list(follower.next(["old", "thinking.."])) == []
    assert list(follower.next(["old", "thinking..."])) == []
    assert list(follower.next(["old", "the answer", "> "])) == []
    assert list(follower.next(["old", "the answer", "> "])) == ["the answer", "> "]
    assert list(follower.next(["old", "the answer", "> "])) == []
    assert list(follower.next(["cleared"])) == []
    assert list(follower.next(["cleared"])) == ["cleared"]
