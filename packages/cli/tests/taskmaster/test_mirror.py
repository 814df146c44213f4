"""The project's list and the one that agents in containers share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import git
from magents import Fleet
from magents.core.errors import MagentsError
from magents.fleet.context import Context
from magents.taskmaster import Tasks, file, mirror
from taskmaster.lab import put, set_status, tagged, task


@pytest.fixture
def shared(fleet, project) -> Path:
    """The folder that agents in containers have as /shared, beside a project with two tasks."""
    put(project, tagged(task(1), task(2)))
    path = Path(fleet.context.shared(str(project)))
    path.mkdir(parents=True)
    return path


def both(project: Path, shared: Path) -> list[list[str]]:
    return [[f"{t.id} {t.status}" for t in file.read(str(root)).tasks] for root in (project, shared)]


def test_it_is_filled_and_then_left_alone(fleet, project, shared):
    assert mirror.update(fleet.context, str(project))
    assert both(project, shared) == [["1 pending", "2 pending"]] * 2
    before = [os.stat(file.path_of(str(root))).st_mtime_ns for root in (project, shared)]
    assert not mirror.update(fleet.context, str(project))
    os.utime(file.path_of(str(shared)))
    assert mirror.update(fleet.context, str(project))
    assert os.stat(file.path_of(str(project))).st_mtime_ns == before[0]


def test_what_agents_write_shows_at_once(fleet, project, shared):
    Tasks(fleet).board(str(project))
    set_status(shared, "2", "review")
    set_status(project, "1", "blocked")
    assert [t.status for t in Tasks(fleet).board(str(project)).tasks.tasks] == ["blocked", "review"]
    assert both(project, shared) == [["1 blocked", "2 review"]] * 2


@pytest.mark.parametrize("text", ["{", "[]", "", '{"master": {"tasks": []}}', "{}"])
def test_what_an_agent_ruins_does_not_ruin_yours(fleet, project, shared, text, magents):
    Tasks(fleet).board(str(project))
    put(shared, text)
    said = magents("tasks")
    assert "Task 1" in said.out and "Task 2" in said.out
    assert ("not brought together" in said.err) is (text in ("{", "[]", ""))
    assert [t.id for t in file.read(str(project)).tasks] == ["1", "2"]


def test_no_link_leads_out_of_the_shared_folder(fleet, project, shared, place):
    Tasks(fleet).board(str(project))
    outside = put(place.top / "outside", tagged(task(9, "Secret")))
    os.remove(file.path_of(str(shared)))
    os.symlink(outside, file.path_of(str(shared)))
    with pytest.raises(MagentsError, match="symbolic link"):
        mirror.update(fleet.context, str(project))
    assert "Secret" in outside.read_text() and "Secret" not in Path(file.path_of(str(project))).read_text()


@pytest.mark.parametrize("name", [".taskmaster", ".taskmaster/tasks", ".taskmaster/tasks/tasks.json"])
def test_a_link_at_any_place_makes_and_shows_nothing_elsewhere(project, shared, place, name):
    """Whatever the link leads to, the user's own list goes on, and nothing appears or changes there."""
    told: list[str] = []
    fleet = Fleet(warn=told.append)
    Tasks(fleet).board(str(project))
    (shared / name).rename(shared / "away")
    for leads_to in ("a list", "an empty folder", "nothing"):
        outside = place.top / "outside" / leads_to
        outside.parent.mkdir(exist_ok=True)
        if leads_to == "a list":
            put(outside, tagged(task(9, "Secret")))
        elif leads_to == "an empty folder":
            (outside / name).mkdir(parents=True)
        before = {path: path.stat().st_mtime_ns for path in outside.parent.rglob("*")}
        (shared / name).unlink(missing_ok=True)
        (shared / name).symlink_to(outside / name)
        status = {"blocked": "deferred"}.get(file.read(str(project)).tasks[0].status, "blocked")
        set_status(project, "1", status)
        assert Tasks(fleet).board(str(project)).tasks.tasks[0].status == status
        assert {path: path.stat().st_mtime_ns for path in outside.parent.rglob("*")} == before
    assert [t.title for t in file.read(str(project)).tasks] == ["Task 1", "Task 2"]
    assert any("symbolic link" in line for line in told) and "Secret" not in str(told)


