"""The life of agents in containers: made, listed, entered, stopped, removed, restored, moved to tmux and back."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import containers, git, leaked, make_project, until, work_of
from magents import Fleet

from .conftest import Box, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow]

# `doctor --fix` takes such an agent, and other tests run it as well: never at the same time.
abandons = pytest.mark.xdist_group("agents")

TALK = ("--", "sh", "-c", "echo run >>runs; echo hello from $MAGENTS_ID; exec sleep 300")
SOON = 8
"""Seconds within which a container has ended; 0.3 on a quiet machine. Docker would kill it after 10."""


@pytest.fixture
def agent(docker_mode, project, magents, unique, fleet):
    """An agent in a container that has said something."""
    id = f"one{unique}"
    magents("create", "feature/x", id, "--docker", *TALK)
    until(lambda: f"hello from {id}" in magents("logs", id).out)
    return fleet.find(id)


def row(magents, id: str) -> str:
    """An agent's line in the table."""
    return next((line for line in magents("list").out.splitlines() if id in line), "")


def states(fleet: Fleet, *ids: str) -> list[str]:
    """What each of these agents does."""
    seen = {view.agent.id: view.status.state for view in fleet.list().views}
    return [seen.get(id, "") for id in ids]


def make_work(id: str) -> None:
    """Committed, staged and other work, made from inside."""
    Box(f"magents-{id}").sh(
        "git config user.name; echo kept >kept.txt && git add kept.txt && git commit -q -m kept"
        " && echo staged >staged.txt && git add staged.txt && echo more >>staged.txt"
        " && mkdir 'new folder' && echo untracked >'new folder/näme' && rm src/app.py && echo changed >README.md"
    )


def test_one_table_shows_both_modes(agent, magents, unique):
    magents("create", "feature/y", f"two{unique}", "--tmux", *TALK)
    inside, here = row(magents, agent.id), row(magents, f"two{unique}")
    assert "docker" in inside and "running" in inside
    assert "tmux" in here and "running" in here
    long = magents("list", "--long", FORCE_COLOR="").out
    used = next(line for line in long.splitlines() if agent.id in line)
    assert "MiB/" in used and " cpu " in used and "/2048 pids" in used
    told = {row["id"]: row for row in magents("list", "--json", "--long").json()}
    assert told[agent.id]["mode"] == "docker"
    assert told[agent.id]["usage"]


def test_a_stop_persists_and_a_start_brings_it_back(agent, magents, fleet, place):
    box = Box(f"magents-{agent.id}")
    box.sh("echo mine >~/in-the-home; echo mine >/workspace/unsaved")
    made = docker("inspect", "-f", "{{.Id}}", box.name)
    began = time.monotonic()
    magents("stop", agent.id)
    assert time.monotonic() - began < SOON
    assert docker("inspect", "-f", "{{.State.Running}}", box.name) == "false\n"
    assert row(magents, agent.id).count("stopped") == 1
    assert f"hello from {agent.id}" in magents("logs", agent.id).out
    magents("stop", agent.id)  # once more does nothing
    assert magents("start", agent.id).out == f"Started {agent.id}.\n"
    assert docker("inspect", "-f", "{{.Id}}", box.name) == made
    assert box.sh("cat ~/in-the-home /workspace/unsaved") == "mine\nmine\n"
    until(lambda: Path(agent.workspace, "runs").read_text() == "run\nrun\n")
    assert states(fleet, agent.id) == ["running"]
    assert magents("start", agent.id).out == f"{agent.id} runs already.\n"


