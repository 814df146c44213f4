"""What a pin holds, and when there must be none. That it holds everything: test_restore.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import git, unprivileged
from git import lab as labs
from git.lab import Lab, files, look
from git.states import STATES
from magents.core.errors import MagentsError
from magents.git import layout
from magents.git.pins import format, read, write
from magents.git.workspaces import disk

TAKE = """
import sys
from magents.core.errors import MagentsError
from magents.git.pins import write
from magents.git.pins import format
from magents.git import layout
from magents.git.workspaces import include
try:
    write.take(sys.argv[1], sys.argv[2], "one", include.changed(sys.argv[1], sys.argv[2]))
except MagentsError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.fixture
def lab(place) -> Lab:
    return labs.start(place)


def test_what_it_says_of_itself(lab):
    lab.do("edit a.txt 1; git stash -qm kept; edit a.txt 2; rm b.txt; edit new; git init -q inner; edit inner/x")
    ref, meta, _ = write.take(lab.project, lab.path, "one")
    assert (meta.id, meta.branch, meta.workspace) == ("one", "agent", lab.path)
    assert meta.head == lab.git("rev-parse", "HEAD")
    assert meta.deleted == ["b.txt"]
    assert meta.nested == ["inner"]
    assert meta.uncommitted == 4
    assert meta.stashes == ["On agent: kept"]
    assert format.meta_of(lab.project, ref) == meta


def test_pins_newest_first_and_of_this_agent_only(lab):
    taken = [write.take(lab.project, lab.path, id)[0] for id in ("one", "one", "one-2", "one")]
    assert format.pins(lab.project, "one") == [taken[3], taken[1], taken[0]]
    assert format.pins(lab.project, "one-2") == [taken[2]]


def test_a_pin_that_cannot_be_written(lab):
    """As on a full disk: it is said in short, and neither a pin nor git's report of its end is left."""
    lab.do("edit a.txt 1")
    packs = Path(lab.project, ".git", "objects", "pack")
    packs.rename(packs.with_name("packs"))
    packs.touch()
    before = sorted(os.listdir(packs.parent.parent))
    with pytest.raises(MagentsError, match="cannot be kept, so nothing was removed:\n") as caught:
        write.take(lab.project, lab.path, "one")
    assert str(caught.value).count("\n") == 2
    assert sorted(os.listdir(packs.parent.parent)) == before
    assert format.pins(lab.project, "one") == []


@pytest.mark.parametrize("name", ["staged and unstaged differ", "rebase in conflict", "filters", "intent to add"])
def test_looking_changes_nothing(lab, name):
    lab.do(STATES[name])
    before, index = look(lab), Path(layout.admin_folder(lab.project, lab.path), "index").read_bytes()
    lab.pin()
    assert look(lab) == before
    assert Path(layout.admin_folder(lab.project, lab.path), "index").read_bytes() == index


def test_a_lock_of_the_index_is_no_hindrance(lab):
    lab.do("edit a.txt")
    Path(layout.admin_folder(lab.project, lab.path), "index.lock").touch()
    lab.restore(lab.remove())
    lab.do("git add a.txt")


