"""The real Claude Code in a container; only the model behind it is a stand-in, on this side of the bridge."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from conftest import git, until
from magents.core.errors import Conflict
from magents.guest import events
from magents.testing import standin
from magents.testing.standin import homes

from .conftest import Box, bridge

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("agents")]


@pytest.fixture(scope="module")
def model(image, tmp_path_factory):
    """The stand-in where containers reach it; its address, and the file of what it was asked."""
    log = tmp_path_factory.mktemp("standin") / "requests.jsonl"
    with standin.serve(host=bridge(), log=log) as url:
        yield url, log


@pytest.fixture
def create(docker_mode, project, fleet, model, unique, monkeypatch):
    """Make an agent: `create(prompt)`."""
    for name in ("ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", homes.KEY)

    def make(prompt=None):
        return fleet.create(
            "feature/work", f"claude{unique}", folder=str(project), harness="claude", prompt=prompt,
            runtime="docker", env={"ANTHROPIC_BASE_URL": model[0]},
        )  # fmt: skip

    return make


def reaches(fleet, agent, state: str, seconds: float = 30) -> str:
    """Wait for a state; what stands beside it."""
    until(lambda: fleet.status(agent).state == state, seconds, f"{agent.id} {state}",
          shown=lambda: f"{fleet.status(agent)}\n" + "\n".join(fleet.logs(agent)))  # fmt: skip
    return str(fleet.status(agent).detail)


def names(fleet, agent) -> list[str]:
    """What its harness has reported, in order."""
    return [event.name for event in events.read(fleet.context.place(agent))]


def asked(model) -> list[str]:
    """What the model was asked so far, each request's messages as JSON text."""
    lines = model[1].read_text().splitlines()
    return [json.dumps(json.loads(line)["body"].get("messages", "")) for line in lines]


def test_it_asks_no_first_question_and_works_unasked(create, fleet, project):
    agent = create("run: echo from claude >made.txt && git add . && git commit -q -m 'By claude'")
    assert reaches(fleet, agent, "done") == "ran it"
    assert Path(agent.workspace, "made.txt").read_text() == "from claude\n"
    assert not {"PermissionRequest", "Notification"} & set(names(fleet, agent))
    # The turn's end alone brings its commit home; nobody has asked for it.
    until(lambda: git("log", "-1", "--format=%s %an", "feature/work", cwd=project) == "By claude Ada", 30,
          "the commit at home")  # fmt: skip
    assert git("status", "--porcelain", cwd=project) == ""


def test_it_asks_where_it_shall_and_is_answered(create, fleet, monkeypatch):
    monkeypatch.setenv("MAGENTS_AUTO_ACCEPT", "never")
    agent = create("run: touch made")
    assert reaches(fleet, agent, "waiting") == "Bash: touch made"
    with pytest.raises(Conflict, match="asks"):
        fleet.send(agent, "something else")
    assert not Path(agent.workspace, "made").exists()
    fleet.context.terminal(agent).keys(agent.id, "Enter")
    assert reaches(fleet, agent, "done") == "ran it"
    assert Path(agent.workspace, "made").exists()
    assert "PermissionRequest" in names(fleet, agent)


def test_a_prompt_is_acknowledged(create, fleet, model):
    agent = create()
    box = Box(f"magents-{agent.id}")
    until(lambda: "bypass permissions on" in box.screen(agent.id), 30, shown=lambda: box.screen(agent.id))
    text = f"say one\ntwo 'three' $(four) {agent.id}"
    assert fleet.send(agent, text).how == "acknowledged"
    until(lambda: fleet.status(agent).state == "done" and "Stop" in names(fleet, agent), 30)
    assert any(json.dumps(text)[1:-1] in said for said in asked(model))
    assert fleet.send(agent, "sleep 3").how == "acknowledged"
    reaches(fleet, agent, "working", 5)
    assert fleet.send(agent, f"say afterwards {agent.id}").how == "queued"
    until(lambda: any(f"say afterwards {agent.id}" in said for said in asked(model)), 30)
    reaches(fleet, agent, "done")


def test_it_resumes_its_conversation_after_a_stop(create, fleet, model):
    agent = create("say remember the number 4711")
    assert reaches(fleet, agent, "done") == "remember the number 4711"
    began = time.monotonic()
    fleet.stop(agent)
    assert time.monotonic() - began < 8  # Docker would kill it after 10
    assert fleet.status(agent).state == "stopped"
    assert "4711" in "\n".join(fleet.logs(agent))
    assert fleet.start(agent, f"say and now {agent.id}")
    until(lambda: any(f"and now {agent.id}" in said and "4711" in said for said in asked(model)), 30)
    until(lambda: fleet.status(agent).detail == f"and now {agent.id}", 30, shown=lambda: str(fleet.status(agent)))


def test_its_key_is_known_and_in_no_file_of_ours(create, fleet, place):
    agent = create("say hello")
    reaches(fleet, agent, "done")
    box = Box(f"magents-{agent.id}")
    assert f"ANTHROPIC_API_KEY={homes.KEY}\n" in box.sh("env")
    assert homes.KEY not in box.logs()
    files = [path for path in place.state.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if homes.KEY.encode() in path.read_bytes()] == []


def test_it_is_killed(create, fleet):
    agent = create("say hello")
    reaches(fleet, agent, "done")
    Box(f"magents-{agent.id}").sh("pkill -KILL -x claude || pkill -KILL -f 'claude --settings'")
    assert reaches(fleet, agent, "failed", 10) == "exit code 137 (signal 9)"
