"""Rooms that join an agent's life: they are told of each moment, and what goes wrong there stops nothing."""

from __future__ import annotations

import sys

import pytest

from conftest import commit, until
from magents import Fleet
from magents.fleet import listeners
from magents.fleet.listeners import Listener

MODULE = """
told = []

def __getattr__(moment):
    if moment not in ("starting", "turn_ended", "merged", "removed"):
        raise AttributeError(moment)

    def listen(context, agent):
        told.append(f"{moment} {agent.id} {agent.phase}")
        if RAISES:
            raise ZeroDivisionError("a defect")

    return listen
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """One listener that always raises, and behind it one that takes part; both in every project with `.git`."""
    for name, raises in (("listens_badly", True), ("listens_well", False)):
        (tmp_path / f"{name}.py").write_text(f"RAISES = {raises}\n{MODULE}")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    rows = [Listener(name, ".git") for name in ("listens_badly", "listens_well")]
    monkeypatch.setattr(listeners, "LISTENERS", (Listener("not_installed", ".git"), *rows))
    return [row.load() for row in rows]


def test_what_a_listener_raises_stops_nothing(project, place, modules):
    warned: list[str] = []
    fleet = Fleet(warn=warned.append)
    agent = fleet.create("one", folder=str(project), command=("sh", "-c", "exit 0"))
    until(lambda: fleet.status(agent).state == "done")
    work = commit(agent.workspace, "Work", work_txt="x\n")
    assert fleet.merge(agent).after == work
    fleet.remove(agent)
    for module in modules:
        assert module.told == ["starting one creating", "merged one active", "removed one removed"]
    assert len([text for text in warned if "one: ZeroDivisionError: a defect" in text]) == 3
    assert len([text for text in warned if "not_installed" in text]) == 3
    found = {finding.about for finding in fleet.doctor(str(project)).findings if not finding.ok}
    assert {"not_installed", "listens_badly"} <= found


def test_they_are_told_only_where_they_have_to_do(project, place, modules, monkeypatch):
    """By a folder of the project's; or by the agent's task, should the folder be gone."""
    monkeypatch.setattr(listeners, "LISTENERS", (Listener("listens_well", ".absent"),))
    fleet = Fleet()
    agent = fleet.create("one", folder=str(project), command=("sh", "-c", "exit 0"))
    assert modules[1].told == []
    listeners.tell(fleet.context, "merged", agent._replace(task="master:1"))
    assert modules[1].told == ["merged one active"]
