"""Containers that are made for one command, in which it works while the agent does not run: they end with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import containers, git, until

from .conftest import Box, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def agent(docker_mode, project, magents, unique, fleet):
    """One that has stopped, and whose git takes its time: it has much to read, which takes no room."""
    magents("create", "feature/x", f"help{unique}", "--docker", "--", "sh", "-c", "exec sleep 300")
    Box(f"magents-help{unique}").sh("truncate -s 200G large; echo x >x")
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
        until(lambda: "git" in docker("top", name, code=None), 60)  # it is at work
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


def test_one_has_the_walls_of_an_agent_and_no_network(agent, place, project, monkeypatch):
    monkeypatch.setenv("MAGENTS_DOCKER_MEMORY", "1g")
    monkeypatch.setenv("MAGENTS_DOCKER_CPUS", "0.5")
    monkeypatch.setenv("MAGENTS_DOCKER_PIDS_LIMIT", "300")
    monkeypatch.setenv("MAGENTS_DOCKER_OPTIONS", "--restart always --network host --ulimit nofile=999:999 -p 4444:4444"
                       " --runtime=io.containerd.runc.v2 --health-cmd true --env A=B --cpu-shares 100")  # fmt: skip
    words = [sys.executable, "-m", "magents", "diff", agent.id]
    child = subprocess.Popen(words, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        (name,) = until(lambda: helpers(place), 60)
        (told,) = json.loads(docker("inspect", name))
    finally:
        child.kill()
        child.wait()
    has = told["HostConfig"]
    assert (has["Memory"], has["NanoCpus"], has["PidsLimit"]) == (1 << 30, 500_000_000, 300)
    assert (has["Runtime"], has["CpuShares"], has["Ulimits"][0]["Hard"]) == ("io.containerd.runc.v2", 100, 999)
    assert (has["NetworkMode"], has["PortBindings"], has["RestartPolicy"]["Name"]) == ("none", {}, "no")
    assert (has["CapDrop"], has["CapAdd"], has["ReadonlyRootfs"]) == (["ALL"], None, True)


PLANT = r"""
planted() { printf '#!/bin/sh\ntouch /workspace/canary-%s\ncat\n' "$1" >".git/trap-$1"
         chmod +x ".git/trap-$1"; echo "/workspace/.git/trap-$1"; }
mkdir -p .git/hooks
for hook in pre-commit post-index-change reference-transaction commit-msg post-commit prepare-commit-msg; do
    cp "$(planted "$hook")" ".git/hooks/$hook"
done
git init -q sub; (cd sub; git commit -q --allow-empty -m Sub; echo text >file; git add file; git commit -qm File)
git add sub .; git commit -qm Work
git config core.fsmonitor "$(planted fsmonitor)"
git config commit.gpgSign true; git config gpg.program "$(planted gpg)"
git config hook.mine.command "$(planted configured)"; git config hook.mine.event reference-transaction
git config filter.a=b.clean "$(planted clean)"; git config filter.a=b.required true
git config filter.c.process "$(planted process)"
git config diff.d.textconv "$(planted textconv)"; git config diff.d.command "$(planted command)"
printf '*.md filter=a=b diff=d\n*.py filter=c\n' >.git/info/attributes
printf '[submodule "sub"]\n\tpath = sub\n\tignore = none\n' >.gitmodules
git -C sub config filter.e.clean "$(planted submodule)"; echo '* filter=e' >sub/.git/info/attributes
git -C sub config core.fsmonitor "$(planted submonitor)"
echo more >>README.md; echo more >>src/app.py; echo more >>sub/file
"""


@pytest.fixture
def planted(docker_mode, project, magents, unique, fleet):
    """One that has stopped, in whose repository there is much that git would run."""
    magents("create", "feature/x", f"trap{unique}", "--docker", "--", "sh", "-c", "exec sleep 300")
    Box(f"magents-trap{unique}").sh(PLANT)
    magents("stop", f"trap{unique}")
    agent = fleet.find(f"trap{unique}")
    for path in canaries(agent):
        path.unlink()
    return agent


def canaries(agent):
    """What the planted programs leave, should one run."""
    return list(Path(agent.workspace).glob("canary-*"))


def test_nothing_of_the_agent_runs_in_one(planted, magents):
    id = planted.id
    assert "+more" in magents("diff", id).out
    assert "README.md" in magents("diff", id, "--stat").out
    assert next(row for row in magents("list", "--long", "--json").json() if row["id"] == id)["uncommitted"] >= 2
    said = magents("merge", id, "--commit", "Take it", code=1)
    assert "filters run only where the agent does" in said.err
    assert canaries(planted) == []
    magents("stop", id, "--remove-worktree")
    magents("restore", id)
    assert canaries(planted) == []
    for name, text in {"README.md": "# Sample\nmore\n", "sub/file": "text\nmore\n"}.items():
        assert Path(planted.workspace, name).read_text() == text
    assert "trap-clean" in Path(planted.workspace, ".git/config").read_text()


def test_without_filters_it_commits_but_runs_no_hook(planted, magents, project):
    config = Path(planted.workspace, ".git/config")
    config.write_text("".join(line for line in config.read_text().splitlines(True) if "trap-" not in line
                              and "required" not in line))  # fmt: skip
    magents("merge", planted.id, "--commit", "Take it")
    assert "Take it" in git("log", "-2", "--format=%s", "main", cwd=project).splitlines()
    assert canaries(planted) == []
