"""tmux in any place: the caller says how a command runs there.

An agent's session is `magents-<id>`, with a window `agent` and a window `shell`. The session carries the option
`@magents`: what Magents needs to find it again without its store. The pane of the agent's program carries
`@magents_agent`, because users rename windows and open more of them.
"""

from __future__ import annotations

import os
import time

from magents.core.errors import CommandFailed, Conflict, MagentsError, NoAnswer
from magents.core.names import of_session, session
from magents.core.tuples import NamedTuple
from magents.system import process
from magents.system.there import here, run_there

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from magents.system.there import Command

HISTORY = 50_000
"""Lines of scroll-back an agent's terminal keeps."""

ANSWER_S = 30
"""Seconds that tmux gets for a command."""
SCREEN_S = 10
"""Seconds that tmux gets to show a terminal: the tmux of an agent's container may never answer."""
MAX_SCREEN_BYTES = 64 * 1024 * 1024
"""Bytes that tmux may print."""

MARK = "MAGENTS_FOLDER"
"""The environment variable by which all that an agent has started is known; its value is the agent's own folder."""

FORM = "\t".join((
    "#{session_name}", "#{pane_id}", "#{pane_pid}", "#{pane_dead}", "#{window_activity}", "#{pid}",
    "#{@magents_agent}", "#{@magents}",
))  # fmt: skip
"""A line for each pane; see `parse`."""

NO_SERVER = ("no server running", "No such file or directory")
# A server that is just ending or has just ended says one of these; asking again tells the truth.
ENDING = ("no current target", "lost server", "server exited")


class Pane(NamedTuple):
    """The terminal of one agent as tmux tells of it."""

    id: str
    pane: str
    """tmux's name of the pane; '' if the session is there and its agent's pane has been closed."""
    pid: int
    dead: bool
    """Its program has ended; the screen is still there to read."""
    active: float
    """Unix time of its last output, in whole seconds."""
    label: str
    server: int
    """The process number of the tmux server."""


class Closed(NamedTuple):
    """What is left of a terminal that was closed."""

    shown: str
    """Its history and its screen, styled."""
    server: int
    """The process number of the tmux server; 0 where none runs."""


