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
_made: dict[tuple[str, str, str], Harness] = {}


def harness(name: str, home: str = "user", where: str = "here") -> Harness:
    """The harness of that name; `home` and `where` as `runtimes.base.Traits` has its home and its program. Raises
    NotFound."""
    key = name, home, where
    if key not in _made:
        if name not in TABLE:
            raise NotFound(
                f"There is no harness `{one_line(name)}`.",
                f"Choose one of {', '.join(n for n in TABLE if n != 'command')}, "
                "or give any program: magents create BRANCH -- PROGRAM …",
            )
        kind: type[Harness] = getattr(import_module(f"magents.harnesses.{name}"), TABLE[name])
        _made[key] = kind(home, where)
    return _made[key]
