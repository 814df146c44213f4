"""Worktrees: made by us or not at all, removed whatever is in them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from conftest import git, run, unprivileged, until
from git import lab as labs
from git.lab import Lab
from magents.core.errors import CommandFailed, Conflict, MagentsError
from magents.git import layout
from magents.git.workspaces import disk, worktree


@pytest.fixture
def lab(place) -> Lab:
    return labs.start(place)


def listed(lab: Lab) -> int:
    return git("worktree", "list", "--porcelain", cwd=lab.project).count("worktree ")


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_there_is_not_claimed(place, kind):
    path = place.top / "there"
    {"folder": path.mkdir, "file": path.touch, "dangling link": lambda: path.symlink_to("nowhere")}[kind]()
    with pytest.raises(Conflict, match="is there already"):
        disk.claim(str(path))
    assert os.path.lexists(path)


def test_claim_makes_the_folders_above(place):
    disk.claim(str(place.top / "a" / "b" / "c"))
    assert (place.top / "a" / "b" / "c").is_dir()


def test_claim_where_none_can_be_made(place):
    (place.top / "file").touch()
    with pytest.raises(MagentsError) as caught:
        disk.claim(str(place.top / "file" / "x"))
    assert caught.value.hint


def test_a_new_branch(lab, place):
    path = place.top / "new"
    disk.claim(str(path))
    commit = git("rev-parse", "main", cwd=lab.project)
    worktree.add(lab.project, str(path), "feature/x", commit, new=True).result()
    assert git("rev-parse", "--abbrev-ref", "HEAD", cwd=path) == "feature/x"
    assert git("rev-parse", "HEAD", cwd=path) == commit
    assert git("config", "branch.feature/x.merge", cwd=path, code=1) == ""


def test_a_branch_that_follows_a_remote_one(lab, place):
    git("clone", "-q", lab.project, place.top / "copy", cwd=place.top)
    path = place.top / "new"
    disk.claim(str(path))
    worktree.add(str(place.top / "copy"), str(path), "agent", "", new=True, track="origin/agent").result()
    assert git("rev-parse", "--abbrev-ref", "agent@{upstream}", cwd=path) == "origin/agent"


def test_a_branch_that_is_checked_out_already(lab, place):
    path = place.top / "new"
    disk.claim(str(path))
    with pytest.raises(CommandFailed, match="already"):
        worktree.add(lab.project, str(path), "main", "", new=False).result()


BROKEN = {
    "as it was made": ":",
    "with work in it": "edit a.txt; edit new; git init -q inner; edit inner/x",
    "with a submodule": """
        git init -q ../lib; (cd ../lib; edit lib; save lib); git submodule --quiet add "$PWD/../lib" sub; save sub
    """,
    "locked": "git worktree lock .",
    "its .git is gone": "rm .git",
    "its .git is a folder": "rm .git; git init -q",
    "its .git leads to nowhere": "echo 'gitdir: /nowhere' >.git",
    "its .git leads into another": "git worktree add -q ../two; cat ../two/.git >.git",
    "the folder is gone": 'rm -r "$PWD"',
    "the folder is a link": 'mv "$PWD" ../moved; ln -s moved ../one',
    "git has forgotten it": 'rm -r "$P/.git/worktrees/one"',
    "half made": 'rm "$P/.git/worktrees/one/HEAD" "$P/.git/worktrees/one/commondir"',
    "all is gone": 'rm -r "$P/.git/worktrees/one" "$PWD"',
    "read-only folders": "mkdir -p deep/er; edit deep/er/x; chmod 555 deep/er deep",
}


@pytest.mark.parametrize("state", BROKEN)
def test_it_is_removed_whatever_it_is_like(lab, state):
    lab.do(BROKEN[state])
    before = {name: listed(lab) for name in ["all"]} if "half" not in state else {}
    others = sorted(name for name in os.listdir(os.path.dirname(lab.path)) if name != "one")
    disk.remove(lab.project, lab.path)
    assert not os.path.lexists(lab.path)
    assert layout.admin_folder(lab.project, lab.path) == ""
    assert not os.path.exists(os.path.join(lab.project, ".git/worktrees/one"))
    assert not before or listed(lab) in {before["all"], before["all"] - 1}
    assert git("rev-parse", "--verify", "-q", "agent", cwd=lab.project)
    assert git("status", "--porcelain", cwd=lab.project) == ""
    # What lies beside it stays, and nothing but that.
    parent = os.path.dirname(lab.path)
    until(lambda: (sorted(os.listdir(parent)) if os.path.isdir(parent) else []) == others, 30, "all deleted")
    disk.remove(lab.project, lab.path)


REMOVE = """
import sys
from magents.git.workspaces import disk
disk.remove(sys.argv[1], sys.argv[2])
"""


@pytest.mark.parametrize("mode", [0o555, 0o000, 0o300])
def test_folders_that_may_not_be_written_are_removed(lab, place, mode):
    """Go keeps its modules so. Nothing that a link leads to is changed."""
    outside = place.top / "outside"
    outside.mkdir(mode=0o555)
    lab.do("mkdir -p deep/er empty; edit deep/er/x; ln -s ../../outside deep/er/out")
    for name in ("deep/er", "deep", "empty"):
        Path(lab.path, name).chmod(mode)
    run(*unprivileged(sys.executable, "-c", REMOVE, lab.project, lab.path))
    until(lambda: not os.path.exists(os.path.dirname(lab.path)), 30, "all deleted")
    assert outside.stat().st_mode & 0o777 == 0o555


DISCARD = "import sys; from magents.git.workspaces import disk; disk.discard(sys.argv[1])"


@pytest.mark.parametrize("mode", [0o555, 0o000, 0o300])
def test_folders_that_may_not_be_written_are_discarded(tmp_path, mode):
    top, outside = tmp_path / "top", tmp_path / "outside"
    outside.mkdir(mode=0o555)
    (top / "deep/er").mkdir(parents=True)
    (top / "deep/er/file").touch()
    (top / "deep/er/out").symlink_to(outside)
    for folder in (top / "deep/er", top / "deep", top):
        folder.chmod(mode)
    run(*unprivileged(sys.executable, "-c", DISCARD, str(top)))
    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert outside.stat().st_mode & 0o777 == 0o555


def test_the_folder_of_workspaces_goes_with_the_last(lab):
    two = labs.grow(lab, "two", lab.path.replace("/one", "/two"), new=True)
    disk.remove(lab.project, lab.path)
    assert Path(two.path, "a.txt").exists()
    disk.remove(lab.project, two.path)
    until(lambda: not os.path.exists(os.path.dirname(two.path)), 30, "the folder has gone")


def test_links_are_not_followed(lab, place):
    outside = place.top / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    os.symlink(outside, os.path.join(lab.path, "out"))
    os.symlink(outside / "mine", os.path.join(lab.path, "file-link"))
    parent = os.path.dirname(lab.path)
    disk.remove(lab.project, lab.path)
    until(lambda: not os.path.exists(parent), 30, "all deleted")
    assert (outside / "mine").read_text() == "mine"


def test_admin_is_of_this_worktree(lab):
    two = labs.grow(lab, "two", lab.path.replace("/one", "/one2"), new=True)
    assert layout.admin_folder(lab.project, lab.path) == os.path.join(lab.project, ".git/worktrees/one")
    assert layout.admin_folder(lab.project, two.path) == os.path.join(lab.project, ".git/worktrees/one2")
    assert layout.admin_folder(lab.project, lab.path + "x") == ""
    assert layout.admin_folder(lab.project, lab.project) == ""


def test_admin_with_a_neighbour_of_an_odd_name(lab, place):
    neighbour = os.fsdecode(os.fsencode(place.top) + b"/a\xff b")
    git("worktree", "add", "-q", "-b", "odd", neighbour, cwd=lab.project)
    assert layout.admin_folder(lab.project, lab.path) == os.path.join(lab.project, ".git/worktrees/one")
    assert layout.admin_folder(lab.project, neighbour) != ""
    disk.remove(lab.project, neighbour)
    assert not os.path.lexists(neighbour)


def test_a_branch_is_dropped_only_where_it_stands(lab):
    commit = git("rev-parse", "main", cwd=lab.project)
    git("branch", "unused", "main", cwd=lab.project)
    git("config", "branch.unused.remote", "origin", cwd=lab.project)
    lab.do("edit a.txt; save work; git branch used")
    for name in ("unused", "used", "none"):
        worktree.drop_branch(lab.project, name, commit)
    assert git("for-each-ref", "--format=%(refname:short)", "refs/heads", cwd=lab.project).split() == [
        "agent", "main", "used",
    ]  # fmt: skip
    assert git("config", "--get-regexp", "^branch", cwd=lab.project, code=1) == ""


def test_only_an_empty_folder_is_discarded(lab):
    disk.discard_empty(lab.path)
    assert Path(lab.path, "a.txt").exists()
    empty = lab.path + "-2"
    os.mkdir(empty)
    disk.discard_empty(empty)
    assert not os.path.exists(empty)
    disk.discard_empty(empty)
    shutil.rmtree(lab.path)
    os.mkdir(lab.path)
    disk.discard_empty(lab.path)
    assert not os.path.exists(os.path.dirname(lab.path))
