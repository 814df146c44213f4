"""Typing into agents that are plain programs. Claude's part is in test_claude.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import until
from magents.core.errors import Conflict, UsageError
from magents.system import paths

EVENT = os.path.join(paths.share(), "magents-event")


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
