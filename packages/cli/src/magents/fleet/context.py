"""What every use case needs: the store, the parts an agent is made of, and a way to tell of progress."""

from __future__ import annotations

import contextlib
import os
import time

from magents import harnesses, runtimes
from magents.core.errors import MagentsError
from magents.system.isolated import isolated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from magents.config import Config
    from magents.core.agent import Agent
    from magents.core.event import Event
    from magents.git.project import Project
    from magents.git.workspaces.base import Workspace
    from magents.guest import status
    from magents.guest.terminal import Terminal
    from magents.harnesses.base import Harness
    from magents.runtimes.base import Place, Runtime
    from magents.store import Store

SCREEN = "terminal.txt"
"""What an agent's terminal showed when it was stopped."""
BUDGET_S = 1.0
"""Seconds of the processor's time that reading one agent's log may take: a hundred times what a full one does."""
CLAIMED = "claimed"
"""Marks, in an agent's own folder, that its workspace's folder was made by us and not found."""


class Context:
    """The store and how to get from an agent to its parts."""

    def __init__(self, store: Store, progress: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self.store = store
        self.progress = progress
        """Called with a few words at each step that can take longer than a moment."""
        self.warn = warn
        """Called with what the user should know although it stops nothing."""
        self.warned: set[str] = set()
        """What `warn` was called with and need not be called with again."""

    @property
    def checks(self) -> str:
        """The folder of the working trees in which merges are checked; it exists only while one is checked."""
        return os.path.join(self.store.folder, "checks")

    def project(self, folder: str) -> Project:
        """The project that a folder lies in. Raises NotFound when it is in none."""
        from magents.git import project

        return project.locate(self.here(folder))

    def here(self, folder: str) -> str:
        """A folder of the same project in which git may run: the project itself if `folder` is in the clone of an
        agent in a container, because there git would obey the agent."""
        real = os.path.realpath(folder) + os.sep
        with contextlib.suppress(MagentsError):  # whoever needs the store tells what is wrong with it
            for agent in self.store.live():
                if (
                    real.startswith(os.path.realpath(agent.workspace) + os.sep)
                    and not self.runtime(agent).traits.trusted
                ):
                    return agent.project
        return folder

    def settings(self, folder: str) -> Config:
        """The settings that hold in a folder: the project's before the user's; outside of a project the user's."""
        from magents import config

        try:
            return config.load(self.project(folder).settings)
        except MagentsError:
            return config.load()

    def folder(self, agent: Agent) -> str:
        """The agent's own folder."""
        return self.store.folder_of(agent)

    def place(self, agent: Agent) -> Place:
        """How to reach it and its files."""
        return self.runtime(agent).place(agent, self.folder(agent))

    def workspace(self, agent: Agent) -> Workspace:
        """Its own copy of the project."""
        runtime, folder = self.runtime(agent), self.folder(agent)
        if runtime.traits.workspace == "worktree":
            from magents.git.workspaces.worktree import Worktree

            return Worktree(agent)
        from magents.git.workspaces import borrow, clone

        return clone.Clone(agent, lambda: runtime.reach(agent, folder, borrow.borrowed(agent.project)), self.warn)

    def shared(self, project: str) -> str:
        """The folder that the agents of a project share, where they cannot reach the project itself."""
        return os.path.join(self.store.folder, "shared", digest(project))

    def harness(self, agent: Agent) -> Harness:
        """What it runs; `Unknown` where this machine does not have it."""
        traits = self.runtime(agent).traits
        return harnesses.recorded(agent.harness, traits.home, traits.program)

    def runtime(self, agent: Agent) -> Runtime:
        """Where it runs; `Unknown` where this machine does not have it."""
        return runtimes.recorded(agent.runtime)

    def terminal(self, agent: Agent) -> Terminal:
        """Its terminal."""
        from magents.guest.terminal import Terminal

        return Terminal(self.place(agent).command)

    def report(self, agent: Agent, folder: str = "") -> status.Report:
        """What an agent's log says, or why it cannot be read. Raises nothing that the agent has caused.

        `folder`: the agent's own folder, if the caller knows it.
        """
        from magents.guest import events, status

        runtime, harness = self.runtime(agent), self.harness(agent)
        try:
            with isolated("its log can't be read"):
                log = events.read(runtime.place(agent, folder or self.folder(agent)))
                return status.read(in_time(log), harness)
        except MagentsError as error:
            return status.Report(unreadable=error.message)

    def keep_screen(self, agent: Agent, text: str) -> None:
        """Keep what an agent's terminal showed, for `logs` after a stop. An empty text replaces nothing. Where
        there is no room for the text, `warn` says so: nobody is kept from stopping an agent."""
        folder = self.folder(agent)
        if text.strip() and os.path.isdir(folder):
            from magents.system.files import atomic

            try:
                atomic.write(folder, SCREEN, text)
            except OSError as error:
                self.warn(f"what {agent.id} showed last could not be kept: {error.strerror}")


def in_time(log: Sequence[Event]) -> Iterator[Event]:
    """The events, until they have taken too much of the processor's time. Raises TimeoutError then."""
    until = 0.0
    for number, event in enumerate(log, 1):
        if number % 16 == 0:  # of a short log nothing is measured: that takes longer than to read it
            until = until or time.thread_time() + BUDGET_S
            if time.thread_time() > until:
                raise TimeoutError("it takes too long")
        yield event


def digest(project: str) -> str:
    """A name for a project that is a file's name, and that no other project has."""
    from hashlib import sha256

    return f"{os.path.basename(project)}-{sha256(os.fsencode(project)).hexdigest()[:12]}"


def boot() -> str:
    """Which boot of the machine this is; '' where it cannot be told (random(4), Linux)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""
