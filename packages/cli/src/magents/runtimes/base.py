"""What a runtime is: a place where agents run, which is a place where tmux runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from magents.model import Agent, Problem, Program


class Launch(NamedTuple):
    """What to start, and where."""

    agent: Agent
    program: Program
    folder: str
    """The agent's own folder on this machine; `Program.files` are written there."""
    env: dict[str, str]
    """The environment it starts with, `Program.env` and `unset` not yet applied. May hold keys."""


class Sighting(NamedTuple):
    """An agent that a runtime has seen, known to the store or not."""

    id: str
    alive: bool
    """Its program runs. False: only its terminal is left."""
    active: float
    """Unix time of its terminal's last output, in whole seconds."""
    label: dict[str, str]
    """What the runtime keeps of it, enough to find it again without the store: see `label`."""


class Runtime(Protocol):
    """A place where agents run. What a test expects of each is in `tests/contract`."""

    name: str

    def check(self) -> list[Problem]:
        """What keeps it from working here; empty if all is well. Never raises."""

    def start(self, launch: Launch) -> None:
        """Start an agent; returns once its program runs in its terminal. On failure nothing is left."""

    def stop(self, agent: Agent, folder: str) -> str:
        """End an agent with all it has started; returns what its terminal showed. Idempotent."""

    def remove(self, agent: Agent, folder: str) -> str:
        """As `stop`, and delete what `start` made. Never the workspace. Idempotent."""

    def observe(self) -> list[Sighting]:
        """Every agent of ours, in one look. Raises if it cannot look."""

    def inside(self, id: str, *, tty: bool = False) -> tuple[str, ...]:
        """The words that go before a command to run it where the agent is. Does no I/O."""

    def collect(self, agent: Agent) -> None:
        """Bring the agent's commits to the user's repository; nothing to do where they already are."""


def label(agent: Agent, folder: str) -> dict[str, str]:
    """What a runtime keeps of an agent, so that it is found again when the store is gone."""
    return {
        "key": str(agent.key), "id": agent.id, "project": agent.project, "branch": agent.branch,
        "base": agent.base, "base_commit": agent.base_commit, "harness": agent.harness,
        "workspace": agent.workspace, "folder": folder, "command": json.dumps(agent.command),
    }  # fmt: skip
