"""What a container's agent left is data on this machine, whichever way it comes back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import Place, commit, git, work_of
from git.forge import REF, forged, trap
from magents import Fleet
from magents.core.agent import Agent
from magents.core.errors import MagentsError
from magents.git.workspaces import borrow

SLEEP = ("sleep", "300")


@pytest.fixture
def canary(place: Place) -> Path:
    """Where what must not run leaves its mark."""
    return place.top / "canary"


@pytest.fixture
def evil(place: Place, canary: Path) -> str:
    """A git folder that runs a program."""
    return trap(place.top / "evil", canary)


@pytest.fixture
def removed(fleet: Fleet, project: Path) -> Agent:
    """An agent that left uncommitted work."""
    agent = fleet.create("feature/x", "one", folder=str(project), command=SLEEP)
    Path(agent.workspace, "README.md").write_text("changed\n")
    Path(agent.workspace, "new").write_text("new\n")
    fleet.remove(agent)
    return fleet.find_removed("one")


def lose_store(place: Place) -> None:
    for name in os.listdir(place.state):
        if name.startswith("magents.db"):
            (place.state / name).unlink()


def lose_record(agent: Agent) -> None:
    """As an older Magents left a pin."""
    above, _, stamp = agent.pin.rpartition("/")
    git("update-ref", "-d", f"{above}/origin/{stamp}", cwd=agent.project)


def test_a_lost_store_is_not_made_anew_from_what_a_pin_says(project, place, magents, canary, evil):
    elsewhere = place.top / "elsewhere"
    forged(project, branch="one", workspace=str(elsewhere)).add("admin/commondir", f"{evil}\n").add(
        "files/new", "new\n"
    ).write()
    done = magents("restore", "one")
    assert f"git's own state stays in {REF}" in done.err
    workspace = place.top / "project-agents" / "one"
    assert (workspace / "new").read_text() == "new\n"
    assert not elsewhere.exists()
    assert git("rev-parse", "--git-common-dir", cwd=workspace) == f"{project}/.git"
    magents("diff", "one")
    magents("stop", "one", "--remove-worktree")
    assert not canary.exists()


def test_an_earlier_pin_of_a_container_under_the_same_id(removed, project, magents, canary, evil):
    forged(project, branch="feature/x").add("admin/commondir", f"{evil}\n").add("files/new", "theirs\n").write()
    assert magents("restore", "one", "--pin", REF, "--json").json()["foreign"] is True
    assert Path(removed.workspace, "new").read_text() == "theirs\n"
    assert git("rev-parse", "--git-common-dir", cwd=removed.workspace) == f"{project}/.git"
    magents("stop", "one", "--remove-worktree")
    assert magents("restore", "one", "--json").json()["foreign"] is False
    assert not canary.exists()


def test_a_pin_of_an_older_version_is_trusted_as_far_as_the_store_knows_it(removed, magents, place):
    lose_record(removed)
    assert magents("restore", "one", "--json").json()["foreign"] is False
    magents("stop", "one", "--remove-worktree")
    lose_store(place)
    assert magents("restore", "one", "--json").json()["foreign"] is False, "its record is enough"
    magents("stop", "one", "--remove-worktree")
    lose_record(Fleet().find_removed("one"))
    lose_store(place)
    assert magents("restore", "one", "--json").json()["foreign"] is True
    assert Path(removed.workspace, "new").read_text() == "new\n"
    assert git("branch", "--show-current", cwd=removed.workspace) == "feature/x"


def test_a_row_of_a_container_does_not_vouch(removed, fleet, magents):
    lose_record(removed)
    fleet.context.store.update(removed, runtime="docker")
    again = fleet.create("feature/x", "two", folder=removed.project, command=SLEEP)
    assert "M README.md" in git("status", "--porcelain", cwd=again.workspace)


def test_the_set_up_runs_before_what_a_container_left_is_laid_out(fleet, project, magents, canary):
    commit(project, "Set-up", setup_sh="true\n")
    agent = fleet.create("feature/x", "one", folder=str(project), command=SLEEP)
    Path(agent.workspace, "setup.sh").write_text(f"touch {canary}\n")
    fleet.remove(agent)
    removed = fleet.find_removed("one")
    lose_record(removed)
    fleet.context.store.update(removed, runtime="docker")
    magents("config", "--set", "SETUP=sh setup.sh; touch ran")
    magents("create", "feature/x", "two", "--tmux", "--", *SLEEP)
    work = work_of(fleet.find("two"))
    assert work["setup.sh"] == f"touch {canary}\n".encode() and "ran" in work
    assert not canary.exists()


def test_a_pin_that_cannot_be_used_keeps_nobody_from_its_branch(removed, fleet, project, magents):
    forged(project, branch="feature/x", head="1" * 40 + "\ndelete refs/heads/main").write()
    fleet.context.store.update(removed, pin=REF)
    before = git("for-each-ref", "refs/heads", "refs/replace", cwd=project)
    for words in (("restore", "one"), ("restore", "one", "--pin", REF)):
        said = magents(*words, code=1).err
        assert f"{REF} is not a pin" in said and "Traceback" not in said
    with pytest.raises(MagentsError, match=REF):
        fleet.remove(removed)
    assert magents("list", "--removed").out.count("one") > 0
    assert f"{REF} is not a pin" in magents("create", "feature/x", "two", "--", *SLEEP).err
    assert git("for-each-ref", "refs/heads", "refs/replace", cwd=project) == before


def test_a_hook_in_a_pin_of_an_older_version_does_not_run(project, magents, canary):
    git("config", "core.hooksPath", ".husky", cwd=project)
    hook = f"#!/bin/sh\ntouch {canary}\n"
    forged(project, branch="one").add("files/.husky/post-commit", hook, "100755").write()
    magents("restore", "one")
    said = magents("merge", "one", "--into", "main", "--commit", "All of it")
    assert ".husky/post-commit" in said.err
    assert git("show", "main:.husky/post-commit", cwd=project) == hook.rstrip("\n")
    assert not canary.exists()


@pytest.mark.parametrize("setting", ["filter.own.clean", "core.fsmonitor"])
def test_a_program_of_the_project_s_that_a_pin_brings(project, place, magents, canary, setting):
    """The user's git is configured to run it."""
    commit(project, "filter", tools__clean="cat\n", _gitattributes="*.dat filter=own\n", x_dat="x\n")
    git("config", setting, "./tools/clean", cwd=project)
    pin = forged(project, branch="one").add("files/x.dat", "other\n")
    pin.add("files/tools/clean", f"#!/bin/sh\ntouch {canary}\ncat\n", "100755").write()
    said = magents("restore", "one", code=1).err
    assert f"git would run what {REF} brings from a container: tools/clean@" in said
    magents("list", "--long")
    assert not canary.exists()
    magents("trust", "tools/clean")
    magents("restore", "one")


