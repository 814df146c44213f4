"""The runtimes: one file each, found by name. A new one is a new file and a line in `TABLE`."""

from __future__ import annotations

from importlib import import_module

from magents.core.errors import NotFound
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.runtimes.base import Runtime

TABLE = {
    "tmux": ("magents.runtimes.local.runtime", "Tmux"),
    "docker": ("magents.runtimes.docker.runtime", "Docker"),
}
_made: dict[str, Runtime] = {}


def runtime(name: str) -> Runtime:
    """The runtime of that name. Raises NotFound."""
    if name not in _made:
        if name not in TABLE:
            raise NotFound(f"There is no mode `{one_line(name)}`.", f"Choose one of {', '.join(TABLE)}.")
        kind: type[Runtime] = getattr(import_module(TABLE[name][0]), TABLE[name][1])
        _made[name] = kind()
    return _made[name]
