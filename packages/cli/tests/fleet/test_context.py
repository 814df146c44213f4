"""Where the user stands: git is never asked in the clone of an agent in a container, which it would obey there."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import git
from magents.core.agent import Agent


@pytest.fixture
def clone(fleet, project, place) -> Path:
    """The clone of an agent in a container, whose configuration the agent has written."""
    folder = place.top / "project-agents/one"
    git("clone", "--quiet", str(project), str(folder), cwd=project)
    git("config", "magents.setup", "make all", cwd=project)
    git("config", "magents.setup", "touch /tmp/planted", cwd=folder)
    git("switch", "--quiet", "--create", "planted", cwd=folder)
    (folder / "deep").mkdir()
    fleet.context.store.add(
        Agent(0, "one", str(project), "one", "main", "", False, "claude", (), "docker", str(folder), 1.0, "active", False, "", "")
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("below", ["", "deep", "deep/../deep"])
def test_the_project_is_asked_in_the_place_of_a_clone(fleet, project, clone, below):
    folder = str(clone / below)
    assert fleet.context.project(folder).path == str(project)
    assert fleet.settings(folder)["SETUP"] == "make all"
    assert fleet.branches(folder) == ["main"]


def test_a_link_into_the_clone_is_no_way_around(fleet, project, clone, place):
    link = place.top / "link"
    link.symlink_to(clone / "deep")
    assert fleet.settings(str(link))["SETUP"] == "make all"


def test_elsewhere_git_is_asked_where_the_user_stands(fleet, project, clone, place):
    beside = clone.parent / "one-more"
    git("worktree", "add", "--quiet", "-b", "more", str(beside), cwd=project)
    assert fleet.context.here(str(beside)) == str(beside)
    assert fleet.branches(str(beside)) == ["main", "more"]
    assert fleet.settings(str(place.top))["SETUP"] == ""
