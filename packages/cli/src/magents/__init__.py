"""Magents runs many AI coding agents at once, each on its own git branch in its own copy of a project."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from magents.fleet import Fleet

__version__ = "0.1.0"
__all__ = ["Fleet", "__version__"]


def __getattr__(name: str) -> Any:
    """`Fleet`, imported at its first use: the command line's start must not pay for it."""
    if name == "Fleet":
        from magents.fleet import Fleet

        return Fleet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
