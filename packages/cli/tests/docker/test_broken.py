"""What can go wrong with engine, image and container: a clear word or a truthful status, and nothing half-made."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Magents, containers, git, work_of
from magents import Fleet
from magents.core.agent import Agent

from .conftest import Box, docker, nothing_made, state

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SLEEP = ("--", "sleep", "300")


@pytest.fixture
def agent(docker_mode: str, project: Path, magents: Magents, unique: str, fleet: Fleet) -> Agent:
    magents("create", "feature/x", f"ill{unique}", "--docker", *SLEEP)
    return fleet.find(f"ill{unique}")


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
