"""Stopping, starting, removing and restoring; and what happens to agents without anyone's wish."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import commit, git, leaked, make_project, until, work_of
from magents import Fleet
from magents.core.agent import Agent
from magents.core.errors import Conflict, MagentsError, NotFound

SLEEP = ("sleep", "300")
TALK = ("sh", "-c", "echo run >>runs; echo hello from $MAGENTS_ID; exec sleep 300")


@pytest.fixture
def agent(fleet, project) -> Agent:
    """A running agent that has said something."""
    made = fleet.create("feature/x", "one", folder=str(project), command=TALK)
    until(lambda: "hello from one" in "".join(fleet.logs(made)))
    return made


def becomes(fleet: Fleet, agent: Agent, state: str, detail: str = "") -> None:
    """Wait until it is so."""

    def is_so() -> bool:
        now = fleet.status(fleet.find(agent.id))
        return now.state == state and detail in now.detail

    until(is_so, what=f"{state} {detail}, but {fleet.status(fleet.find(agent.id))}")


def make_work(agent: Agent) -> dict[str, bytes]:
    """Uncommitted work of each kind; all files there are now."""
    top = Path(agent.workspace)
    commit(top, "committed", kept_txt="kept\n")
    (top / "README.md").write_bytes(b"changed\r\nlines\n\x00\xff")
    (top / "staged.txt").write_text("staged\n")
    git("add", "staged.txt", cwd=top)
    (top / "staged.txt").write_text("staged, then changed\n")
    (top / "new folder").mkdir()
    (top / "new folder" / "näme\nwith newline").write_text("untracked\n")
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    os.symlink("/etc/passwd", top / "link")
    (top / "src" / "app.py").unlink()
    return work_of(agent)


def test_stop_and_start(fleet, agent, place):
    runs = Path(agent.workspace, "runs")
    fleet.stop(agent)
    assert fleet.status(fleet.find("one")).state == "stopped"
    assert leaked(place) == []
    assert "hello from one" in "".join(fleet.logs(agent))
    fleet.stop(agent)
    assert fleet.start(agent) is True
    assert fleet.status(fleet.find("one")).state == "running"
    assert fleet.start(agent) is False
    until(lambda: runs.read_text() == "run\nrun\n")
    what = [entry.text for entry in fleet.context.store.history(agent)]
    assert what == ["created on feature/x", "stopped", "started again"]


def test_remove_and_restore(fleet, agent, project):
    work = make_work(agent)
    status = git("status", "--porcelain", cwd=agent.workspace)
    staged = git("diff", "--cached", cwd=agent.workspace)
    removed = fleet.remove(agent)
    assert removed.uncommitted >= 6
    assert not Path(agent.workspace).exists()
    assert fleet.list().views == []
    assert [a.id for a in fleet.removed()] == ["one"]
    assert "feature/x" in git("branch", cwd=project)
    until(lambda: not Path(agent.workspace).parent.exists())
    with pytest.raises(NotFound):
        fleet.find("one")

    back, _ = fleet.restore(fleet.find_removed("one"))
    assert fleet.status(back).state == "stopped"
    assert work_of(back) == work
    assert os.readlink(Path(back.workspace, "link")) == "/etc/passwd"
    assert os.access(Path(back.workspace, "run.sh"), os.X_OK)
    assert git("status", "--porcelain", cwd=back.workspace) == status
    assert git("diff", "--cached", cwd=back.workspace) == staged
    assert git("branch", "--show-current", cwd=back.workspace) == "feature/x"
    with pytest.raises(Conflict, match="is there already"):
        fleet.restore(back)
    fleet.start(back)
    assert fleet.status(fleet.find("one")).state == "running"


def test_a_removal_that_fails_changes_nothing(fleet, agent):
    work = make_work(agent)
    Path(agent.workspace, ".git").rename(Path(agent.workspace, ".git.away"))
    with pytest.raises(MagentsError):
        fleet.remove(agent)
    Path(agent.workspace, ".git.away").rename(Path(agent.workspace, ".git"))
    assert work_of(agent) == work
    assert fleet.status(fleet.find("one")).state == "stopped"
    fleet.remove(fleet.find("one"))
    assert work_of(fleet.restore(fleet.find_removed("one"))[0]) == work


def test_a_new_agent_takes_over_what_one_on_its_branch_left(fleet, agent, project):
    work = make_work(agent)
    fleet.remove(agent)
    again = fleet.create("feature/x", "two", folder=str(project), command=SLEEP)
    assert work_of(again) == work
    what = [entry.text for entry in fleet.context.store.history(again)]
    assert "uncommitted files of one" in what[0]


def test_nothing_is_taken_over_where_the_branch_has_moved(fleet, agent, project):
    make_work(agent)
    fleet.remove(agent)
    other = project.parent / "other"
    git("worktree", "add", "-q", str(other), "feature/x", cwd=project)
    commit(other, "moved", moved_txt="x")
    git("worktree", "remove", str(other), cwd=project)
    again = fleet.create("feature/x", "two", folder=str(project), command=SLEEP)
    assert git("status", "--porcelain", cwd=again.workspace) == ""
    assert fleet.find_removed("one").pin


def test_an_id_serves_again_after_a_removal(fleet, agent, project):
    first = make_work(agent)
    fleet.remove(agent)
    second = fleet.create("other", "one", folder=str(project), command=SLEEP)
    assert second.key != agent.key
    assert fleet.context.folder(second) != fleet.context.folder(agent)
    with pytest.raises(Conflict):
        fleet.restore(fleet.find_removed("one"))
    assert fleet.status(second).state == "running"
    Path(second.workspace, "mine.txt").write_text("second\n")
    fleet.remove(second)
    assert fleet.find_removed("one").key == second.key  # the newest
    assert work_of(fleet.restore(agent)[0]) == first


def test_a_workspace_that_has_gone(fleet, agent, project):
    commit(agent.workspace, "kept", kept_txt="kept")
    shutil.rmtree(agent.workspace)
    becomes(fleet, agent, "lost", "its workspace is gone")
    fleet.stop(agent)
    with pytest.raises(NotFound, match="is not there"):
        fleet.start(agent)
    with pytest.raises(NotFound):
        fleet.diff(agent)
    fleet.remove(agent)
    assert git("worktree", "list", cwd=project).count("\n") == 0
    back, _ = fleet.restore(fleet.find_removed("one"))
    assert Path(back.workspace, "kept.txt").read_text() == "kept"


def test_a_killed_tmux_server(fleet, agent, tmux, place):
    other = fleet.create("other", folder=str(agent.project), command=SLEEP)
    tmux("kill-server")
    becomes(fleet, agent, "lost", "its terminal is gone")
    becomes(fleet, other, "lost")
    until(lambda: leaked(place) == [], what="an end of what ran there")
    assert fleet.start(agent) is True
    becomes(fleet, agent, "running")
    becomes(fleet, other, "lost")
    assert "magents-one" in tmux("list-sessions")


def test_a_killed_session(fleet, agent, tmux, place):
    tmux("kill-session", "-t", "=magents-one")
    becomes(fleet, agent, "lost", "its terminal is gone")
    until(lambda: leaked(place) == [], what="an end of what ran there")
    fleet.start(agent)
    becomes(fleet, agent, "running")


def test_a_closed_window(fleet, agent, tmux, place, project):
    """Its session is still there, with windows of the user's own."""
    other = fleet.create("two", folder=str(project), command=("sleep", "300"))
    tmux("new-window", "-d", "-t", "=magents-one:", "sleep 300")
    tmux("kill-window", "-t", "=magents-one:agent")
    becomes(fleet, agent, "failed")
    becomes(fleet, other, "running")
    assert [view.orphan for view in fleet.list().views] == [False, False]
    assert fleet.start(agent) is True
    becomes(fleet, agent, "running")
    assert fleet.list().problems == []


