"""Agents of tasks that do not go on: when they count as stuck, and what `--watch` makes of them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import commit, git, leaked, until
from magents.core.agent import Agent
from magents.core.status import Status
from magents.fleet.observe import presence
from magents.guest.status import START_S, Report
from magents.runtimes.base import Observation
from magents.taskmaster import Tasks, supervisor
from magents.taskmaster.automerge import Auto
from magents.taskmaster.board import Assignment
from magents.taskmaster.scheduler import Request
from magents.testing import standin
from taskmaster.lab import put, tagged, task
from taskmaster.test_tasks import statuses

AGENT = Agent(1, "one", "/p", "b", "main", "c0ffee", True, "claude", (), "tmux", "/w", 0.0, "active", False, "", "")
NOW, SILENCE = 10_000.0, 900.0
RECENT, LONG_AGO = NOW - SILENCE + 1, NOW - SILENCE - 1
CASES = {
    "ended badly": (Status("failed", "exit code 3", reason="exit", code=3), RECENT, "it has ended: exit code 3"),
    "its terminal is gone": (
        Status("lost", "its terminal is gone", reason="terminal-gone"),
        0.0,
        "it has ended: its terminal is gone",
    ),
    "its turn failed": (
        Status("waiting", "its turn failed: 500", NOW, "turn-failed"),
        RECENT,
        "its turn failed: 500",
    ),
    "silent": (Status("working"), LONG_AGO, "no sign of it for 901 s"),
    "interrupted": (Status("done", "", reason="on-screen"), RECENT, ""),
    "interrupted, and nobody goes on": (
        Status("done", "", reason="on-screen"),
        LONG_AGO,
        "no sign of it for 901 s",
    ),
    "at work": (Status("working"), RECENT, ""),
    "asks, for however long": (Status("waiting", "Bash: rm x"), LONG_AGO, ""),
    "done": (Status("done"), LONG_AGO, ""),
    "a program that tells nothing": (Status("running"), LONG_AGO, ""),
    "stopped by a person": (Status("stopped"), LONG_AGO, ""),
    "the machine was restarted": (Status("lost", "the machine was restarted", reason="restarted"), 0.0, ""),
    "not to be asked": (Status("lost", "docker cannot be asked", reason="unreachable"), 0.0, ""),
    "removed": (None, 0.0, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_why(case):
    status, stirred, expected = CASES[case]
    assert supervisor.why(Assignment(AGENT, status, False, 0, stirred), NOW, SILENCE) == expected
    assert supervisor.why(Assignment(AGENT, status, True, 0, stirred), NOW, SILENCE) == ""


def test_a_start_that_was_cut_short_is_none():
    """A container lives without its agent: only that the wrapper never told of its start shows it."""
    seen, now = Observation("one", True, NOW, {}), time.time()
    assert presence(seen, Report(launched_at=now)) == "alive"
    assert presence(seen, Report(launched_at=now - START_S - 1)) == "ended"
    assert presence(seen, Report(launched_at=now - START_S - 1, run="")) == "alive"
    assert presence(seen, Report()) == "alive"


@pytest.mark.slow
def test_a_person_who_takes_over_is_not_overruled(fleet, project):
    """What was left stays at review, also while its agent works again."""
    put(project, tagged(task(1)))
    dies = "test -e ../go && sleep 100; exit 3"
    watch = Tasks(fleet).watch(Request(str(project), command=("sh", "-c", dies)), None, Auto())
    assert [event.event for event in watch][-2:] == ["status", "end"]
    agent = fleet.find("task-1")
    Path(agent.workspace, "../go").touch()
    fleet.start(agent)
    assert fleet.status(agent).state == "running"
    watch = Tasks(fleet).watch(Request(str(project), command=("sh", "-c", dies)), None, Auto())
    assert [event.event for event in watch] == ["end"]
    assert statuses(project) == ["review"] and fleet.status(agent).state == "running"


# --- with the real Claude Code

DO = "do: echo work >work.txt && git add . && git commit -qm Work"


@pytest.fixture
def model(claude_env, place, monkeypatch) -> Iterator[dict[str, bool]]:
    """Claude Code that may work unasked, at a model that does what is after `do:` in a prompt, while it is up."""
    state = {"up": True}

    def says(prompt: str) -> str:
        _, found, words = prompt.partition("do: ")
        return "fail 1000" if not state["up"] else f"run: {words.splitlines()[0]}" if found else prompt

    (place.home / ".claude").mkdir(exist_ok=True)
    allowed = {"permissions": {"allow": ["Bash", "Write"]}}
    (place.home / ".claude" / "settings.json").write_text(json.dumps(allowed))
    monkeypatch.setenv("CLAUDE_CODE_MAX_RETRIES", "0")
    with standin.serve(says=says) as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        yield state


@pytest.mark.slow
def test_a_model_that_gives_no_answer(fleet, project, model):
    """The agent is not called done, and goes on with its task once the model is there again."""
    put(project, tagged(task(1, description=DO)))
    commit(project, "Plan")
    model["up"] = False
    happened = []
    for event in Tasks(fleet).watch(Request(str(project)), None, Auto()):
        happened += [event] if event.event != "status" else []
        model["up"] = "stuck" in [event.event for event in happened]
    assert [event.event for event in happened] == ["started", "stuck", "again", "merged", "end"]
    assert happened[1].text.startswith("its turn failed: ")
    assert git("log", "--format=%s", "-1", cwd=project) == "Work" and statuses(project) == ["done"]


@pytest.mark.slow
def test_a_failed_turn_is_none_that_is_done(fleet, project, model, tmux):
    """Also when its terminal is drawn anew later, and shows what it shows when a turn is over."""
    model["up"] = False
    agent = fleet.create("work", folder=str(project), prompt=DO)
    until(lambda: fleet.status(agent).reason == "turn-failed", 30, shown=lambda: str(fleet.status(agent)))
    time.sleep(3)
    tmux("resize-window", "-t", f"magents-{agent.id}:agent", "-x", "100", "-y", "40")
    for _ in range(20):
        assert fleet.status(agent).state == "waiting"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_turn_that_a_person_interrupts_is_none_that_is_done(fleet, project, model, tmux):
    put(project, tagged(task(1, description=f"{DO}; sleep 100")))
    commit(project, "Plan")
    ((_, view),) = Tasks(fleet).start(Request(str(project))).started
    until(lambda: git("log", "--format=%s", "-1", view.agent.branch, cwd=project) == "Work", 60)
    time.sleep(2)
    tmux("send-keys", "-t", f"=magents-{view.agent.id}:agent", "Escape")
    until(lambda: fleet.status(view.agent).reason == "on-screen", 30, shown=lambda: str(fleet.status(view.agent)))
    assert fleet.status(view.agent).state == "done"
    Tasks(fleet).board(str(project))
    assert statuses(project) == ["in-progress"]


@pytest.mark.slow
def test_one_that_gives_no_sign_any_more(fleet, project, place, model, monkeypatch):
    monkeypatch.setenv("MAGENTS_SILENCE_TIMEOUT", "8")
    put(project, tagged(task(1, description="do: test -e ../once || { touch ../once; sleep 100; }; " + DO[4:])))
    commit(project, "Plan")
    watch = Tasks(fleet).watch(Request(str(project)), None, Auto())
    assert next(watch).event == "started"
    until(Path(place.top, "project-agents", "once").exists, 60)
    frozen = [pid for pid, words in leaked(place) if words.startswith("claude ")]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    happened = [event for event in watch if event.event != "status"]
    assert [event.event for event in happened] == ["stuck", "again", "merged", "end"]
    assert happened[0].text.startswith("no sign of it for ")
    assert git("log", "--format=%s", "-1", cwd=project) == "Work"
    assert not set(frozen) & {pid for pid, _ in leaked(place)}
