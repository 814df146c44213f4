"""Bringing the commits of agents in containers home."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from magents.core.errors import Conflict
from magents.fleet.diff import check_workspace
from magents.system.files import locks
from magents.system.process import background

if TYPE_CHECKING:
    from collections.abc import Iterator

    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.store import Store


COLLECTOR = "magents.daemon.collector"
"""The process that brings commits home at the end of each turn. It stands above this room, so it is named only."""


def ensure_collector(context: Context) -> None:
    """Start the collector unless it runs."""
    lock = alone(context.store)
    if lock is not None:
        os.close(lock)
        background.detach([sys.executable, "-m", COLLECTOR, context.store.folder])


def alone(store: Store) -> int | None:
    """Take the lock that the collector holds while it runs; None where it is another process's."""
    lock = locks.opened(os.path.join(store.folder, "collector.lock"))
    if locks.take(lock):
        return lock
    os.close(lock)
    return None


def collect(context: Context, agent: Agent) -> str:
    """Bring its commits to the project; see `Fleet.collect`."""
    check_workspace(agent)
    return context.workspace(agent).collect(hold=lambda: settling(context, agent))


@contextlib.contextmanager
def settling(context: Context, agent: Agent) -> Iterator[Agent]:
    """Hold an agent's lock while what was fetched from it is taken over. Raises Conflict when it is being removed.

    The lock is not held during the fetch: the agent can make the fetch last, and other commands wait for the lock.
    """
    with context.store.lock(agent.id):
        agent = context.store.get(agent.key)
        if agent.phase not in ("creating", "active", "stopped"):
            raise Conflict(f"{agent.id} is being removed, or is gone.", "Its work is kept: magents list --removed")
        yield agent
