"""What can go wrong with engine, image and container: a clear word or a truthful status, and nothing half-made."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import Magents, Place, containers, git, run, until, work_of
from magents import Fleet
from magents.model import Agent

from .conftest import Box, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SLEEP = ("--", "sleep", "300")
KILLS = 10
"""Of each command."""


@pytest.fixture
def agent(docker_mode: str, project: Path, magents: Magents, unique: str, fleet: Fleet) -> Agent:
    magents("create", "feature/x", f"ill{unique}", "--docker", *SLEEP)
    return fleet.find(f"ill{unique}")


def state(fleet: Fleet, agent: Agent) -> tuple[str, str]:
    """What the agent does, and what is said of it."""
    seen = next(view.status for view in fleet.list().views if view.agent.id == agent.id)
    return seen.state, seen.detail


def nothing_made(place: Place, project: Path, *known: str) -> None:
    """No container, workspace, branch, ref or record but those of the known agents."""
    assert {view.agent.id for view in Fleet().list().views if not view.orphan} == set(known)
    beside = place.top / "project-agents"
    made = [name for name in os.listdir(beside) if not name.startswith(".")] if beside.is_dir() else []
    assert set(made) == set(known)
    refs = git("for-each-ref", "--format=%(refname)", cwd=project).splitlines()
    assert len([ref for ref in refs if ref.startswith("refs/heads/")]) == 1 + len(known)
    assert {ref.split("/")[2] for ref in refs if ref.startswith("refs/magents/")} <= set(known)


def test_without_an_engine(agent, magents, fleet, place, project, unique):
    magents("create", "here", f"tm{unique}", "--tmux", *SLEEP)
    dead = {"DOCKER_HOST": f"unix://{place.top}/dead.sock"}
    said = magents("create", "y", f"no{unique}", "--docker", *SLEEP, code=None, **dead)
    assert said.code
    assert "engine does not answer" in said.err
    listed = magents("list", code=None, **dead)
    row = next(line for line in listed.out.splitlines() if f"tm{unique}" in line)
    assert "running" in row
    assert agent.id in listed.out
    assert "does not answer" in listed.err
    for words in (["stop", agent.id], ["stop", agent.id, "--remove-worktree"], ["diff", agent.id], ["doctor"]):
        done = magents(*words, code=None, **dead)
        assert "engine does not answer" in done.out + done.err, words
        assert "Traceback" not in done.err
        assert done.code or words == ["doctor"]
    nothing_made(place, project, agent.id, f"tm{unique}")
    assert state(fleet, agent)[0] == "running"
    magents("diff", agent.id)


def test_a_missing_image_says_how_to_build_it(docker_mode, project, magents, place):
    said = magents("create", "x", "--docker", *SLEEP, code=None, MAGENTS_DOCKER_IMAGE="none/such:here")
    assert said.code
    assert "There is no image none/such:here" in said.err
    assert "magents image build" in said.err
    nothing_made(place, project)


def test_a_name_that_a_foreign_container_has(docker_mode, project, magents, place, unique, image):
    name = f"magents-own{unique}"
    docker("run", "-d", "--name", name, "--entrypoint", "sleep", image, "300")
    try:
        said = magents("create", "x", f"own{unique}", "--docker", *SLEEP, code=None)
        assert said.code
        assert name in said.err
        assert docker("inspect", "-f", "{{.State.Running}}", name) == "true\n"
        assert containers(place) == []
        assert not (place.top / f"project-agents/own{unique}").exists()
        assert git("branch", "--format=%(refname:short)", cwd=project) == "main"
    finally:
        docker("rm", "-f", "-v", name)


@pytest.mark.parametrize("how", [("kill",), ("rm", "--force"), ("pause",), ("stop", "--time", "1")])
def test_a_container_is_ended_behind_our_back(agent, magents, fleet, how):
    box = Box(f"magents-{agent.id}")
    box.sh("echo work >work.txt; git add work.txt; git commit -qm Work; echo more >more.txt")
    before = work_of(agent)
    docker(*how, box.name)
    shown, about = state(fleet, agent)
    if how[0] == "pause":
        assert "paused" in about
    else:
        assert shown in ("failed", "lost", "stopped"), (shown, about)
    if how[0] != "pause":
        assert "+work" in magents("diff", agent.id).out
    magents("start", agent.id, code=None)
    if how[0] == "pause":
        docker("unpause", box.name, code=None)
    assert state(fleet, agent)[0] == "running"
    assert work_of(agent) == before
    box.sh("test -e more.txt")
    magents("stop", agent.id, "--remove-worktree")


def test_a_mount_that_cannot_be_made(docker_mode, project, magents, place):
    said = magents("create", "x", "--docker", *SLEEP, code=None,
                   MAGENTS_DOCKER_OPTIONS="--mount type=bind,source=/nowhere/at/all,target=/x")  # fmt: skip
    assert said.code
    assert "/nowhere/at/all" in said.err
    assert "Traceback" not in said.err
    assert containers(place) == []
    nothing_made(place, project)


class Killer:
    """Starts commands and kills them at a random moment."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
        self.random = random.Random(self.seed)

    def __call__(self, longest: float, *words: str) -> bool:
        """Whether it was killed, and had not ended before."""
        running = subprocess.Popen(
            [sys.executable, "-m", "magents", *words], cwd=self.project,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(self.random.uniform(0.05, longest))
        running.kill()
        return running.wait(20) == -9


def alive(fleet: Fleet, end: str) -> set[str]:
    """This test's agents: `doctor --fix` gives those of others on this engine a record as well."""
    return {agent.id for agent in fleet.context.store.live() if agent.id.endswith(end)}


def settle(fleet: Fleet, magents: Magents, id: str) -> None:
    """The next command comes once the killed one's children have ended."""
    until(lambda: not fleet.context.store.busy(id), 30, "the end of the killed command's children")
    magents("doctor", "--fix", code=None)
    assert fleet.context.store.unsettled() == []


def test_kills(docker_mode, project, magents, fleet, place, unique):
    """Create, remove and restore are killed again and again: nothing lost, nothing half-made."""
    kill, id = Killer(project), f"kill{unique}"
    began = time.monotonic()
    magents("create", "k", id, "--docker", *SLEEP)
    took = time.monotonic() - began
    magents("stop", id, "--remove-worktree")
    kills = {"create": 0, "stop": 0, "restore": 0}
    end = time.monotonic() + 300
    number = 0
    while min(kills.values()) < KILLS and time.monotonic() < end:
        number += 1
        new = f"k{number}{unique}"
        kills["create"] += kill(took, "create", f"k{number}", new, "--docker", *SLEEP)
        settle(fleet, magents, new)
        live = alive(fleet, unique)
        nothing_kept_of_the_failed(place, project, new, live)
        if new not in live:
            magents("create", f"k{number}", new, "--docker", *SLEEP)
        agent = fleet.find(new)
        Box(f"magents-{new}").sh(
            "echo one >one; git add one; git commit -qm One; echo two >two; echo three >README.md"
        )
        before = work_of(agent)
        kills["stop"] += kill(took, "stop", new, "--remove-worktree")
        settle(fleet, magents, new)
        if new in alive(fleet, unique):
            assert work_of(agent) == before, kill.seed
            magents("stop", new, "--remove-worktree")
        assert not holder(new)
        kills["restore"] += kill(took, "restore", new)
        settle(fleet, magents, new)
        if new not in alive(fleet, unique):
            assert not Path(agent.workspace).exists()
            magents("restore", new)
        assert work_of(agent) == before, kill.seed
        magents("stop", new, "--remove-worktree")
        assert git("log", "-1", "--format=%s", f"k{number}", cwd=project) == "One"
    print(f"seed {kill.seed}: {kills}")
    assert min(kills.values()) >= KILLS / 2


def nothing_kept_of_the_failed(place: Place, project: Path, id: str, live: set[str]) -> None:
    """What is there of an agent: all, or nothing."""
    there = id in live
    assert (place.top / f"project-agents/{id}").exists() == there
    assert bool(git("for-each-ref", f"refs/magents/{id}/", cwd=project)) == there
    assert bool(holder(id)) == there


def holder(id: str) -> str:
    """The agent's container. What a killed command has made for itself ends by itself after a while."""
    return run("docker", "ps", "-aq", "--filter", f"name=^/?magents-{id}$").out
