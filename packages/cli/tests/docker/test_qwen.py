"""The real Qwen Code as an agent, in tmux and in a container; only the model behind it is a stand-in."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

from conftest import run, until
from magents.core.errors import Conflict
from magents.testing import standin
from magents.testing.standin import homes

from .conftest import bridge
from .test_shared import there

pytestmark = [pytest.mark.slow]


@pytest.fixture
def model(request, tmp_path):
    """The stand-in where the agent reaches it; its address, and the file of what it was asked."""
    if request.param == "docker":
        request.getfixturevalue("docker_mode")
    log = tmp_path / "requests.jsonl"
    with standin.serve(host=bridge() if request.param == "docker" else "127.0.0.1", log=log) as url:
        yield request.param, url, log


@pytest.fixture
def create(place, project, fleet, model, unique, monkeypatch, request):
    """Make an agent: `create(prompt)`."""
    mode, url, _ = model
    env = homes.qwen(place.home, url)
    monkeypatch.setenv("MAGENTS_AUTO_ACCEPT", "never")
    if mode == "docker":
        mount, program = there("qwen")  # in the image there is no more than what starts it
        layer = place.top / "layer"
        layer.mkdir()
        (layer / "qwen").write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        os.chmod(layer / "qwen", 0o755)
        (layer / "Dockerfile").write_text(f"FROM {os.environ['MAGENTS_DOCKER_IMAGE']}\nCOPY qwen /usr/local/bin/\n")
        image = f"magents/agent:test-qwen-{unique}"
        run("docker", "build", "--quiet", "--tag", image, str(layer))
        request.addfinalizer(lambda: run("docker", "image", "rm", "--force", image, code=None))
        monkeypatch.setenv("MAGENTS_DOCKER_IMAGE", image)
        monkeypatch.setenv("MAGENTS_DOCKER_OPTIONS", shlex.join(mount))
        env.pop("HOME")
    elif not shutil.which("qwen"):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("qwen is not installed")

    def make(prompt=None):
        return fleet.create(
            "feature/work",
            f"qwen{unique}",
            folder=str(project),
            harness="qwen",
            prompt=prompt,
            runtime=mode,
            env=env,
        )

    return make


def reaches(fleet, agent, state: str, seconds: float = 120) -> str:
    """Wait for a state; what stands beside it."""
    until(lambda: fleet.status(agent).state == state, seconds, f"{agent.id} {state}",
          shown=lambda: f"{fleet.status(agent)}\n" + "\n".join(fleet.logs(agent)))  # fmt: skip
    return str(fleet.status(agent).detail)


def asked(model) -> list[str]:
    """What the model was asked so far, each request's messages as JSON text."""
    lines = model[2].read_text().splitlines()
    return [json.dumps(json.loads(line)["body"].get("messages", "")) for line in lines if line.endswith("}")]


@pytest.mark.parametrize(
    "model", ["tmux", pytest.param("docker", marks=[pytest.mark.engine, pytest.mark.xdist_group("agents")])],
    indirect=True,
)  # fmt: skip
def test_its_life(create, fleet, model):
    agent = create("ask: touch made")
    assert "touch made" in reaches(fleet, agent, "waiting")

    with pytest.raises(Conflict, match="asks"):
        fleet.send(agent, "something else")
    assert not Path(agent.workspace, "made").exists()
    terminal = fleet.context.terminal(agent)
    until(lambda: "Waiting for user confirmation" in terminal.screen(agent.id), 60)  # it reports before it draws
    terminal.keys(agent.id, "Enter")
    assert fleet.wait([agent], "done", 120).reached
    assert Path(agent.workspace, "made").exists()
    assert fleet.send(agent, f"say remember 4711 {agent.id}", 60).how in ("acknowledged", "queued")
    until(lambda: any(f"4711 {agent.id}" in said for said in asked(model)), 60)
    reaches(fleet, agent, "done")
    fleet.stop(agent)
    assert fleet.status(agent).state == "stopped"
    assert fleet.start(agent, f"say and now {agent.id}")
    until(lambda: any(f"and now {agent.id}" in said and "4711" in said for said in asked(model)), 120)
    reaches(fleet, agent, "done")
