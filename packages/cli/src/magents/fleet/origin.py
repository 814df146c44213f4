"""Whom to trust with a pin: what a container made is data, whichever mode the agent is in now."""

from __future__ import annotations

from magents import runtimes
from magents.git.pins import format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.fleet.context import Context


def is_foreign(context: Context, project: str, pin: str) -> bool:
    """Whether we do not trust who made a pin.

    What the record beside the pin says counts. A pin of an older Magents has no record: it is trusted if the
    history of an agent tells that its removal on this machine made this very pin.
    """
    if made := format.origin(project, pin):
        return made.foreign
    makers = context.store.makers(project, pin)
    return not makers or any(not runtimes.recorded(name).traits.trusted for name in makers)
