"""The engine dies while agents run, and returns: a true word at each moment, and nothing lost or half-made."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Magents, Place, commit, containers, git, until, work_of
from magents import Fleet
from magents.core.agent import Agent
from magents.taskmaster.loop import PAUSE_S
from taskmaster.lab import put, tagged, task

from .conftest import Box, nothing_made, state
from .engines import Engine

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("own")]

SLEEP = ("--", "sh", "-c", "exec sleep 300")
VERBS = [
    "stop ID", "send ID hello", "logs ID", "stop ID --remove-worktree", "start ID", "diff ID", "merge ID", "collect ID",
    "create y other --docker -- sleep 300",
]  # fmt: skip


@pytest.fixture
def agent(own: Engine, project: Path, magents: Magents, unique: str, fleet: Fleet) -> Agent:
    """An agent in a container with work of every kind, beside one in tmux."""
    magents("create", "here", f"tm{unique}", "--tmux", *SLEEP)
    magents("create", "feature/x", f"in{unique}", "--docker", *SLEEP)
    Box(f"magents-in{unique}").sh(
        "echo kept >kept.txt; git add kept.txt; git commit -qm Kept; echo more >more.txt; git add more.txt"
    )
    return fleet.find(f"in{unique}")


def shut_down(own: Engine) -> None:
    own.end("dockerd", signal.SIGTERM)


def kill(own: Engine) -> None:
    own.end("dockerd")


def kill_both(own: Engine) -> None:
    own.end("containerd")
    own.end("dockerd")


@pytest.mark.parametrize(
    ("die", "options", "after"),
    [
        (shut_down, [], "lost"),
        (kill, [], "lost"),
        (kill_both, [], "lost"),
        (shut_down, ["--live-restore"], "running"),
        (kill, ["--live-restore"], "running"),
    ],
)
def test_it_dies_and_returns(
    own: Engine, agent: Agent, magents: Magents, fleet: Fleet, place: Place, project: Path,
    die: Callable[[Engine], None], options: list[str], after: str,
):  # fmt: skip
    if options:
        own.end("dockerd", signal.SIGTERM)
        own.start(*options)
        magents("start", agent.id)
    before, here = work_of(agent), agent.id.replace("in", "tm")
    die(own)
    told_truly_while_it_is_gone(magents, fleet, agent, here, VERBS if die is kill and not options else VERBS[:1])
    nothing_made(place, project, agent.id, here)
    own.start(*options)
    until(lambda: state(fleet, agent)[0] == after, 20, shown=lambda: str(state(fleet, agent)))
    if after == "lost":
        assert "container has ended" in state(fleet, agent)[1]
        assert "+kept" in magents("diff", agent.id).out
    magents("start", agent.id)
    assert state(fleet, agent)[0] == "running"
    assert work_of(agent) == before
    magents("stop", agent.id, "--remove-worktree")
    until(lambda: containers(place) == [], 60, shown=lambda: own.docker("ps", "--all"))
    assert git("log", "-1", "--format=%s", agent.branch, cwd=project) == "Kept"


def told_truly_while_it_is_gone(magents: Magents, fleet: Fleet, agent: Agent, here: str, verbs: list[str]) -> None:
    """No command takes silence for an answer, and none changes anything."""
    phase = fleet.find(agent.id).phase
    listed = magents("list", code=1)
    rows = {line.split()[0]: line for line in listed.out.splitlines() if line.strip()}
    assert "running" in rows[here]
    assert "docker cannot be asked" in rows[agent.id]
    assert "stopped" not in rows[agent.id]
    assert "engine does not answer" in listed.err
    waited = magents("wait", agent.id, "--for", "stopped", "--timeout", "1", code=124)
    assert "docker cannot be asked" in waited.err
    for verb in verbs:
        done = magents(*(agent.id if word == "ID" else word for word in verb.split()), code=1)
        assert "engine does not answer" in done.err, verb
        assert "systemctl start docker" in done.err, verb
        assert "Traceback" not in done.err, verb
        assert fleet.find(agent.id).phase == phase, verb


def test_it_dies_in_the_middle_of_a_creation(
    own: Engine, magents: Magents, fleet: Fleet, place: Place, project: Path, unique: str
):
    whole = [f"first{unique}"]
    magents("create", "first", *whole, "--docker", *SLEEP)
    for number, delay in enumerate((0, 0.3, 0.7)):  # the first is sure to be early
        id, branch = f"cut{number}{unique}", f"cut/{number}"
        words = [sys.executable, "-m", "magents", "create", branch, id, "--docker", *SLEEP]
        with subprocess.Popen(words, cwd=project, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
            until(lambda place=place, id=id: (place.top / "project-agents" / id).exists(), 30)
            time.sleep(delay)  # any moment will do
            own.end("dockerd")
            said = child.communicate(timeout=60)[1].decode()
        if child.returncode:
            assert "engine does not answer" in said
            assert "Traceback" not in said
            left = id in magents("list", code=None).out
            assert ("could not be taken back yet" in said) == left, said
            assert ("Nothing was left behind." in said) != left, said
        own.start()
        fixed = magents("doctor", "--fix", code=None).out
        if (
            child.returncode == 0 or f"{id}: its creation was cut short, but it runs" in fixed
        ):  # its program had begun
            whole.append(id)
        nothing_made(place, project, *whole)
        # One made for a single command, to collect what a stopped agent has, may be there for a moment.
        made = len(whole)
        until(lambda made=made: len(containers(place)) == made, 60, shown=lambda: own.docker("ps", "--all"))
    assert len(whole) < 4  # else the engine died too late


def test_a_watch_gives_nothing_up_while_it_is_gone(
    own: Engine, magents: Magents, fleet: Fleet, place: Place, project: Path
):
    put(project, tagged(task(1, "Long")))
    commit(project, "Plan")
    magents("config", "--docker")
    log = place.top / "events"
    words = [sys.executable, "-m", "magents", "task-agents", "--watch", "--yes", "--json", *SLEEP]
    with open(log, "wb") as file, subprocess.Popen(words, cwd=project, stdout=file, stderr=file) as child:

        def told(what: str) -> list[str]:
            return [line for line in log.read_text().splitlines() if f'"event": "{what}"' in line]

        try:
            until(lambda: told("started"), 60, shown=log.read_text)
            own.end("dockerd")
            until(
                lambda: any("docker cannot be asked" in line for line in told("problem")), 60, shown=log.read_text
            )
            time.sleep(3 * PAUSE_S)  # nothing must happen
            assert not told("again") + told("failed") + told("end"), log.read_text()
            own.start()
            until(lambda: told("again"), 60, shown=log.read_text)
            assert child.poll() is None
        finally:
            child.terminate()
    assert [view.status.state for view in fleet.list().views] == ["running"]
