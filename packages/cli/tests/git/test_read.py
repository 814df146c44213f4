"""Never lose a byte: whatever state a workspace is in, it comes back from its pin exactly."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from conftest import git
from git import lab as labs
from git.lab import Lab, look
from git.states import STATES
from magents.core.errors import Conflict, MagentsError, NotFound
from magents.git.pins import read, unpack
from magents.git.plumbing import git as ask
from magents.git.workspaces import disk


@pytest.fixture
def lab(place) -> Lab:
    return labs.start(place)


# The quick run takes a sample of the states; `bin/test --all` takes them all.
SAMPLED = [
    name if number % 4 == 0 else pytest.param(name, marks=pytest.mark.slow) for number, name in enumerate(STATES)
]


@pytest.mark.parametrize("name", SAMPLED)
def test_it_comes_back_exactly(lab, name):
    lab.do(STATES[name])
    before = look(lab)
    ref = lab.remove()
    back = lab.restore(ref)
    assert back.remark == ""
    after = look(lab)
    for part, old, new in zip(before._fields, before, after, strict=True):
        assert new == old, part
    # Git finds nothing missing, however it looks: not in the restored index and not for a commit.
    lab.git("fsck", "--connectivity-only", "--no-dangling")


def busy(lab: Lab) -> str:
    """Leave work of several kinds and remove the workspace; returns the pin."""
    lab.do("edit c.txt; save kept; edit a.txt staged; git add a.txt; edit a.txt again; edit new; rm b.txt")
    return lab.remove()


def same_work(lab: Lab) -> None:
    assert lab.git("status", "--porcelain", "--untracked-files=all").splitlines() == [
        "MM a.txt",
        " D b.txt",
        "?? new",
    ]
    assert Path(lab.path, "a.txt").read_text() == "a.txt, edited by again\n"
    assert lab.git("show", ":a.txt") == "a.txt, edited by staged"


def test_a_branch_that_is_gone_is_made_again(lab):
    ref = busy(lab)
    commit = git("rev-parse", "agent", cwd=lab.project)
    git("branch", "-qD", "agent", cwd=lab.project)
    assert lab.restore(ref).remark == ""
    assert lab.git("symbolic-ref", "HEAD") == "refs/heads/agent"
    assert lab.git("rev-parse", "agent") == commit
    same_work(lab)


@pytest.mark.parametrize(
    ("meanwhile", "remark"),
    [
        ("git branch -qf agent main", "the branch agent has moved from"),
        ("git worktree add -q ../elsewhere agent", "the branch agent is checked out at"),
        ("git branch -qD agent; git branch agent/more main", "the branch agent cannot be beside agent/more"),
        ("git branch -qm agent agent/more", "the branch agent cannot be beside agent/more"),
    ],
)
def test_a_branch_that_is_not_as_it_was_is_left_alone(lab, meanwhile, remark):
    lab.do("edit c.txt 1; save kept")
    commit = lab.git("rev-parse", "HEAD")
    ref = busy(lab)
    head = git("rev-parse", "agent", cwd=lab.project)
    Lab(lab.project, lab.project).do(meanwhile)
    branches = git("for-each-ref", "refs/heads", cwd=lab.project)
    back = lab.restore(ref)
    assert back.remark.startswith(remark)
    assert git("for-each-ref", "refs/heads", cwd=lab.project) == branches
    assert lab.git("rev-parse", "--symbolic-full-name", "HEAD") == "HEAD"
    assert lab.git("rev-parse", "HEAD", "HEAD~").split() == [head, commit]
    same_work(lab)


def test_a_branch_without_a_commit_that_has_one_now(lab):
    lab.do("git checkout -q --orphan fresh; edit a.txt")
    ref = lab.remove()
    git("branch", "fresh", "main", cwd=lab.project)
    with pytest.raises(Conflict, match="meanwhile it has"):
        lab.restore(ref)
    assert os.listdir(lab.path) == []
    os.rmdir(lab.path)
    git("branch", "-qm", "fresh", "other", cwd=lab.project)
    lab.restore(ref)
    assert lab.git("status", "--porcelain=v2", "--branch").startswith("# branch.oid (initial)\n# branch.head fresh")


def test_hooks_of_the_project_are_not_asked(lab):
    hook = Path(lab.project, ".git", "hooks", "post-checkout")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho changed >b.txt\nexit 1\n")
    hook.chmod(0o755)
    lab.do("edit a.txt")
    before = look(lab)
    ref = lab.remove()
    lab.restore(ref)
    assert look(lab) == before


def test_the_pin_stays_and_serves_again(lab):
    lab.do(STATES["rebase in conflict"])
    before = look(lab)
    ref = lab.remove()
    lab.restore(ref)
    disk.remove(lab.project, lab.path)
    git("gc", "--quiet", "--prune=now", cwd=lab.project)
    lab.restore(ref)
    assert look(lab) == before


def test_what_was_under_way_goes_on(lab):
    lab.do(STATES["cherry-picks of a branch that is gone"])
    lab.restore(lab.remove())
    lab.do("edit a.txt; git add -A; git -c core.editor=true cherry-pick --continue")
    assert lab.git("log", "--format=%s", "-3").splitlines() == ["2", "1", "other's"]


def test_a_folder_that_is_there_is_not_touched(lab):
    ref = busy(lab)
    os.makedirs(lab.path)
    Path(lab.path, "mine").write_text("mine")
    with pytest.raises(MagentsError):
        lab.restore(ref)
    with pytest.raises(MagentsError):
        read.bring_back(lab.project, ref, lab.path)
    assert os.listdir(lab.path) == ["mine"]


def test_a_pin_that_was_deleted_is_named(lab):
    with pytest.raises(NotFound, match="refs/magents/one/none is gone"):
        read.bring_back(lab.project, "refs/magents/one/none", lab.path)


@pytest.mark.parametrize("ref", ["main", "agent"])
def test_what_is_no_pin_is_named(lab, ref):
    with pytest.raises(MagentsError, match=f"{ref} is not a pin"):
        read.bring_back(lab.project, ref, lab.path)


def hostile(lab: Lab, script: str) -> str:
    """A commit of a tree that `script` puts together with `pin KIND NAME` of a meta.json and other files."""
    meta = json.dumps(
        {"id": "one", "branch": "", "head": git("rev-parse", "main", cwd=lab.project), "workspace": lab.path,
         "taken": 1, "deleted": ["../victim"], "nested": [], "uncommitted": 1, "stashes": []}
    )  # fmt: skip
    Path(lab.project, "../meta.json").write_text(meta)
    Lab(lab.project, lab.project).do(f"""
        export GIT_INDEX_FILE=$P/../hostile-index
        git update-index --add --cacheinfo 100644,$(git hash-object -w ../meta.json),meta.json
        {script}
        git update-ref refs/magents/one/hostile $(git commit-tree -m x $(git write-tree))
    """)
    return "refs/magents/one/hostile"


def test_nothing_is_taken_away_outside_of_the_workspace(lab):
    ref = hostile(lab, ":")
    disk.remove(lab.project, lab.path)
    victim = Path(os.path.dirname(lab.path), "victim")
    victim.parent.mkdir(exist_ok=True)
    victim.write_text("mine")
    with pytest.raises(MagentsError, match="outside"):
        lab.restore(ref)
    assert victim.read_text() == "mine"


# bring_over


WORK = "edit a.txt; git add a.txt; edit a.txt again; edit new; chmod 600 new; rm b.txt; git init -q inner; edit inner/x"


def test_uncommitted_work_goes_to_a_fresh_checkout(lab):
    lab.do(f"edit c.txt; save kept; {WORK}")
    before = look(lab)
    ref = lab.remove()
    fresh = labs.grow(lab, path=f"{lab.path}-2")
    assert read.bring_over(lab.project, ref, fresh.path) == 4
    after = look(fresh)
    for part in ("files", "status", "index", "staged"):
        assert getattr(after, part) == getattr(before, part), part


@pytest.mark.parametrize(
    ("state", "meanwhile"),
    [
        (":", ":"),
        ("edit a.txt; save committed", ":"),
        (WORK, "git update-ref refs/heads/agent $(git commit-tree -m more -p agent agent^{tree})"),
        (f"{WORK}; git checkout -q --detach", ":"),
        ("git checkout -q --orphan fresh; edit new", ":"),
        *[(STATES[name], ":") for name in (
            "merge in conflict", "merge without a conflict", "rebase in conflict", "cherry-pick in conflict",
            "sparse checkout", "submodule with commits of its own", "bisect",
        )],
    ],
)  # fmt: skip
def test_what_cannot_go_over_is_left_in_its_pin(lab, state, meanwhile):
    lab.do(state)
    ref = lab.remove()
    Lab(lab.project, lab.project).do(meanwhile)
    fresh = labs.grow(lab)
    before = look(fresh)
    assert read.bring_over(lab.project, ref, fresh.path) == 0
    assert look(fresh) == before


def test_no_pin_brings_nothing_over(lab):
    assert read.bring_over(lab.project, "refs/magents/one/none", lab.path) == 0


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    "members",
    [
        [member("../outside/new")],
        [member("out", tarfile.SYMTYPE, "../outside"), member("out/new")],
        [member("twin", tarfile.LNKTYPE, "../outside/secret")],
    ],
    ids=["above", "through a link", "a second name"],
)
def test_nothing_of_a_kept_folder_lands_outside(lab, tmp_path, members):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for each in members:
            archive.addfile(each)
    blob = ask(lab.project, "hash-object", "-w", "--stdin", stdin=packed.getvalue()).line
    with pytest.raises((MagentsError, tarfile.TarError)):
        unpack.unpack(lab.project, blob, str(tmp_path / "target"))
    assert os.listdir(outside) == ["secret"]
    assert not os.path.lexists(tmp_path / "target" / "twin")
