"""`magents trust`, and the set-up command on what came from a container."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from conftest import commit, git
from magents.git.trust import brought
from magents.git.trust.brought import Arrival

SLEEP = ("--", "sleep", "300")


@pytest.fixture
def far(project) -> Path:
    """A clone with the branch `feature/x`, where its agent is; the project has a set-up command and hooks."""
    commit(project, "mine", setup_sh="echo done >set-up.txt\n")
    git("config", "magents.setup", "sh ./setup.sh", cwd=project)
    git("config", "core.hooksPath", ".husky", cwd=project)
    clone = project.parent / "far"
    git("clone", "-q", project, clone, cwd=project.parent)
    git("checkout", "-q", "-b", "feature/x", cwd=clone)
    return clone


def collect(project: Path, far: Path) -> None:
    """Bring its branch home, as a collection does."""
    since = git("rev-parse", "main", cwd=project)
    git("fetch", "-q", far, "+feature/x:refs/magents/x/branch", cwd=project)
    tip = git("rev-parse", "refs/magents/x/branch", cwd=project)
    brought.arrive(str(project), Arrival("feature/x", tip, (since,), "x", time.time()))
    git("update-ref", "refs/heads/feature/x", tip, cwd=project)


def was_set_up(project: Path, id: str) -> bool:
    return (project.parent / f"project-agents/{id}/set-up.txt").exists()


def test_no_set_up_on_a_branch_that_came_from_a_container(far, project, magents):
    commit(far, "work", a_txt="a\n")
    collect(project, far)
    said = magents("create", "feature/x", "one", *SLEEP).err
    assert "set-up command was not run: feature/x came from x, in a container" in said
    assert f"cd {project.parent}/project-agents/one && sh ./setup.sh" in said
    assert not was_set_up(project, "one")
    said = magents("create", "other", "two", "--from", "feature/x", *SLEEP).err
    assert "set-up command was not run" in said
    assert "set-up command was not run" in magents("create", "third", "third", "--from", "other", *SLEEP).err
    assert magents("create", "own", "three", *SLEEP).err == ""
    assert was_set_up(project, "three")
    listed = magents("trust").out
    assert "feature/x" in listed
    assert "its set-up" in listed
    assert magents("trust", "feature/x").out == "Accepted feature/x\n"
    assert magents("create", "more", "four", "--from", "feature/x", *SLEEP).err == ""
    assert was_set_up(project, "four")


def test_whose_a_branch_is_while_it_is_looked_at(far, project, magents):
    """Checked out as a detached commit, and left behind where its agent has written its history anew."""
    commit(far, "work", a_txt="a\n")
    collect(project, far)
    git("checkout", "-q", "--detach", "feature/x", cwd=project)
    assert "set-up command was not run" in magents("create", "feature/x", "one", *SLEEP).err
    git("checkout", "-q", "main", cwd=project)
    since = git("rev-parse", "main", cwd=project)
    git("commit", "-q", "--amend", "-m", "anew", cwd=far)
    git("fetch", "-q", far, "+feature/x:refs/magents/x/branch", cwd=project)
    tip = git("rev-parse", "refs/magents/x/branch", cwd=project)
    brought.arrive(str(project), Arrival("feature/x", tip, (since,), "x", time.time()))
    assert "set-up command was not run" in magents("create", "other", "two", "--from", "feature/x", *SLEEP).err


def test_a_set_up_script_that_was_changed_and_merged(far, project, magents, place):
    commit(far, "work", setup_sh=f"touch {place.top}/canary; echo done >set-up.txt\n")
    collect(project, far)
    git("merge", "-q", "feature/x", cwd=project)
    said = magents("create", "next", "one", *SLEEP).err
    assert "set-up command was not run, because an agent in a container changed setup.sh@" in said
    assert not (place.top / "canary").exists()
    name = next(row for row in magents("trust").out.split() if row.startswith("setup.sh@"))
    assert "canary" in magents("trust", "--diff", name).out
    magents("trust", name)
    magents("create", "last", "two", *SLEEP)
    assert (place.top / "canary").exists()


def test_a_filter_of_the_project_s(far, project, magents, place, fleet):
    """Named by the user's configuration, changed by the agent: refused, for without it files would be others."""
    commit(project, "filter", tools__smudge="cat\n", _gitattributes="*.dat filter=own\n")
    git("config", "filter.own.smudge", "sh ./tools/smudge", cwd=project)
    git("pull", "-q", "--rebase", "origin", "main", cwd=far)
    commit(far, "work", tools__smudge=f"touch {place.top}/canary; cat\n", x_dat="x\n")
    collect(project, far)
    said = magents("create", "feature/x", "one", *SLEEP, code=1).err
    assert "By your configuration git would run what an agent in a container changed: tools/smudge@" in said
    agent = fleet.create("other", "two", folder=str(project), command=SLEEP[1:])
    git("update-ref", "refs/heads/other", "feature/x", cwd=project)
    before = git("rev-parse", "main", cwd=project)
    assert "By your configuration" in magents("merge", agent.id, "--committed-only", code=1).err
    assert git("rev-parse", "main", cwd=project) == before
    assert not (place.top / "canary").exists()
    magents("trust", "tools/smudge")
    magents("merge", agent.id, "--committed-only")
    assert (place.top / "canary").exists()


