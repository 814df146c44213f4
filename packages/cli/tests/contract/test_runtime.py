"""The runtime contract, over every runtime there is."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from conftest import Place as Isolated
from conftest import containers, leaked, make_project, until
from magents import Fleet, runtimes
from magents.core.errors import Conflict, MagentsError
from magents.core.program import Program
from magents.runtimes.base import Launch
from magents.testing.contract import Bench, RuntimeContract, says


class Containers(Bench):
    """Agents in containers."""

    def workspace(self, launch: Launch) -> str:
        return "/workspace"

    def spoiled(self, launch: Launch) -> Launch:
        return launch._replace(borrowed=["/nonexistent"])  # a mount that cannot be made

    def left(self, place: Isolated, launch: Launch) -> list[object]:
        return [*containers(place, launch.agent.workspace)]


DOCKER = pytest.param("docker", marks=pytest.mark.engine)


@pytest.fixture(params=["tmux", "far", DOCKER])
def bench(request, place, monkeypatch):
    """Each runtime in its turn."""
    return made(request, request.param, place, monkeypatch)


@pytest.fixture
def here(request, place, monkeypatch):
    """tmux on this machine, for what only makes sense there."""
    return made(request, "tmux", place, monkeypatch)


def made(request, name, place, monkeypatch):
    monkeypatch.setattr("magents.runtimes.local.runtime.GRACE_S", 0.3)  # so that the deaf need not be waited for
    if name == "far":
        return Bench(request.getfixturevalue("far"), place.top)
    if name == "docker":
        request.getfixturevalue("docker_mode")
    return (Containers if name == "docker" else Bench)(runtimes.runtime(name), place.top)


class TestEveryRuntime(RuntimeContract):
    """The suite, over each of them."""


def test_every_runtime_is_here():
    assert set(runtimes.TABLE) == {"tmux", "docker"}


def test_a_stop_spares_the_server_and_other_sessions(here, place, tmux):
    launch = here.start("one")
    tmux("new-session", "-d", "-s", "mine", "sleep 300")
    before = tmux("display-message", "-p", "#{pid}")
    here.stop(launch)
    assert tmux("list-sessions", "-F", "#{session_name}").split() == ["mine"]
    assert tmux("display-message", "-p", "#{pid}") == before


def test_a_stop_spares_a_server_that_the_agent_has_started(here, place, tmux):
    """Its first server was killed; a shell of it that lives on has started the user's next one."""
    launch = here.start("one")
    tmux("kill-server")
    until(lambda: here.seen() == {})
    env = {**os.environ, "MAGENTS_FOLDER": launch.folder}
    until(lambda: subprocess.run(["tmux", "new-session", "-d", "-s", "mine"], env=env).returncode == 0)
    tmux("set-environment", "-g", "-u", "MAGENTS_FOLDER")
    tmux("new-session", "-d", "-s", "yours", "sleep 300")
    here.stop(launch)
    assert "yours" in tmux("list-sessions", "-F", "#{session_name}").split()
    tmux("kill-server")


def test_observe_raises_when_tmux_may_not_be_asked(here, place):
    here.start()
    place.socket.parent.chmod(0o777)  # tmux does not trust a folder that others may write to
    with pytest.raises(MagentsError, match="unsafe permissions"):
        here.runtime.observe()
    place.socket.parent.chmod(0o700)
    assert here.seen() == {"one": True}


def test_a_foreign_session_of_that_name_is_refused_and_left_alone(here, tmux):
    tmux("new-session", "-d", "-s", "magents-one", "sleep 300")
    launch = here.agent("one")
    with pytest.raises(Conflict, match="magents-one"):
        here.runtime.start(launch)
    here.stop(launch)
    assert here.seen() == {}
    assert tmux("list-panes", "-a", "-F", "#{session_name} #{pane_start_command}").strip() == (
        'magents-one "sleep 300"'
    )


def test_a_start_ends_what_a_killed_server_has_left(here, place, tmux):
    launch = here.start("one", "trap '' HUP; echo $$ >pid; while :; do sleep 0.1; done")
    pid = int(until(lambda: says(launch, "pid")))
    tmux("kill-server")
    until(lambda: here.seen() == {})
    assert pid in {number for number, _ in leaked(place)}
    again = launch._replace(
        agent=launch.agent._replace(phase="stopped"), program=Program(("sleep", "300")), env=dict(os.environ)
    )
    here.runtime.start(again)
    assert pid not in {number for number, _ in leaked(place)}
    assert here.seen() == {"one": True}


@pytest.mark.parametrize("count", [15, pytest.param(60, marks=pytest.mark.slow)])
def test_the_exit_codes_of_quick_programs_are_known(place, count, fleet):
    project = make_project(place.top / "project")
    agents = [fleet.create(f"b{n}", command=["sh", "-c", "exit 3"], folder=str(project)) for n in range(count)]
    assert len(agents) == count

    def states() -> set[tuple[str, str]]:
        return {(view.status.state, view.status.detail) for view in fleet.list().views}

    until(lambda: states() == {("failed", "exit code 3")}, 30, "all failed with exit code 3")
    assert len(fleet.list().views) == count


def test_an_end_by_a_signal_is_known(fleet, project):
    agent = fleet.create("b", command=["sh", "-c", "kill -9 $$"], folder=str(project))
    until(lambda: fleet.status(agent).state == "failed")
    assert fleet.status(agent).detail == f"exit code {128 + signal.SIGKILL} (signal 9)"


def test_a_program_with_hostile_words(fleet, project):
    words = [
        "sh",
        "-c",
        'printf "%s|" "$@" >said; sleep 300',
        "sh",
        "a b",
        "'",
        '"',
        "$HOME",
        "`x`",
        "#{pid}",
        "é",
        "",
    ]
    agent = fleet.create("b", command=words, folder=str(project))
    said = Path(agent.workspace, "said")
    until(lambda: said.exists() and said.read_text().endswith("||"))
    assert said.read_text() == "|".join(words[4:]) + "|"
    assert shlex.join(words) in Path(Fleet().context.folder(agent), "program").read_text()
