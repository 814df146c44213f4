"""A container whose health check fails is shown as such, and as well again once it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Magents, until
from magents import Fleet

from .conftest import Box, docker, state
from .engines import Engine

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("own")]

SERVER = "python3 -I -S /usr/local/lib/magents/python/magents/guest/health.py"


def test_a_container_that_is_not_well(own: Engine, magents: Magents, fleet: Fleet, project: Path):
    often = "--health-interval=1s --health-retries=1 --health-start-period=0s"
    magents("create", "x", "one", "--docker", "--", "sleep", "300", MAGENTS_DOCKER_OPTIONS=often)
    box, agent = Box("magents-one"), fleet.find("one")

    def health() -> str:
        return docker("inspect", "--format", "{{.State.Health.Status}}", box.name).strip()

    until(lambda: health() == "healthy", 60, "it to be well", pause=0.2)
    assert state(fleet, agent) == ("running", "")
    box.sh(f"kill $(pgrep -x -f '{SERVER}')")
    until(lambda: "unhealthy" in state(fleet, agent)[1], 60, "it to be unwell", pause=0.2)
    assert state(fleet, agent) == ("running", "its container is unhealthy")
    row = next(line for line in magents("list").out.splitlines() if line.startswith("one"))
    assert "its container is unhealthy" in row
    assert magents("list", "--json").json()[0]["status"] == "running"
    docker("exec", "--detach", box.name, *SERVER.split())
    until(lambda: state(fleet, agent) == ("running", ""), 60, "it to be well again", pause=0.2)
    box.sh(f"kill $(pgrep -x -f '{SERVER}')")
    until(lambda: "unhealthy" in state(fleet, agent)[1], 60, "it to be unwell", pause=0.2)
    magents("stop", "one")
    assert state(fleet, agent)[0] == "stopped"
    magents("start", "one")
    until(lambda: health() == "healthy", 60, "a start to have mended it", pause=0.2)
