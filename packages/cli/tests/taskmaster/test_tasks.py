"""From a list of tasks to merged branches: real agents on real branches, in tmux."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from conftest import commit, git, until
from magents import config
from magents.core.errors import Conflict, NotFound
from magents.taskmaster import Tasks, file, scheduler
from magents.taskmaster.scheduler import Request
from taskmaster.lab import put, set_status, tagged, task

WORK = ("sh", "-c", 'printf %s "$1" >"$MAGENTS_TASK.txt" && git add . && git commit -qm "Did $MAGENTS_TASK"', "sh")
"""Does its task: a file with the prompt, committed."""
SLEEP = ("sh", "-c", "sleep 100")
DIAMOND = (task(1, "Base"), task(2, "Left", 1, priority="high"), task(3, "Right", 1), task(4, "Join", 2, 3))


@pytest.fixture
def listed(project: Path) -> Path:
    """A project with the diamond, committed."""
    put(project, tagged(*DIAMOND))
    commit(project, "Plan")
    return project


def statuses(project: Path) -> list[str]:
    return [task.status for task in file.read(str(project)).tasks]


def request(project: Path, *command: str, **more) -> Request:
    return Request(str(project), command=command or WORK, **more)


def reach(fleet, project: Path, *wanted: str) -> None:
    def there() -> bool:
        Tasks(fleet).board(str(project))
        return statuses(project) == list(wanted)

    until(there, 20, str(wanted), shown=lambda: str(statuses(project)))


def test_a_diamond_is_worked_off(fleet, listed):
    rounds = []
    while "pending" in statuses(listed):
        started = Tasks(fleet).start(request(listed)).started
        rounds.append([job.task.id for job, _ in started])
        for _, view in started:
            until(lambda agent=view.agent: fleet.status(agent).state == "done", 30)
            assert file.read(str(listed)).every()[view.agent.task.partition(":")[2]].status == "in-progress"
        Tasks(fleet).board(str(listed))
        for job, view in started:
            assert file.read(str(listed)).every()[job.task.id].status == "review"
            fleet.merge(view.agent)
            assert file.read(str(listed)).every()[job.task.id].status == "done"
    assert rounds == [["1"], ["2", "3"], ["4"]]
    assert statuses(listed) == ["done"] * 4
    last = (listed / "4.txt").read_text()
    for id, title in (("2", "Left"), ("3", "Right")):
        assert f"{id}: “{title}” — commits, as its agent calls them: “Did {id}”" in last
    assert sorted(git("branch", "--format=%(refname:short)", cwd=listed).split()) == [
        "main", "task/1-base", "task/2-left", "task/3-right", "task/4-join",
    ]  # fmt: skip
    assert sorted(git("log", "--no-merges", "--format=%s", cwd=listed).splitlines()) == [
        "Begin", "Did 1", "Did 2", "Did 3", "Did 4", "Plan",
    ]  # fmt: skip
    assert not Tasks(fleet).start(request(listed)).started


def test_as_many_as_may_be_and_never_two_for_one(fleet, project):
    put(project, tagged(task(1), task(2, priority="critical"), task(3), task(4, status="deferred"), task(5, "", 1)))
    first = Tasks(fleet).start(request(project, *SLEEP, limit=2))
    assert [view.agent.id for _, view in first.started] == ["task-2", "task-1"]
    assert first.left == {"3": "no more than 2 at once", "4": "deferred", "5": "waits for 1"}
    again = Tasks(fleet).start(request(project, *SLEEP, limit=2))
    assert again.started == []
    assert again.left["3"] == "2 agents are at work already"
    assert again.left["1"] == "task-1 is running"
    third = Tasks(fleet).start(request(project, *SLEEP, limit=3))
    assert [view.agent.id for _, view in third.started] == ["task-3"]
    assert len(fleet.list().views) == 3


def test_the_setting_bounds_them(fleet, project, monkeypatch):
    put(project, tagged(*(task(n) for n in range(1, 8))))
    assert len(Tasks(fleet).schedule(request(project)).jobs) == int(config.known()["MAX_AGENTS"].default)
    monkeypatch.setenv("MAGENTS_MAX_AGENTS", "6")
    assert len(Tasks(fleet).schedule(request(project)).jobs) == 6
    assert [job.task.id for job in Tasks(fleet).schedule(request(project, only=("5", "2"))).jobs] == ["2", "5"]
    with pytest.raises(NotFound, match="no task 9"):
        Tasks(fleet).schedule(request(project, only=("9",)))


def test_short_memory_is_told(fleet, project, monkeypatch):
    put(project, tagged(task(1), task(2)))
    monkeypatch.setattr(scheduler, "NEEDED_MIB", 10**9)
    done = Tasks(fleet).start(request(project))
    assert done.started == []
    assert all("memory is short" in why for why in done.left.values()) and len(done.left) == 2
    assert statuses(project) == ["pending", "pending"]


@pytest.mark.parametrize("how", ["stopped", "killed", "removed", "failed"])
def test_what_has_ended_is_begun_again(fleet, project, tmux, how):
    put(project, tagged(task(1)))
    slow = ("sh", "-c", 'test -e ok && exec sleep 100; echo "$1" >>ok; [ "$1" ] && sleep 100; exit 3', "sh")
    program = ("sh", "-c", "exit 3") if how == "failed" else slow
    agent = Tasks(fleet).start(request(project, *program)).started[0][1].agent
    if how == "stopped":
        fleet.stop(agent)
    elif how == "killed":
        tmux("kill-session", "-t", "=magents-task-1")
    elif how == "removed":
        fleet.remove(agent)
    else:
        until(lambda: fleet.status(agent).state == "failed")
    assert statuses(project) == ["in-progress"]
    again = Tasks(fleet).start(request(project, *program)).started
    assert [(job.again, view.agent.branch) for job, view in again] == [(True, agent.branch)]
    assert [a.id for a in fleet.context.store.live()] == ["task-1"]


def test_one_for_one_task(fleet, listed):
    with pytest.raises(Conflict, match=r"Task 4 waits for 2, 3\."):
        Tasks(fleet).create("4", request=request(listed))
    with pytest.raises(NotFound, match="no task 7"):
        Tasks(fleet).create("7", request=request(listed))
    agent = Tasks(fleet).create("1", "mine", request(listed, *SLEEP))
    assert (agent.id, agent.branch, agent.task) == ("mine", "task/1-base", "master:1")
    assert statuses(listed)[0] == "in-progress"
    with pytest.raises(Conflict, match="already has an agent: mine"):
        Tasks(fleet).create("1", request=request(listed))
    set_status(listed, "3", "cancelled")
    with pytest.raises(Conflict, match="Task 3 is cancelled"):
        Tasks(fleet).create("3", request=request(listed))


def test_a_subtask_has_an_agent_of_its_own(fleet, project):
    put(project, tagged(task(3, "Big", subtasks=[task(1, "Small", status="done"), task(2, "Next", 1)])))
    agent = Tasks(fleet).create("3.2", request=request(project, *SLEEP))
    assert (agent.id, agent.branch, agent.task) == ("task-3-2", "task/3.2-next", "master:3.2")
    assert file.read(str(project)).every()["3.2"].status == "in-progress"


def test_another_tag(fleet, project):
    put(project, tagged(task(1), beta={"tasks": [task(1, "Other")]}))
    both = [Tasks(fleet).create("1", request=request(project, *SLEEP, tag=tag)) for tag in ("", "beta")]
    assert [agent.branch for agent in both] == ["task/1-task-1", "task/beta-1-other"]
    assert set(Tasks(fleet).board(str(project), "beta").assignments) == {"1"}


def test_done_counts_when_it_is_merged(fleet, listed):
    agent = Tasks(fleet).create("1", request=request(listed))
    until(lambda: fleet.status(agent).state == "done")
    set_status(listed, "1", "done")  # as an agent may do it that thinks it is
    board = Tasks(fleet).board(str(listed))
    assert statuses(listed)[0] == "review" and board.plan.ready == ()
    git("merge", "-q", "task/1-base", cwd=listed)  # by hand
    Tasks(fleet).board(str(listed))
    assert statuses(listed)[0] == "done"


def test_a_squash_counts_as_well_and_a_removal_changes_nothing(fleet, listed):
    agent = Tasks(fleet).create("1", request=request(listed))
    until(lambda: fleet.status(agent).state == "done")
    Tasks(fleet).board(str(listed))
    fleet.merge(agent, squash=True)
    fleet.remove(agent)
    board = Tasks(fleet).board(str(listed))
    assert statuses(listed)[0] == "done" and board.assignments["1"].merged and board.assignments["1"].status is None


def test_what_a_person_holds_back_stays(fleet, project):
    put(project, tagged(task(1)))
    agent = Tasks(fleet).create("1", request=request(project))
    until(lambda: fleet.status(agent).state == "done")
    set_status(project, "1", "blocked")
    Tasks(fleet).board(str(project))
    assert statuses(project) == ["blocked"]


def test_a_broken_list_does_not_keep_a_merge_back(fleet, project, magents):
    path = put(project, tagged(task(1)))
    agent = Tasks(fleet).create("1", request=request(project))
    until(lambda: fleet.status(agent).state == "done")
    path.write_text("{")
    done = magents("merge", "task-1")
    assert "Merged" in done.out and "is broken" in done.err
    assert (project / "1.txt").exists()


# The commands


def test_the_commands(magents, listed):
    shown = magents("tasks").out
    assert "waits for 2, 3" in shown and "0 of 4 tasks done, 1 ready: magents task-agents" in shown
    assert magents("tasks", "--graph").out.splitlines() == [
        "1 Base (pending, ready)", "├─ 2 Left (pending)", "│  └─ 4 Join (pending)", "└─ 3 Right (pending)", "   └─ 4 (above)",
    ]  # fmt: skip
    planned = magents("task-agents", "--dry-run", "--json").json()
    assert planned["start"] == [{"task": "1", "title": "Base", "again": False, "collides": None}]
    assert planned["left"]["4"] == "waits for 2, 3"
    assert "Give: --yes" in magents("task-agents", "--", "true", code=2).err
    assert magents("task-agents", "--max", "0", code=2).err
    done = magents("task-agents", "--yes", "--json", "--", *WORK).json()
    assert [row["task"] for row in done["started"]] == ["1"]
    until(lambda: magents("tasks", "--json").json()["tasks"][0]["status"] == "review", 30)
    assert "magents merge task-1" in magents("tasks").out
    magents("merge", "task-1")
    rows = magents("tasks", "--json").json()["tasks"]
    assert [(row["ready"], row["merged"]) for row in rows] == [
        (False, True),
        (True, None),
        (True, None),
        (False, None),
    ]
    made = magents("task-create", "3", "--json", "--", *SLEEP).json()
    assert (made["id"], made["branch"], made["task"]) == ("task-3", "task/3-right", "3")


@pytest.mark.parametrize(
    ("text", "said"), [(None, "task-master init"), ("{", "is broken"), ('{"x": {"tasks": []}}', "it has: x")]
)
def test_bad_lists(magents, project, text, said):
    if text:
        put(project, text)
    for words in (["tasks"], ["task-create", "1"], ["task-agents", "--yes"]):
        done = magents(*words, code=1)
        assert said in done.err and "tasks.json" in done.err


# One list for all


def test_agents_see_the_projects_own_list(fleet, listed):
    """The wrapper is what `task-master` means to an agent; without the real one it says how to get it."""
    program = ("sh", "-c", 'command -v task-master; PATH=${PATH%%:*}:/usr/bin:/bin task-master list; echo "$?"')
    agent = fleet.create("look", folder=str(listed), command=program)
    until(lambda: fleet.status(agent).state == "done")
    said = "\n".join(fleet.logs(agent))
    assert "guest/bin/task-master" in said.replace("\n", "")
    assert "npm install -g task-master-ai" in said.replace("\n", " ") and "127" in said


def real_task_master() -> None:
    if not shutil.which("task-master"):
        if os.environ.get("CI") == "true":
            pytest.fail("task-master is not installed")
        pytest.skip("task-master is not installed: npm install -g task-master-ai")


@pytest.mark.slow
def test_many_writers_in_tmux_lose_nothing(fleet, listed):
    real_task_master()
    adds = [
        fleet.create(f"add-{n}", folder=str(listed), command=(
            "sh", "-c", f"task-master add-task --title=new-{n} --description=x && task-master set-status --id=1 --status=review",
        ))
        for n in range(2)
    ]  # fmt: skip
    for _ in range(5):
        for id in ("2", "3"):
            for status in ("in-progress", "pending"):
                # Task Master takes 4 s for a call, and ten times that on a busy machine.
                set_status(listed, id, status, wait=300)
    for agent in adds:
        until(
            lambda agent=agent: fleet.status(agent).state == "done",
            300,
            shown=lambda: "\n".join(fleet.logs(adds[0])),
        )
    found = file.read(str(listed)).tasks
    assert [t.title for t in found[:4]] == ["Base", "Left", "Right", "Join"]
    assert sorted(t.title for t in found[4:]) == ["new-0", "new-1"]
    assert [t.status for t in found[:4]] == ["review", "pending", "pending", "pending"]
    assert sorted(os.listdir(listed / ".taskmaster" / "tasks")) == ["tasks.json"]
    for agent in adds:
        assert git("status", "--porcelain", cwd=agent.workspace) == ""
    data = json.loads((listed / ".taskmaster/tasks/tasks.json").read_text())
    assert data["master"]["metadata"]


def test_a_look_asks_git_as_often_for_many_agents_as_for_one(fleet, project, tmp_path, monkeypatch):
    put(project, tagged(*(task(number) for number in range(1, 5))))
    asked = []
    for most in (1, 4):
        Tasks(fleet).start(request(project, *SLEEP, limit=most))
        Tasks(fleet).board(str(project))
        log = tmp_path / str(most)
        monkeypatch.setenv("GIT_TRACE2", str(log))
        Tasks(fleet).board(str(project))
        monkeypatch.delenv("GIT_TRACE2")
        lines = log.read_text().splitlines()
        asked.append(sorted(line.partition(" start ")[2] for line in lines if " start " in line))
    assert asked[0] and asked[0] == asked[1]
    assert Tasks(fleet).board(str(project)).assignments["4"].ahead == 0