def test_what_is_removed_there_is_written_again(fleet, project, shared):
    Tasks(fleet).board(str(project))
    os.remove(file.path_of(str(shared)))
    os.rmdir(shared / ".taskmaster" / "tasks")
    os.rmdir(shared / ".taskmaster")
    assert mirror.update(fleet.context, str(project))
    assert both(project, shared) == [["1 pending", "2 pending"]] * 2


WRITE = """
import json, sys
from magents.taskmaster import file
root, who = sys.argv[1:]
for number in range(20):
    with file.locked(root):
        data = file.load(root)
        tasks = data["master"]["tasks"]
        new = max(task["id"] for task in tasks) + 1
        tasks.append({"id": new, "title": f"{who}-{number}", "description": "x", "dependencies": [], "status": "pending", "priority": "low"})
        tasks[0]["details"] = tasks[0]["details"] + f"\\n{who}-{number}."
        file.save(root, data)
"""
MEET = """
import select, sys
from magents import Fleet
from magents.taskmaster import mirror
from magents.fleet.context import Context
print("begun", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:  # it is closed
    mirror.update(Fleet().context, sys.argv[1], wait=20)
"""


def meet(project: Path) -> subprocess.Popen[str]:
    """Bring both sides together again and again, until its input is closed; it has begun."""
    child = subprocess.Popen(
        [sys.executable, "-c", MEET, str(project)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout and child.stdout.readline()
    return child


def test_many_writers_on_both_sides_lose_nothing(fleet, project, shared):
    Tasks(fleet).board(str(project))
    meeting = [meet(project) for _ in range(2)]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(root), f"{name}{n}"])
        for n in range(2)
        for name, root in (("ours", project), ("theirs", shared))
    ]
    assert [child.wait(120) for child in writers] == [0] * 4
    for child in meeting:
        child.communicate(timeout=60)
        assert child.returncode == 0
    mirror.update(fleet.context, str(project), wait=20)
    wanted = sorted(f"{name}{n}-{number}" for name in ("ours", "theirs") for n in range(2) for number in range(20))
    for root in (project, shared):
        tasks = file.read(str(root)).tasks
        assert sorted(t.title for t in tasks if "-" in t.title) == wanted
        assert sorted(tasks[0].details.replace(".", "").split()) == wanted


def refusals() -> dict[str, Any]:
    """Lists of two tasks as no agent may leave them, and what is said of each."""

    def with_2(**fields: Any) -> Any:
        return tagged(task(1), task(2) | fields)

    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    return {
        "is broken": '{"master": {"tasks": [',
        "NaN is no number": json.dumps(with_2(effort=float("nan"))),
        "number that is too large": json.dumps(with_2(effort=10**300)),
        "number that is too large: inf": json.dumps(with_2(effort=0)).replace('"effort": 0', '"effort": 1e999'),
        "nested more than": with_2(metadata=deep),
        "holds more than 1,000,000 values": with_2(metadata=[0] * 1_000_001),
        "text of more than": with_2(details="x" * 300_000),
        "is larger than": json.dumps(with_2()) + " " * 17_000_000,
        "has no title": with_2(title=None),
        "title of task 2 is none": with_2(title="x" * 301),
        "description of task 2 is empty": with_2(description=" "),
        "details of task 2 is no text": with_2(details=["x"]),
        "status of task 2 is none of": with_2(status="ready"),
        "priority of task 2 is none of": with_2(priority=[]),
        "task 3 has no description": tagged(task(1), task(2), {"id": 3, "title": "New", "status": "pending"}),
        "a:b is no id of a task": tagged(task(1), task(2), task("a:b", description="x")),
        "1.5 is no id of a task": tagged(task(1), task(2), task(1.5, description="x")),
        "two tasks have the id 1": tagged(task(1), task("1", "Other")),
        "depends on 7, which is not there": with_2(dependencies=[7]),
        "wait for each other": tagged(task(1, "Task 1", 2), task(2, "Task 2", 1)),
        "dependencies of task 2 is no list": with_2(dependencies=["1"] * 501),
        "task 2 has no status": tagged(
            task(1), {"id": 2, "title": "Task 2", "description": "", "priority": "medium"}
        ),
        "task 2.1 has no status": with_2(subtasks=[{"id": 1, "title": "A"}]),
        "subtasks of task 2.1 is no list": with_2(subtasks=[task(1, subtasks=[task(1)])]),
        "has more than 5,000 tasks": tagged(*(task(n, description="x") for n in range(1, 5002))),
        "is no name of a tag": {**with_2(), "a b": {"tasks": []}},
        "the tag x holds no tasks": {**with_2(), "x": 1},
        "`__proto__`": '{"__proto__": {}, ' + json.dumps(with_2())[1:],
        "would grow": tagged(*(task(n, details="x" * 190_000, description="x") for n in range(1, 30))),
    }


