"""The real Claude Code, from its start to its resumption; only the model behind it is a stand-in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import git, until
from magents import Fleet
from magents.core.agent import Agent
from magents.core.errors import Conflict
from magents.guest import events
from magents.guest.status import DIALOG_S

pytestmark = pytest.mark.slow

SOON = 4.0
"""Seconds in which a change must show; on a quiet machine it takes about 0.2, and Claude's own notice 6."""


@pytest.fixture
def agent(claude_env, fleet: Fleet, project: Path) -> Agent:
    """An idle Claude Code."""
    made = fleet.create("work", folder=str(project))
    reaches(fleet, made, "done", look=True)
    return made


def reaches(fleet: Fleet, agent: Agent, state: str, seconds: float = 30, *, look: bool = False) -> str:
    """Wait for a state; what stands beside it. `look`: for a harness that has nothing to do yet."""

    def there() -> bool:
        if look:
            seen = fleet.context.harness(agent).look(fleet.context.terminal(agent).screen(agent.id, styled=True))
            return bool(seen) and seen.state == state
        return fleet.status(agent).state == state

    until(there, seconds, f"{agent.id} {state}", shown=lambda: "\n".join(fleet.logs(agent)))
    return fleet.status(agent).detail


def press(fleet: Fleet, agent: Agent, *keys: str) -> None:
    fleet.context.terminal(agent).keys(agent.id, *keys)


def prompts(standin, since: int = 0) -> list[str]:
    """All that users have said in the requests so far, as JSON text."""
    return [json.dumps(body.get("messages", "")) for body in standin.requests()[since:]]


def test_it_works_on_a_prompt_and_is_done(claude_env, fleet, project, magents):
    before = (Path(os.environ["HOME"]) / ".claude" / "settings.json").exists()
    agent = fleet.create("work", folder=str(project), prompt="sleep 2")
    reaches(fleet, agent, "working")
    assert reaches(fleet, agent, "done") == "slept"
    assert "slept" in "\n".join(fleet.logs(agent))
    # Nothing was written to the project's or the user's files.
    assert git("status", "--porcelain", "--ignored", cwd=agent.workspace) == ""
    assert (Path(os.environ["HOME"]) / ".claude" / "settings.json").exists() == before
    assert json.loads(magents("list", "--json").out)[0]["detail"] == "slept"


def test_last_words_like_ours_about_an_ended_program(agent, fleet):
    fleet.send(agent, "say exit code 1 came from the linter")
    assert reaches(fleet, agent, "done") == "exit code 1 came from the linter"
    assert not fleet.start(agent)
    assert fleet.wait([agent], "waiting", 0.5).timed_out
    assert fleet.send(agent, "run: touch made").how == "acknowledged"
    assert fleet.wait([agent], "waiting", 30).reached


def test_a_prompt_that_looks_like_an_option(claude_env, fleet, project):
    agent = fleet.create("work", folder=str(project), prompt="--version")
    assert reaches(fleet, agent, "done") == "ok: --version"


def test_it_asks_for_permission_and_is_answered(agent, fleet, project):
    gate = Path(agent.workspace) / "gate"
    os.mkfifo(gate)
    fleet.send(agent, "run: cat gate; touch made")
    assert fleet.wait([agent], "waiting", 30).reached
    found = [e for e in events.read(fleet.context.place(agent)) if e.name == "PermissionRequest"]
    shown = time.time() - found[-1].at
    print(f"waiting shows {shown:.2f} s after Claude asks")
    assert shown < SOON
    assert fleet.status(agent).detail == "Bash: cat gate; touch made"
    with pytest.raises(Conflict, match="asks: Do you want to proceed"):
        fleet.send(agent, "1")
    press(fleet, agent, "Enter")
    # No hook tells of the permission: it works on, and must not be called waiting until it is done.
    reaches(fleet, agent, "working")
    assert not (Path(agent.workspace) / "made").exists()
    gate.write_text("go")
    assert reaches(fleet, agent, "done") == "ran it"
    assert (Path(agent.workspace) / "made").exists()


def test_a_question_that_is_dismissed(agent, fleet):
    fleet.send(agent, "run: touch never")
    assert fleet.wait([agent], "waiting", 30).reached
    time.sleep(DIALOG_S)  # nobody answers faster than they read
    press(fleet, agent, "Escape")
    reaches(fleet, agent, "done")
    assert not (Path(agent.workspace) / "never").exists()


def test_a_turn_that_is_interrupted(agent, fleet):
    fleet.send(agent, "sleep 30")
    reaches(fleet, agent, "working")
    press(fleet, agent, "Escape")
    reaches(fleet, agent, "done")
    fleet.stop(agent)
    assert processes() == []


def test_a_prompt_of_several_lines_arrives_whole(agent, fleet, standin):
    before = len(standin.requests())
    assert fleet.send(agent, "say one\ntwo 'three' \"four\" $(five) #{six}\n\nseven").how == "acknowledged"
    reaches(fleet, agent, "done")
    wanted = json.dumps("say one\ntwo 'three' \"four\" $(five) #{six}\n\nseven")[1:-1]
    assert any(wanted in said for said in prompts(standin, before))