def test_attach_goes_inside_and_starts_it_first(agent, magents, tmux, project):
    magents("stop", agent.id)
    tmux("new-session", "-d", "-s", "user", "-x", "110", "-y", "30", "-c", str(project), "/bin/sh")
    attach = f"env -u TMUX {sys.executable} -m magents attach {agent.id}; echo le''ft $?"
    tmux("send-keys", "-t", "user", attach, "Enter")
    box = Box(f"magents-{agent.id}")
    until(
        lambda: "magents-" in box.sh("tmux list-clients -F '#{client_session}'", code=None), 20, "a client inside"
    )
    assert states(Fleet(), agent.id) == ["running"]
    tmux("send-keys", "-t", "user", "C-b", "c")  # a new window of the tmux inside
    until(lambda: len(box.sh("tmux list-windows -a").splitlines()) == 3, what="a third window")
    tmux("send-keys", "-t", "user", "whoami; pwd", "Enter")

    def shown() -> str:
        return str(tmux("capture-pane", "-p", "-t", "user"))

    until(lambda: "\nmagents\n" in shown() and "\n/workspace\n" in shown(), shown=shown)
    tmux("send-keys", "-t", "user", "C-b", "d")
    until(lambda: "left 0" in shown(), shown=shown)
    assert states(Fleet(), agent.id) == ["running"]


def test_a_removal_takes_container_and_workspace_and_a_restore_brings_all_back(
    agent, magents, fleet, place, project
):
    make_work(agent.id)
    box = Box(f"magents-{agent.id}")
    before, status = work_of(agent), box.sh("git status --porcelain; git diff --cached; git stash list")
    said = magents("stop", agent.id, "--remove-worktree").out
    assert "uncommitted" in said
    assert containers(place) == []
    assert not Path(agent.workspace).exists()
    assert git("log", "--format=%s", "-1", "feature/x", cwd=project) == "kept"
    magents("restore", agent.id)
    assert states(fleet, agent.id) == ["stopped"]
    assert work_of(agent) == before
    magents("start", agent.id)
    until(lambda: Path(agent.workspace, "runs").read_text() == "run\nrun\n")
    Path(agent.workspace, "runs").write_bytes(before["runs"])
    assert box.sh("git status --porcelain; git diff --cached; git stash list") == status
    assert box.sh("git branch --show-current").strip() == "feature/x"


def test_cleanup(agent, magents, fleet, place, unique):
    magents("create", "feature/y", f"two{unique}", "--tmux", *TALK)
    make_work(agent.id)
    before = work_of(agent)
    both = (agent.id, f"two{unique}")
    magents("cleanup", "--yes")
    assert states(fleet, *both) == ["stopped", "stopped"]
    assert len(containers(place)) == 1
    assert leaked(place) == []
    magents("cleanup", "--remove-worktrees", "--yes")
    assert states(fleet, *both) == ["", ""]
    assert containers(place) == []
    assert not Path(agent.workspace).exists()
    assert magents("cleanup", "--yes").out == "No agent to stop.\n"
    magents("restore", agent.id)
    assert work_of(agent) == before


def test_moving_to_docker_and_back(docker_mode, project, magents, place, unique):
    """As the guide says, and what was uncommitted comes along both ways."""
    id, sleep = f"move{unique}", ("--", "sleep", "300")
    work = place.top / "project-agents" / id
    magents("create", "move/me", id, "--tmux", *sleep)
    (work / "unsaved.txt").write_text("by tmux\n")
    (work / "README.md").write_text("changed\n")
    git("add", "README.md", cwd=work)
    magents("config", "--docker")
    magents("cleanup", "--yes")
    magents("create", "move/me", id, *sleep)
    box = Box(f"magents-{id}")
    assert "docker" in row(magents, id)
    assert box.sh("cat unsaved.txt README.md") == "by tmux\nchanged\n"
    assert work.joinpath(".git").is_dir()  # a clone of its own
    box.sh("echo by docker >>unsaved.txt; rm src/app.py; git commit -q -m 'By docker' README.md")

    magents("config", "--no-docker")
    magents("cleanup", "--remove-worktrees", "--yes")
    assert containers(place) == []
    magents("create", "move/me", id, *sleep)
    assert "tmux" in row(magents, id)
    assert work.joinpath(".git").is_file()  # a worktree
    assert (work / "unsaved.txt").read_text() == "by tmux\nby docker\n"
    assert not (work / "src/app.py").exists()
    assert git("log", "-1", "--format=%s", cwd=work) == "By docker"