def test_a_list_that_is_refused_changes_nothing(project, shared):
    """The user's list stays, the reason is told once, agents get the good list back, and theirs is kept."""
    told: list[str] = []
    fleet = Fleet(warn=told.append)
    Tasks(fleet).board(str(project))
    before = Path(file.path_of(str(project))).read_bytes()
    for said, data in refusals().items():
        told.clear()
        bad = put(shared, data).read_bytes()
        assert [t.title for t in Tasks(fleet).board(str(project)).tasks.tasks] == ["Task 1", "Task 2"]
        assert Path(file.path_of(str(project))).read_bytes() == before
        assert both(project, shared) == [["1 pending", "2 pending"]] * 2
        assert len(told) == 1 and said in told[0] and "agents of project" in told[0], (said, told)
        kept = Path(told[0].partition("kept in ")[2].partition(";")[0])
        assert bad.endswith(kept.read_bytes()) and kept.stat().st_size
        Tasks(fleet).board(str(project))
        assert len(told) == 1


def test_what_the_collector_refuses_the_next_command_tells(fleet, project, shared, magents):
    Tasks(fleet).board(str(project))
    put(shared, "{")
    with pytest.raises(MagentsError, match="is refused"):
        mirror.update(fleet.context, str(project))
    assert "is refused" in magents("tasks").err
    assert magents("tasks").err == ""


def test_what_is_odd_in_the_users_own_list_stays(fleet, project, shared):
    """An agent's change next to it is taken over all the same."""
    put(project, tagged(task(1, status="ready", priority="urgent", odd=[[1]]), task(2)))
    Tasks(fleet).board(str(project))
    set_status(shared, "2", "review")
    assert [t.status for t in Tasks(fleet).board(str(project)).tasks.tasks] == ["ready", "review"]


def test_what_both_have_made_may_not_be_too_much_either(fleet, project, shared):
    """Or it would be refused the next time, as if an agent had written it."""
    put(project, tagged(task(1, details="plan")))
    Tasks(fleet).board(str(project))
    put(project, tagged(task(1, details="mine " * 30_000)))
    put(shared, tagged(task(1, details="theirs " * 25_000)))
    with pytest.raises(MagentsError, match=r"agents of project .* a text of more than 200,000 characters"):
        mirror.update(fleet.context, str(project))
    put(project, tagged(task(1, details="mine " * 50_000)))
    with pytest.raises(MagentsError, match=r"^[^ ]*/project/\.taskmaster/tasks/tasks\.json holds a text"):
        mirror.update(fleet.context, str(project))


def test_both_changes_that_do_not_go_together_are_refused(fleet, project, shared):
    Tasks(fleet).board(str(project))
    put(shared, tagged(task(1, "", 2), task(2)))
    put(project, tagged(task(1), task(2, "", 1)))
    with pytest.raises(MagentsError, match=r"with what agents have changed: these tasks wait for each other"):
        mirror.update(fleet.context, str(project))
    assert Tasks(fleet).board(str(project)).tasks.every()["2"].dependencies == ("1",)


