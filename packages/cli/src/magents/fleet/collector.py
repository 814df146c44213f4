"""Bringing commits home at the end of each turn: one small process for all of a user's agents in containers.

An agent in a container cannot reach the user's repository, so somebody on this side has to fetch. Whoever
starts such an agent starts this process, unless it runs; it ends by itself when no such agent is left. Nothing
depends on it: `diff`, `merge`, `stop` and `collect` bring the commits home as well.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from magents import events, process
from magents.errors import MagentsError
from magents.fleet.context import isolated
from magents.store import Store, grab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from magents.fleet.context import Context
    from magents.model import Agent

PAUSE = 0.5
"""Seconds between two looks, each of one `lstat` for an agent."""
PATIENCE = 5
"""Looks without an agent after which the process ends."""


def ensure(context: Context) -> None:
    """Start the process if it does not run."""
    handle = held(context.store)
    if handle is not None:
        os.close(handle)
        process.detach([sys.executable, "-m", "magents.fleet.collector", context.store.folder])


def lock_path(store: Store) -> str:
    """The file whose lock the process holds."""
    return os.path.join(store.folder, "collector.lock")


def held(store: Store) -> int | None:
    """Take the lock; None when it is another process's."""
    handle = os.open(lock_path(store), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if grab(handle):
        return handle
    os.close(handle)
    return None


def serve(context: Context) -> None:
    """Collect whenever a turn has ended, until there is no agent to collect from."""
    seen: dict[int, tuple[int, float]] = {}
    idle = 0
    while idle < PATIENCE and os.path.exists(context.store.path):
        agents = list(secluded(context))
        idle = 0 if agents else idle + 1
        for agent in agents:
            with contextlib.suppress(MagentsError), isolated(agent.id):  # the next command tells of what is wrong
                look(context, agent, seen)
        time.sleep(PAUSE)


def secluded(context: Context) -> Iterator[Agent]:
    """The agents that run, or should, where the user's repository cannot be reached."""
    for agent in context.store.live():
        if agent.phase in ("creating", "active") and context.runtime(agent).private:
            yield agent


def look(context: Context, agent: Agent, seen: dict[int, tuple[int, float]]) -> None:
    """Collect from an agent whose log has grown if that tells of a turn's end not seen before."""
    size, last = seen.get(agent.key, (-1, 0.0))
    now = events.size(context.desk(agent).here)
    if now == size:
        return
    seen[agent.key] = (now, last)
    report = context.report(agent)
    ended = max(report.ended or 0.0, (report.at or 0.0) if report.signal and report.signal.state == "done" else 0.0)
    if ended <= last:
        return
    with contextlib.suppress(MagentsError), context.store.lock(agent.id):
        agent = context.store.get(agent.key)
        if agent.phase == "active" and (kept_back := context.workspace(agent).collect()):
            context.store.note(agent, f"not collected: {kept_back}")
    with contextlib.suppress(MagentsError):  # the next command tells of what is wrong with them
        from magents.fleet import lists

        lists.same(context, agent.project, wait=2)
    seen[agent.key] = (now, ended)


def main(folder: str) -> None:
    """The process: one for each store."""
    from magents.fleet.context import Context

    store = Store(folder)
    if held(store) is not None:
        serve(Context(store, lambda step: None, lambda text: None))


if __name__ == "__main__":
    main(sys.argv[1])
