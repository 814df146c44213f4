"""From a list that Task Master has made to a base that holds it all: the real Claude Code, whoever is killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from conftest import git, run
from magents.testing import standin
from taskmaster import diamond
from taskmaster.test_tasks import real_task_master, statuses

pytestmark = pytest.mark.slow

KILLS = 12


@pytest.fixture
def claude(claude_env, place, monkeypatch):
    """Claude Code, which may work unasked, and the stand-in that knows the diamond."""
    (place.home / ".claude").mkdir(exist_ok=True)
    settings = {"permissions": {"allow": ["Bash"]}, "disabledMcpjsonServers": ["task-master-ai"]}
    (place.home / ".claude" / "settings.json").write_text(json.dumps(settings))
    monkeypatch.setenv("MEET", str(place.top / "meet"))
    with standin.serve(says=diamond.says) as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        yield


def test_a_diamond_whoever_is_killed(fleet, place, project, claude):
    """A conflict, a check that fails only on the merge's result, an agent that dies, a watcher killed again and again:
    in the end all is merged, and nothing half-made is left."""
    real_task_master()
    diamond.typed(project)
    diamond.begin(project)
    seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
    dice, events, kills = random.Random(seed), [], 0
    for _ in range(KILLS):
        child = diamond.watching(project)
        try:
            child.wait(dice.uniform(0.3, 9))
        except subprocess.TimeoutExpired:
            child.kill()
            kills += 1
        events += diamond.told(child, 20)
        if child.returncode == 0:
            break
    print(f"seed {seed}: {kills} kills; {statuses(project)}")
    child = diamond.watching(project)
    events += diamond.told(child, 600)
    print("\n".join(f"{e['event']} {e['task']} {e['text']}" for e in events))
    assert child.returncode == 0

    diamond.whole(project, place.top)
    assert diamond.known(diamond.task_master(project, "list", "--json")) == ["done"] * 8
    stuck = fleet.context.store.history(fleet.find("task-4"), "stuck")
    assert any(entry.text.startswith("was stuck: it has ended: exit code 137") for entry in stuck)

    live = fleet.context.store.live()
    assert {agent.phase for agent in live} <= {"active", "stopped"} and len(live) == 8
    trees = git("worktree", "list", "--porcelain", cwd=project).splitlines()
    assert {line.removeprefix("worktree ") for line in trees if line.startswith("worktree ")} == {
        str(project), *(agent.workspace for agent in live),
    }  # fmt: skip
    sessions = run("tmux", "list-sessions", "-F", "#{session_name}", code=None).out.split()
    assert set(sessions) == {f"magents-{agent.id}" for agent in live if agent.phase == "active"}
    assert not Path(fleet.context.checks).exists()