HOLD = """
import fcntl, os, sys, time
handle = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(1000)
"""


def test_a_lock_that_an_agent_holds_keeps_nobody(fleet, project, shared, magents):
    """The user sees the tasks as they were, who holds the lock, and how to end that."""
    Tasks(fleet).board(str(project))
    set_status(project, "1", "blocked")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(shared / ".taskmaster")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout and holder.stdout.readline()
        began = time.monotonic()
        said = magents("tasks")
        took = time.monotonic() - began
        again = Context(fleet.context.store, print, print)
        for _ in range(3):
            mirror.try_update(again, str(project))
        assert time.monotonic() - began - took < 3, "the lock is waited for once, and then only tried"
        assert said.code == 0 and "blocked" in said.out and took < 5
        assert f"locked by process {holder.pid} (python" in said.err
        end = said.err.partition("end it: ")[2].split("\n")[0]
        subprocess.run(["sh", "-c", end], check=True)  # `kill` may be a word of the shell alone
        holder.wait(10)
    finally:
        holder.kill()
        holder.communicate()
    assert magents("tasks").err == ""
    assert both(project, shared) == [["1 blocked", "2 pending"]] * 2


@pytest.mark.slow
def test_killed_at_any_moment_it_comes_to_the_same(fleet, project, shared):
    """A merge is killed again and again while both sides are written; nothing is lost, and nothing there twice."""
    Tasks(fleet).board(str(project))
    wanted = []
    for number in range(12):
        for who, root in (("ours", project), ("theirs", shared)):
            data = file.load(str(root))
            tasks = data["master"]["tasks"]
            wanted.append(f"{who}-{number}")
            tasks.append(task(max(t["id"] for t in tasks) + 1, wanted[-1], description="x"))
            file.save(str(root), data)
        with meet(project) as child:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.01 * number)
            child.kill()
    mirror.update(fleet.context, str(project))
    for root in (project, shared):
        assert sorted(t.title for t in file.read(str(root)).tasks if "-" in t.title) == sorted(wanted)


@pytest.mark.slow
@pytest.mark.engine
def test_many_writers_in_containers_lose_nothing(fleet, project, docker_mode):
    """Wrapped `task-master` in two containers, and our own writes on the project's list, all at once."""
    put(project, tagged(*(task(n) for n in range(1, 4))))
    git("add", "-A", cwd=project)
    git("commit", "-qm", "Plan", cwd=project)
    agents = [
        fleet.create(f"box-{n}", folder=str(project), runtime="docker", command=("sleep", "1000")) for n in range(2)
    ]

    def add(agent, number) -> None:
        words = ["docker", "exec", f"magents-{agent.id}", "task-master"]
        for more in (
            ["add-task", f"--title={agent.id}-{number}", "--description=x"],
            ["set-status", f"--id={number}", "--status=review"],
        ):
            subprocess.run([*words, *more], check=True, capture_output=True, timeout=300)

    adding = [threading.Thread(target=add, args=(agent, n)) for n, agent in enumerate(agents, 1)]
    for thread in adding:
        thread.start()
    while any(thread.is_alive() for thread in adding):
        for status in ("in-progress", "pending"):
            set_status(project, "3", status)
            mirror.update(fleet.context, str(project), wait=300)
    for thread in adding:
        thread.join()
    tasks = Tasks(fleet).board(str(project)).tasks.tasks
    assert sorted(t.title for t in tasks) == ["Task 1", "Task 2", "Task 3", "box-0-1", "box-1-2"]
    assert [t.status for t in tasks[:3]] == ["review", "review", "pending"]
    for agent in agents:
        status = ["docker", "exec", f"magents-{agent.id}", "git", "status", "--porcelain"]
        assert subprocess.run(status, check=True, capture_output=True).stdout == b""
        fleet.stop(agent)
