"""What is reported of an agent, and what that says about it."""

from __future__ import annotations

from magents.core.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


class Event(NamedTuple):
    """One line of an agent's log. Written by programs that nobody vouches for."""

    at: float
    """Unix time as the writer told it, seconds."""
    by: str
    """Who reported it: a harness's name, or `wrapper`."""
    name: str
    data: str
    """What came with it, usually JSON text, cut off by the writer after some kilobytes."""
    run: str = ""
    """Which run of the agent it is of, as its wrapper has named that; '' where the writer does not know."""


class Signal(NamedTuple):
    """What an event, or as a last resort the screen, says about an agent."""

    state: Literal["working", "waiting", "done"]
    detail: str = ""
    failed: bool = False
    """Its turn is over, and has failed."""
    end_is_reported: bool = False
    """The harness reports its end, whatever that is, so that the screen need not be asked."""
