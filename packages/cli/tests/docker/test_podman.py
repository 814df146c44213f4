"""Podman's docker command instead of Docker's: an agent's whole life, in a store of Podman's own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Magents, Place, git, run, until, work_of
from magents import Fleet

from . import engines
from .conftest import Box, state

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("own")]

SHIM = """#!/bin/sh
export CONTAINERS_CONF={top}/containers.conf
exec podman --root {top}/root --runroot {top}/run --storage-driver overlay "$@"
"""
# No network is made on this machine, and no limit raised that root may not raise in a container. crun cannot do with
# both versions of cgroups side by side; runc, which came with the engine, can.
CONF = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
netns = "none"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@pytest.fixture
def podman(slim: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`docker` is Podman, with the image of agents."""
    engines.needed("podman", "runc")
    with engines.disk(place.top / "podman", "1500m") as top:  # in memory, where its kind of layers always works
        (top / "bin").mkdir()
        shim = top / "bin" / "docker"
        shim.write_text(SHIM.format(top=top))
        shim.chmod(0o755)
        (top / "containers.conf").write_text(CONF)
        monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("MAGENTS_DOCKER_IMAGE", engines.SLIM)
        run("docker", "import", *engines.changes(slim, health=False), slim, engines.SLIM)
        try:
            yield
        finally:
            with contextlib.suppress(pytest.fail.Exception):
                run("docker", "rm", "--force", "--all", "--volumes")


def test_a_life_under_podman(podman: None, magents: Magents, fleet: Fleet, project: Path, place: Place):
    said = ("--", "sh", "-c", "echo hello from $MAGENTS_ID; exec sleep 300")
    magents("create", "feature/x", "one", "--docker", *said)
    agent, box = fleet.find("one"), Box("magents-one")
    assert state(fleet, agent) == ("running", "")
    assert "docker" in next(line for line in magents("list").out.splitlines() if line.startswith("one"))
    until(lambda: "hello from one" in magents("logs", "one").out, 30)
    box.sh("echo kept >kept.txt; git add kept.txt; git commit -qm Kept; echo more >more.txt")
    assert "+kept" in magents("diff", "one").out
    assert git("log", "-1", "--format=%s", "feature/x", cwd=project) == "Kept"
    before = work_of(agent)

    magents("stop", "one")
    assert state(fleet, agent)[0] == "stopped"
    assert "+more" in magents("diff", "one").out
    magents("start", "one")
    assert state(fleet, agent) == ("running", "")

    run("docker", "kill", "magents-one")
    assert state(fleet, agent) == ("lost", "its container has ended (137)")
    magents("start", "one")

    magents("stop", "one", "--remove-worktree")
    until(lambda: run("docker", "ps", "--all", "--quiet").out == "", 60, "its container to be gone")
    assert not Path(agent.workspace).exists()
    magents("restore", "one")
    assert work_of(agent) == before
    magents("start", "one")
    assert state(fleet, agent) == ("running", "")
    checked = magents("doctor", code=None).out
    assert "docker: works" in checked or "older than its Dockerfile" in checked  # the image is not built there
