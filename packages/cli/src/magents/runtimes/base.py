"""What a runtime is: a place where agents run, which is a place where tmux runs."""

from __future__ import annotations

import json

from magents.core import bounded
from magents.core.tuples import NamedTuple
from magents.guest.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Literal, Protocol

    from magents.core.agent import Agent
    from magents.core.errors import Problem
    from magents.core.program import Program
    from magents.system.there import Command
else:
    Protocol = object


class Place(Files, Protocol):
    """One agent's surroundings, and how they are reached. Nobody else knows where its files lie."""

    @property
    def folder(self) -> str:
        """What the folder of its files is called where the agent is."""

    @property
    def share(self) -> str:
        """Where `magents-event` and `agent-run` are there."""

    def command(self, argv: Sequence[str], *, tty: bool = False) -> list[str]:
        """The command on this machine that runs `argv` where the agent is. Each word arrives as it is, whatever is
        between. If the program is `there`, the command runs in the workspace once `prepare` has made the place,
        with the agent's `own` variables and MAGENTS_ID in its environment. `tty`: for a command that talks to the
        user's terminal. Does no I/O."""


class Launch(NamedTuple):
    """What to start, and where."""

    agent: Agent
    program: Program
    folder: str
    """The agent's own folder on this machine."""
    env: dict[str, str]
    """This process's environment, `Program.env` and `unset` not yet applied. May hold keys."""
    own: Mapping[str, str] = {}
    """What the user has set for this agent alone. May hold keys."""
    shared: str = ""
    """The folder that the agents of a project share, for a runtime that has one."""
    accepted: str = ""
    """The folder of those shared files that count for its start. The agent may not write to it."""
    borrowed: Sequence[str] = ()
    """Folders that its workspace reads from, for a runtime that shows the agent nothing else."""
    keys: Sequence[str] = ()
    """Names in `env` that hold the harness's keys."""
    keep: Sequence[int] = ()
    """Descriptors that a process inherits if it makes something: while it lives, the agent is seen as at work
    on."""


class Observation(NamedTuple):
    """An agent that a runtime has seen, known to the store or not."""

    id: str
    alive: bool
    """Its program runs. False: only its terminal is left."""
    active: float
    """Unix time of its terminal's last output, to a second or so."""
    label: dict[str, str]
    """What the runtime keeps of it, enough to find it again without the store: see `label`."""
    there: bool = True
    """Whether its terminal is there."""
    note: str = ""
    """What the runtime has to say of it: why its terminal is gone, or that it is not well."""


class Traits(NamedTuple):
    """What holds for every agent of a runtime. Each caller asks for the one trait that it means."""

    workspace: Literal["worktree", "clone", "remote"]
    """Its copy of the project: a worktree of the user's repository, a private clone on this disk, or a clone
    elsewhere. The commits of a clone have to be brought home, and the agents of a project that have clones share a
    folder."""
    home: Literal["user", "image"]
    """Where its program finds its settings and logins: in a user's home, or in a fresh one with system settings of
    ours."""
    program: Literal["here", "there"]
    """Whether its program is installed on this machine, and keeps its files and its tmux here."""
    screens: Literal["live", "still"]
    """Whether `screens` returns what a terminal shows now, or only what a terminal shows that has been still for a
    while."""
    trusted: bool
    """Whether an agent has the user's rights here. If not, all that it made is a stranger's: git does not run in
    its workspace on this machine, and its texts, hooks and pins count only when the user has accepted them."""
    keeps: str
    """What is left of a stopped agent until `remove`, a noun for people: `container`; '' for nothing."""


class Runtime(Protocol):
    """A place where agents run. `magents.testing.contract` tests these promises."""

    name: str
    traits: Traits

    def require(self, harness: str, program: str) -> None:
        """Raises Missing if no agent could be started here now, because the harness's program or another one is
        missing.

        `program` is '' if it is not known before.
        """

    def owner(self) -> tuple[int, int] | None:
        """The user and group, as this machine numbers them, that the workspace must belong to; None: the user
        who calls."""

    def place(self, agent: Agent, folder: str) -> Place:
        """The place of the agent whose own folder this is, running or not. Does no I/O."""

    def prepare(self, launch: Launch) -> None:
        """Make the agent's place, if it is not there; `start` does it by itself. The workspace may still be filled
        meanwhile. A failure leaves nothing."""

    def reach(self, agent: Agent, folder: str, borrowed: Sequence[str]) -> AbstractContextManager[Command]:
        """A block in which commands run as by `Place.command`, also while the agent does not run: then a place for
        them exists until the block is left."""

    def disks(self) -> list[str]:
        """Folders on this machine that it fills, beside the workspaces. Never raises."""

    def check(self) -> list[Problem]:
        """What keeps it from working here; empty if all is well. Never raises."""

    def start(self, launch: Launch) -> None:
        """Start an agent; returns once its program runs in its terminal. A failure leaves nothing."""

    def stop(self, agent: Agent, folder: str) -> str:
        """End an agent and all that it has started; returns what its terminal showed. Idempotent."""

    def remove(self, agent: Agent, folder: str) -> str:
        """As `stop`, and delete what `start` made. Never the workspace. Idempotent."""

    def plausible(self) -> bool:
        """Whether there can be agents of ours that no store knows. Looks at a few files at most."""

    def observe(self) -> list[Observation]:
        """Every agent of ours, in one look. Raises if it cannot look."""

    def screens(self, folders: Mapping[str, str]) -> dict[str, str]:
        """The styled screens of agents, by id, in one call at most; `folders` has each agent's own folder. An agent
        that is gone is left out, and where only still screens can be had, an agent whose terminal stirs."""

    def usage(self) -> dict[str, str]:
        """What each agent uses of what it may have, by id, for people; {} where nothing is limited."""


def parse(text: str) -> dict[str, str]:
    """A label as it was written; empty if the text is none. NULs are taken out: no path may hold one."""
    try:
        found = bounded.loads(text)
    except ValueError:
        return {}
    return {k: str(v).replace("\0", "") for k, v in found.items()} if isinstance(found, dict) else {}


def label(agent: Agent, folder: str) -> dict[str, str]:
    """What a runtime keeps of an agent, so that it is found again when the store is gone."""
    return {
        "key": str(agent.key), "id": agent.id, "project": agent.project, "branch": agent.branch,
        "base": agent.base, "base_commit": agent.base_commit, "harness": agent.harness,
        "workspace": agent.workspace, "folder": folder, "command": json.dumps(agent.command),
        "created": str(agent.created),
    }  # fmt: skip
