"""The diamond of eight tasks in containers: the real Claude Code, a conflict, a failing check, an agent that dies, and a
watcher that is killed."""

from __future__ import annotations

import random
import subprocess

import pytest

from magents.testing import standin
from magents.testing.standin import homes
from taskmaster import diamond
from taskmaster.lab import put

from .conftest import Box, bridge, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("agents")]

KILLS = 2


@pytest.fixture
def claude(docker_mode, monkeypatch):
    """The stand-in where containers reach it."""
    for name in ("ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", homes.KEY)
    monkeypatch.setenv("MAGENTS_API_KEYS", "ANTHROPIC_BASE_URL")
    with standin.serve(host=bridge(), says=diamond.says) as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        yield


def test_a_diamond_in_containers(fleet, place, project, claude, unique):
    # A tag of its own: containers are named after agents, and these after their tasks.
    put(project, {unique: {"tasks": diamond.listed(), "metadata": {}}})
    diamond.begin(project)
    options = ("--docker", "--tag", unique)
    dice, events = random.Random(), []
    for _ in range(KILLS):
        child = diamond.watching(project, *options)
        try:
            child.wait(dice.uniform(2, 12))
        except subprocess.TimeoutExpired:
            child.kill()
        events += diamond.told(child, 20)
    child = diamond.watching(project, *options)
    events += diamond.told(child, 400)
    print("\n".join(f"{e['event']} {e['task']} {e['text']}" for e in events))
    assert child.returncode == 0

    diamond.whole(project, place.top)
    live = fleet.context.store.live()
    died = next(agent for agent in live if agent.task == f"{unique}:4")
    stuck = fleet.context.store.history(died, "stuck")
    assert any(entry.text.startswith("was stuck: it has ended: exit code 137") for entry in stuck)
    assert len(live) == 8 and {agent.phase for agent in live} <= {"active", "stopped"}
    theirs = docker("ps", "--all", "--format", "{{.Names}}", "--filter", f"label=magents.project={project}").split()
    assert set(theirs) == {f"magents-{agent.id}" for agent in live}

    # What Task Master itself says, in a container.
    fleet.start(died)
    shown = Box(f"magents-{died.id}").sh(f"task-master list --tag {unique} --json")
    assert diamond.known(shown) == ["done"] * 8
