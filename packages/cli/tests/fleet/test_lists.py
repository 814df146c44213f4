"""The project's list and the one that agents in containers share."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import git
from magents.errors import MagentsError
from magents.fleet import lists
from magents.tasks import file
from tasks.lab import put, set_status, tagged, task


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
    assert lists.same(fleet.context, str(project))
    assert both(project, shared) == [["1 pending", "2 pending"]] * 2
    before = [os.stat(file.path_of(str(root))).st_mtime_ns for root in (project, shared)]
    assert not lists.same(fleet.context, str(project))
    os.utime(file.path_of(str(shared)))
    assert lists.same(fleet.context, str(project))
    assert os.stat(file.path_of(str(project))).st_mtime_ns == before[0]


def test_what_agents_write_shows_at_once(fleet, project, shared):
    fleet.tasks(str(project))
    set_status(shared, "2", "review")
    set_status(project, "1", "blocked")
    assert [t.status for t in fleet.tasks(str(project)).tasks.tasks] == ["blocked", "review"]
    assert both(project, shared) == [["1 blocked", "2 review"]] * 2


@pytest.mark.parametrize("text", ["{", "[]", "", '{"master": {"tasks": []}}', "{}"])
def test_what_an_agent_ruins_does_not_ruin_yours(fleet, project, shared, text, magents):
    fleet.tasks(str(project))
    put(shared, text)
    said = magents("tasks")
    assert "Task 1" in said.out and "Task 2" in said.out
    assert ("not brought together" in said.err) is (text in ("{", "[]", ""))
    assert [t.id for t in file.read(str(project)).tasks] == ["1", "2"]


def test_no_link_leads_out_of_the_shared_folder(fleet, project, shared, place):
    fleet.tasks(str(project))
    outside = put(place.top / "outside", tagged(task(9, "Secret")))
    os.remove(file.path_of(str(shared)))
    os.symlink(outside, file.path_of(str(shared)))
    with pytest.raises(MagentsError, match="symbolic link"):
        lists.same(fleet.context, str(project))
    assert "Secret" in outside.read_text() and "Secret" not in Path(file.path_of(str(project))).read_text()


def test_what_is_removed_there_is_written_again(fleet, project, shared):
    fleet.tasks(str(project))
    os.remove(file.path_of(str(shared)))
    os.rmdir(shared / ".taskmaster" / "tasks")
    os.rmdir(shared / ".taskmaster")
    assert lists.same(fleet.context, str(project))
    assert both(project, shared) == [["1 pending", "2 pending"]] * 2


WRITE = """
import json, sys
from magents.tasks import file
root, who = sys.argv[1:]
for number in range(20):
    with file.locked(root):
        data = file.load(root)
        tasks = data["master"]["tasks"]
        new = max(task["id"] for task in tasks) + 1
        tasks.append({"id": new, "title": f"{who}-{number}", "description": "", "dependencies": [], "status": "pending"})
        tasks[0]["details"] = tasks[0]["details"] + f"\\n{who}-{number}."
        file.save(root, data)
"""
MEET = """
import select, sys
from magents import Fleet
from magents.fleet import lists
print("begun", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:  # it is closed
    lists.same(Fleet().context, sys.argv[1])
"""


def meet(project: Path) -> subprocess.Popen[str]:
    """Bring both sides together again and again, until its input is closed; it has begun."""
    child = subprocess.Popen(
        [sys.executable, "-c", MEET, str(project)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout and child.stdout.readline()
    return child


def test_many_writers_on_both_sides_lose_nothing(fleet, project, shared):
    fleet.tasks(str(project))
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
    lists.same(fleet.context, str(project))
    wanted = sorted(f"{name}{n}-{number}" for name in ("ours", "theirs") for n in range(2) for number in range(20))
    for root in (project, shared):
        tasks = file.read(str(root)).tasks
        assert sorted(t.title for t in tasks if "-" in t.title) == wanted
        assert sorted(tasks[0].details.replace(".", "").split()) == wanted


@pytest.mark.slow
def test_killed_at_any_moment_it_comes_to_the_same(fleet, project, shared):
    """A merge is killed again and again while both sides are written; nothing is lost, and nothing there twice."""
    fleet.tasks(str(project))
    wanted = []
    for number in range(12):
        for who, root in (("ours", project), ("theirs", shared)):
            data = file.load(str(root))
            tasks = data["master"]["tasks"]
            wanted.append(f"{who}-{number}")
            tasks.append(task(max(t["id"] for t in tasks) + 1, wanted[-1]))
            file.save(str(root), data)
        with meet(project) as child:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.01 * number)
            child.kill()
    lists.same(fleet.context, str(project))
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
            subprocess.run([*words, *more], check=True, capture_output=True, timeout=120)

    adding = [threading.Thread(target=add, args=(agent, n)) for n, agent in enumerate(agents, 1)]
    for thread in adding:
        thread.start()
    while any(thread.is_alive() for thread in adding):
        for status in ("in-progress", "pending"):
            set_status(project, "3", status)
            lists.same(fleet.context, str(project), wait=60)
    for thread in adding:
        thread.join()
    tasks = fleet.tasks(str(project)).tasks.tasks
    assert sorted(t.title for t in tasks) == ["Task 1", "Task 2", "Task 3", "box-0-1", "box-1-2"]
    assert [t.status for t in tasks[:3]] == ["review", "review", "pending"]
    for agent in agents:
        status = ["docker", "exec", f"magents-{agent.id}", "git", "status", "--porcelain"]
        assert subprocess.run(status, check=True, capture_output=True).stdout == b""
        fleet.stop(agent)
