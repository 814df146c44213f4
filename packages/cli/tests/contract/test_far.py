"""A whole life on another machine: nothing but the agent's place knows where its files lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import until
from magents import runtimes
from magents.core.errors import Conflict
from magents.runtimes import Record

from .far import Far

PROGRAM = """
echo "in $PWD, home $HOME, $COLOUR"
"$MAGENTS_EVENT" "$MAGENTS_FOLDER" command waiting 'Which colour?'
read answer
"$MAGENTS_EVENT" "$MAGENTS_FOLDER" command working 'on it'
echo "it is $answer"
exit 3
"""


@pytest.fixture
def agent(fleet, far: Far, project, monkeypatch):
    """An agent there, made by Magents itself."""
    monkeypatch.setitem(runtimes.TABLE, "far", Record("far", "contract.far:Far"))
    monkeypatch.setitem(runtimes._made, "far", far)
    (Path(os.environ["HOME"]) / ".magents-config").write_text("SETUP=pwd >set-up; echo $HOME $COLOUR >>set-up\n")
    command = ["sh", "-c", PROGRAM]
    return fleet.create("b", runtime="far", command=command, folder=str(project), env={"COLOUR": "a 'deep' $blue"})


def test_a_life(agent, far, fleet):
    def is_(state: str, detail: str) -> None:
        until(lambda: (fleet.status(agent).state, fleet.status(agent).detail) == (state, detail), shown=str)

    def shows(text: str) -> None:
        until(lambda: text in "\n".join(fleet.logs(agent)))

    is_("waiting", "Which colour?")
    assert Path(agent.workspace, "set-up").read_text().splitlines() == [
        agent.workspace,
        f"{far.home} a 'deep' $blue",
    ]
    shows(f"in {agent.workspace}, home {far.home}, a 'deep' $blue")
    assert [view.agent.id for view in fleet.list().views] == ["b"]
    assert fleet.send(agent, "it's $red").how == "typed"
    is_("failed", "exit code 3")
    shows("it is it's $red")
    with pytest.raises(Conflict):
        fleet.send(agent, "more")
    assert fleet.start(agent)
    is_("waiting", "Which colour?")
    fleet.stop(agent)
    is_("stopped", "")
    shows(f"home {far.home}")  # as it was kept, with no terminal there
    fleet.start(agent)
    is_("waiting", "Which colour?")
    # What Magents keeps of it here is its own; no file of the agent's is among that.
    own = set(os.listdir(fleet.context.folder(agent)))
    assert own <= {"claimed", "env.json", "terminal.txt"}, own
    fleet.remove(agent)
    assert fleet.list().views == []
    fleet.restore(fleet.find_removed("b"))
    assert Path(agent.workspace, "set-up").exists()


def test_another_machine_that_cannot_be_reached(agent, far, fleet):
    until(lambda: fleet.status(agent).state == "waiting")
    os.rename(far.program, f"{far.program}.away")
    seen = fleet.list()
    assert [(view.status.state, view.status.detail) for view in seen.views] == [("lost", "far cannot be asked")]
    assert any("far cannot be asked" in problem for problem in seen.problems)
    os.rename(f"{far.program}.away", far.program)
    assert fleet.status(agent).state == "waiting"
