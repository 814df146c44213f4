"""docs/tasks.md, followed line by line, with the real Task Master and the real Claude Code."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from conftest import commit, git, run
from taskmaster.test_tasks import real_task_master
from test_docs import FENCE, ROOT

PAGE = (ROOT / "docs/tasks.md").read_text(encoding="utf-8")
INSTALLS = "npm install -g task-master-ai"
DO = 'run: echo "$MAGENTS_TASK" >"$MAGENTS_TASK.txt" && git add . && git commit -qm "Did $MAGENTS_TASK"\n'
"""What makes the stand-in for the model do a task. The page's own template has no such words, but comes last."""


def lines(text: str) -> list[str]:
    """What a user types."""
    return [line for language, block in FENCE.findall(text) if language == "sh" for line in block.splitlines()]


@pytest.fixture
def follow(place, project, monkeypatch):
    """Type lines into a shell that stands in the project."""
    shim = place.top / "bin"
    shim.mkdir()
    (shim / "magents").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m magents "$@"\n')
    (shim / "magents").chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim}:{os.environ['PATH']}")

    def each(typed: list[str]) -> dict[str, str]:
        said = {}
        for line in typed:
            if line != INSTALLS:
                done = run("sh", "-c", line, cwd=project)
                said[line] = done.out + done.err
        return said

    return each


def prepare(project: Path) -> None:
    """Before the first agent is made: the words for the stand-in."""
    path = project / ".taskmaster/templates/magents-prompt.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(DO)


@pytest.mark.slow
def test_each_line_of_the_guide_to_tasks(follow, claude_env, place, project):
    real_task_master()
    settings = {"permissions": {"allow": ["Bash"]}, "disabledMcpjsonServers": ["task-master-ai"]}
    (place.home / ".claude").mkdir(exist_ok=True)
    (place.home / ".claude/settings.json").write_text(json.dumps(settings))
    head, _, rest = PAGE.partition("## See them")
    assert INSTALLS in lines(head)
    follow(lines(head))
    prepare(project)
    said = follow(lines(rest.partition("## In containers")[0]))
    assert "3 Sign up" in said["magents tasks --graph"]
    assert "task-1 works on task 1: Store the users" in said["magents task-agents --yes"]
    assert "Merged task/1-store-the-users into main" in said["magents merge task-1"]
    assert "task-3 works on task 3" in said["magents task-agents --yes --max 2"]
    assert "blocked" in said["magents tasks"]
    assert (project / "1.txt").read_text() == "1\n"


@pytest.mark.slow
@pytest.mark.engine
def test_each_line_of_the_guide_to_tasks_in_containers(follow, docker_mode, project, monkeypatch):
    from taskmaster.lab import put, tagged, task

    put(
        project,
        tagged(
            task(1, status="done", description="x"), task(2, "Log in", 1, description="x"), task(3, description="x")
        ),
    )
    commit(project, "Plan")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "no-key")
    typed = lines(PAGE.partition("## In containers")[2])
    assert any(line.startswith("docker exec") for line in typed)
    said = follow(typed)
    assert "Log in" in said["docker exec magents-task-2 task-master list"]
    assert "review" in said["magents tasks"] and "Say goodbye (by an agent)" in said["magents tasks"]
    assert (
        said["magents tasks --accept 4 --yes            # without --yes it shows the text and asks"]
        == "Accepted: 4\n"
    )
    git("diff", "--quiet", "HEAD", "--", "README.md", cwd=project)
