"""An agent that stops whatever is started in its container: it keeps nobody waiting, and itself is ended in time."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from conftest import Done, Magents, git, run, until
from magents import Fleet
from magents.core.agent import Agent
from magents.runtimes.docker import ending

from .conftest import Box, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("agents")]

FREEZE = """
import os, signal
while True:
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            before, _, after = open(f"/proc/{name}/stat").read().rpartition(")")
            started = after.split()[1] == "0" and "runc" not in before
            if (started or "tmux: server" in before or "(init" in before) and int(name) not in (1, os.getpid()):
                os.kill(int(name), signal.SIGSTOP)
        except OSError:
            pass
"""
"""Stops what `docker exec` starts, whose parent is no process of the container's; not the engine's own `runc`. And
the server that shows the terminal, and what ends the agent when the container is stopped."""


@pytest.fixture
def good(docker_mode: str, project: Path, magents: Magents, unique: str, fleet: Fleet) -> Agent:
    magents("create", "feature/good", f"good{unique}", "--docker", "--", "sh", "-c", "echo hello; exec sleep 300")
    return fleet.find(f"good{unique}")


@pytest.fixture
def bad(good: Agent, magents: Magents, unique: str, fleet: Fleet) -> Agent:
    magents("create", "feature/bad", f"bad{unique}", "--docker", "--", "sh", "-c", "exec sleep 300")
    agent = fleet.find(f"bad{unique}")
    box = Box(f"magents-{agent.id}")
    box.sh("echo work >work.txt; git add work.txt; git commit -qm Work; echo more >more.txt")
    docker("exec", "--detach", box.name, "python3", "-c", FREEZE)
    until(lambda: not answers(box), 30)
    return agent


def answers(box: Box) -> bool:
    """Whether a command in it comes to its end."""
    mark = uuid.uuid4().hex
    docker("exec", "--detach", box.name, "sh", "-c", f"sleep 0.2; touch /tmp/{mark}")
    time.sleep(1)
    return mark in docker("diff", box.name)


def timed(seconds: float, magents: Magents, *words: str) -> Done:
    """A command that ends within these seconds."""
    began = time.monotonic()
    done = magents(*words, code=None)
    assert time.monotonic() - began < seconds, (words, time.monotonic() - began)
    assert "Traceback" not in done.err
    return done


def test_the_others_are_shown_and_its_work_comes_home(good, bad, magents, project, fleet):
    long = timed(20, magents, "list", "--long")
    rows = {line.split()[0]: line for line in long.out.splitlines() if line.strip()}
    assert "? " not in rows[good.id]
    assert "? " in rows[bad.id]
    assert f"{bad.id} did not answer within" in long.err
    logs = timed(20, magents, "logs")
    assert "hello" in logs.out
    assert f"{bad.id} did not answer within" in logs.err
    assert logs.code == 1
    left = docker("top", f"magents-{bad.id}")
    assert "capture-pane -p -J -S" not in left and "inside summary" not in left
    stopped = timed(45, magents, "stop", bad.id)
    assert stopped.code == 0
    assert git("log", "-1", "--format=%s", "feature/bad", cwd=project) == "Work"
    assert "+more" in magents("diff", bad.id).out
    assert f"magents-{bad.id}" not in run("ps", "-eo", "args").out
    assert fleet.status(bad).state == "stopped"
    assert fleet.status(good).state == "running"


def test_its_removal_keeps_everything(bad, magents):
    timed(45, magents, "stop", bad.id, "--remove-worktree")
    magents("restore", bad.id)
    assert Path(bad.workspace, "more.txt").read_text() == "more\n"


def test_what_the_engine_does_not_end_is_ended_here(good, fleet, monkeypatch):
    monkeypatch.setattr(ending, "END_TIMEOUT_S", 2)
    (id,) = docker("ps", "--quiet", "--no-trunc", "--filter", f"name=magents-{good.id}").split()
    ending.end("wait", container=id)  # an order that is over only when the container is
    assert docker("inspect", "--format", "{{.State.Running}}", id) == "false\n"
    assert fleet.status(good).state in ("lost", "stopped", "failed")
