"""Waiting for agents that are plain programs. Claude's part is in test_claude.py."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from conftest import until
from magents import Fleet
from magents.system import paths

EVENT = os.path.join(paths.share(), "magents-event")


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
