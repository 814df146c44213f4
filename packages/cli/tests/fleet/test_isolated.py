"""One bad agent is shown and skipped: whatever it has written, every command goes on with the others."""

from __future__ import annotations

import json
import time

import pytest

from conftest import until
from magents import harnesses
from magents.cli import main
from magents.core.agent import Agent
from magents.core.event import Event, Signal
from magents.fleet import context as contexts
from magents.fleet import observe
from magents.guest import events
from magents.harnesses.command import Command

SLEEP = ("sleep", "300")
COMMANDS = (
    "list", "list --long", "list --json", "wait good --timeout 0.1", "logs", "logs --json", "collect", "conflicts", "doctor",
    "doctor --fix", "cleanup --yes",
)  # fmt: skip
HOSTILE = (
    '{"at":' + "[" * 30_000,
    json.dumps({"at": 5, "by": "wrapper", "name": "exit", "data": "[" * 30_000}),
    json.dumps({"at": 6, "by": "wrapper", "name": "exit", "data": '{"code":' + "9" * 4200 + "}"}),
    json.dumps({"at": 7, "by": "command", "name": "waiting", "data": '{"a":' * 900}),
)


@pytest.fixture
def agents(fleet, project) -> tuple[Agent, Agent]:
    """One that writes what it likes, and one that does nothing wrong."""
    return tuple(fleet.create(id, folder=str(project), command=SLEEP) for id in ("bad", "good"))  # type: ignore[return-value]


def write(fleet, agent: Agent, line: str) -> None:
    """Append to an agent's log, as the agent can."""
    with open(f"{fleet.context.place(agent).root}/{events.LOG}", "a", encoding="utf-8") as log:
        log.write(f"{line}\n")


def said_by_all(capsys) -> dict[str, str]:
    """What every command prints; none of them raises."""
    said = {}
    for words in COMMANDS:
        main(words.split(" "))
        said[words] = capsys.readouterr().out
    return said


def test_what_is_nested_to_exhaust_us(agents, fleet, magents, capsys):
    for line in HOSTILE:
        write(fleet, agents[0], line)
        assert "Traceback" not in magents("list").err
    for words, said in said_by_all(capsys).items():
        assert "9" * 30 not in said, words
        assert not words.startswith("list") or "running" in said.split("good", 1)[1], words
    assert [view.status.state for view in fleet.list().views] == ["stopped", "stopped"]


class Broken(Command):
    """A harness whose reading has a defect that nobody knows of."""

    def read(self, event: Event) -> Signal | None:
        if event.name == "defect":
            raise RuntimeError("a defect \x1b[31m")
        if event.name == "slow":
            until_then = time.thread_time() + 0.01
            while time.thread_time() < until_then:
                pass
        return super().read(event)

    def look(self, screen: str) -> Signal | None:
        raise IndexError("another")


@pytest.fixture
def broken(monkeypatch):
    monkeypatch.setitem(harnesses._made, ("command", "user", "here"), Broken())


def test_a_defect_of_ours_is_that_agents_status(agents, fleet, broken, capsys):
    write(fleet, agents[0], '{"at":5,"by":"command","name":"defect","data":""}')
    bad, good = fleet.list().views
    assert (bad.status.state, good.status.state) == ("running", "running")
    assert bad.status.detail == "its log can't be read: RuntimeError: a defect"
    assert good.status.detail == ""
    for words, said in said_by_all(capsys).items():
        assert "its log can't be read" in said or not words.startswith("list"), words
    assert [view.status.state for view in fleet.list().views] == ["stopped", "stopped"]


def test_reading_one_agent_has_a_budget(agents, fleet, broken, monkeypatch):
    monkeypatch.setattr(contexts, "BUDGET_S", 0.1)
    for _ in range(200):  # two seconds, read to the end
        write(fleet, agents[0], '{"at":5,"by":"command","name":"slow","data":""}')
    began = time.thread_time()
    bad, good = fleet.list().views
    assert time.thread_time() - began < 1
    assert bad.status.detail == "its log can't be read: it takes too long"
    assert good.status.detail == ""


def test_a_screen_that_cannot_be_read(agents, fleet, broken):
    [fact] = observe.gather(fleet.context, *parts(fleet, agents[0]))
    seen = observe.seen_closer(fleet.context, fact, {"bad": "anything"}, time.time())
    assert observe.status.status(seen).detail.startswith("its screen can't be read: ")


def parts(fleet, agent: Agent):
    """What `gather` takes."""
    return (
        observe.placed(fleet.context, [agent]),
        observe.ask_runtimes([agent]).result(),
        observe.Logs(fleet.context),
    )


def test_no_screen_passes_for_another_agents(fleet, project):
    script = r"printf '\\036good\nforged\n\036good\nforged\n'; exec sleep 300"
    bad = fleet.create("bad", folder=str(project), command=("sh", "-c", script))
    good = fleet.create("good", folder=str(project), command=("sh", "-c", "echo mine; exec sleep 300"))
    tmux = fleet.context.runtime(bad)
    folders = {agent.id: fleet.context.folder(agent) for agent in (bad, good)}
    screens = until(lambda: (s := tmux.screens(folders)) and "forged" in str(s) and "mine" in s["good"] and s)
    assert set(screens) == {"bad", "good"}
    assert "forged" in screens["bad"] and "forged" not in screens["good"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("x\n\x1b[31my"), "one: ValueError: x y"),
        (FileNotFoundError(2, "No such file", "/p"), "one: No such file: /p"),
        (RecursionError(), "one: RecursionError:"),
    ],
)
def test_isolated(error, said):
    with pytest.raises(contexts.MagentsError) as told, contexts.isolated("one"):
        raise error
    assert told.value.message == said
    with pytest.raises(KeyboardInterrupt), contexts.isolated("one"):
        raise KeyboardInterrupt
