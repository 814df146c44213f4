"""Fixtures for tests of agents: for those of Magents itself, and of whoever brings a harness or a runtime to it.

    pytest_plugins = ["magents.testing.plugin"]     # in conftest.py

A test that asks for `place`, or for anything made of it, runs isolated: nothing of the developer's own home, agents
or tmux is seen or touched, and a process of an agent that outlives the test fails it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from magents import Fleet
from magents.testing import lab
from magents.testing import standin as model
from magents.testing.lab import Done, Place, run


@pytest.fixture(scope="session", autouse=True)
def _unmake() -> Iterator[None]:
    """Leave no copied repository behind, and take none that a killed run has left."""
    shutil.rmtree(lab.made_here(), ignore_errors=True)
    yield
    shutil.rmtree(lab.made_here(), ignore_errors=True)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An isolated environment."""
    with lab.isolated(monkeypatch) as made:
        yield made


@pytest.fixture
def project(place: Place) -> Path:
    """A git repository on `main` with one commit."""
    return lab.make_project(place.top / "project")


@pytest.fixture
def fleet(place: Place) -> Fleet:
    """The library, on the same private state as `magents`."""
    return Fleet()


class Magents(Protocol):
    """What the fixture `magents` returns."""

    def __call__(
        self, *args: str | Path, cwd: str | Path | None = None, code: int | None = 0, stdin: str = "", **env: str
    ) -> Done: ...


@pytest.fixture
def magents(place: Place) -> Magents:
    """The real command line. Runs in the project where there is one; fails on another exit code."""

    def call(
        *args: str | Path, cwd: str | Path | None = None, code: int | None = 0, stdin: str = "", **env: str
    ) -> Done:
        here = place.top / "project"
        where = cwd or (here if here.is_dir() else place.top)
        return run(sys.executable, "-m", "magents", *args, cwd=where, code=code, stdin=stdin, **env)

    return call


@pytest.fixture
def tmux(place: Place) -> Callable[..., str]:
    """Ask the test's tmux server, which is the one that `magents` uses."""

    def call(*words: str, code: int | None = 0) -> str:
        return run("tmux", "-u", *words, code=code).out

    return call


@pytest.fixture(name="until")
def _until() -> Callable[..., Any]:
    """`until(condition, seconds)`: poll until it is true, return what it was; fail after that time."""
    return lab.until


class Standin(NamedTuple):
    """The stand-in for a model: its address, and what it was asked."""

    url: str
    log: Path

    def requests(self) -> list[dict[str, Any]]:
        """The bodies of the requests so far, oldest first."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line)["body"] for line in lines if line.endswith("}")]


@pytest.fixture(scope="session", name="standin")
def _standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    """One stand-in for all tests of this session."""
    log = tmp_path_factory.mktemp("standin") / "requests.jsonl"
    with model.serve(log=log) as url:
        yield Standin(url, log)
