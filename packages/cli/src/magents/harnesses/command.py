"""Any program: what stands after `--`.

It is `running` until it ends, unless it tells more itself:

    "$MAGENTS_EVENT" "$MAGENTS_FOLDER" command waiting 'Which colour?'

with `working`, `waiting` or `done`, and what to show beside it.
"""

from __future__ import annotations

from magents.core.errors import NotFound
from magents.core.event import Event, Signal
from magents.core.program import Program, Start
from magents.harnesses.base import Harness


class Command(Harness):
    """A program that Magents knows nothing about."""

    name = "command"
    reports = False

    def start(self, start: Start) -> Program:
        """The program itself; a prompt is its last argument, and a resumption is a new start."""
        if not start.command:
            raise NotFound(
                "What this agent ran is not known any more.", "Make it again: magents create BRANCH -- …"
            )
        prompt = () if start.prompt is None else (start.prompt,)
        return Program((*start.command, *prompt))

    def read(self, event: Event) -> Signal | None:
        """What it tells of itself."""
        match event.name:
            case "working" | "waiting" | "done":
                return Signal(event.name, event.data)
        return None