def test_a_killed_program(fleet, agent, place):
    pid = next(pid for pid, command in leaked(place) if command.startswith("sleep 300"))
    os.kill(pid, signal.SIGKILL)
    becomes(fleet, agent, "failed", "exit code 137 (signal 9)")
    assert "hello from one" in "".join(fleet.logs(agent))
    assert fleet.start(agent) is True
    becomes(fleet, agent, "running")


def test_a_killed_wrapper(fleet, agent, place):
    pid = next(pid for pid, command in leaked(place) if "agent-run" in command)
    os.kill(pid, signal.SIGKILL)
    becomes(fleet, agent, "failed", "nobody knows how")


def test_a_reboot(fleet, agent, tmux):
    """The machine's boot cannot be changed here; that in which the agent was started can."""
    fleet.context.store.update(agent, boot="another boot")
    becomes(fleet, agent, "running")
    tmux("kill-server")
    becomes(fleet, agent, "lost", "the machine was restarted")
    fleet.start(agent)
    becomes(fleet, agent, "running")
    tmux("kill-server")
    becomes(fleet, agent, "lost", "its terminal is gone")


def test_done_and_started_again(fleet, project):
    agent = fleet.create("x", folder=str(project), command=["sh", "-c", "echo run >>runs"])
    becomes(fleet, agent, "done", "exit code 0")
    fleet.start(agent)
    until(lambda: Path(agent.workspace, "runs").read_text() == "run\nrun\n")
    becomes(fleet, agent, "done", "exit code 0")


