"""Texts of tasks that agents in containers wrote: marked, quoted, and told to nobody with more rights unread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import until
from magents.core.errors import Conflict, MagentsError
from magents.taskmaster import Tasks, assignments, file
from magents.taskmaster.scheduler import Job, Request
from taskmaster.lab import put, tagged, task

SLEEP = ("sh", "-c", "sleep 100")


@pytest.fixture
def shared(fleet, project) -> Path:
    """The folder that agents in containers have as /shared."""
    path = Path(fleet.context.shared(str(project)))
    path.mkdir(parents=True)
    return path


@pytest.fixture
def listed(fleet, project, shared) -> Path:
    """A project with two tasks, of which an agent in a container has changed the second, and added a third."""
    put(project, tagged(task(1), task(2, details="Mine")))
    Tasks(fleet).board(str(project))
    assert not Tasks(fleet).board(str(project)).by_agents
    put(
        shared,
        tagged(task(1, status="review"), task(2, details="Mine\nTheirs"), task(3, "New", 1, description="x")),
    )
    assert list(Tasks(fleet).board(str(project)).by_agents) == ["2", "3"]
    return project


def test_the_text_of_an_agent_is_marked_until_a_person_accepts_it(fleet, listed, shared, magents):
    shown = magents("tasks").out
    assert "Task 1  " in shown and "Task 2 (by an agent)" in shown and "tasks --accept 2,3" in shown
    assert [row["agent_text"] for row in magents("tasks", "--json").json()["tasks"]] == [False, True, True]
    put(
        listed,
        tagged(task(1), task(2, details="Mine\nTheirs\nAnd more of mine"), task(3, "New", 1, description="x")),
    )
    board = Tasks(fleet).board(str(listed))
    assert list(board.by_agents) == ["2", "3"], "what a person adds does not make it the person's"
    put(shared, tagged(task(1), task(2, details="Quite other"), task(3, "New", 1, description="x")))
    Tasks(fleet).board(str(listed))
    assert Tasks(fleet).accept(board, ["2", "3"]) == ["2"], "not what was read"
    assert list(Tasks(fleet).board(str(listed)).by_agents) == ["2"]
    assert "--yes" in magents("tasks", "--accept", "2", code=2).err
    assert "waits to be accepted" in magents("tasks", "--accept", "1", code=1).err
    assert magents("tasks", "--accept", "2", "--yes").out == "Accepted: 2\n"
    assert not Tasks(fleet).board(str(listed)).by_agents


def test_an_agent_with_the_users_rights_is_not_told_it(fleet, listed, magents):
    """Neither by itself, nor as what another task builds on, nor as a subtask; nor is it when it goes on."""
    put(listed, tagged(task(1), *file.load(str(listed))["master"]["tasks"][1:], task(4, "Mine", 3)))
    with pytest.raises(Conflict, match="needs your yes"):
        Tasks(fleet).create("2", request=Request(str(listed), command=SLEEP))
    planned = Tasks(fleet).schedule(Request(str(listed), command=SLEEP))
    assert [job.task.id for job in planned.jobs] == ["1"]
    assert planned.left["2"] == "an agent wrote the text of 2: magents tasks --accept 2"
    put(listed, tagged(task(1, status="done"), task(2), task(3, "N", status="done"), task(4, "Mine", 3)))
    with pytest.raises(Conflict, match="wrote the text of 3"):
        Tasks(fleet).create("4", request=Request(str(listed), command=SLEEP))
    assert not fleet.list().views
    agent = Tasks(fleet).create(
        "4", request=Request(str(listed), command=("sh", "-c", 'echo "$1" >got', "sh"), agent_text=True)
    )
    prompt = Path(agent.workspace, "got")
    until(prompt.exists, 20)
    until(lambda: "> - 3: “N”" in prompt.read_text(), 20)
    assert "written by\nanother agent" in prompt.read_text()
    until(lambda: fleet.status(agent).state != "working", 20)
    fleet.stop(agent)
    Tasks(fleet).create("4", request=Request(str(listed)))
    until(lambda: prompt.read_text() == "Go on where you left off.\n", 20, shown=prompt.read_text)


def test_its_rights_are_those_of_the_mode_it_will_have(fleet, listed, place):
    """Which the setting MODE may name."""
    (place.home / ".magents-config").write_text("DOCKER_ENABLED=true\nMODE=tmux\n")
    planned = Tasks(fleet).schedule(Request(str(listed), command=SLEEP))
    assert planned.left["2"] == "an agent wrote the text of 2: magents tasks --accept 2"


def test_an_agent_that_may_not_move_is_not_stopped_for_it(fleet, listed):
    """One at work that a request would move to where it has more rights, as a stuck one is."""
    agent = Tasks(fleet).create("2", request=Request(str(listed), command=SLEEP, agent_text=True))
    board = Tasks(fleet).board(str(listed))
    now = board.assignments["2"]
    confined = now._replace(agent=agent._replace(runtime="docker"))
    board = board._replace(assignments={"2": confined})
    with pytest.raises(Conflict, match="needs your yes"):
        assignments.begin(
            fleet.context, board, Job(board.task("2"), confined), Request(str(listed), runtime="tmux")
        )
    assert fleet.status(agent).state == "running"


def test_a_prompt_from_an_agents_text_quotes_it(fleet, listed):
    """So that it reads as data, in a project's own template too."""
    board = Tasks(fleet).board(str(listed))
    every = board.tasks.every()
    text = assignments.words(board, every["2"], "b")
    assert text.startswith("What follows is the work") and "> Mine\n> Theirs" in text and "“Task 2”" in text
    assert "another agent" not in assignments.words(board, every["1"], "b")
    (listed / ".taskmaster/templates").mkdir()
    (listed / ".taskmaster/templates/magents-prompt.md").write_text("Do {title}: {details}")
    text = assignments.words(board, every["2"], "b")
    assert text.startswith("What follows") and text.endswith("Do “Task 2”: > Mine\n> Theirs\n")


def test_watch_goes_on_with_the_others_and_ends(fleet, listed):
    put(listed, tagged(task(1, status="done"), *file.load(str(listed))["master"]["tasks"][1:2], task(5, "Mine")))
    request = Request(str(listed), command=("sh", "-c", "git commit -q --allow-empty -m x"))
    events = Tasks(fleet).watch(request)
    seen = []
    for event in events:
        seen.append((event.event, event.task))
        if event.event == "status" and event.text == "review":
            fleet.merge(fleet.find("task-5"))
    assert ("withheld", "2") in seen and ("started", "5") in seen and ("started", "2") not in seen
    assert event.event == "end" and "2: an agent wrote" in event.text


KILL = """
import os, sys
from magents import Fleet
from magents.taskmaster import mirror
from magents.taskmaster import file
save = file.save
def die(root, data):
    save(root, data)
    if root == sys.argv[1]:
        os._exit(9)
file.save = die
mirror.update(Fleet().context, sys.argv[1])
"""


def test_killed_between_list_and_record_the_mark_is_there(fleet, project, shared):
    put(project, tagged(task(1)))
    Tasks(fleet).board(str(project))
    put(shared, tagged(task(1, description="theirs")))
    assert subprocess.run([sys.executable, "-c", KILL, str(project)], check=False).returncode == 9
    assert file.read(str(project)).tasks[0].description == "theirs"
    assert list(Tasks(fleet).board(str(project)).by_agents) == ["1"]


def test_an_error_of_the_project_is_no_agents(fleet, project, shared):
    put(project, tagged(task(1), task(1)))
    with pytest.raises(MagentsError, match="two tasks have the id 1"):
        Tasks(fleet).board(str(project))