@pytest.mark.parametrize("how", ["absolute", "link", "include"])
def test_other_ways_to_a_program_of_the_project_s(far, project, magents, place, fleet, how):
    """By its whole path, behind a link of the user's, in configuration that is kept in the project."""
    commit(project, "filter", tools__smudge="cat\n", _gitattributes="*.dat filter=own\n", _gitconfig="")
    (project / "smudge").symlink_to("tools/smudge")
    commit(project, "link")
    if how == "include":
        git("config", "include.path", "../.gitconfig", cwd=project)
    else:
        where = f"'{project}/tools/smudge'" if how == "absolute" else "./smudge"
        git("config", "filter.own.smudge", f"sh {where}", cwd=project)
    git("pull", "-q", "--rebase", "origin", "main", cwd=far)
    mark = f"touch {place.top}/canary; cat"
    smudge, more = ("cat\n", f'[filter "own"]\nsmudge = "{mark}"\n') if how == "include" else (f"{mark}\n", "")
    commit(far, "work", tools__smudge=smudge, _gitconfig=more, x_dat="x\n")
    collect(project, far)
    agent = fleet.create("other", "two", folder=str(project), command=SLEEP[1:])
    git("update-ref", "refs/heads/other", "feature/x", cwd=project)
    assert "By your configuration" in magents("merge", agent.id, "--committed-only", code=1).err
    assert not (place.top / "canary").exists()


def test_what_is_accepted_by_name(far, project, magents):
    (far / ".husky").mkdir()
    for name in ("one", "two"):
        (far / ".husky" / name).write_text(f"\x1b[2J{name}\n: \x1b]\nhidden\n\x07\n")
    commit(far, "hooks")
    collect(project, far)
    files = magents("trust", "--json").json()["files"]
    assert [(row["path"], row["agent"], row["branch"]) for row in files] == [
        (".husky/one", "x", "feature/x"), (".husky/two", "x", "feature/x"),
    ]  # fmt: skip
    shown = magents("trust", "--diff", FORCE_COLOR="1").out
    assert "\x1b" not in shown
    assert "+\\x1b[2Jone\n+: \\x1b]\n+hidden\n+\\x07\n" in shown
    for wrong in ("none", ".husky/one@1234567", ".husky/one@", "@"):
        assert "waits for your yes" in magents("trust", wrong, code=1).err
    assert magents("trust", ".husky/one").out == f"Accepted .husky/one@{files[0]['content'][:10]}\n"
    (far / ".husky/one").write_text("changed\n")
    commit(far, "more")
    collect(project, far)
    assert [row["path"] for row in magents("trust", "--json").json()["files"]] == [".husky/two", ".husky/one"]
    magents("trust", "--all")
    assert magents("trust").out == "Nothing waits for your yes.\n"
    assert magents("trust", "--json").json() == {"files": [], "branches": []}


def test_nothing_ever_came(project, magents):
    assert magents("trust").out == "Nothing waits for your yes.\n"
    assert magents("trust", "--all").out == ""
    assert not (project / ".git/magents").exists()
