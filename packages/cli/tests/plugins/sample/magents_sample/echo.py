"""The harness."""

from magents.core.event import Signal
from magents.core.program import Program
from magents.harnesses.base import Harness
from magents.harnesses.fields import line, shown


class Echo(Harness):
    """`sample-agent`."""

    name = "echo"
    takes_prompt = frozenset({"Prompt"})

    def start(self, start):
        """The program with its first prompt."""
        prompt = (start.prompt,) if start.prompt else ()
        return Program(("sample-agent", f"{start.share}/magents-event", start.folder, *prompt))

    def read(self, event):
        """It takes a prompt, or has said it."""
        return {"Prompt": Signal("working"), "Done": Signal("done", line(event.data))}.get(event.name)

    def look(self, screen):
        """It waits for a prompt behind its mark."""
        return Signal("done") if last(screen).startswith(">") else Signal("working")

    def draft(self, screen):
        """What stands behind the mark."""
        return last(screen).removeprefix(">").strip()


def last(screen):
    """The last row."""
    return shown(screen).rpartition("\n")[2]
