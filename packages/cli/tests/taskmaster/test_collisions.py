"""Tasks that are about to collide wait: in a real project, with real agents."""

from __future__ import annotations

import pytest

from conftest import commit, until
from magents.taskmaster import Tasks
from taskmaster.lab import put, tagged, task
from taskmaster.test_automerge import auto, of
from taskmaster.test_tasks import SLEEP, request, statuses

DOES = ("sh", "-c", 'echo "$MAGENTS_TASK" >>src/app.py && git commit -qam "Did $MAGENTS_TASK"')


@pytest.fixture
def crowded(project):
    """Two tasks that name the same file, and two that do not."""
    put(project, tagged(
        task(1, "Cart", details="In `src/app.py:3`."), task(2, "Tax", testStrategy="Run src/app.py."),
        task(3, "Intro", description="See README.md"), task(4, "Alone"),
    ))  # fmt: skip
    commit(project, "Plan")
    return project


def ids(planned) -> list[str]:
    return [job.task.id for job in planned.jobs]


def test_the_second_of_two_waits_until_the_first_is_merged(fleet, crowded):
    planned = Tasks(fleet).schedule(request(crowded))
    assert ids(planned) == ["1", "3", "4"]
    assert planned.left == {"2": "waits for task-1: both change src/app.py"}
    one, *others = Tasks(fleet).start(request(crowded, *DOES, only=("1",))).started
    assert others == []
    assert ids(Tasks(fleet).schedule(request(crowded))) == ["3", "4"]
    until(lambda: fleet.status(one[1].agent).state == "done")
    assert Tasks(fleet).start(request(crowded, *SLEEP, only=("3",))).started
    planned = Tasks(fleet).schedule(request(crowded, only=("2",)))
    assert planned.left["2"] == "waits for task-1: both change src/app.py"
    fleet.merge(one[1].agent)
    assert ids(Tasks(fleet).schedule(request(crowded))) == ["2", "4"]


def test_if_nothing_else_runs_it_does_not_wait(fleet, crowded):
    agent = Tasks(fleet).start(request(crowded, *DOES, only=("1",))).started[0][1].agent
    until(lambda: fleet.status(agent).state == "done")
    planned = Tasks(fleet).schedule(request(crowded, only=("2",)))
    assert ids(planned) == ["2"] and planned.held == {}
    assert planned.jobs[0].clash.who == "task-1"


def test_what_a_branch_has_changed_counts(fleet, project):
    put(project, tagged(task(1, "Silent"), task(2, "Loud", details="src/new.py"), task(3, "Beside")))
    commit(project, "Plan")
    agent = Tasks(fleet).create("1", request=request(project, *SLEEP))
    assert ids(Tasks(fleet).schedule(request(project))) == ["2", "3"]
    commit(agent.workspace, "New", src__new_py="x\n")
    planned = Tasks(fleet).schedule(request(project))
    assert ids(planned) == ["3"] and planned.left["2"] == "waits for task-1: both change src/new.py"
    commit(project, "Meanwhile", README_md="the base goes on\n")
    assert ids(Tasks(fleet).schedule(request(project))) == ["3"]


def test_agents_without_a_task_count_while_they_live(fleet, project):
    put(project, tagged(task(1, details="README.md"), task(2)))
    commit(project, "Plan")
    agent = fleet.create("by-hand", folder=str(project), command=SLEEP)
    commit(agent.workspace, "By hand", README_md="mine\n")
    assert ids(Tasks(fleet).schedule(request(project))) == ["2"]
    fleet.stop(agent)
    assert ids(Tasks(fleet).schedule(request(project))) == ["1", "2"]


def test_the_urgent_goes_first_all_the_same(fleet, project):
    put(project, tagged(task(1, details="README.md"), task(2, details="README.md", priority="high")))
    Tasks(fleet).create("1", request=request(project, *SLEEP))
    planned = Tasks(fleet).schedule(request(project))
    assert ids(planned) == ["2"] and planned.jobs[0].clash.files == ("README.md",)


def test_what_the_commands_say(magents, crowded):
    said = magents("task-agents", "--dry-run").out
    assert "  2  waits for task-1: both change src/app.py" in said.splitlines()
    planned = magents("task-agents", "--dry-run", "--json").json()
    assert planned["held"] == {"2": {"with": "task-1", "files": ["src/app.py"]}}
    done = magents("task-agents", "--yes", "--json", "--only", "1,2", "--", *DOES).json()
    assert done["held"] == planned["held"] and done["left"]["2"] == planned["left"]["2"]
    until(lambda: magents("tasks", "--json").json()["tasks"][0]["status"] == "review", 20)
    assert (
        "may collide with task-1: both change src/app.py" in magents("task-agents", "--dry-run", "--only", "2").out
    )


def test_names_from_an_agent_are_cleaned_for_a_terminal(fleet, project, magents):
    put(project, tagged(task(1), task(2, details="see `evil\x1b]0;x\x07.py` or `evil.py`")))
    commit(project, "Plan")
    agent = Tasks(fleet).create("1", request=request(project, *SLEEP))
    commit(agent.workspace, "Evil", evil_py="")
    magents("create", "other", "--", *SLEEP)
    said = magents("task-agents", "--dry-run").out
    assert "both change evil.py" in said and "\x1b" not in said


@pytest.mark.slow
def test_all_is_worked_off_without_one_conflict(crowded):
    """Four tasks that all append to one file, and say so."""
    put(crowded, tagged(*(task(n, details="src/app.py") for n in range(1, 5))))
    commit(crowded, "All in one file")
    told = auto(crowded, program=DOES)
    assert of(told, "back") == [] and of(told, "held")[:3] == ["2", "3", "4"]
    assert statuses(crowded) == ["done"] * 4
    assert (crowded / "src/app.py").read_text().splitlines()[1:] == ["1", "2", "3", "4"]
