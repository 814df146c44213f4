"""A runtime whose agents are reached as ssh reaches another machine: by a program that joins its words by blanks and
has a shell run them, in another home, with nothing of this environment. Only their place knows where their files lie.
Their workspaces alone are on this disk.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from magents.core.agent import Agent
from magents.core.errors import Problem
from magents.guest.terminal import MARK, Terminal, wait
from magents.guest.wrapper import files
from magents.runtimes.base import Launch, Observation, Traits, label, parse
from magents.system import paths, process, processes

if TYPE_CHECKING:
    from magents.system.there import Command

REACH = """#!/bin/sh
# Run WORDS, joined by blanks, in a shell of the other machine.
exec env -i HOME={home} TMUX_TMPDIR={home} TERM="$TERM" LC_ALL=C.UTF-8 SHELL=/bin/sh PATH=/usr/local/bin:/usr/bin:/bin \\
    sh -c "cd; $*"
"""
END = """
for entry in /proc/[0-9]*; do
    if [ "${entry#/proc/}" != "$2" ] && tr '\\0' '\\n' <$entry/environ | grep -qxF "$1"; then
        kill -$3 ${entry#/proc/}
    fi
done 2>/dev/null
"""
"""End what has the line $1 in its environment, but the process $2, by the signal $3."""


class Far:
    """A session of the other machine's tmux for each agent."""

    name = "far"
    traits = Traits("worktree", "user", "there", "live", trusted=True, keeps="")

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = str(home.parent / "far")
        home.mkdir()
        shutil.copytree(paths.share(), home / "share")
        Path(self.program).write_text(REACH.format(home=shlex.quote(str(home))))
        os.chmod(self.program, 0o755)
        self.terminal = Terminal(self.command)

    def command(self, argv: Sequence[str], *, tty: bool = False) -> list[str]:
        return [self.program, shlex.join(argv)]

    def require(self, harness: str, program: str) -> None: ...

    def owner(self) -> None: ...

    def place(self, agent: Agent, folder: str) -> FarPlace:
        return FarPlace(self.program, str(self.home), agent.workspace, folder)

    def prepare(self, launch: Launch) -> None:
        own = {**launch.own, "MAGENTS_ID": launch.agent.id}
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in own.items())
        self.place(launch.agent, launch.folder).write({"own": exports})

    @contextmanager
    def reach(self, agent: Agent, folder: str, borrowed: Sequence[str]) -> Iterator[Command]:
        yield self.place(agent, folder).command

    def disks(self) -> list[str]:
        return []

    def check(self) -> list[Problem]:
        return []

    def start(self, launch: Launch) -> None:
        self.prepare(launch)
        agent, place = launch.agent, self.place(launch.agent, launch.folder)
        env = {
            **launch.own,
            "MAGENTS_ID": agent.id,
            MARK: place.folder,
            "MAGENTS_EVENT": f"{place.share}/magents-event",
        }
        place.write(files(launch.program, env))
        argv = [f"{place.share}/agent-run", place.folder]
        if agent.phase != "creating":
            mine = next(
                (seen for seen in self.terminal.panes() if parse(seen.label).get("folder") == launch.folder), None
            )
            if mine and mine.pane:
                self.terminal.reopen(agent.id, argv, agent.workspace)
                return
            self.stop(agent, launch.folder)
        text = json.dumps(label(agent, launch.folder))
        self.terminal.open(agent.id, argv, agent.workspace, place.folder, text)

    def stop(self, agent: Agent, folder: str) -> str:
        place = self.place(agent, folder)
        closed = self.terminal.close(agent.id, place.folder)
        mark = f"{MARK}={place.folder}"

        def gone(signal: str) -> bool:
            process.run(self.command(["sh", "-c", END, "sh", mark, str(closed.server), signal]), ok=None)
            return not [pid for pid in processes.marked(mark) if pid != closed.server]

        if not wait(lambda: gone("TERM"), 0.3):
            wait(lambda: gone("KILL"), 10)
        return closed.shown

    def remove(self, agent: Agent, folder: str) -> str:
        return self.stop(agent, folder)

    def plausible(self) -> bool:
        return True

    def observe(self) -> list[Observation]:
        panes = self.terminal.panes()
        return [Observation(pane.id, not pane.dead, pane.active, parse(pane.label)) for pane in panes]

    def screens(self, folders: Mapping[str, str]) -> dict[str, str]:
        return self.terminal.screens(list(folders))

    def usage(self) -> dict[str, str]:
        return {}


class FarPlace:
    """A folder of the other machine, named after the agent's own folder here."""

    def __init__(self, program: str, home: str, workspace: str, folder: str) -> None:
        self.program, self.workspace = program, workspace
        self.folder = f"{home}/agents/{sha256(folder.encode()).hexdigest()[:12]}"
        self.share = f"{home}/share"

    def command(self, argv: Sequence[str], *, tty: bool = False) -> list[str]:
        where, own = shlex.quote(self.workspace), shlex.quote(f"{self.folder}/own")
        return [self.program, f"cd {where} 2>/dev/null; [ ! -f {own} ] || . {own}; exec {shlex.join(argv)}"]

    def sh(self, script: str, name: str, *more: str, stdin: bytes = b"") -> bytes:
        """Run a script whose $1 is a path there, and what is `more`."""
        argv = ["sh", "-c", script, "sh", f"{self.folder}/{name}", *more]
        return process.run(self.command(argv), stdin=stdin).raw

    def read(self, name: str, limit: int, after: int = 0) -> bytes:
        script = '[ ! -f "$1" ] || [ -h "$1" ] || tail -c "+$2" "$1" | tail -c "$3"'
        return self.sh(script, name, str(after + 1), str(limit))

    def size(self, name: str) -> int:
        return int(self.sh('[ ! -f "$1" ] && echo 0 || wc -c <"$1"', name))

    def exists(self, name: str) -> bool:
        return self.sh('[ -e "$1" ] || [ -h "$1" ] && echo yes || echo no', name) == b"yes\n"

    def write(self, files: Mapping[str, str]) -> None:
        script = 'umask 077; mkdir -p "${1%/*}" && cat >"$1.new" && mv -fT "$1.new" "$1"'
        for name, text in files.items():
            self.sh(script, name, stdin=os.fsencode(text))

    def append(self, name: str, line: bytes) -> None:
        script = 'umask 077; mkdir -p "${1%/*}"; [ ! -e "$1" ] && [ ! -h "$1" ] || [ -f "$1" -a ! -h "$1" ] && cat >>"$1"'
        self.sh(script, name, stdin=line)
