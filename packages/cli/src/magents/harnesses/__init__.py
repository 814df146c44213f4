"""The harnesses: one file each, found by name.

A new one is a new file and a line in `TABLE`; it is imported only when an agent uses it.
"""

from __future__ import annotations

from importlib import import_module

from magents.core.errors import NotFound
from magents.core.text import one_line
from magents.harnesses.base import Harness

TABLE = {
    "claude": "Claude",
    "codex": "Codex",
    "gemini": "Gemini",
    "opencode": "OpenCode",
    "aider": "Aider",
    "command": "Command",
}
_made: dict[tuple[str, bool], Harness] = {}


def harness(name: str, *, private: bool = False) -> Harness:
    """The harness of that name; `private`: as it is in a container of ours. Raises NotFound."""
    if (name, private) not in _made:
        if name not in TABLE:
            raise NotFound(
                f"There is no harness `{one_line(name)}`.",
                f"Choose one of {', '.join(n for n in TABLE if n != 'command')}, "
                "or give any program: magents create BRANCH -- PROGRAM …",
            )
        kind: type[Harness] = getattr(import_module(f"magents.harnesses.{name}"), TABLE[name])
        _made[name, private] = kind(private)
    return _made[name, private]