class Terminal:
    """tmux in one place."""

    def __init__(self, command: Command = here) -> None:
        """`command`: gives the command line that runs a command in that place; by default this machine."""
        self.command = command

    def run(self, *args: str, stdin: bytes | None = None, ok: Sequence[int] = (0,)) -> process.Result:
        """Run a tmux command.

        `-u` because without a UTF-8 locale tmux prints `_` for what it cannot.
        """
        words = self.command(["tmux", "-u", *args])
        return process.run(words, stdin=stdin, ok=ok, timeout=ANSWER_S, max_output_bytes=MAX_SCREEN_BYTES)

    def open(
        self, id: str, argv: Sequence[str], workspace: str, folder: str, label: str, more: Sequence[str] = ()
    ) -> None:
        """Make an agent's session; its program starts in `workspace`.

        `more`: further commands of tmux, each after a `;`.
        `folder` is the agent's own folder: whatever runs in the session has it in its environment, and
        `close` knows the session by it. `label` is printable ASCII. The session begins with the shell,
        because a window's history limit is the one in force when it is made. Everything goes in one call:
        either the session is whole or, on an error, gone. Raises Conflict when somebody else has its name.
        """
        name = session(id)
        where = literal(workspace)
        try:
            self.run(
                "new-session", "-d", "-e", f"{MARK}={folder}", "-s", name, "-n", "shell", "-c", where,
                "-x", "200", "-y", "50", ";",
                "set-option", "-t", f"={name}:", "history-limit", str(HISTORY), ";",
                "set-option", "-t", f"={name}:", "@magents_folder", folder, ";",
                "set-option", "-t", f"={name}:", "@magents", label, ";",
                "new-window", "-b", "-t", f"={name}:shell", "-n", "agent", "-c", where, *argv, ";",
                "set-option", "-w", "-t", f"={name}:agent", "remain-on-exit", "on", ";",
                "set-option", "-p", "-t", f"={name}:agent", "@magents_agent", "1",
                *more,
            )  # fmt: skip
        except BaseException as error:
            if isinstance(error, CommandFailed) and "duplicate session" in error.stderr:
                raise Conflict(
                    f"tmux already has a session `{name}`, which is not this agent's.",
                    f"Choose another id, or end it: tmux kill-session -t ={name}",
                ) from error
            self.close(id, folder)
            raise

    def reopen(self, id: str, argv: Sequence[str], folder: str) -> None:
        """Run a program in the agent's window, in which the last one has ended."""
        self.run("respawn-pane", "-k", "-t", f"={session(id)}:agent", "-c", literal(folder), *argv)

    def close(self, id: str, folder: str) -> Closed:
        """End the session of the agent whose own folder this is. Idempotent.

        One call asks whether the session is that agent's, keeps what it shows, ends it, and names the server. A
        session of the same name that is somebody else's is left alone.
        """
        target = f"={session(id)}:"
        ours = f"#{{==:#{{@magents_folder}},{in_format(folder)}}}"
        show = f"capture-pane -p -e -J -S - -t {target}agent"
        for _ in range(50):
            try:
                said = self.run(
                    "display-message", "-p", "#{pid}", ";",
                    "if-shell", "-F", "-t", target, ours, show, ";",
                    "if-shell", "-F", "-t", target, ours, f"kill-session -t {target}",
                )  # fmt: skip
            except CommandFailed as error:
                if "can't find" in error.stderr:  # its window has been closed; the rest was done
                    return Closed("", number(error.output.partition("\n")[0]))
                if not silent(error):
                    raise
                if not any(word in error.stderr for word in ENDING):
                    return Closed("", 0)
                time.sleep(0.02)
            else:
                pid, _, shown = said.text.partition("\n")
                return Closed(shown, number(pid))
        return Closed("", 0)

    def panes(self) -> list[Pane]:
        """Every agent's terminal, in one look. Empty where no server runs; raises if it cannot be asked."""
        for _ in range(50):
            try:
                return list(self._panes().values())
            except CommandFailed as error:
                if not silent(error):
                    raise
                if not any(word in error.stderr for word in ENDING):
                    return []
                time.sleep(0.02)
        raise MagentsError("tmux does not answer: its server seems to be ending.", "Try again.")

    def _panes(self) -> dict[str, Pane]:
        """One pane for each session, by the agent's id: the agent's pane, or a pane that says that this one has
        been closed."""
        panes = ("list-panes", "-a", "-F", FORM, "-f")
        sessions = ("list-sessions", "-F", "#{session_name}", "-f", "#{@magents}")
        rows = self.run(*panes, "#{@magents_agent}", ";", *sessions).text.splitlines()
        found = by_id(rows)
        if all(id in found for row in rows if (id := of_session(row)) and "\t" not in row):
            return found
        # A session without its agent's pane is rare, so that only now all of them are asked for.
        return by_id(self.run(*panes, "#{@magents}").text.splitlines()) | found

    def screen(self, id: str, *, history: int = 0, styled: bool = False) -> str:
        """What the agent's terminal shows, with up to `history` lines of what has scrolled away.

        Raises NoAnswer when tmux does not say in time.
        """
        style = ["-e"] if styled else []
        start = ["-S", str(-history)] if history else []
        words = ("tmux", "-u", "capture-pane", "-p", "-J", *style, *start, "-t", f"={session(id)}:agent")
        try:
            return run_there(self.command, words, timeout=SCREEN_S, max_output_bytes=MAX_SCREEN_BYTES).text
        except CommandFailed as error:
            if error.code is None:
                raise NoAnswer(id, SCREEN_S) from error
            raise

    def screens(self, ids: Sequence[str]) -> dict[str, str]:
        """The styled screens of several agents in one call. An agent that has just gone is left out."""
        mark = f"magents-{os.urandom(8).hex()}:"  # no agent can print it, and so pass for another
        args: list[str] = []
        for id in ids:
            target = f"={session(id)}:agent"
            args += ["display-message", "-p", "-t", target, f"{mark}{id}", ";"]
            args += ["capture-pane", "-p", "-J", "-e", "-t", target, ";"]
        try:
            text = self.run(*args[:-1], ok=(0, 1)).text if args else ""
        except CommandFailed:
            return {}
        parts = text.split(mark)[1:]
        return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}

    def paste(self, id: str, text: str) -> None:
        """Put text into the program's input as a paste, so that its newlines do not send it."""
        name = session(id)
        target = f"={name}:agent"
        self.run("load-buffer", "-b", name, "-", stdin=text.encode("utf-8", "surrogateescape"))
        self.run("paste-buffer", "-d", "-p", "-r", "-b", name, "-t", target)

    def keys(self, id: str, *names: str) -> None:
        """Press keys, by tmux's names for them (`Enter`, `Escape`, `C-c`)."""
        self.run("send-keys", "-t", f"={session(id)}:agent", *names)

    def socket(self) -> str:
        """The path of the server's socket."""
        return self.run("display-message", "-p", "#{socket_path}").line

    def attach(self, id: str, *, inside: bool, read_only: bool = False) -> list[str]:
        """The words of the command that brings the user's terminal to the agent.

        `inside`: the user already is in this tmux, where a client cannot be nested but only switched.
        """
        flags = ["-r"] if read_only else []
        verb = "switch-client" if inside else "attach-session"
        target = f"={session(id)}:agent" if inside else f"={session(id)}"
        return self.command(["tmux", "-u", verb, *flags, "-t", target], tty=True)


def literal(text: str) -> str:
    """Text for a place in which tmux expands formats: it is taken as it is. `#(command)` would even be run."""
    return text.replace("#", "##")


def quoted(text: str) -> str:
    """Text as one word of a tmux command or of a shell's; its `#` is taken as it is."""
    return "'" + literal(text).replace("'", "'\\''") + "'"


def in_format(text: str) -> str:
    """Text as a part of a tmux format, in which these signs would end it."""
    return literal(text).replace(",", "#,").replace("}", "#}")


def silent(error: CommandFailed) -> bool:
    """Whether tmux only says that there is no server to ask, or that it is ending."""
    return any(word in error.stderr for word in NO_SERVER + ENDING)


def parse(row: str) -> Pane | None:
    """A pane from its line, as `FORM` has it; None for anything else."""
    fields = row.split("\t", 7)
    id = of_session(fields[0])
    if len(fields) != 8 or not id or not fields[7]:
        return None
    _, pane, pid, dead, active, server, agent, label = fields
    if not agent:
        return Pane(id, "", 0, True, 0.0, label, number(server))
    return Pane(id, pane, number(pid), dead == "1", float(number(active)), label, number(server))


def number(text: str) -> int:
    """A number that tmux tells; 0 where it tells none. In a container the agent can answer in its place."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def by_id(rows: Sequence[str]) -> dict[str, Pane]:
    """The panes on these lines, the last one of each session."""
    return {pane.id: pane for row in rows if (pane := parse(row))}


def wait(for_what: Callable[[], bool], seconds: float, pause: float = 0.02) -> bool:
    """Poll until the condition is true; False after `seconds`. The first pauses are short: most conditions are true
    soon."""
    until = time.monotonic() + seconds
    short = pause / 64
    while not for_what():
        if time.monotonic() > until:
            return False
        time.sleep(short)
        short = min(pause, 2 * short)
    return True
