"""Task Master's file: both forms, bad input, and writes that lose nothing."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys

import pytest

from magents.core.errors import Conflict, MagentsError, NotFound
from magents.taskmaster import file, statuses
from magents.taskmaster.file import BadTasks
from taskmaster.lab import put, set_status, tagged, task


def test_the_tagged_form(tmp_path):
    put(tmp_path, tagged(
        task(1, "One", status="done"),
        task("2", "Two\x1b[31m", 1, priority="high", testStrategy="try it",
             subtasks=[task(1, "A"), task(2, "B", 1, "1")]),
        other={"tasks": [task(7, "Seven")]}, note="not a tag",
    ))  # fmt: skip
    found = file.read(str(tmp_path))
    assert (found.tag, [t.id for t in found.tasks]) == ("master", ["1", "2"])
    two = found.tasks[1]
    assert (two.title, two.dependencies, two.priority, two.test_strategy) == ("Two", ("1",), "high", "try it")
    assert [(t.id, t.dependencies) for t in two.subtasks] == [("2.1", ()), ("2.2", ("2.1",))]
    assert file.read(str(tmp_path), "other").tasks[0].title == "Seven"
    (tmp_path / ".taskmaster/state.json").write_text('{"currentTag": "other"}')
    assert file.read(str(tmp_path)).tag == "other"


def test_the_older_form(tmp_path):
    put(tmp_path, {"tasks": [task(1), task(2, "", 1)], "metadata": {"x": 1}})
    (tmp_path / ".taskmaster/state.json").write_text('{"currentTag": "other"}')
    found = file.read(str(tmp_path))
    assert (found.tag, [t.dependencies for t in found.tasks]) == ("master", [(), ("1",)])
    assert set_status(tmp_path, "2", "review")
    assert json.loads((tmp_path / ".taskmaster/tasks/tasks.json").read_text())["metadata"] == {"x": 1}


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_write_changes_one_word(tmp_path, end):
    data = tagged(
        task(1, "Grüße", extra={"deep": [1.5, None]}),
        task(2, subtasks=[task(1)]),
        other={"tasks": [task(1)], "x": "\t"},
    )
    text = json.dumps(data, indent=2, ensure_ascii=False) + end
    path = put(tmp_path, text)
    path.chmod(0o640)
    assert set_status(tmp_path, "1", "in-progress")
    assert path.read_text() == text.replace('"pending"', '"in-progress"', 1)
    assert path.stat().st_mode & 0o777 == 0o640
    assert not set_status(tmp_path, "1", "in-progress")
    assert set_status(tmp_path, "2.1", "done")
    assert file.read(str(tmp_path)).every()["2.1"].done
    assert os.listdir(path.parent) == ["tasks.json"]
    assert sorted(os.listdir(tmp_path / ".taskmaster")) == ["config.json", "tasks"], (
        "nothing else that git could see"
    )


def test_done_is_done_below_too(tmp_path):
    put(tmp_path, tagged(task(1, subtasks=[task(1), task(2, status="cancelled")])))
    set_status(tmp_path, "1", "done")
    assert [t.status for t in file.read(str(tmp_path)).every().values()] == ["done", "done", "cancelled"]


def test_a_move_leaves_alone_what_was_moved_meanwhile(tmp_path):
    put(tmp_path, tagged(task(1), task(2, status="blocked")))
    moves = {"1": ("pending", "in-progress"), "2": ("pending", "in-progress"), "9": ("pending", "done")}
    assert statuses.move(str(tmp_path), "master", moves) == ["1"]
    assert [t.status for t in file.read(str(tmp_path)).tasks] == ["in-progress", "blocked"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{", "is broken: .* in line 1"),
        ("[]", "holds no tasks"),
        ("[" * 100_000, "is broken"),
        ('{"master": {"tasks": [' + "9" * 5000 + "]}}", "is broken"),
        (tagged(task(1), task("1", "Other")), "two tasks have the id 1: “Task 1” and “Other”"),
        (tagged(task(1, "", 9)), "task 1 depends on 9, which is not there"),
        (tagged(task(1, subtasks=[task(1, "", 8)])), "task 1.1 depends on 8"),
        (tagged(task(1, " ")), "task 1 has no title"),
        (tagged(task(1, title=5)), "task 1 has no title"),
        (tagged({"title": "x"}), "a task has no id: x"),
        (tagged("x"), "x stands where a task should"),
        (tagged(task(1, "", 3), task(2, "", 1), task(3, "", 2)), "wait for each other: 1 → 3 → 2 → 1"),
        (tagged(task(1, "", 1)), "wait for each other: 1 → 1"),
        ({"mine": {"tasks": []}}, "no tag `master`; it has: mine"),
    ],
)
def test_bad_input_is_named_with_a_remedy(tmp_path, data, said):
    path = put(tmp_path, data)
    before = path.read_bytes()
    with pytest.raises((BadTasks, NotFound), match=said) as caught:
        file.read(str(tmp_path))
    assert str(path) in caught.value.message and caught.value.hint
    assert path.read_bytes() == before


def test_no_project(tmp_path):
    with pytest.raises(NotFound, match="no list of tasks") as caught:
        file.read(str(tmp_path))
    assert "task-master init" in caught.value.hint
    with pytest.raises(NotFound):
        statuses.move(str(tmp_path), "master", {"1": ("pending", "done")})


@pytest.mark.parametrize("what", [".taskmaster", ".taskmaster/tasks", ".taskmaster/tasks/tasks.json"])
def test_no_link_is_followed(tmp_path, what):
    outside = tmp_path / "outside"
    secret = put(outside, tagged(task(1)))
    root = tmp_path / "root"
    put(root, tagged(task(1)))
    os.rename(root / what, root / "away")
    os.symlink(outside / what, root / what)
    with pytest.raises(MagentsError, match="symbolic link"):
        file.read(str(root))
    with pytest.raises(MagentsError):
        statuses.move(str(root), "master", {"1": ("pending", "done")})
    assert json.loads(secret.read_text()) == tagged(task(1))


def test_a_fifo_blocks_nobody(tmp_path):
    path = put(tmp_path, "")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadTasks, match="no plain file"):
        file.read(str(tmp_path))


def test_the_lock_is_waited_for_and_then_told_of(tmp_path):
    put(tmp_path, tagged(task(1)))
    handle = os.open(tmp_path / ".taskmaster", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(Conflict, match=r"writing .*tasks.json for more than 0.1 s"):
        set_status(tmp_path, "1", "done", wait=0.1)
    os.close(handle)
    assert set_status(tmp_path, "1", "done", wait=0.1)


SET = """
import sys
from magents.taskmaster import file, statuses
for id in sys.argv[2:]:
    statuses.move(sys.argv[1], "master", {id: ("pending", "done")})
"""


def test_many_writers_lose_nothing(tmp_path):
    put(tmp_path, tagged(*(task(n) for n in range(1, 81))))
    running = [
        subprocess.Popen([sys.executable, "-c", SET, str(tmp_path), *map(str, range(start, 81, 8))])
        for start in range(1, 9)
    ]
    assert [child.wait(60) for child in running] == [0] * 8
    assert {t.status for t in file.read(str(tmp_path)).tasks} == {"done"}
