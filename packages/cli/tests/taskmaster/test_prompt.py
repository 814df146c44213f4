"""What agents of tasks are called and told."""

from __future__ import annotations

import pytest

from magents.core import names
from magents.taskmaster import prompt
from magents.taskmaster.model import Task

FULL = Task(
    "3", "Add a login page", "Users log in", "Use the form", "Try a wrong password",
    subtasks=(Task("3.1", "The form", "two fields"), Task("3.2", "The check", status="done")),
)  # fmt: skip


def test_all_of_a_task_is_in_its_prompt():
    said = prompt.write(FULL, "task/3-x", {"1": "The database (merged as abc)"})
    for text in (
        "task 3 ", "Add a login page", "Users log in", "Details:\nUse the form", "How it is tested:\nTry a wrong",
        "- 3.1 The form\n  two fields", "- 3.2 The check (done)", "- 1: The database (merged as abc)", "task/3-x",
    ):  # fmt: skip
        assert text in said
    assert "\n\n\n" not in said


def test_what_is_not_there_leaves_no_trace():
    said = prompt.write(Task("1", "x"), "b", {})
    assert "Details:" not in said and "builds on" not in said and "{" not in said


def test_the_projects_own_template():
    said = prompt.write(FULL, "b", {"1": "d"}, "Do {title} on {branch}: {testStrategy} {unknown} {} {dependencies}")
    assert said == "Do Add a login page on b: Try a wrong password {unknown} {} - 1: d\n"
    again = prompt.write(Task("1", "{details}", details="secret"), "b", {}, "{title}")
    assert again == "{details}\n", "what is filled in is not filled in again"


@pytest.mark.parametrize(
    ("tag", "id", "title", "branch", "agent"),
    [
        ("master", "3", "Add a login page!", "task/3-add-a-login-page", "task-3"),
        ("master", "3.2", "Ünï", "task/3.2-uni", "task-3-2"),
        ("master", "3", "数", "task/3", "task-3"),
        ("v2 Beta", "3", "x", "task/v2-beta-3-x", "task-v2-beta-3"),
        ("master", "../x", "x", "task/x-x", "task-x"),
        ("master", "1.lock", "", "task/1-lock", "task-1-lock"),
    ],
)
def test_names(tag, id, title, branch, agent):
    task = Task(id, title)
    assert (prompt.branch(tag, task), prompt.agent_id(tag, task)) == (branch, agent)
    assert names.is_id(agent)
    names.check_branch(branch)


def test_a_prompt_that_no_program_would_take_is_cut():
    said = prompt.write(Task("1", "x", details="ä" * 200_000), "b", {})
    assert len(said.encode()) < 100_000 and "task-master show 1" in said


def test_a_reference_is_read_back():
    assert prompt.unref(prompt.ref("a:b", "3.2")) == ("a:b", "3.2")
