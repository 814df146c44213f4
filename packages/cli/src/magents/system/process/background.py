"""Commands that go on without us and say nothing."""

from __future__ import annotations

from magents.system.process.child import Child
from magents.system.process.running import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DETACH = """trap '' HUP INT; cd /; unset MAGENTS_FOLDER; "$@" </dev/null >/dev/null 2>&1 &"""


def detach(argv: Sequence[str]) -> None:
    """Start a command that goes on when this process and its terminal are gone.

    An agent that started it does not take it along when it ends (`processes.marked`).
    """
    run(["sh", "-c", DETACH, "sh", *argv], timeout=30)


_left: list[Child] = []


def leave(argv: Sequence[str]) -> None:
    """Start a command, and go on. When this process ends just now, it may not have got far."""
    _left[:] = [child for child in _left if child.poll() is None]  # else they would stay as zombies
    _left.append(Child(argv))
