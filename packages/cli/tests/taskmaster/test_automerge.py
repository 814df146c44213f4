"""`task-agents --watch --auto-merge`: from a list of tasks to a base that holds each task's work exactly once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import commit, git
from kills import later_and_later
from magents.taskmaster import Tasks
from magents.taskmaster.automerge import Auto
from magents.taskmaster.scheduler import Request
from taskmaster.lab import put, tagged, task
from taskmaster.test_tasks import DIAMOND, WORK, statuses

EIGHT = (
    task(1, "Base"), task(2, "Left", 1), task(3, "Right", 1), task(4, "Join", 2, 3),
    task(5, "Left again", 4), task(6, "Right again", 4, priority="high"), task(7, "Join again", 5, 6), task(8, "Beside"),
)  # fmt: skip
"""Two diamonds, one upon the other, and a task beside them."""

SETTLE = (
    'git merge -q main; sed -i "/^[<=>]\\{7\\}/d" shared.txt; git add -A; git commit -qm "Settled $MAGENTS_TASK"'
)
ADD = 'echo "$MAGENTS_TASK" >>shared.txt; git add -A; git commit -qm "Did $MAGENTS_TASK"'
MENDS = ("sh", "-c", f'case $1 in *"cannot be merged yet"*) {SETTLE} ;; *) {ADD} ;; esac', "sh")
"""Adds its line to a file that all add to; asked to mend that, it merges and keeps both lines."""


def words(*options: str, program: tuple[str, ...] = WORK) -> list[str]:
    return [
        sys.executable, "-m", "magents", "task-agents", "--watch", "--auto-merge", "--yes", "--json", *options, "--",
        *program,
    ]  # fmt: skip


def auto(project: Path, *options: str, program: tuple[str, ...] = WORK, code: int = 0) -> list[dict[str, str]]:
    done = subprocess.run(
        words(*options, program=program), cwd=project, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def begin(project: Path, *tasks: dict[str, object]) -> None:
    put(project, tagged(*tasks))
    commit(project, "Plan")


def did(project: Path) -> list[str]:
    titles = git("log", "--no-merges", "--format=%s", cwd=project).splitlines()
    return sorted(title for title in titles if title.startswith("Did"))


def of(told: list[dict[str, str]], event: str) -> list[str]:
    return [e["task"] for e in told if e["event"] == event]


@pytest.mark.slow
def test_all_is_worked_off_by_itself(project):
    begin(project, *EIGHT)
    told = auto(project)
    assert statuses(project) == ["done"] * 8
    assert did(project) == [f"Did {n}" for n in range(1, 9)]
    merged = of(told, "merged")
    assert sorted(merged) == list("12345678")
    assert all(merged.index(a) < merged.index(b) for a, b in ["12", "13", "24", "34", "45", "46", "57", "67"])
    assert told[-1]["text"] == "done"


@pytest.mark.slow
def test_a_conflict_goes_back_to_its_agent(fleet, project):
    begin(project, *DIAMOND)
    told = auto(project, program=MENDS)
    assert len(of(told, "back")) == 1 and of(told, "left") == []
    assert sorted((project / "shared.txt").read_text().split()) == ["1", "2", "3", "4"]
    assert did(project) == ["Did 1", "Did 2", "Did 3", "Did 4"]
    back = fleet.find(f"task-{of(told, 'back')[0]}")
    sent = [entry.text for entry in fleet.context.store.history(back, "sent-back")]
    assert len(sent) == 1 and sent[0].startswith("sent back: ") and "shared.txt" in sent[0]


@pytest.mark.slow
def test_what_is_never_mended_is_left_to_a_person(fleet, project):
    begin(project, *DIAMOND, task(5, "After", 4))
    stubborn = ("sh", "-c", ADD, "sh")
    told = auto(project, "--retries", "1", program=stubborn, code=1)
    assert len(of(told, "back")) == len(of(told, "left")) == 1
    (id,) = of(told, "left")
    assert sorted(zip("12345", statuses(project), strict=True)) == [
        (n, "review" if n == id else "done" if n in "123" else "pending") for n in "12345"
    ]
    assert "review" in told[-1]["text"] and "5: waits for 4" in told[-1]["text"]
    again = auto(project, "--retries", "1", program=stubborn, code=1)
    assert [e["event"] for e in again] == ["end"], "a person has to look, whoever watches"
    agent = fleet.find(f"task-{id}")
    git("merge", "-q", "-X", "ours", "main", cwd=agent.workspace)
    fleet.merge(agent)
    assert auto(project, program=MENDS)[-1]["text"] == "done"


@pytest.mark.slow
def test_a_failing_check_goes_back_and_is_mended(project):
    """The check is for the merge's result: each branch alone would pass."""
    begin(project, *DIAMOND)
    mends = (
        "sh",
        "-c",
        f'case $1 in *"too bad"*) git merge -q --no-edit main; touch ok; git add ok; git commit -qm Mended ;; *) {WORK[2]} ;; esac',
        "sh",
    )
    told = auto(
        project,
        "--check",
        "test ! -e 2.txt || test ! -e 3.txt || test -e ok || { echo too bad; exit 1; }",
        program=mends,
    )
    assert len(of(told, "back")) == 1 and "was merged with main, and there" in next(
        e["text"] for e in told if e["event"] == "back"
    )
    assert did(project) == ["Did 1", "Did 2", "Did 3", "Did 4"] and (project / "ok").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "said"),
    [
        (("sh", "-c", "true"), "no commit of its own"),
        (("sh", "-c", "echo x >new; echo y >>README.md"), "uncommitted work"),
    ],
)
def test_what_is_not_whole_goes_back(project, program, said):
    begin(project, task(1))
    told = auto(project, program=program, code=1)
    assert [said in e["text"] for e in told if e["event"] in ("back", "left")] == [True] * 3
    assert statuses(project) == ["review"]


@pytest.mark.slow
def test_a_base_that_is_in_the_way_is_the_users(fleet, project):
    begin(project, task(1))
    (project / "README.md").write_text("open work\n")
    watch = Tasks(fleet).watch(Request(str(project), command=WORK), lambda board: None, Auto())
    problem = next(event for event in watch if event.event == "problem")
    assert "uncommitted changes: README.md" in problem.text and "Commit or stash" in problem.text
    git("checkout", "-q", "README.md", cwd=project)
    assert [e.event for e in watch if e.event in ("problem", "back", "merged", "end")] == ["merged", "end"]


@pytest.mark.slow
def test_kill_9_at_any_moment_and_each_work_is_there_once(project):
    begin(project, *EIGHT)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    later_and_later(lambda: subprocess.Popen(words(program=MENDS), cwd=project, **quiet), 0.25, 60)
    assert statuses(project) == ["done"] * 8
    assert did(project) == [f"Did {n}" for n in range(1, 9)]
    assert sorted((project / "shared.txt").read_text().split()) == list("12345678")
    git("fsck", "--strict", cwd=project)


@pytest.mark.slow
def test_an_agent_that_dies_is_started_again(fleet, project, tmux):
    begin(project, *DIAMOND)
    dies = ("sh", "-c", f'if mkdir "{project}/../$MAGENTS_TASK"; then kill -9 $$; fi; ' + WORK[2], "sh")
    told = auto(project, program=dies)
    assert of(told, "again") and did(project) == ["Did 1", "Did 2", "Did 3", "Did 4"]
    assert os.listdir(project.parent).count("1") == 1


def test_options(magents, project):
    put(project, tagged(task(1)))
    assert "needs `--watch`" in magents("task-agents", "--auto-merge", "--yes", code=2).err
