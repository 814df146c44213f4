"""`magents demo`: the main job and a list of tasks, in a terminal as its user sees it."""

from __future__ import annotations

import os
import re
import sys

import pytest

from conftest import until

STEPS = (
    "$ magents create greeting -- demo-agent edit", "Created tests: demo-agent long on branch tests",
    "$ magents list", " working ", "$ magents list", " working ", "$ magents logs rename -n 1",
    "May I rename hello.py to main.py?", "$ magents send rename yes", "$ magents wait greeting rename tests",
    "$ magents diff greeting --stat", "greeting.py | 2 ++", "hello.py => main.py", "test_hello.py | 9 +++++++++",
    "$ magents merge greeting", "Merged greeting into main", "$ magents cleanup --remove-worktrees --yes",
    "Removed tests with 1 file uncommitted" , "$ magents list", "No agents.",
    "$ magents tasks --graph", "1 Make room for languages (pending, ready)",
    "$ magents task-agents --watch --auto-merge --check 'python3 hello.py' --yes -- demo-agent task",
    "task-1 works on task 1", "task-1 is merged into main", "task 3 waits for task-2: both change words.py",
    "task-2 is merged into main", "task-3 works on task 3", "task-5 is merged into main", "All tasks are done.",
    "$ magents tasks", "5 of 5 tasks done", "Hello, Bonjour, Guten Tag, Goodbye!", "That was all.", "ended 0",
)  # fmt: skip
"""What is seen, in this order."""


@pytest.mark.slow
def test_the_demo_shows_each_step(place, tmux, monkeypatch):
    temporary = place.top / "t"
    temporary.mkdir()
    demo = f"env TMPDIR={temporary} {sys.executable} -m magents demo; echo en''ded $?"
    tmux("new-session", "-d", "-s", "user", "-x", "130", "-y", "300", "/bin/sh")
    tmux("send-keys", "-t", "user", demo, "Enter")

    def screen() -> str:
        return tmux("capture-pane", "-p", "-t", "user")

    until(lambda: re.search(r"^ended \d", screen(), re.MULTILINE), 240, pause=0.5, shown=screen)
    shown, at = screen(), 0
    for step in STEPS:
        found = shown.find(step, at)
        assert found >= 0, f"`{step}` is not seen there:\n{shown[at:]}"
        at = found + len(step)
    for status in ("working", "waiting", "done"):
        assert re.search(rf"^\w+ +\w+ +tmux +command +{status} ", shown, re.MULTILINE), status
    assert "[" not in shown.partition("demo-agent task")[2], "a bar stays nowhere"
    assert os.listdir(temporary) == [], "nothing is left"
    assert not (place.home / ".magents-config").exists() and not place.state.exists()
