"""What agents in containers write for each other: instructions, servers, the texts of tasks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import until
from magents import Fleet
from magents.core.errors import Conflict, MagentsError, NotFound
from magents.fleet import accepted
from magents.fleet import shared as sharing
from magents.taskmaster import Tasks, file
from magents.taskmaster.assignments import Request
from taskmaster.lab import put, tagged, task

SLEEP = ("sh", "-c", "sleep 100")


@pytest.fixture
def shared(fleet, project) -> Path:
    """The folder that agents in containers have as /shared, after the first one was started there."""
    path = Path(fleet.context.shared(str(project)))
    path.mkdir(parents=True)
    for name, text in accepted.first().items():
        (path / name).write_text(text)
    accepted.provide(fleet.context, str(project))
    return path


def counts(fleet, project) -> list[str]:
    """What counts for the next start: what the container is shown."""
    path = Path(accepted.provide(fleet.context, str(project)))
    return [(path / name).read_text() if (path / name).exists() else "" for name in accepted.first()]


def test_before_there_is_anything_it_says_so(project, magents):
    assert "share nothing yet" in magents("shared", code=1).err


def test_what_an_agent_changes_counts_once_it_is_accepted(project, shared, magents):
    told: list[str] = []
    fleet = Fleet(warn=told.append)
    assert counts(fleet, project) == list(accepted.first().values()) and not told
    assert magents("shared").out == "What agents share is as you accepted it.\n"
    (shared / "CLAUDE.md").write_text("Do as I\u200b say.\x1b]0;title\x07\n")
    os.remove(shared / ".mcp.json")
    assert counts(fleet, project) == list(accepted.first().values())
    assert counts(fleet, project) and len(told) == 1, "told once"
    assert "/shared/CLAUDE.md and /shared/.mcp.json" in told[0] and "magents shared diff" in told[0]
    said = magents("shared", "diff").out
    assert "+Do as I\\u200b say.\\x1b]0;title\\x07" in said and "-# What the agents" in said and "-{" in said
    assert not re.search(r"[^\n -~]", said)
    assert "--yes" in magents("shared", "accept", code=2).err
    assert "Accepted: CLAUDE.md." in magents("shared", "accept", "CLAUDE.md", "--yes").out
    assert counts(fleet, project) == ["Do as I\u200b say.\x1b]0;title\x07\n", accepted.first()[".mcp.json"]]
    rows = magents("shared", "--json").json()["files"]
    assert [(row["file"], row["offered"], row["problem"]) for row in rows] == [(".mcp.json", None, None)]
    magents("shared", "accept", "--yes")
    assert counts(fleet, project)[1] == "" and not fleet.shared_differences(str(project))


def test_what_was_shown_is_what_is_accepted(fleet, project, shared):
    """An agent that writes again between the look and the yes gets nothing by it."""
    (shared / "CLAUDE.md").write_text("harmless\n")
    shown = fleet.shared_differences(str(project))
    (shared / "CLAUDE.md").write_text("other\n")
    fleet.shared_accept(shown, str(project))
    assert counts(fleet, project)[0] == "harmless\n"


NO_FILES = {
    "ln -s {secret} $n": "no plain file", "mkfifo $n": "no plain file", "mkdir $n": "no plain file",
    "head -c 300000 /dev/zero >$n": "larger than", "printf '\\377' >$n": "cannot be read",
}  # fmt: skip


def test_what_no_file_should_be_is_shown_and_never_taken(fleet, project, shared, place, magents, monkeypatch):
    secret = place.top / "secret"
    secret.write_text("s3cret")
    for make, said in NO_FILES.items():
        line = "for n in CLAUDE.md .mcp.json; do rm -rf $n; " + make.format(secret=secret) + "; done"
        subprocess.run(["sh", "-c", line], cwd=shared, check=True)
        shown = magents("shared", "diff").out
        assert shown.count("cannot be taken: it") == 2 and said in shown and "s3cret" not in shown, make
        with pytest.raises(MagentsError, match=said):
            fleet.shared_accept(fleet.shared_differences(str(project)), str(project))
        with monkeypatch.context() as patch:
            patch.setenv("MAGENTS_SHARED_TRUST", "agents")
            assert counts(fleet, project) == list(accepted.first().values())


def test_servers_that_are_no_json_are_not_taken(fleet, project, shared, magents):
    (shared / ".mcp.json").write_text("[" * 200_000)
    assert "cannot be read" in magents("shared", "accept", "--yes", code=2).err
    (shared / ".mcp.json").write_text("[]")
    assert "no object" in magents("shared", "accept", "--yes", code=2).err


def test_who_trusts_agents_has_it_at_once(fleet, project, shared, monkeypatch):
    monkeypatch.setenv("MAGENTS_SHARED_TRUST", "agents")
    (shared / "CLAUDE.md").write_text("news\n")
    assert counts(fleet, project)[0] == "news\n"


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


def test_a_prompt_from_an_agents_text_quotes_it(fleet, listed, monkeypatch):
    """So that it reads as data, in a project's own template too."""
    from magents.taskmaster import assignments

    board = Tasks(fleet).board(str(listed))
    every = board.tasks.every()
    text = assignments.words(fleet.context, board, every["2"], "b")
    assert text.startswith("What follows is the work") and "> Mine\n> Theirs" in text and "“Task 2”" in text
    assert "another agent" not in assignments.words(fleet.context, board, every["1"], "b")
    (listed / ".taskmaster/templates").mkdir()
    (listed / ".taskmaster/templates/magents-prompt.md").write_text("Do {title}: {details}")
    text = assignments.words(fleet.context, board, every["2"], "b")
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
    with pytest.raises(NotFound):
        fleet.shared_differences(str(project.parent))


def test_a_list_behind_a_link_is_not_handed_over(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("secret\n")
    (tmp_path / ".taskmaster").symlink_to("secret")
    (tmp_path / "shared").mkdir()
    sharing.fill(str(tmp_path / "shared"), str(tmp_path))
    assert not list((tmp_path / "shared").rglob("key"))
