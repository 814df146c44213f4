"""The dialect of hooks that several harnesses share, Claude Code's: commands for each event, which get JSON with
the `session_id`, the `tool_name` and what the tool is about to do."""

from __future__ import annotations

import re

from magents.core.event import Event, Signal
from magents.harnesses.base import Harness
from magents.harnesses.fields import field, line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DETAILS = ("question", "command", "file_path", "url", "pattern", "query", "message", "description")
"""Fields that tell what a tool is about to do, the most telling first."""


def hooks(events: Iterable[str], command: Callable[[str], str], **more: object) -> dict[str, object]:
    """The setting `hooks`: for each event a command, a line of shell, and `more` of it."""
    return {event: [{"hooks": [{"type": "command", "command": command(event), **more}]}] for event in events}


class HookedHarness(Harness):
    """A harness that reports by such hooks."""

    working: frozenset[str]
    """Events that tell that a turn goes on."""
    waiting: frozenset[str] = frozenset()
    """Events that come with a question."""
    done: frozenset[str]
    """Events that tell that a turn is over."""
    question_tool: tuple[str, str] = ("", "")
    """The event that comes before a tool, and the tool with which it asks the user something."""
    named_by: frozenset[str]
    """Events whose conversation can be resumed."""

    def read(self, event: Event) -> Signal | None:
        """What a hook says."""
        if event.name in self.waiting:
            return self.question(event.data)
        if event.name == self.question_tool[0] and field(event.data, "tool_name") == self.question_tool[1]:
            return Signal("waiting", field(event.data, "question") or "an answer")
        if event.name in self.working:
            return Signal("working")
        return Signal("done") if event.name in self.done else None

    def question(self, data: str) -> Signal | None:
        """What a request asks: the tool and what it is about to do."""
        tool = field(data, "tool_name") or "permission"
        detail = next(filter(None, (field(data, name) for name in DETAILS)), None)
        return Signal("waiting", line(f"{tool}: {detail}") if detail else tool)

    def session(self, event: Event) -> str | None:
        """The conversation's UUID."""
        found = field(event.data, "session_id") if event.name in self.named_by else None
        return found if found and re.fullmatch(r"[0-9a-fA-F-]{36}", found) else None
