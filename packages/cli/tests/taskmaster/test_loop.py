"""`task-agents --watch`: going on until nothing is left, whoever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import commit, until
from magents import Fleet
from magents.taskmaster import Tasks, file
from magents.taskmaster.automerge import Auto
from magents.taskmaster.loop import MAX_TRIES
from magents.taskmaster.scheduler import Request
from magents.taskmaster.supervisor import PAUSES_S
from taskmaster.lab import put, tagged, task
from taskmaster.test_tasks import DIAMOND, SLEEP, WORK, statuses


@pytest.fixture
def watching(project: Path, monkeypatch):
    """Starts the command in the background; what was started is ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def start(*program: str, **options) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "magents", "task-agents", "--watch", "--yes", "--json", "--", *program]
        child = subprocess.Popen(words, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(child)
        return child

    yield start
    for child in running:
        child.kill()
        child.communicate()


def events(child: subprocess.Popen[str], seconds: float = 60) -> list[dict[str, str]]:
    out, err = child.communicate(timeout=seconds)
    assert err == ""
    return [json.loads(line) for line in out.splitlines()]


def merge_what_is_done(fleet: Fleet, project: Path) -> bool:
    """What a person does; whether all is done."""
    for view in fleet.list().views:
        id = view.agent.task.partition(":")[2]
        if file.read(str(project)).every()[id].status == "review":
            fleet.merge(view.agent)
    return set(statuses(project)) == {"done"}


@pytest.mark.slow
def test_the_list_is_worked_off_as_a_person_merges(fleet, project, watching):
    put(project, tagged(*DIAMOND))
    commit(project, "Plan")
    child = watching(*WORK)
    until(lambda: merge_what_is_done(fleet, project), 60, shown=lambda: str(statuses(project)))
    told = events(child)
    assert child.returncode == 0
    assert [e["task"] for e in told if e["event"] == "started"] == ["1", "2", "3", "4"]
    for id in "1234":
        assert [e["text"] for e in told if e["event"] == "status" and e["task"] == id][-1] == "done"
    assert told[-1]["event"] == "end" and told[-1]["text"] == "done"


@pytest.mark.slow
def test_what_fails_again_and_again_is_left(fleet, project, watching):
    put(project, tagged(task(1), task(2, "", 1), task(3, status="deferred")))
    child = watching("sh", "-c", "exit 3")
    told = events(child)
    assert child.returncode == 1
    happened = [e["event"] for e in told if e["event"] in ("started", "stuck", "again", "left")]
    assert happened == ["started", *["stuck", "again"] * len(PAUSES_S), "left"]
    assert {e["text"] for e in told if e["event"] == "stuck"} == {"it has ended: exit code 3"}
    assert "1: review" in told[-1]["text"] and "2: waits for 1" in told[-1]["text"]
    assert statuses(project) == ["review", "pending", "deferred"]


@pytest.mark.slow
def test_a_creation_that_was_killed_is_taken_up_again(fleet, project, watching, monkeypatch):
    """Its set-up command is still at work when the next one looks for the first time."""
    monkeypatch.setenv(
        "MAGENTS_SETUP", "test -e ../once || { touch ../once; until test -e ../go; do sleep 0.1; done; }"
    )
    put(project, tagged(task(1)))
    child = watching(*SLEEP)
    beside = project.parent / "project-agents"
    until((beside / "once").exists, 30)
    child.kill()
    child.wait()
    child = watching(*SLEEP)
    assert child.stdout is not None
    until(lambda: fleet.context.store.unsettled(), 10)
    time.sleep(2)  # it has looked
    assert fleet.status(fleet.find("task-1")).state == "creating"
    (beside / "go").touch()
    told = [json.loads(child.stdout.readline())["event"] for _ in range(2)]
    assert told == ["mended", "started"]
    assert fleet.status(fleet.find("task-1")).state == "running"


@pytest.mark.slow
def test_what_cannot_be_started_is_told_and_left(fleet, project, watching):
    put(project, tagged(task(1)))
    child = watching("/no/such/program")
    told = events(child)
    assert [e["event"] for e in told] == [*["failed"] * MAX_TRIES, "end"]
    assert child.returncode == 1 and statuses(project) == ["pending"]


def test_a_list_that_is_broken_for_a_moment(fleet, project):
    path = put(project, tagged(task(1)))
    good = path.read_text()
    watch = Tasks(fleet).watch(Request(str(project), command=SLEEP), lambda board: None)
    assert next(watch).event == "started"
    path.write_text("{")
    assert next(e for e in watch if e.event == "problem").text.startswith(f"{path} is broken")
    path.write_text(good.replace("pending", "cancelled"))
    assert [e.text for e in watch] == ["cancelled", "done"]


def test_nothing_to_do_ends_at_once(magents, project):
    put(project, tagged(task(1, status="done"), task(2, status="cancelled")))
    assert "All tasks are done" in magents("task-agents", "--watch", "--yes").out
    put(project, tagged(task(1, status="blocked")))
    said = magents("task-agents", "--watch", "--yes", code=1).out
    assert "1: blocked" in said
    magents("task-agents", "--watch", "--dry-run", code=2)


def test_ctrl_c_leaves_the_agents_at_work(fleet, project, watching, tmux):
    put(project, tagged(task(1), task(2, "", 1)))
    child = watching(*SLEEP)
    assert child.stdout is not None
    assert json.loads(child.stdout.readline())["event"] == "started"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130 and "goes on where this one ended" in err
    assert fleet.status(fleet.find("task-1")).state == "running"


def test_a_bar_on_a_terminal(fleet, project, tmux, until):
    put(project, tagged(task(1, status="done"), task(2), task(3, "", 2)))
    tmux("new-session", "-d", "-s", "user", "-x", "120", "-y", "20", "-c", str(project), "sh")
    word = f"{sys.executable} -m magents task-agents --watch --yes -- sh -c 'sleep 100'"
    tmux("send-keys", "-t", "user", word, "Enter")
    until(lambda: "1 of 3 done, 1 running, 1 to come" in tmux("capture-pane", "-p", "-t", "user"), 30)
    shown = tmux("capture-pane", "-p", "-t", "user")
    assert "task-2 works on task 2: Task 2" in shown and "[████████················]" in shown
    tmux("send-keys", "-t", "user", "C-c")
    until(lambda: "The agents go on" in tmux("capture-pane", "-p", "-t", "user"), 30)
    assert os.path.isdir(fleet.find("task-2").workspace)


@pytest.mark.slow
def test_what_is_given_up_takes_nobodys_place(fleet, project):
    put(project, tagged(task(1, priority="high"), task(2)))
    commit(project, "Plan")
    program = ("sh", "-c", f'test "$MAGENTS_TASK" = 2 || exit 3; {WORK[2]}', "sh")
    told = list(Tasks(fleet).watch(Request(str(project), command=program, limit=1), auto=Auto()))
    assert [e.task for e in told if e.event == "merged"] == ["2"]
    assert told[-1].text.startswith("1: review")
