"""What every use case needs: the store, the parts an agent is made of, and a way to tell of progress."""

from __future__ import annotations

import os

from magents.harnesses import harness
from magents.runtimes import runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from magents import status
    from magents.harnesses.base import Harness
    from magents.model import Agent
    from magents.runtimes.base import Desk, Runtime
    from magents.store import Store
    from magents.terminal import Terminal
    from magents.workspace.kinds import Workspace

SCREEN = "terminal.txt"
"""What an agent's terminal showed when it was stopped."""
CLAIMED = "claimed"
"""Marks, in an agent's own folder, that its workspace's folder was made by us and not found."""


class Context:
    """The store and how to get from an agent to its parts."""

    def __init__(self, store: Store, progress: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self.store = store
        self.progress = progress
        """Told, in a few words, of each step that can take longer than a moment."""
        self.warn = warn
        """Told of what the user should know although it stops nothing."""
        self.mended = False
        """Whether a killed command's work was mended, so that what was asked before may not hold."""
        self.told: set[str] = set()
        """What `warn` was told of and need not be told again."""
        self.locked_out: dict[str, float] = {}
        """Folders whose lock was waited for in vain, and when (`time.monotonic`)."""

    @property
    def checks(self) -> str:
        """The folder of working trees in which merges are checked; there only while one is."""
        return os.path.join(self.store.folder, "checks")

    def folder(self, agent: Agent) -> str:
        """The agent's own folder."""
        return self.store.place(agent)

    def desk(self, agent: Agent) -> Desk:
        """Where it talks with us."""
        return self.runtime(agent).desk(self.folder(agent))

    def workspace(self, agent: Agent) -> Workspace:
        """Its own copy of the project."""
        runtime, folder = self.runtime(agent), self.folder(agent)
        if not runtime.private:
            from magents.workspace.worktree import Worktree

            return Worktree(agent)
        from magents.workspace import clone, kinds

        return kinds.Clone(agent, lambda: runtime.reach(agent, folder, clone.borrowed(agent.project)), self.warn)

    def shared(self, project: str) -> str:
        """The folder that the agents of a project share, where they cannot reach the project itself."""
        return os.path.join(self.store.folder, "shared", digest(project))

    def harness(self, agent: Agent) -> Harness:
        """What it runs."""
        return harness(agent.harness, private=self.runtime(agent).private)

    def runtime(self, agent: Agent) -> Runtime:
        """Where it runs."""
        return runtime(agent.runtime)

    def terminal(self, agent: Agent, *, tty: bool = False) -> Terminal:
        """Its terminal; `tty`: for a command that talks to the user's."""
        from magents.terminal import Terminal

        return Terminal(self.runtime(agent).inside(agent.id, tty=tty))

    def report(self, agent: Agent) -> status.Report:
        """What its log says."""
        from magents import events, status

        return status.read(events.read(self.desk(agent).here), self.harness(agent))

    def keep_screen(self, agent: Agent, text: str) -> None:
        """Keep what its terminal showed, for `logs` after a stop. An empty one does not replace another, nor does
        one for which there is no room: that is told of, and keeps nobody from stopping an agent."""
        folder = self.folder(agent)
        if text.strip() and os.path.isdir(folder):
            from magents import guarded

            try:
                guarded.write(folder, SCREEN, text)
            except OSError as error:
                self.warn(f"what {agent.id} showed last could not be kept: {error.strerror}")


def digest(project: str) -> str:
    """A name for a project that is a file's name, and no other project's."""
    from hashlib import sha256

    return f"{os.path.basename(project)}-{sha256(os.fsencode(project)).hexdigest()[:12]}"


def boot() -> str:
    """Which boot of the machine this is; '' where it cannot be told (random(4), Linux)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""
