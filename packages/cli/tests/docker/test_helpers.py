"""Containers that are made for one command, in which it works while the agent does not run: they end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from conftest import containers, until

from .conftest import Box, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def agent(docker_mode, project, magents, unique, fleet):
    """One that has stopped, and whose git takes its time."""
    magents("create", "feature/x", f"help{unique}", "--docker", "--", "sh", "-c", "exec sleep 300")
    Box(f"magents-help{unique}").sh("git config core.fsmonitor 'sleep 300; false'; echo x >x")
    magents("stop", f"help{unique}")
    return fleet.find(f"help{unique}")


def helpers(place):
    """The running ones."""
    known = docker("ps", "--quiet", "--no-trunc", "--filter", "label=magents.helper").split()
    return [id for id in containers(place) if id in known]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_one_ends_with_the_command(agent, place, project, number):
    words = [sys.executable, "-m", "magents", "diff", agent.id]
    child = subprocess.Popen(words, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        (name,) = until(lambda: helpers(place), 60)
        until(lambda: "sleep" in docker("top", name, code=None), 60)  # git is at work
        child.send_signal(number)
        child.wait(60)
        until(lambda: not helpers(place), 60)
        until(lambda: name not in docker("ps", "--all", "--quiet", "--no-trunc"), 60)
    finally:
        child.kill()
        child.wait()


def test_one_ends_with_its_client(agent, place, project):
    """Whatever took the command away took docker's client as well: the machine's memory ran out, say."""
    words = [sys.executable, "-m", "magents", "diff", agent.id]
    child = subprocess.Popen(words, cwd=project, start_new_session=True, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)  # fmt: skip
    until(lambda: helpers(place), 60)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    until(lambda: not helpers(place), 60)


def test_an_image_that_is_gone_is_said(agent, magents, place):
    docker("rm", "--force", f"magents-{agent.id}")
    said = magents("diff", agent.id, code=None, MAGENTS_DOCKER_IMAGE="none/such:here")
    assert said.code
    assert "none/such:here" in said.err
    assert helpers(place) == []