def test_agents_without_a_record_are_shown_and_adopted(fleet, agent, place, project):
    other = fleet.create("other", folder=str(project), command=SLEEP)
    work = make_work(agent)
    for name in os.listdir(place.state):
        if name.startswith("magents.db"):
            (place.state / name).unlink()
    fresh = Fleet()
    views = fresh.list().views
    assert {(view.agent.id, view.orphan) for view in views} == {("one", True), ("other", True)}
    assert {view.agent.branch for view in views} == {"feature/x", "other"}
    said = fresh.doctor(fix=True).fixed
    assert sorted(said) == ["one: has a record again", "other: has a record again"]
    assert {(view.agent.id, view.orphan, view.status.state) for view in fresh.list().views} == {
        ("one", False, "running"), ("other", False, "running"),
    }  # fmt: skip
    assert fresh.doctor(fix=True).fixed == []
    assert "hello from one" in "".join(fresh.logs(fresh.find("one")))
    fresh.stop(fresh.find("other"))
    assert fresh.status(fresh.find("other")).state == "stopped"
    assert not [line for line in leaked(place) if f"{other.id}." in line[1]]
    fresh.remove(fresh.find("one"))
    assert leaked(place) == []
    assert work_of(fresh.restore(fresh.find_removed("one"))[0]) == work


def test_agents_of_another_store_are_its_own_until_that_is_gone(agent, place, monkeypatch):
    monkeypatch.setenv("MAGENTS_STATE", str(place.top / "elsewhere"))
    other = Fleet()
    assert other.list().views == []
    assert other.doctor(fix=True).fixed == []
    with pytest.raises(NotFound):
        other.find("one")
    with pytest.raises(Conflict, match="already has a session `magents-one`"):
        other.create("y", "one", folder=str(make_project(place.top / "second")), command=SLEEP)
    for name in os.listdir(place.state):
        if name.startswith("magents.db"):
            (place.state / name).unlink()
    assert [(view.agent.id, view.orphan) for view in other.list().views] == [("one", True)]
    assert other.doctor(fix=True).fixed == ["one: has a record again"]
    assert other.status(other.find("one")).state == "running"
    other.remove(other.find("one"))


def test_the_work_of_a_lost_agent_can_be_removed_and_restored(fleet, agent, tmux):
    work = make_work(agent)
    tmux("kill-server")
    becomes(fleet, agent, "lost")
    fleet.remove(agent)
    assert work_of(fleet.restore(fleet.find_removed("one"))[0]) == work


def test_what_an_agent_started_in_the_background_ends_with_it(fleet, project, place):
    script = "setsid sleep 301 & nohup sleep 302 & echo y >ready; exec sleep 300"
    agent = fleet.create("x", folder=str(project), command=["sh", "-c", script])
    until(lambda: Path(agent.workspace, "ready").exists())
    fleet.remove(agent)
    assert leaked(place) == []


def test_a_command_at_work_is_seen_and_not_disturbed(fleet, agent):
    with Fleet().context.store.lock(agent.id):
        fleet.context.store.update(agent, phase="removing")
        status = fleet.status(fleet.find("one"))
        assert (status.state, status.detail) == ("removing", "")
        assert Fleet().recover() == []
    status = fleet.status(fleet.find("one"))
    assert status.state == "removing"
    assert "interrupted" in status.detail
    assert Fleet().recover() == ["one: its removal was cut short, and has been completed"]


def test_two_removals_at_once(fleet, agent, project):
    work = make_work(agent)
    argv = [sys.executable, "-m", "magents", "stop", "one", "--remove-worktree"]
    both = [subprocess.Popen(argv, cwd=project, stdout=-3, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(one.communicate(timeout=60)[1], one.returncode) for one in both]
    assert 0 in {code for _, code in ended}, ended
    assert all("Traceback" not in said for said, _ in ended), ended
    assert [a.id for a in fleet.removed()] == ["one"]
    assert work_of(fleet.restore(fleet.find_removed("one"))[0]) == work


def test_a_project_that_is_gone(fleet, project, magents):
    agent = fleet.create("new", folder=str(project), command=SLEEP)
    with pytest.raises(Conflict, match="is there"):
        fleet.forget(agent)
    project.rename(project.with_name("away"))
    with pytest.raises(NotFound, match="--forget"):
        fleet.remove(agent)
    project.with_name("away").rename(project)
    assert fleet.status(agent).state == "running"
    shutil.rmtree(project)
    shutil.rmtree(agent.workspace)
    assert "magents stop new --forget" in magents("doctor", code=None).out
    assert magents("stop", "new", "--forget").out == "Forgot new.\n"
    assert not fleet.list().views
    assert not os.path.exists(fleet.context.folder(agent))