def weak(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python as someone who may not read everything: also where the tests run as root."""
    argv = unprivileged(sys.executable, "-c", *words)
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("state", "secret", "mode"),
    [
        ("edit new", "new", 0),
        ("edit a.txt", "a.txt", 0o200),
        ("echo SECRET=2 >.env", ".env", 0),
        ("mkdir far; edit far/new", "far", 0),
        ("mkdir far; edit far/new", "far", 0o600),
        ("edit dir/new", "dir", 0),
        ("mkdir -p far/away; edit far/away/new", "far/away", 0o300),
        ("git init -q inner; edit inner/x", "inner/x", 0),
        ("git init -q inner; mkdir inner/d; edit inner/d/x", "inner/d", 0),
        ("git update-index --assume-unchanged a.txt; edit a.txt", "a.txt", 0),
    ],
)
def test_what_cannot_be_read_is_refused(lab, state, secret, mode):
    lab.do(state)
    path = Path(lab.path, secret)
    before, was = files(lab.path), path.stat().st_mode
    path.chmod(mode)
    done = weak(TAKE, lab.project, lab.path)
    path.chmod(was)
    assert done.returncode == 1, "it was not noticed"
    assert done.stderr.startswith("refused: "), done.stderr
    assert os.path.basename(secret) in done.stderr
    assert git("for-each-ref", "refs/magents", cwd=lab.project) == ""
    assert files(lab.path) == before


def test_a_workspace_that_git_cannot_read_is_refused(lab):
    Path(lab.path, "new").write_text("new")
    Path(lab.path, ".git").unlink()
    with pytest.raises(MagentsError):
        lab.pin()
    Path(lab.path, ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(MagentsError):
        lab.pin()
    assert Path(lab.path, "new").read_text() == "new"


def test_a_workspace_that_has_become_a_repository_of_its_own_is_refused(lab):
    lab.do("rm .git; git init -q; edit a.txt; save mine; edit a.txt more")
    before = files(lab.path)
    with pytest.raises(MagentsError):
        lab.pin()
    assert files(lab.path) == before
    assert git("for-each-ref", "refs/magents", cwd=lab.project) == ""


def test_a_damaged_index_is_refused(lab):
    Path(layout.admin_folder(lab.project, lab.path), "index").write_bytes(b"DIRC nonsense")
    with pytest.raises(MagentsError, match="nothing was removed"):
        write.take(lab.project, lab.path, "one")


@pytest.mark.parametrize("text", ["", "nonsense\n", "a b\n", "\0\xff\r\x0b\n \n\t\n"])
def test_a_damaged_reflog_is_no_hindrance(lab, text):
    lab.do("edit a.txt; save one; edit b.txt")
    log = Path(layout.admin_folder(lab.project, lab.path), "logs", "HEAD")
    with log.open("a", encoding="latin-1") as file:
        file.write(text)
    lab.pin()


def test_a_reflog_that_names_what_is_gone(lab):
    lab.do("edit a.txt; save one; git reset -q --hard HEAD~; edit b.txt")
    for path in Path(lab.project, ".git/objects").glob("??/*"):
        if path.parent.name + path.name == lab.git("rev-parse", "HEAD@{1}"):
            path.unlink()
            break
    ref = lab.pin()
    assert git("rev-parse", f"{ref}^@", cwd=lab.project) == lab.git("rev-parse", "HEAD")


# A workspace whose folder has gone


def test_of_a_folder_that_is_gone_all_that_git_knows_is_kept(lab):
    lab.do("""
        edit a.txt; save dropped; git reset -q --hard HEAD~; edit b.txt; save kept
        edit new staged; edit a.txt staged; git add -A
    """)
    dropped, kept, index = lab.git("rev-parse", "HEAD@{2}"), lab.git("rev-parse", "HEAD"), look(lab).index
    shutil.rmtree(lab.path)
    ref = write.take_absent(lab.project, lab.path, "one", "agent")
    disk.remove(lab.project, lab.path)
    git("update-ref", "-d", "refs/heads/agent", cwd=lab.project)
    git("gc", "--quiet", "--prune=now", cwd=lab.project)
    lab.restore(ref)
    assert lab.git("rev-parse", "HEAD", "HEAD@{2}").split() == [kept, dropped]
    assert look(lab).index == index
    assert lab.git("show", ":new") == "new, edited by staged"
    lab.git("fsck", "--connectivity-only")


def test_of_a_detached_head_too(lab):
    lab.do("git checkout -q --detach; edit a.txt; save lost")
    commit = lab.git("rev-parse", "HEAD")
    shutil.rmtree(lab.path)
    ref = write.take_absent(lab.project, lab.path, "one", "agent")
    disk.remove(lab.project, lab.path)
    git("gc", "--quiet", "--prune=now", cwd=lab.project)
    lab.restore(ref)
    assert lab.git("rev-parse", "HEAD") == commit
    assert lab.git("rev-parse", "--symbolic-full-name", "HEAD") == "HEAD"


def test_of_one_that_git_has_forgotten_the_branch_is_left(lab):
    lab.do("edit a.txt; save one")
    commit = lab.git("rev-parse", "HEAD")
    disk.remove(lab.project, lab.path)
    ref = write.take_absent(lab.project, lab.path, "one", "agent")
    git("branch", "-qD", "agent", cwd=lab.project)
    disk.claim(lab.path)
    read.bring_back(lab.project, ref, lab.path)
    assert lab.git("rev-parse", "HEAD", "agent").split() == [commit, commit]
