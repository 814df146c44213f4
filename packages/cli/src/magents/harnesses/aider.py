"""aider. Facts below were seen with aider 0.86."""

from __future__ import annotations

import re
import shlex

from magents.core.event import Event, Signal
from magents.core.program import Program, Start
from magents.harnesses.base import Harness
from magents.harnesses.fields import line, shown

_PROMPTED = """
event=$1 folder=$2 prompt=$3
shift 3
trap : INT
"$event" "$folder" aider Prompt "$prompt"
aider "$@" --message="$prompt"
"$event" "$folder" aider Done ""
exec aider "$@" --restore-chat-history
"""
# aider has no option for a first prompt: --message ends after its answer. So it runs twice, and the second
# run, which stays, goes on with the conversation of the first.

_NOTIFY = (
    """{ sleep 0.3; tmux capture-pane -p -t "$TMUX_PANE" | grep . | tail -n 4 | sed 's/^/¶/' | %s; }"""
    " >/dev/null 2>&1 &"
)
# aider runs this when it wants the user, be it for an answer or for the next prompt, and does not say
# which: its screen does, as soon as it has put its question there. ¶ keeps the lines apart.

_ASKS = " (Y)es/(N)o"
_READY = re.compile(r" *[a-z-]*(?: multi)?>(?: (.*))?")


class Aider(Harness):
    """`aider`, which reports only when its turn is over or it asks: never that it took a prompt."""

    name = "aider"

    def start(self, start: Start) -> Program:
        """`aider`, its history in the agent's folder rather than in the project."""
        event = f"{start.share}/magents-event"
        words = [
            # Or it asks whether it may edit the project's .gitignore.
            "--no-gitignore",
            f"--chat-history-file={start.folder}/aider.history.md",
            f"--input-history-file={start.folder}/aider.input",
            "--notifications",
            f"--notifications-command={_NOTIFY % shlex.join((event, start.folder, 'aider', 'Notify'))}",
        ]
        if start.unattended:
            words += ["--yes-always"]
        if start.resume:
            words += ["--restore-chat-history"]
        if start.prompt:
            return Program(("sh", "-c", _PROMPTED, "aider", event, start.folder, start.prompt, *words))
        return Program(("aider", *words))

    def read(self, event: Event) -> Signal | None:
        """What it reported: it has come to an answer, or to a question."""
        if event.name == "Prompt":
            return Signal("working")
        if event.name == "Done":
            return Signal("done")
        if event.name == "Notify":
            return self.look(event.data.replace("¶", "\n")) or Signal("done")
        return None

    def look(self, screen: str) -> Signal | None:
        """Its last line: a question, its prompt, or its spinner."""
        about, last = _end(screen)
        question, asked, choices = last.partition(_ASKS)
        if asked and choices.endswith(":"):
            return Signal("waiting", line(question if "──" in about else f"{question} {about}"))
        ready = _READY.fullmatch(last)
        if ready and not ready[1]:
            return Signal("done")
        return Signal("working") if re.search(r"Waiting for \S+$", last) else None

    def draft(self, screen: str) -> str:
        """What stands unsent behind its prompt."""
        found = _READY.fullmatch(_end(screen)[1])
        return (found[1] or "").strip() if found else ""


def _end(screen: str) -> tuple[str, str]:
    """The last two rows of a screen."""
    about, last = ("\n\n" + shown(screen)).rsplit("\n", 2)[1:]
    return about, last
