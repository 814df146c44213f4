"""Git does not stand at fifos that are in the place of its files, and nothing else is disturbed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import commit, git, until
from magents.core.errors import CommandFailed
from magents.git import diff
from magents.git.pins import write
from magents.system import fifos, process

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="the kernel tells by /proc")

LIMIT = 30
"""Seconds that git gets here; it would wait for ever."""
EMPTY = (".gitignore", ".gitattributes", "d/.gitignore", "d/.gitattributes", "d/e/.gitignore", ".git/info/exclude",
         ".git/info/attributes", ".git/refs/x", ".git/refs/heads/x")  # fmt: skip
"""Files of git's that can as well be empty."""
BROKEN = (".git/HEAD", ".git/index")
"""Files without which git cannot work."""


def plant(project: Path, *names: str) -> None:
    for name in names:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)


def run(project: Path, *words: str) -> process.Result:
    return process.run(["git", "-C", str(project), *words], timeout=LIMIT)


@pytest.mark.parametrize("name", EMPTY)
def test_one_that_is_read_is_an_empty_file(project, name):
    plant(project, name)
    (project / "d/e").mkdir(parents=True, exist_ok=True)
    (project / "d/e/new.txt").write_text("new\n")
    assert run(project, "status", "--porcelain", "--untracked-files=all").text.splitlines() == ["?? d/e/new.txt"]
    run(project, "for-each-ref")
    assert b"+new" in diff.held(lambda target: diff.since(target, str(project), "HEAD"))
    assert stat.S_ISFIFO((project / name).lstat().st_mode)


def test_many_at_once(project):
    plant(project, *(f"d{number}/.gitignore" for number in range(200)))
    assert run(project, "status", "--porcelain").text == ""


@pytest.mark.parametrize("name", BROKEN)
def test_one_that_git_cannot_do_without_is_named(project, name):
    plant(project, name)
    with pytest.raises(CommandFailed) as caught:
        run(project, "status")
    assert f"{project}/{name} is a fifo: git was given an empty file" in caught.value.message
    assert caught.value.code == 128


def test_a_configuration_that_leads_to_one(project, tmp_path):
    os.mkfifo(tmp_path / "more")
    git("config", "core.excludesFile", str(tmp_path / "more"), cwd=project)
    git("config", "include.path", str(tmp_path / "more"), cwd=project)
    assert run(project, "status", "--porcelain").text == ""


def test_one_that_somebody_keeps_open_ends_git(project):
    plant(project, ".git/refs/heads/x")
    handle = os.open(project / ".git/refs/heads/x", os.O_RDWR)
    try:
        with pytest.raises(CommandFailed, match="refs/heads/x is a fifo, and somebody keeps it open"):
            run(project, "rev-parse", "refs/heads/x")  # newer ones of git do not list a ref that is no file
    finally:
        os.close(handle)


def test_one_that_git_would_write_to_ends_git(project):
    plant(project, ".git/COMMIT_EDITMSG")
    with pytest.raises(CommandFailed, match="COMMIT_EDITMSG is a fifo, and git would write to it"):
        run(project, "commit", "--allow-empty", "-m", "Work")
    assert not (project / ".git/index.lock").exists()


def test_everything_can_be_pinned(project):
    """Where git is fed and where files of git's are read here, too."""
    plant(project, *EMPTY, ".git/magents/given", ".git/logs/HEAD", "fifo")
    (project / "d/new.txt").write_text("new\n")
    ref, meta, _ = write.take(str(project), str(project), "one", [])
    assert meta.uncommitted == 1
    assert run(project, "cat-file", "blob", f"{ref}:files/d/new.txt").line == "new"


def test_an_agent_in_tmux_does_not_hold_commands_up(fleet, project):
    agent = fleet.create("x", folder=str(project), command=["sleep", "300"])
    workspace = Path(agent.workspace)
    plant(workspace, "d/.gitignore", "d/.gitattributes", "fifo")
    (workspace / "d/new.txt").write_text("new\n")
    assert b"+new" in fleet.diff(agent)
    fleet.remove(agent)
    back, _ = fleet.restore(fleet.find_removed(agent.id))
    assert (Path(back.workspace) / "d/new.txt").read_text() == "new\n"


def test_what_others_wait_for_is_not_touched(project):
    """A program of the agent's that waits for its own fifo waits on, and gets what is written then; so does one
    that a hook of git's has started."""
    plant(project, "talk", "d/.gitignore", "hooked")
    reader = subprocess.Popen(["cat", "talk"], cwd=project, stdout=subprocess.PIPE, text=True)
    hook = project / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{{ sleep 1; echo said >hooked; }} & test \"$(cat '{project}/hooked')\" = said\n")
    hook.chmod(0o755)
    try:
        run(project, "status")
        run(project, "commit", "--allow-empty", "-q", "-m", "Work")
        assert reader.poll() is None
        (project / "talk").write_text("hello\n")
        assert reader.communicate(timeout=LIMIT)[0] == "hello\n"
    finally:
        reader.kill()


def test_a_command_of_its_own(project):
    """As the image runs it: output, exit code and what git stood at come through."""
    words = [sys.executable, "-I", "-S", fifos.__file__]
    commit(project, "More")
    plant(project, ".gitignore", ".git/refs/x")
    done = subprocess.run([*words, "git", "log", "-1", "--format=%s"], cwd=project, capture_output=True,
                          timeout=LIMIT, check=True)  # fmt: skip
    assert done.stdout == b"More\n"
    plant(project, ".git/HEAD")
    done = subprocess.run([*words, "git", "log"], cwd=project, capture_output=True, timeout=LIMIT, check=False)
    assert done.returncode == 128
    assert b".git/HEAD is a fifo: git was given an empty file\n" in done.stderr


def test_it_says_nothing_of_what_has_ended():
    child = subprocess.Popen(["true"])
    until(lambda: child.poll() is not None)
    assert fifos.release(child.pid) == []