def test_a_prompt_for_a_busy_one_is_queued(agent, fleet, standin):
    assert fleet.send(agent, "sleep 4").how == "acknowledged"
    reaches(fleet, agent, "working")
    assert fleet.send(agent, "say afterwards").how == "queued"
    until(lambda: any("say afterwards" in said for said in prompts(standin)), 30)
    reaches(fleet, agent, "done")


def test_unsent_text_is_not_mixed_with_a_prompt(agent, fleet):
    press(fleet, agent, "half a thought")
    until(lambda: "half a thought" in "\n".join(fleet.logs(agent)))
    with pytest.raises(Conflict, match="unsent text: half a thought"):
        fleet.send(agent, "say something else")
    assert "something else" not in "\n".join(fleet.logs(agent))


@pytest.mark.parametrize("text", ["say hello", "say one\n\ntwo\nthree", "say " + 60 * "many words "])
def test_what_a_killed_command_has_typed_is_not_in_the_way(agent, fleet, standin, text):
    """It is deleted, so that the next prompt is sent, and that alone."""
    words = [sys.executable, "-m", "magents", "send", agent.id, text]

    def draft() -> str:
        return fleet.context.harness(agent).draft(fleet.context.terminal(agent).screen(agent.id, styled=True))

    for _ in range(10):
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda child=child: draft() or child.poll() is not None, 20, pause=0.002)
        child.kill()
        child.wait()
        if draft():
            break
        reaches(fleet, agent, "done")  # killed too late: it was sent
    before = len(standin.requests())
    assert fleet.send(agent, "say something else").how == "acknowledged"
    assert reaches(fleet, agent, "done") == "something else"
    assert not any(text[:8] in said for said in prompts(standin, before))


def test_it_resumes_its_conversation(agent, fleet, standin):
    fleet.send(agent, "say remember the number 4711")
    reaches(fleet, agent, "done")
    fleet.stop(agent)
    assert fleet.status(agent).state == "stopped"
    assert "4711" in "\n".join(fleet.logs(agent))
    assert fleet.start(agent)
    reaches(fleet, agent, "done", look=True)
    before = len(standin.requests())
    fleet.send(agent, "say and now")
    reaches(fleet, agent, "done")
    assert any("4711" in said and "and now" in said for said in prompts(standin, before))


def test_a_stop_waits_until_a_turn_is_written_down(claude_env, fleet, project, place, standin):
    """It tells of a turn's end before it has written it down, and on a busy machine long before: here it is frozen."""
    frozen, thawed = place.top / "frozen", place.top / "thawed"
    once = f"mkdir {frozen} || exit 0; sleep 0.1; kill -STOP $PPID; sleep 1.5; touch {thawed}; kill -CONT $PPID"
    settings = {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": once}]}]}}
    (place.home / ".claude").mkdir(exist_ok=True)
    (place.home / ".claude" / "settings.json").write_text(json.dumps(settings))
    agent = fleet.create("work", folder=str(project), prompt="say remember the number 4711")
    reaches(fleet, agent, "done")
    last = events.read(fleet.context.place(agent))[-1]
    early = fleet.context.harness(agent).saved(last)  # it can be quicker than the hook that freezes it
    fleet.stop(agent)
    assert frozen.exists() and (early or thawed.exists())
    assert fleet.start(agent)
    reaches(fleet, agent, "done", look=True)
    before = len(standin.requests())
    fleet.send(agent, "say and now")
    reaches(fleet, agent, "done")
    assert any("4711" in said and "and now" in said for said in prompts(standin, before))


def test_a_start_before_anything_was_said(agent, fleet):
    fleet.stop(agent)
    assert fleet.start(agent)
    reaches(fleet, agent, "done", look=True)


def test_a_conversation_that_is_not_there_is_begun_anew(agent, fleet, place):
    """Claude Code that is killed right after its first prompt has not written its conversation down."""
    fleet.send(agent, "say one")
    reaches(fleet, agent, "done")
    fleet.stop(agent)
    shutil.rmtree(place.home / ".claude" / "projects")
    assert fleet.start(agent, "say two")
    reaches(fleet, agent, "failed")
    assert fleet.start(agent, "say three")
    assert reaches(fleet, agent, "done") == "three"


def test_it_asks_whether_to_trust_a_folder(claude_env, fleet, project, place):
    state = place.home / ".claude.json"
    told = json.loads(state.read_text())
    state.write_text(json.dumps({**told, "projects": {}}))
    agent = fleet.create("work", folder=str(project), prompt="say hello")
    assert reaches(fleet, agent, "waiting") == "whether to trust this folder"
    press(fleet, agent, "Enter")
    assert reaches(fleet, agent, "done") == "hello"


def test_it_is_killed(agent, fleet):
    pid = until(lambda: next((pid for pid, words in processes() if words.startswith("claude --settings")), 0))
    os.kill(pid, signal.SIGKILL)
    reaches(fleet, agent, "failed")
    assert fleet.status(agent).detail == "exit code 137 (signal 9)"


def processes() -> list[tuple[int, str]]:
    """The processes of this test's agents."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            mark = os.fsencode(f"MAGENTS_FOLDER={os.environ['XDG_STATE_HOME']}")
            if mark in (path / "environ").read_bytes():
                found.append((int(path.name), (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()))
        except OSError:
            continue
    return found