def test_hooks_in_a_commit_that_came_with_a_pin_alone(project, magents, canary):
    """And not with the agent's branch, whose commits are noted when they are collected."""
    quiet = ("-c", "core.hooksPath=/dev/null")
    git("config", "core.hooksPath", ".husky", cwd=project)
    git(*quiet, "switch", "-q", "-c", "theirs", cwd=project)
    (project / ".husky").mkdir()
    for name in ("pre-commit", "post-commit", "reference-transaction"):
        (project / ".husky" / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
        (project / ".husky" / name).chmod(0o755)
    git(*quiet, "add", "-A", cwd=project)
    git(*quiet, "commit", "-q", "-m", "theirs", cwd=project)
    head = git("rev-parse", "HEAD", cwd=project)
    git(*quiet, "switch", "-q", "main", cwd=project)
    git(*quiet, "branch", "-q", "-D", "theirs", cwd=project)
    pin = forged(project, branch="one", head=head).add("files/new", "new\n")
    pin.head = head
    pin.write()
    magents("restore", "one")
    said = magents("merge", "one", "--commit", "work", "--into", "main").err
    assert "no git hook is run, because an agent in a container changed them" in said
    assert not canary.exists()


def test_a_branch_of_the_user_s_that_a_pin_names(project, magents):
    """Commits of an agent in a container go to its branch, so the word of a pin does not make it one."""
    git("branch", "mine", cwd=project)
    forged(project, branch="mine").write()
    before = git("for-each-ref", "refs/heads", cwd=project)
    said = magents("restore", "one", MAGENTS_DOCKER_ENABLED="true", code=1).err
    assert "names the branch mine, which is not known to have been the agent's" in said
    assert git("for-each-ref", "refs/heads", cwd=project) == before


def test_a_user_who_stands_in_a_container_s_clone(project, place, magents, canary, fleet):
    """The agent has configured it; what is asked for is done in the user's project."""
    workspace = place.top / "project-agents" / "one"
    workspace.mkdir(parents=True)
    start = borrow.Beginning("feature/x", git("rev-parse", "main", cwd=project), "main", True)
    borrow.fill(str(project), str(workspace), "one", start).result()
    (workspace / ".git/magents/given").unlink()
    git("config", "magents.setup", f"touch {canary}", cwd=workspace)
    git("config", "core.fsmonitor", f"touch {canary}; false", cwd=workspace)
    fleet.context.store.add(Agent(
        0, "one", str(project), "feature/x", "main", start.commit, True, "command", SLEEP, "docker",
        str(workspace), 1.0, "stopped", False, "", "",
    ))  # fmt: skip
    (workspace / "deep").mkdir()
    magents("create", "feature/y", "two", "--", *SLEEP, cwd=workspace / "deep")
    assert fleet.find("two").project == str(project)
    magents("doctor", cwd=workspace, code=None)
    assert not canary.exists()
