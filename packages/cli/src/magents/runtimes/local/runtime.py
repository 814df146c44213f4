"""Traditional mode: tmux on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal

from magents.core.errors import CommandFailed, Missing, Problem
from magents.guest.terminal import MARK, Terminal, wait
from magents.runtimes.base import Launch, Observation, Traits, label, parse
from magents.runtimes.local.place import Here
from magents.system import paths, process, processes, programs
from magents.system.overlap import begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from magents.core.agent import Agent
    from magents.guest.terminal import Pane
    from magents.system.there import Command

HANG_UP_S = 0.3
"""Seconds that what an agent has started gets to end with its terminal. Gemini CLI ignores that, and Claude
Code at times lives on for seconds, above all after a turn that was interrupted."""
GRACE_S = 2.0
"""Seconds that it gets then, after a SIGTERM."""

OLDEST = (3, 2)
"""The tmux that brought `list-panes -f` and `new-window -b`."""

# These belong to the terminal that `magents` was typed in, not to the agent's.
OWN = {
    "TMUX", "TMUX_PANE", "TERM", "TERMCAP", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "COLORTERM", "COLUMNS",
    "LINES", "PWD", "OLDPWD", "SHLVL", "_", "WINDOWID", "STY",
}  # fmt: skip


class Tmux:
    """A session of tmux per agent."""

    name = "tmux"
    traits = Traits("worktree", "user", "here", "live", trusted=True, keeps="")

    def __init__(self) -> None:
        self.terminal = Terminal()

    def require(self, harness: str, program: str) -> None:
        """Only that tmux is there: to ask it for its version takes too long. Of its program a harness knows."""
        if not programs.find("tmux"):
            raise programs.missing("tmux")

    def owner(self) -> None:
        """The agent runs as the user."""

    def place(self, agent: Agent, folder: str) -> Here:
        """This machine."""
        return Here(folder)

    def prepare(self, launch: Launch) -> None:
        """Nothing: this machine is there."""

    @contextlib.contextmanager
    def reach(self, agent: Agent, folder: str, borrowed: Sequence[str]) -> Iterator[Command]:
        """As it is: the agent is where we are."""
        yield Here(folder).command

    def disks(self) -> list[str]:
        """None."""
        return []

    def check(self) -> list[Problem]:
        """tmux is there and new enough."""
        install = programs.INSTALL["tmux"]
        if not programs.find("tmux"):
            return [Problem("tmux is not installed", install)]
        try:
            said = process.run(["tmux", "-V"], timeout=10).line
        except (CommandFailed, Missing) as error:
            return [Problem(f"tmux does not run: {error.message}", install)]
        if version(said) < OLDEST:
            return [Problem(f"{said} is too old: 3.2 or newer is needed", install)]
        return []

    def start(self, launch: Launch) -> None:
        """Write what the wrapper needs, then open the session, or use the ended terminal that is there."""
        agent, folder = launch.agent, launch.folder
        write_files(launch)
        argv = [f"{paths.share()}/agent-run", folder]
        text = json.dumps(label(agent, folder))
        if agent.phase != "creating":
            mine = next((pane for pane in self.terminal.panes() if owned(pane, agent, folder)), None)
            if mine and mine.pane:
                self.terminal.reopen(agent.id, argv, agent.workspace)
                return
            self.stop(agent, folder)  # a killed server can leave programs behind, a closed window its session
        self.terminal.open(agent.id, argv, agent.workspace, folder, text)

    def stop(self, agent: Agent, folder: str) -> str:
        """End the session, then whatever has survived it: a server in the background, a `nohup`.

        A session of that name that is not this agent's is left alone. The tmux server is spared: it carries
        the mark, too, where the agent's own shell has started it.
        """
        mark = f"{MARK}={folder}"
        seen = begin(processes.marked, mark)  # to look at all processes takes as long as tmux does
        closed = self.terminal.close(agent.id, folder)
        end_marked(mark, seen.result(), spared=closed.server)
        return closed.shown

    def remove(self, agent: Agent, folder: str) -> str:
        """The same as `stop`: nothing is left of a session that was ended."""
        return self.stop(agent, folder)

    def plausible(self) -> bool:
        """Always: to ask costs a few milliseconds."""
        return True

    def observe(self) -> list[Observation]:
        """All panes with our label, in one call."""
        panes = self.terminal.panes()
        return [Observation(pane.id, not pane.dead, pane.active, parse(pane.label)) for pane in panes]

    def screens(self, folders: Mapping[str, str]) -> dict[str, str]:
        """All of them, in one call."""
        return self.terminal.screens(list(folders))

    def usage(self) -> dict[str, str]:
        """Nothing is limited."""
        return {}


def write_files(launch: Launch) -> None:
    """Put what the wrapper and the harness read into the agent's folder, for this user's eyes only."""
    from magents.guest import wrapper

    env = {name: value for name, value in {**launch.env, **launch.own}.items() if name not in OWN}
    env |= {
        "MAGENTS_ID": launch.agent.id, MARK: launch.folder,
        "MAGENTS_EVENT": os.path.join(paths.share(), "magents-event"), "MAGENTS_PROJECT": launch.agent.project,
        # There are programs that stand before others of their name, see `guest/bin`.
        "PATH": f"{os.path.join(paths.share(), 'bin')}:{env.get('PATH', os.defpath)}",
    }  # fmt: skip
    Here(launch.folder).write(wrapper.files(launch.program, env))


def owned(pane: Pane, agent: Agent, folder: str) -> bool:
    """Whether a terminal is this agent's, and not of another store's agent of the same id."""
    return pane.id == agent.id and parse(pane.label).get("folder") == folder


def end_marked(line: str, seen: Sequence[int], spared: int) -> None:
    """End every process with that line in its environment but the process `spared`, firmly if need be.

    `seen`: those that had it a moment ago.
    """
    found = list(seen)

    def gone() -> bool:
        # Those that were found before come first: to look at all processes takes far longer.
        found[:] = [pid for pid in found if pid != spared and processes.carries(pid, line)]
        if not found:
            found[:] = [pid for pid in processes.marked(line) if pid != spared]
        return not found

    for number, patience in ((None, HANG_UP_S), (signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
        if number:
            for pid in found:
                processes.end(pid, number)
        if wait(gone, patience):
            return


def version(text: str) -> tuple[int, ...]:
    """`tmux 3.3a` → (3, 3). What has no number (`tmux master`) counts as new."""
    digits = "".join(c if c.isdigit() or c == "." else " " for c in text).split()
    return tuple(int(part) for part in digits[0].split(".") if part) if digits else (99,)
