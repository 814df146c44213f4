"""Containers of the real image that are gone after the test."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conftest import Place, git, until, use_engine
from magents import Fleet
from magents.core.agent import Agent
from magents.runtimes.docker import image as images

from . import engines


def docker(
    *words: str | Path, code: int | None = 0, timeout: float = 120, env: dict[str, str] | None = None
) -> str:
    """Run docker; its output. Fails when the exit code is another one (None: any will do)."""
    done = subprocess.run(
        ["docker", *map(os.fspath, words)], capture_output=True, timeout=timeout, check=False,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    said = done.stdout.decode(errors="replace")
    if code is not None and done.returncode != code:
        pytest.fail(f"docker {words} exited {done.returncode}, not {code}:\n{said}\n{done.stderr.decode()}")
    return said


def bridge() -> str:
    """The address by which containers reach this machine. An engine that was started for the first time may name
    the subnet alone: then it is the first address there."""
    told = json.loads(docker("network", "inspect", "bridge", "-f", "{{json (index .IPAM.Config 0)}}"))
    return str(told.get("Gateway") or ip_network(told["Subnet"])[1])


def drop_image(name: str) -> None:
    """Remove an image, and the layers for users that were made over it."""
    id = docker("images", "--quiet", name).strip()
    over = docker(
        "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference=magents/agent-user:{id}-*"
    )
    docker("image", "rm", "--force", *(over.split() if id else ()), name, code=None)


class Box(NamedTuple):
    """A running container."""

    name: str

    def sh(self, line: str, code: int | None = 0, user: str = "", seconds: float = 120) -> str:
        """Run a line of shell in it."""
        words = ["exec", *(["-u", user] if user else []), self.name, "sh", "-c", line]
        return docker(*words, code=code, timeout=seconds)

    def health(self) -> dict[str, Any]:
        """What /health says, whatever the code; it answers soon after the start."""
        asked = "curl -sS http://localhost:3000/health 2>/dev/null"
        return dict(json.loads(until(lambda: self.sh(asked, code=None), 30, "an answer", shown=self.logs)))

    def logs(self) -> str:
        return subprocess.run(
            ["docker", "logs", self.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
        ).stdout.decode(errors="replace")

    def screen(self, id: str) -> str:
        return self.sh(f"tmux -u capture-pane -p -J -t =magents-{id}:agent", code=None)


@pytest.fixture
def box(image: str, tmp_path: Path) -> Iterator[Callable[..., Box]]:
    """Start a container: `box(*options, image=…, command=…)`."""
    made: list[str] = []

    def start(*options: str, of: str = image, command: tuple[str, ...] = ()) -> Box:
        name = f"magents-test-{uuid.uuid4().hex[:12]}"
        made.append(name)
        docker("run", "-d", "--name", name, *options, of, *command)
        return Box(name)

    yield start
    for name in made:
        docker("rm", "-f", "-v", name, code=None)


@pytest.fixture
def unique() -> str:
    """What to end an agent's id with: containers of an engine have one name each, whoever made them."""
    return uuid.uuid4().hex[:6]


def state(fleet: Fleet, agent: Agent) -> tuple[str, str]:
    """What the agent does, and what is said of it."""
    seen = next(view.status for view in fleet.list().views if view.agent.id == agent.id)
    return seen.state, seen.detail


def nothing_made(place: Place, project: Path, *known: str) -> None:
    """No container, workspace, branch, ref or record but those of the known agents."""
    assert {view.agent.id for view in Fleet().list().views if not view.orphan} == set(known)
    beside = place.top / "project-agents"
    made = [name for name in os.listdir(beside) if not name.startswith(".")] if beside.is_dir() else []
    assert set(made) == set(known)
    refs = git("for-each-ref", "--format=%(refname)", cwd=project).splitlines()
    assert len([ref for ref in refs if ref.startswith("refs/heads/")]) == 1 + len(known)
    assert {ref.split("/")[2] for ref in refs if ref.startswith("refs/magents/")} <= set(known)


@pytest.fixture(scope="session")
def slim(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What an engine of a test's own gets its image from."""
    archive = tmp_path_factory.mktemp("slim") / "image.tar"
    with pytest.MonkeyPatch.context() as patch:
        use_engine(patch)
        engines.slim(image, archive)
    yield archive
    archive.unlink()


@pytest.fixture(scope="session")
def spare(slim: Path) -> Iterator[engines.Engine]:
    """An engine to kill, for all tests of this session."""
    with engines.engine(slim) as made:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", made.host)
            images.for_user(engines.SLIM, os.geteuid(), os.getegid())
        yield made


@pytest.fixture
def own(spare: engines.Engine, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[engines.Engine]:
    """The isolated Magents talks to an engine that the test may kill; it runs at first."""
    spare.start()
    monkeypatch.setenv("DOCKER_HOST", spare.host)
    monkeypatch.setenv("MAGENTS_DOCKER_IMAGE", engines.SLIM)
    yield spare
    spare.end("dockerd")
    spare.start()
    spare.remove_all()
