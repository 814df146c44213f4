"""What the commands for tasks print, kept beside; and that docs/json.md tells of each field."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.test_commands import compare, normal
from conftest import commit
from magents.cli.progress import WORDS
from taskmaster.lab import put, tagged, task

DOCS = (Path(__file__).parents[4] / "docs/json.md").read_text(encoding="utf-8")
SLEEP = ("--", "sh", "-c", "sleep 300")
SECTION = DOCS.partition("\n## tasks\n")[2].partition("\n## ")[0]
LIST = (
    task(1, "Set up", status="done"),
    task(2, "Store the users", 1, priority="high", subtasks=[task(1, "Table"), task(2, "Index", 1)]),
    task(3, "Log in", 2, details="A page in src/app.py."), task(4, "Say hello", 1, details="In src/app.py."),
    task(5, "Say goodbye", 1, testStrategy="Look at `src/app.py`."), task(6, "Later", status="deferred"),
    task(7, "Pay", 3, 6, priority="critical"),
)  # fmt: skip


@pytest.fixture
def listed(project: Path) -> Path:
    put(project, tagged(*LIST))
    commit(project, "Plan")
    return project


def section(words: str, text: str, place) -> str:
    return f"$ magents {words}\n{normal(text.rstrip(), place)}\n"


def test_what_people_see(listed, place, magents):
    said = [
        section(" ".join(words), magents(*words).out, place)
        for words in (["tasks"], ["tasks", "--graph"], ["task-agents", "--dry-run"])
    ]
    magents("task-agents", "--yes", "--only", "2,4", *SLEEP)
    said += [
        section(f"{' '.join(words)}   # later", magents(*words).out, place)
        for words in (["tasks"], ["tasks", "--graph"], ["task-agents", "--dry-run"])
    ]
    compare("tasks.txt", "\n".join(said))


def test_json_is_stable(listed, place, magents):
    outputs = {
        "tasks --json": magents("tasks", "--json"),
        "task-agents --dry-run --json": magents("task-agents", "--dry-run", "--json"),
        "task-agents --json": magents("task-agents", "--yes", "--json", "--only", "4,5", *SLEEP),
        "task-create --json": magents("task-create", "2", "--json", *SLEEP),
        "tasks --json   # later": magents("tasks", "--json"),
    }
    magents("stop", "task-2", "task-4")
    magents("task-create", "5", *SLEEP)
    put(listed, tagged(*LIST[:4], *(t | {"priority": "low"} for t in LIST[4:5]), *LIST[5:]))
    outputs["task-agents --dry-run --json   # later"] = magents("task-agents", "--dry-run", "--json")
    for done in outputs.values():
        undocumented = set(keys(done.json())) - documented()
        assert not undocumented, undocumented
    said = [section(words, f"{json.dumps(done.json(), indent=2)}\n", place) for words, done in outputs.items()]
    compare("tasks-json.txt", "\n".join(said))


def keys(value: Any) -> Iterator[str]:
    """All names of fields in a document; ids of tasks are none."""
    if isinstance(value, dict):
        yield from (key for key in value if not key.isdigit())
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from keys(part)


def documented() -> set[str]:
    """Names in the section on tasks and in that on `list`, whose fields some of the objects have."""
    return set(re.findall(r"`(\w+)`", SECTION + DOCS.partition("\n## list\n")[2].partition("\n## ")[0]))


def follow(
    project: Path, *options: str, program: tuple[str, ...], seen: Callable[[dict[str, Any]], None]
) -> list[str]:
    """What `task-agents --watch --json` prints; `seen` of each event as it is printed."""
    words = [sys.executable, "-m", "magents", "task-agents", "--watch", "--yes", "--json", *options, "--", *program]
    lines = []
    with subprocess.Popen(words, cwd=project, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        late = threading.Timer(240, child.kill)
        late.start()
        for line in child.stdout:
            lines.append(line)
            seen(json.loads(line))
        late.cancel()
    return lines


@pytest.mark.slow
def test_events_are_stable(project, place):
    """One agent asks, one fails at first, one has nothing to merge. Each waits until its start was told, so that the
    events come in one order."""
    put(project, tagged(
        task(1, "Asks", details="README.md"), task(2, "Fails at first", details="README.md"), task(3, "Does nothing", 2)
    ))  # fmt: skip
    commit(project, "Plan")
    go = place.top / "go"
    go.mkdir()
    wait = f'w() {{ until test -e "{go}/$1"; do sleep 0.05; done; }}'
    work = 'echo "$MAGENTS_TASK" >>README.md; git commit -qam "Did $MAGENTS_TASK"'
    asks = f'"$MAGENTS_EVENT" "$MAGENTS_FOLDER" command waiting "May I?"; w 1; {work}'
    fails = f'mkdir "{go}/failed" && exit 3; {work}'
    nothing = 'case $1 in *"cannot be merged yet"*) w 3-again ;; *) w 3 ;; esac'
    program = f"{wait}; case $MAGENTS_TASK in 1) {asks} ;; 2) {fails} ;; 3) {nothing} ;; esac"
    back = []

    def seen(event: dict[str, Any]) -> None:
        if event["event"] == "back":
            back.append(event)
        if event["event"] == "waiting":
            (go / "1").touch()
        if event["event"] == "status" and event["task"] == "3" and event["text"] == "in-progress":
            (go / ("3-again" if back else "3")).touch()

    lines = follow(project, "--auto-merge", "--retries", "1", program=("sh", "-c", program, "sh"), seen=seen)
    events = [json.loads(line) for line in lines]
    assert all(set(event) <= documented() for event in events)
    shown = re.sub(r"\bmain [0-9a-f]{10}\b", "main COMMIT", "".join(lines))
    compare("events.txt", section("task-agents --watch --auto-merge --retries 1 --yes --json", shown, place))


@pytest.mark.slow
def test_each_event_is_documented(project):
    put(project, tagged(task(1)))
    lines = follow(project, program=("/no/such/program",), seen=lambda event: None)
    told = {json.loads(line)["event"] for line in lines}
    assert told == {"failed", "end"}
    row = next(line for line in SECTION.splitlines() if line.startswith("| `event` |"))
    assert {*WORDS, "end"} <= set(re.findall(r"`(\w+)`", row))