def test_twenty_at_once(docker_mode, project, magents, fleet, place, unique):
    ids = [f"n{number}-{unique}" for number in range(20)]

    def make(id: str) -> int:
        return magents("create", f"many/{id}", id, "--docker", "--", "sh", "-c", "pwd >where; exec sleep 300").code

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(make, ids)) == [0] * 20
    assert states(fleet, *ids) == ["running"] * 20
    until(lambda: all((place.top / f"project-agents/{id}/where").exists() for id in ids))
    assert len(containers(place)) == 20
    magents("stop", *ids, "--remove-worktree")
    assert containers(place) == []
    assert states(fleet, *ids) == [""] * 20


@abandons
def test_its_labels_suffice_to_find_it_when_the_store_is_gone(agent, fleet, place, magents):
    make_work(agent.id)
    before = work_of(agent)
    for name in os.listdir(place.state):
        if name.startswith("magents.db"):
            (place.state / name).unlink()
    line = row(magents, agent.id)
    assert "orphan" in line and "feature/x" in line
    assert f"{agent.id}: has a record again" in Fleet().doctor(fix=True).fixed
    fresh = Fleet()
    again = fresh.find(agent.id)
    same = ("project", "branch", "base_commit", "workspace", "runtime", "harness", "command")
    assert [getattr(again, name) for name in same] == [getattr(agent, name) for name in same]
    assert "orphan" not in row(magents, agent.id)
    assert f"hello from {agent.id}" in magents("logs", agent.id).out
    magents("stop", agent.id, "--remove-worktree")
    until(lambda: containers(place) == [])  # the engine deletes the one that looked after the clone in its own time
    magents("restore", agent.id)
    assert work_of(again) == before


@abandons
def test_containers_of_another_store_are_its_own_until_that_is_gone(agent, fleet, place, magents):
    elsewhere = {"MAGENTS_STATE": str(place.top / "elsewhere")}
    assert agent.id not in magents("list", **elsewhere).out
    assert agent.id not in magents("doctor", "--fix", code=None, **elsewhere).out
    second = make_project(place.top / "second")
    said = magents("create", "feature/y", agent.id, "--docker", *TALK, cwd=second, code=None, **elsewhere)
    assert said.code and f"Another agent has the container `magents-{agent.id}`: one of {place.state}" in said.err
    assert states(fleet, agent.id) == ["running"]
    for name in os.listdir(place.state):
        if name.startswith("magents.db"):
            (place.state / name).unlink()
    assert "orphan" in magents("list", **elsewhere).out
    assert f"{agent.id}: has a record again" in magents("doctor", "--fix", code=None, **elsewhere).out
    magents("stop", agent.id, "--remove-worktree", **elsewhere)
    assert containers(place) == []


def test_nothing_survives_a_stop(docker_mode, project, magents, place, unique):
    id = f"deaf{unique}"
    script = "trap '' HUP TERM INT; setsid nohup sleep 303 & echo y >ready; while :; do sleep 0.1; done"
    magents("create", "deaf", id, "--docker", "--", "sh", "-c", script)
    until((place.top / f"project-agents/{id}/ready").exists)
    pids = {int(line.split()[1]) for line in docker("top", f"magents-{id}").splitlines()[1:]}
    assert [pid for pid in pids if command_of(pid).startswith("sleep 303")]
    began = time.monotonic()
    docker("stop", f"magents-{id}")
    assert time.monotonic() - began < SOON
    assert [pid for pid in pids if command_of(pid).startswith(("sh -c", "sleep", "tmux"))] == []


def command_of(pid: int) -> str:
    """A process's command, '' when there is none."""
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
