"""An agent whose harness or mode this Magents does not know, and one that raises what nobody expects: each is that
agent's trouble alone."""

from __future__ import annotations

import json
import os

import pytest

from conftest import until
from magents import runtimes
from magents.cli import main
from magents.core.errors import MagentsError
from magents.runtimes.local.runtime import Here, Tmux

SLEEP = ("sleep", "300")
COMMANDS = (
    "list", "list --long", "list --json", "wait good --for stopped --timeout 0.1", "logs", "logs --json", "collect",
    "conflicts", "doctor", "doctor --fix", "create another -- sleep 300", "tasks", "cleanup --yes",
)  # fmt: skip


@pytest.fixture
def good(fleet, project):
    return fleet.create("good", folder=str(project), command=SLEEP)


@pytest.fixture
def plugged(fleet, project, good):
    """An agent of a harness that is not known here."""
    return fleet.context.store.update(fleet.create("bad", folder=str(project), command=SLEEP), harness="plug")


@pytest.fixture
def clustered(fleet, project, good):
    """An agent of a mode that is not known here; something of it is still to be read."""
    agent = fleet.create("bad", folder=str(project), command=("sh", "-c", "echo what it showed; exec sleep 300"))
    until(lambda: "what it showed" in "\n".join(fleet.logs(agent)))
    fleet.stop(agent)
    return fleet.context.store.update(agent, runtime="cluster", phase="active")


def rows(magents, code: int = 0) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in magents("list", "--json", code=code).json()}


@pytest.mark.parametrize("words", COMMANDS)
def test_a_harness_that_is_not_known_concerns_its_agent_alone(plugged, magents, words):
    done = magents(*words.split(), code=None)
    assert "Traceback" not in done.err
    if words.startswith("list"):
        assert done.code == 0
        assert "good" in done.out
        assert "There is no harness `plug`" in done.out


def test_what_can_be_done_without_the_harness_is_done(plugged, fleet, magents):
    assert rows(magents)["bad"]["status"] == "running"
    for words in (["send", "bad", "hello"], ["create", "new", "--agent", "plug"]):
        said = magents(*words, code=1).err
        assert "There is no harness `plug`" in said
        assert "hint:" in said
    magents("diff", "bad")
    magents("stop", "bad")
    assert rows(magents)["bad"]["status"] == "stopped"
    assert "There is no harness `plug`" in magents("start", "bad", code=1).err
    assert rows(magents)["bad"]["status"] == "stopped"
    magents("stop", "bad", "--remove-worktree")
    magents("restore", "bad")
    assert rows(magents)["bad"]["status"] == "stopped"


@pytest.mark.parametrize("words", COMMANDS)
def test_a_mode_that_is_not_known_concerns_its_agent_alone(clustered, magents, words):
    done = magents(*words.split(), code=None)
    assert "Traceback" not in done.err
    if words.startswith("list"):
        assert "good" in done.out
        assert "cluster cannot be asked: There is no mode `cluster`" in done.err
    if words == "logs --json":
        assert "what it showed" in json.dumps(done.json())
    if words.startswith("doctor"):
        assert "There is no mode `cluster`" in done.out + done.err
    if words.startswith("create"):
        assert done.code == 0
    if words == "cleanup --yes":
        assert rows(magents, code=1)["good"]["status"] == "stopped"


def test_what_needs_the_mode_is_refused_with_its_name(clustered, magents):
    assert rows(magents, code=1)["bad"]["status"] == "lost"
    for words in ("stop bad", "stop bad --remove-worktree", "start bad", "send bad hello", "diff bad", "merge bad"):
        said = magents(*words.split(), code=1).err
        assert "There is no mode `cluster`" in said, words
        assert "hint:" in said, words
    assert rows(magents, code=1)["bad"]["mode"] == "cluster"
    assert "what it showed" in magents("logs", "bad").out


def test_an_agent_of_a_mode_that_is_no_more_can_be_let_go(clustered, magents):
    assert "magents stop ID --forget" in magents("stop", "bad", code=1).err
    magents("stop", "bad", "--forget")
    assert list(rows(magents)) == ["good"]
    assert os.path.isdir(clustered.workspace)
    assert "is there" in magents("stop", "good", "--forget", code=1).err


@pytest.mark.parametrize("also", [(), ("remove",)])
def test_a_runtime_that_cannot_start_leaves_nothing_or_what_can_be_mended(fleet, project, good, also):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtimes, "_made", {})
        for name in ("start", *also):
            patch.setattr(Tmux, name, lambda *_, **__: 1 // 0)
        with pytest.raises(MagentsError) as told:
            fleet.create("bad", folder=str(project), command=SLEEP)
        assert "tmux" in told.value.message and "ZeroDivisionError" in told.value.message
        assert told.value.hint
        left = [agent.phase for agent in fleet.context.store.live() if agent.id == "bad"]
        assert left == (["creating"] if also else [])
        assert {view.agent.id: view.status.state for view in fleet.list().views}["good"] == "running"
    fleet.recover(again=True)
    assert [agent.id for agent in fleet.context.store.live()] == ["good"]


@pytest.mark.parametrize("method", ["stop", "observe", "place", "owner", "plausible"])
def test_a_runtime_with_a_defect_never_ends_a_command(fleet, project, good, capsys, monkeypatch, method):
    monkeypatch.chdir(project)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtimes, "_made", {})
        patch.setattr(Tmux, method, lambda *_, **__: 1 // 0)
        for words in COMMANDS:
            main(words.split())
            assert "Traceback" not in capsys.readouterr().err
    assert {view.agent.id: view.status.state for view in fleet.list().views}["good"] in ("running", "stopped")
    fleet.stop(good)
    assert fleet.status(good).state == "stopped"


def test_a_place_with_a_defect_is_its_runtimes(fleet, good, magents, monkeypatch):
    monkeypatch.setattr(runtimes, "_made", {})
    monkeypatch.setattr(Here, "read", lambda *_, **__: 1 // 0)
    [view] = fleet.list().views
    assert (view.status.state, "`tmux`: ZeroDivisionError" in view.status.detail) == ("running", True)
