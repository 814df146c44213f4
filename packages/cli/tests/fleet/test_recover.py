"""What killed commands have left is mended once, beside all other agents, and whoever comes after need not wait."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from conftest import make_project, until
from magents import Fleet
from magents.core.agent import Agent

SLEEP = ["sleep", "300"]
HANGS = """#!/bin/sh
while [ -e "$0.hangs" ]; do sleep 0.1; done
exit 1
"""


@pytest.fixture
def cut(fleet: Fleet, project: Path) -> Agent:
    """An agent whose removal was killed before its work was pinned."""
    agent = fleet.create("new", "cut", folder=str(project), command=SLEEP)
    Path(agent.workspace, "unsaved.txt").write_text("unsaved\n")
    fleet.stop(agent)
    return fleet.context.store.update(agent, phase="removing")


def test_a_recovery_that_hangs_keeps_nobody_waiting(cut, fleet, project, place, magents):
    script = place.top / "monitor"
    script.write_text(HANGS)
    script.chmod(0o755)
    hangs = Path(f"{script}.hangs")
    hangs.touch()
    with (project / ".git/config").open("a") as file:
        file.write(f"[core]\n\tfsmonitor = {script}\n")
    other = make_project(place.top / "other")
    began = time.monotonic()
    said = magents("create", "first", "--", *SLEEP, cwd=other)
    assert "cut: removing was cut short, and is mended in the background" in said.err
    assert time.monotonic() - began < 15
    assert fleet.context.store.busy("cut")
    assert "cut" not in magents("create", "second", "--", *SLEEP, cwd=other).err
    assert fleet.context.store.busy("cut")
    hangs.unlink()
    until(lambda: fleet.removed())
    assert Path(fleet.restore(fleet.find_removed("cut"))[0].workspace, "unsaved.txt").read_text() == "unsaved\n"


def test_one_that_fails_is_tried_again_only_on_demand(cut, fleet, magents, project):
    link = Path(cut.workspace, ".git")
    text = link.read_text()
    link.write_text("gitdir: /nowhere\n")
    assert "cannot be mended" in magents("create", "first", "--", *SLEEP).err
    assert "cut" not in magents("create", "second", "--", *SLEEP).err
    assert fleet.find("cut").phase == "removing"
    assert "cannot be mended" in " ".join(fleet.doctor(fix=True).fixed)
    link.write_text(text)
    assert fleet.recover() == []
    assert fleet.recover(again=True) == ["cut: its removal was cut short, and has been completed"]


def test_a_command_about_the_agent_tries_again(cut, fleet, magents):
    link = Path(cut.workspace, ".git")
    text = link.read_text()
    link.write_text("gitdir: /nowhere\n")
    assert "cannot be mended" in " ".join(fleet.recover())
    link.write_text(text)
    magents("stop", "cut", "--remove-worktree")
    assert [agent.id for agent in fleet.removed()] == ["cut"]
