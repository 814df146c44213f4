"""What goes wrong with an engine is told, and leaves nothing half-made."""

from __future__ import annotations

import pytest

from conftest import containers, run
from magents import Fleet

pytestmark = [pytest.mark.engine, pytest.mark.slow]

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
    """The project's agents; `list` also shows those that others have on the same engine."""
    return [row for row in magents("list", "--json").json() if row["project"] == str(project)]


def test_without_an_engine_nothing_is_made_and_tmux_agents_are_listed(place, project, docker_mode, magents):
    magents("create", "other", "two", "--tmux", *SLEEP)
    dead = {"DOCKER_HOST": f"unix://{place.top}/dead"}
    done = magents("create", "work", "one", "--docker", *SLEEP, code=None, **dead)
    assert done.code != 0
    assert "engine" in done.err
    assert "Traceback" not in done.err
    nothing_made(project)
    assert "two" in magents("list", **dead).out


def test_an_image_that_is_missing_says_how_to_build_it(place, project, docker_mode, magents):
    done = magents("create", "work", "one", "--docker", *SLEEP, code=None, MAGENTS_DOCKER_IMAGE="magents/none:no")
    assert done.code != 0
    assert "magents image build" in done.err
    nothing_made(project)
    assert containers(place) == []


@pytest.mark.parametrize("behind", ["kill", "rm"])
def test_a_container_ended_behind_our_back_starts_again(place, project, docker_mode, magents, behind):
    magents("create", "work", "one", "--docker", *SLEEP)
    before = status(magents, project)
    words = ["kill"] if behind == "kill" else ["rm", "--force"]
    run("docker", *words, containers(place)[0])
    assert status(magents, project) != before
    magents("start", "one")
    assert len(containers(place)) == 1
