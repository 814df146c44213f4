"""Commands for agents in containers that are killed at any moment: nothing is lost, and nothing half-made stays."""

from __future__ import annotations

import os

import pytest

from conftest import containers, run, until
from kills import Killer
from magents import Fleet

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("agents")]

SLEEP = ("--", "sh", "-c", "sleep 300")


def nothing_made(project, id="one", branch="work"):
    """No record, branch, worktree or ref of the agent."""
    assert all(agent.id != id for agent in Fleet().context.store.live())
    assert run("git", "branch", "--list", branch, cwd=project).out == ""
    assert run("git", "for-each-ref", f"refs/magents/{id}", cwd=project).out == ""


def status(magents, project, id="one"):
    """The status of an agent, as `list` tells it."""
    return next(row["status"] for row in listed(magents, project) if row["id"] == id)


def listed(magents, project):
    """The project's agents; `list` also shows those on the same engine whose store is gone."""
    return [row for row in magents("list", "--json").json() if row["project"] == str(project)]


def settled(magents, project):
    """Mend, and whether nothing is left to mend: what a killed command has started may just be ending."""
    magents("doctor", "--fix", code=None)
    return all(row["status"] not in ("creating", "removing", "restoring") for row in listed(magents, project))


def test_kills_of_create_leave_nothing_half_made(place, project, docker_mode, magents):
    """The next command undoes it, or finds it whole: then its program runs in a workspace that works."""
    kill = Killer(project, "create")
    for number in range(2):
        kill.measure(f"warm{number}", "--docker", *SLEEP)
        magents("stop", f"warm{number}", "--remove-worktree")
    whole = 0
    for number in range(9):
        id, branch = f"one{number}", f"work{number}"
        kill(branch, id, "--docker", *SLEEP)
        until(lambda: settled(magents, project))
        if listed(magents, project):
            whole += 1
            assert status(magents, project, id) == "running"
            run("docker", "exec", containers(place)[0], "git", "commit", "-q", "--allow-empty", "-m", "Work")
            magents("stop", id, "--remove-worktree")
            assert "Work" in run("git", "log", branch, cwd=project).out
        else:
            nothing_made(project, id, branch)
        assert listed(magents, project) == []
        assert containers(place) == []
        assert not (place.top / "project-agents").exists() or not os.listdir(place.top / "project-agents")
    assert kill.kills and whole < 9, kill.story()  # else the kills come too late


@pytest.mark.parametrize("verb", ["stop", "restore"])
def test_kills_of_removal_and_restore_lose_nothing(place, project, docker_mode, magents, verb):
    kill = Killer(project, *(["stop", "--remove-worktree"] if verb == "stop" else ["restore"]))
    magents("create", "work", "one", "--docker", *SLEEP)
    workspace = place.top / "project-agents" / "one"
    (workspace / "unsaved.txt").write_text("unsaved")
    (workspace / "README.md").write_text("changed")
    if verb == "restore":
        magents("stop", "one", "--remove-worktree")
    kill.measure("one")
    if verb == "stop":
        magents("restore", "one")
    for _ in range(5):
        if verb == "restore":
            magents("stop", "one", "--remove-worktree")
        kill("one")
        until(lambda: settled(magents, project))
        if not listed(magents, project):
            magents("restore", "one")
        assert (workspace / "unsaved.txt").read_text() == "unsaved"
        assert (workspace / "README.md").read_text() == "changed"
        magents("start", "one")
        # One that was made for a single command ends by itself, should that be killed.
        assert len(agents_own(place)) == 1


def agents_own(place):
    """The containers of agents."""
    theirs = run("docker", "ps", "--all", "--no-trunc", "--quiet", "--filter", "label=magents.id").out.split()
    return [id for id in containers(place) if id in theirs]
