"""`list --long` tells what containers use, at once, whatever else comes and goes on the engine."""

from __future__ import annotations

import json
import os
import re
import threading

import pytest

from conftest import until
from magents.fleet import observe
from magents.runtimes.docker import usage
from magents.runtimes.docker.engine import containers

from .conftest import Box, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow]

FORM = re.compile(r"([\d.]+)([KMG]iB)/[\d.]+[MGT]iB ([\d.]+)% of [\d.]+ cpu (\d+)/2048 pids")


@pytest.fixture
def agent(docker_mode, project, magents, unique, fleet):
    magents("create", "feature/x", f"use{unique}", "--docker", "--", "sh", "-c", "exec sleep 300")
    return fleet.find(f"use{unique}")


def told(fleet, agent):
    """Memory in its unit, per cent of a processor, processes."""
    said = observe.usage(fleet.context, [agent])[agent.id]  # alone: the other details have git run in there
    found = FORM.fullmatch(said)
    assert found, said
    return found[2], float(found[3]), int(found[4])


def test_what_is_used_is_told_while_others_come_and_go(agent, fleet, image, unique):
    def come_and_go(name: str) -> None:
        label = json.dumps({"id": name, "uid": str(os.geteuid())})
        words = ("--name", f"magents-{name}", "--label", f"magents={label}", "--entrypoint", "sleep", image, "0.5")
        while not ended.is_set():
            docker("run", "--rm", "--network", "none", *words)

    ended = threading.Event()
    threads = [threading.Thread(target=come_and_go, args=(f"{n}{unique}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            told(fleet, agent)
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_busy_agent_shows_and_an_idle_one(agent, fleet):
    unit, _, before = told(fleet, agent)
    assert unit == "MiB"
    box = Box(f"magents-{agent.id}")
    box.sh("setsid sh -c 'while :; do :; done' >/dev/null 2>&1 & echo $! >/tmp/busy")
    until(lambda: told(fleet, agent)[1] > 5, 30)
    assert told(fleet, agent)[2] > before
    box.sh("pkill -f 'while :;'", code=None)
    until(lambda: told(fleet, agent)[1] < 5, 30)


def test_an_engine_elsewhere_is_asked_and_tells_the_same(agent, fleet):
    rows = containers(f"name=magents-{agent.id}$")
    (said,) = usage.asked(rows).values()
    (here,) = usage.usage(rows).values()
    found, mine = FORM.fullmatch(said), FORM.fullmatch(here)
    assert found and mine, (said, here)
    assert (found[2], found[4]) == (mine[2], mine[4])


def test_one_that_has_ended_is_left_out(agent, fleet):
    rows = containers(f"name=magents-{agent.id}$")
    docker("kill", f"magents-{agent.id}")
    assert usage.usage([row._replace(state="running") for row in rows]) == {}
