"""Merging only what passes a check: the command runs on the merge's result, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import commit, git, until
from magents import Fleet
from magents.core.agent import Agent
from magents.core.errors import CheckFailed, Conflict

SLEEP = ("sleep", "300")


@pytest.fixture
def agent(fleet, project) -> Agent:
    """An agent with one commit."""
    made = fleet.create("feature/x", "one", folder=str(project), command=SLEEP)
    commit(made.workspace, "work", new_txt="new\n")
    return made


def everything(project: Path) -> tuple[str, ...]:
    """All that a merge which did not happen must not have changed."""
    return (
        git("for-each-ref", "refs/heads", cwd=project), git("status", "--porcelain", "--branch", cwd=project),
        git("worktree", "list", "--porcelain", cwd=project),
    )  # fmt: skip


def swept(place) -> bool:
    """Whether no working tree of a check is left; what was moved aside is deleted beside."""
    folder = place.state / "checks"
    return not folder.is_dir() or not [path for path in folder.iterdir() if path.name.isdecimal()]


def case(name: str, project: Path, agent: Agent) -> dict[str, bool]:
    """The forms of a merge: options for it, with the base as it should stand."""
    if name != "forward":
        commit(project, "meanwhile", base_txt="base\n")
    if name == "elsewhere":
        git("checkout", "-q", "--detach", cwd=project)
    return {"squash": name == "squash"}


@pytest.mark.parametrize("name", ["forward", "merge", "elsewhere", "squash"])
def test_the_result_is_what_is_checked(name, fleet, project, agent, place):
    options = case(name, project, agent)
    there = "test -f new.txt && test -f README.md" + (" && test -f base.txt" if name != "forward" else "")
    look = f"{there} && git rev-parse HEAD >{place.top}/checked && pwd >{place.top}/where"
    done = fleet.merge(agent, check=look, **options)
    assert (place.top / "checked").read_text().strip() == done.after == git("rev-parse", "main", cwd=project)
    assert not Path((place.top / "where").read_text().strip()).exists()
    assert (project / "new.txt").exists() == (name != "elsewhere")
    assert git("worktree", "list", cwd=project).count("\n") == 1
    assert swept(place)
    until(lambda: not (place.state / "checks").exists(), 10, "the folder of all checks is gone, too")


@pytest.mark.parametrize("name", ["forward", "merge", "elsewhere", "squash"])
def test_a_failing_check_changes_nothing(name, fleet, project, agent, place):
    options = case(name, project, agent)
    before = everything(project)
    with pytest.raises(CheckFailed) as caught:
        fleet.merge(agent, check="seq 100; printf '\\033[31mno\\n' >&2; exit 3", **options)
    assert (caught.value.code, caught.value.exit_code) == (3, 1)
    assert caught.value.output.startswith("1\n2\n")
    assert "\n99\n100\n" in caught.value.message
    assert "\n50\n" not in caught.value.message
    assert "send one" in caught.value.hint
    assert everything(project) == before
    assert swept(place)


def test_one_that_passes_alone_and_fails_merged(fleet, project, agent):
    """Both sides are fine by themselves, and no line is in conflict."""
    commit(project, "meanwhile", base_txt="base\n")
    check = "! { test -f base.txt && test -f new.txt; }"
    for folder in (project, agent.workspace):
        subprocess.run(["sh", "-c", check], cwd=folder, check=True)
    with pytest.raises(CheckFailed):
        fleet.merge(agent, check=check)


@pytest.mark.parametrize("detached", [False, True])
def test_the_base_moves_during_the_check(detached, fleet, project, agent, place):
    """The check moves it once, as another merge would: it runs again, on a merge with the newer base."""
    if detached:
        git("checkout", "-q", "--detach", cwd=project)
    other = f"$(git commit-tree -p main -m meanwhile $(git -C {agent.project} rev-parse 'main^{{tree}}'))"
    move = f"git -C {project} merge -q --ff-only" if not detached else "git update-ref refs/heads/main"
    check = (
        f"echo run >>{place.top}/runs; [ -e {place.top}/moved ] || {{ {move} {other} && : >{place.top}/moved; }}"
    )
    done = fleet.merge(agent, check=check)
    assert (place.top / "runs").read_text() == "run\nrun\n"
    subjects = git("log", "--format=%s", "main", cwd=project).split("\n")
    assert {"meanwhile", "work"} <= set(subjects)
    assert git("rev-parse", "main", cwd=project) == done.after
    assert git("status", "--porcelain", cwd=project) == ""


def test_another_branch_is_checked_out_during_the_check(fleet, project, agent):
    """The working tree that followed before must not be brought to it now."""
    git("branch", "other", cwd=project)
    done = fleet.merge(agent, check=f"git -C {project} checkout -q other")
    assert done.checkout == ""
    assert git("rev-parse", "main", cwd=project) == done.after
    assert git("rev-parse", "other", cwd=project) == done.before


def test_changes_come_up_during_the_check(fleet, project, agent):
    with pytest.raises(Conflict, match=r"README\.md"):
        fleet.merge(agent, check=f"echo mine >{project}/README.md")
    assert (project / "README.md").read_text() == "mine\n"


def test_files_of_worktreeinclude_come_along(fleet, project, agent):
    commit(project, "secrets", _gitignore=".env\n", _worktreeinclude=".env\n")
    (project / ".env").write_text("SECRET=1\n")
    fleet.merge(agent, check="grep SECRET .env")


def test_what_was_committed_for_it_is_told(fleet, project, agent):
    Path(agent.workspace, "more.txt").write_text("more\n")
    with pytest.raises(CheckFailed, match="has been committed to feature/x"):
        fleet.merge(agent, commit="more", check="test -f more.txt && exit 1")


@pytest.mark.slow
def test_it_takes_too_long(fleet, project, agent, monkeypatch, place):
    """Nor does anything that it has started stay."""
    monkeypatch.setenv("MAGENTS_CHECK_TIMEOUT", "1")
    before = everything(project)
    with pytest.raises(CheckFailed, match="longer than 1 s") as caught:
        fleet.merge(
            agent, check=f"echo begun; (echo $$ >{place.top}/pid; trap '' TERM; while :; do sleep 0.1; done)"
        )
    assert caught.value.code is None
    assert caught.value.output == "begun\n"
    assert everything(project) == before
    assert swept(place)
    assert not alive(int((place.top / "pid").read_text()))


def test_what_goes_on_in_the_background_is_not_waited_for(fleet, project, agent, place):
    fleet.merge(agent, check=f"sleep 300 & echo $! >{place.top}/pid")
    assert not alive(int((place.top / "pid").read_text()))


def test_output_without_end_is_no_trouble(fleet, project, agent):
    """Of what it prints only the end is kept, and no disk fills."""
    with pytest.raises(CheckFailed) as caught:
        fleet.merge(agent, check="head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last; exit 1")
    assert len(caught.value.output) <= 1024 * 1024
    assert caught.value.message.endswith("\nlast")


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def begin(project: Path, check: str) -> subprocess.Popen[str]:
    """`magents merge --check`, in the middle of its check."""
    words = [sys.executable, "-m", "magents", "merge", "one", "--check", check]
    return subprocess.Popen(words, cwd=project, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ended_by_a_signal(number, code, fleet, project, agent, place):
    before = everything(project)
    running = begin(project, f"echo $$ >{place.top}/pid; sleep 300; :")
    until((place.top / "pid").exists)
    os.kill(running.pid, number)
    running.communicate(timeout=60)
    assert running.returncode == code
    assert everything(project) == before
    assert swept(place)
    assert not alive(int((place.top / "pid").read_text()))


@pytest.mark.parametrize("words", [("collect",), ("doctor", "--fix"), ("merge", "one", "--check", "true")])
def test_killed(words, fleet, project, agent, place, magents):
    """While it lives its check is left alone. After that the next command ends what it ran, which may hang."""
    before = everything(project)
    running = begin(project, f"echo $$ >{place.top}/pid; sleep 300; :")
    until((place.top / "pid").exists)
    assert "checked already" in magents("merge", "one", "--check", "true", code=1).err
    running.kill()
    running.communicate(timeout=60)
    assert not swept(place)
    assert everything(project)[:2] == before[:2]
    done = magents(*words, code=None)
    assert "cut short" in done.out + done.err
    assert swept(place)
    assert not alive(int((place.top / "pid").read_text()))
    assert (everything(project) == before) == (words[0] != "merge")


def test_no_hook_runs(fleet, project, agent, place):
    hook = project / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n: >{place.top}/ran\n")
    hook.chmod(0o755)
    fleet.merge(agent, check="true")
    assert not (place.top / "ran").exists()


def test_the_project_is_gone_when_it_is_swept(fleet, project, agent, place):
    """That is told, and keeps no command from its work."""
    (place.state / "checks" / str(agent.key)).mkdir(parents=True)
    project.rename(place.top / "away")
    assert "cannot be cleared away" in " ".join(Fleet().recover())
    (place.top / "away").rename(project)
    assert "cut short" in " ".join(Fleet().recover())
    assert swept(place)


def test_the_agent_can_be_stopped_meanwhile(fleet, project, agent):
    fleet.merge(agent, check=f"{sys.executable} -m magents stop one")
    assert fleet.status(fleet.find("one")).state == "stopped"


def test_on_the_command_line(fleet, project, agent, magents):
    done = magents("merge", "one", "--check", "printf '\\033]0;owned\\007red\\n'; exit 1", code=1)
    assert "red" in done.err
    assert "\x1b" not in done.err
    assert "Merged" in magents("merge", "one", "--check", "test -f new.txt").out
