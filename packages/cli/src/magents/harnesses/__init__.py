"""The harnesses: one file each, found by name.

A new one is a new file and a line in `TABLE`; it is imported only when an agent uses it.
"""

from __future__ import annotations

from importlib import import_module

from magents.errors import NotFound
from magents.harnesses.base import Harness
from magents.text import one_line

TABLE = {
    "claude": "Claude",
    "codex": "Codex",
    "gemini": "Gemini",
    "opencode": "OpenCode",
    "aider": "Aider",
    "command": "Command",
}
_made: dict[str, Harness] = {}


def harness(name: str) -> Harness:
    """The harness of that name. Raises NotFound."""
    if name not in _made:
        if name not in TABLE:
            raise NotFound(
                f"There is no harness `{one_line(name)}`.",
                f"Choose one of {', '.join(n for n in TABLE if n != 'command')}, "
                "or give any program: magents create BRANCH -- PROGRAM …",
            )
        kind: type[Harness] = getattr(import_module(f"magents.harnesses.{name}"), TABLE[name])
        _made[name] = kind()
    return _made[name]
