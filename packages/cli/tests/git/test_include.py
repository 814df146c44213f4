"""`.worktreeinclude`: ignored files that come along, and which of them an agent has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import git
from git import lab as labs
from git.lab import Lab, files
from magents.core.errors import MagentsError
from magents.git.workspaces import include


@pytest.fixture
def lab(place) -> Lab:
    return labs.start(place)


def give(lab: Lab, patterns: str, ignored: str = "*.log\n.env\n/vendor/\n/conf/*\n") -> None:
    """Write the two files into the project; `.gitignore` is committed there, as is all that it does not ignore."""
    Path(lab.project, ".worktreeinclude").write_text(patterns)
    Path(lab.project, ".gitignore").write_text(ignored)
    git("add", "-A", cwd=lab.project)
    git("commit", "-qm", "patterns", cwd=lab.project)
    git("reset", "-q", "--hard", "main", cwd=lab.path)


def put(lab: Lab, *names: str) -> None:
    for name in names:
        path = Path(lab.project, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(f"ignored {name}\n"))


def test_what_matches_and_is_ignored_comes_along(lab):
    give(lab, "# a comment\n.env\n*.log\n!no.log\na.txt\n/conf/\n")
    put(lab, "yes.log", "no.log", "deep/er/yes.log", "conf/x", "conf/deep/y", "vendor/lib.c", "untracked.txt")
    os.unlink(os.path.join(lab.path, ".env"))
    Path(lab.path, "a.txt").unlink()
    assert sorted(include.copy(lab.project, lab.path)) == [
        ".env", "conf/deep/y", "conf/x", "deep/er/yes.log", "yes.log",
    ]  # fmt: skip
    assert Path(lab.path, "conf/deep/y").read_text() == "ignored conf/deep/y\n"
    for name in ("no.log", "vendor", "untracked.txt", "a.txt"):
        assert not os.path.lexists(os.path.join(lab.path, name))
    assert git("status", "--porcelain", cwd=lab.path) == " D a.txt"


def test_no_patterns_no_files(lab):
    os.unlink(os.path.join(lab.project, ".worktreeinclude"))
    assert include.copy(lab.project, lab.path) == []
    assert include.changed(lab.project, lab.path) == []


def test_what_is_there_is_not_replaced(lab):
    Path(lab.path, ".env").write_text("mine")
    include.copy(lab.project, lab.path)
    assert Path(lab.path, ".env").read_text() == "mine"


def test_permissions_times_and_links(lab):
    give(lab, "*.log\n")
    put(lab, "x.log")
    source = Path(lab.project, "x.log")
    source.chmod(0o600)
    os.utime(source, (1, 2))
    os.symlink("/nowhere", os.path.join(lab.project, "link.log"))
    include.copy(lab.project, lab.path)
    about = os.stat(os.path.join(lab.path, "x.log"))
    assert (about.st_mode & 0o777, about.st_mtime) == (0o600, 2)
    assert os.readlink(os.path.join(lab.path, "link.log")) == "/nowhere"


def test_odd_names(lab):
    give(lab, "*.log\n")
    odd = [" a.log", "new\nline.log", "ünï.log", "-x.log", '"q".log', os.fsdecode(b"\xff.log"), "\x1b[31m.log"]
    put(lab, *odd)
    assert sorted(include.copy(lab.project, lab.path)) == sorted(odd)
    assert all(os.path.exists(os.path.join(lab.path, name)) for name in odd)


def test_a_repository_among_them_does_not_stop_the_rest(lab):
    give(lab, "/vendor/\n.env\n")
    put(lab, "vendor/x")
    git("init", "-q", "vendor/inner", cwd=lab.project)
    put(lab, "vendor/inner/y")
    os.unlink(os.path.join(lab.path, ".env"))
    include.copy(lab.project, lab.path)
    assert Path(lab.path, "vendor/x").exists()
    assert Path(lab.path, ".env").exists()
    include.changed(lab.project, lab.path)


def test_no_link_leads_out_of_the_workspace(lab, place):
    """A branch has a link where the project has a folder."""
    give(lab, "/conf/\n")
    put(lab, "conf/x")
    outside = place.top / "outside"
    outside.mkdir()
    os.symlink(outside, os.path.join(lab.path, "conf"))
    before = files(str(outside))
    with pytest.raises(MagentsError, match="leads out of the workspace"):
        include.copy(lab.project, lab.path)
    assert files(str(outside)) == before


def test_what_cannot_be_copied_is_named(lab):
    give(lab, "/conf/\n")
    put(lab, "conf/x")
    Path(lab.path, "conf").write_text("a file where the folder should be")
    with pytest.raises(MagentsError, match="conf/x cannot be copied"):
        include.copy(lab.project, lab.path)


def test_changed(lab):
    give(lab, "*.log\n.env\n")
    put(lab, "same.log", "other.log", "gone.log", "link.log", "unlinked.log")
    include.copy(lab.project, lab.path)
    assert include.changed(lab.project, lab.path) == []
    lab.do("""
        echo longer >>other.log; rm gone.log; echo new >new.log; rm link.log; ln -s same.log link.log
        printf 'ignored unlinked.lo_\\n' >unlinked.log; touch -r same.log unlinked.log
    """)
    assert sorted(include.changed(lab.project, lab.path)) == ["link.log", "new.log", "other.log", "unlinked.log"]
