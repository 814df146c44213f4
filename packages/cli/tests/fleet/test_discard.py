"""Agents that have made themselves unremovable: what cannot be kept is named, and given up only on demand."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import commit, git, make_project, run, until
from magents import Fleet
from magents.core.agent import Agent
from magents.core.errors import Unkept

HINT = "magents stop one --remove-worktree --discard"


@pytest.fixture
def agent(fleet: Fleet, project: Path) -> Agent:
    """An agent with work that is committed, and other work."""
    made = fleet.create("feature/x", "one", folder=str(project), command=("sleep", "300"))
    commit(made.workspace, "kept", kept_txt="kept\n")
    Path(made.workspace, "new").write_text("new\n")
    return made


def gone(agent: Agent) -> None:
    """Nothing is left of its workspace, nor beside it."""
    until(lambda: not os.path.exists(os.path.dirname(agent.workspace)), what="an end of the trash")
    assert "prunable" not in git("worktree", "list", cwd=agent.project)


def weak(*words: str, cwd: Path, stdin: int | None = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    """The command line as someone who may not read everything: also where the tests run as root."""
    argv = [sys.executable, "-m", "magents", *words]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root can read everything, and there is no setpriv")
        argv = [setpriv, "--bounding-set", "-dac_override,-dac_read_search", *argv]
    return subprocess.run(argv, cwd=cwd, stdin=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_a_folder_without_rights(agent, project, magents):
    far = Path(agent.workspace, "far/away")
    far.mkdir(parents=True)
    (far / "x").write_text("x\n")
    (far / "x").chmod(0)
    far.chmod(0)
    far.parent.chmod(0o300)
    done = weak("stop", "one", "--remove-worktree", cwd=project)
    assert done.returncode == 1 and HINT in done.stderr, done.stderr
    done = weak("stop", "one", "--remove-worktree", "--discard", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    gone(agent)
    magents("restore", "one")
    assert (far / "x").read_text() == "x\n", "all of it could be kept"


def forge(agent: Agent, how: str, victim: Path) -> None:
    """Let the workspace's `.git` lead elsewhere."""
    link = Path(agent.workspace, ".git")
    link.unlink()
    if how == "a file":
        link.write_text(f"gitdir: {victim}/.git\n")
    elif how == "a link":
        link.symlink_to(victim / ".git")
    elif how == "a repository of its own":
        git("init", "-q", cwd=agent.workspace)
        commit(agent.workspace, "hidden")
    elif how == "nonsense":
        link.write_bytes(b"\0\xff" * 100)


@pytest.mark.parametrize("how", ["a file", "a link", "a repository of its own", "nonsense", "nothing"])
def test_a_record_that_leads_elsewhere(agent, project, place, magents, how):
    victim = make_project(place.top / "victim")
    (victim / ".git" / "SECRET_HEAD").write_text("secret\n")
    before = sorted(victim.rglob("*"))
    forge(agent, how, victim)
    done = magents("stop", "one", "--remove-worktree", code=1)
    assert HINT in done.err
    assert git("for-each-ref", "refs/magents", cwd=project) == ""
    magents("stop", "one", "--remove-worktree", "--discard")
    gone(agent)
    assert sorted(victim.rglob("*")) == before
    names = git("ls-tree", "-r", "--name-only", Fleet().find_removed("one").pin, cwd=project)
    assert "SECRET" not in names and "files/new" in names
    magents("restore", "one")
    assert Path(agent.workspace, "new").read_text() == "new\n"


def test_a_workspace_that_is_a_link_elsewhere(agent, project, place, magents):
    victim = make_project(place.top / "victim")
    before = sorted(victim.rglob("*"))
    shutil.rmtree(agent.workspace)
    os.symlink(victim, agent.workspace)
    assert HINT in magents("stop", "one", "--remove-worktree", code=1).err
    said = magents("stop", "one", "--remove-worktree", "--discard").err
    assert "one: this could not be kept: what was not committed" in said
    gone(agent)
    assert sorted(victim.rglob("*")) == before
    magents("restore", "one")
    assert Path(agent.workspace, "kept.txt").exists()


def test_a_deep_tree_and_a_file_larger_than_any_disk(agent, project, magents):
    run("sh", "-c", "i=0; while [ $i -lt 30 ]; do d=$(printf '%0200d' 1); mkdir $d; cd -P $d; i=$((i+1)); done; echo x >x",
        cwd=agent.workspace, code=None)  # fmt: skip
    with Path(agent.workspace, "huge").open("wb") as file:
        file.truncate(1 << 40)
    done = magents("stop", "one", "--remove-worktree", "--discard", "--json")
    unkept = done.json()[0]["unkept"]
    assert any(line.startswith("huge: more than") for line in unkept) and any(
        "could not open" in line for line in unkept
    ), unkept
    gone(agent)
    magents("restore", "one")
    assert Path(agent.workspace, "new").read_text() == "new\n"


def test_a_fifo_among_git_s_records_holds_nobody_up(agent, project, magents):
    other = project / ".git" / "worktrees" / "a-fifo"
    other.mkdir()
    os.mkfifo(other / "gitdir")
    os.mkfifo(project / ".git" / "worktrees" / "one" / "locked")
    assert "is locked" in magents("stop", "one", "--remove-worktree", code=1).err
    (project / ".git" / "worktrees" / "one" / "locked").unlink()
    magents("stop", "one", "--remove-worktree")


def test_of_git_files_that_cannot_be_read_the_branch_is_left(agent, project, fleet, magents):
    admin = project / ".git" / "worktrees" / "one"
    (admin / "index").write_bytes(b"DIRC nonsense")
    with pytest.raises(Unkept, match="--discard"):
        fleet.remove(agent)
    removed = fleet.remove(fleet.find("one"), discard=True)
    assert removed.unkept and removed.uncommitted == 0
    fleet.restore(fleet.find_removed("one"))
    assert Path(agent.workspace, "kept.txt").read_text() == "kept\n"


def test_what_can_be_kept_whole_is(agent, magents):
    done = magents("stop", "one", "--remove-worktree", "--discard", "--json").json()
    assert done[0]["unkept"] == [] and done[0]["uncommitted"] == 1
    magents("stop", "one", "--discard", code=2)


def answered(answer: str, project: Path, run_there: Callable[..., subprocess.CompletedProcess[str]]):
    """Run the removal at a terminal where a person gives that answer."""
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, answer.encode() + b"\n")
        return run_there("stop", "one", "--remove-worktree", "--discard", cwd=project, stdin=terminal)
    finally:
        os.close(terminal)
        os.close(keyboard)


def test_a_person_is_asked(agent, project):
    Path(agent.workspace, ".git").unlink()
    done = answered("n", project, weak)
    assert done.returncode == 1 and "nothing of it was removed" in done.stderr
    assert Path(agent.workspace, "new").exists()
    done = answered("y", project, weak)
    assert done.returncode == 0 and "give up what cannot be kept? [y/N]" in done.stdout
    gone(agent)
