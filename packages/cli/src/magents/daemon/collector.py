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

from magents.core.errors import Conflict, MagentsError
from magents.core.text import one_line
from magents.fleet import collect, listeners
from magents.guest import events
from magents.runtimes import Unknown
from magents.store import Store
from magents.system import log
from magents.system.isolated import isolated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from magents.core.agent import Agent
    from magents.fleet.context import Context

PAUSE_S = 0.5
"""Seconds between two looks; each look is one `lstat` for an agent."""
MAX_IDLE_LOOKS = 5
"""Looks without an agent after which the process ends."""
AT_ONCE = 8
"""How many agents are collected from at the same time."""
SLOW_AT_ONCE = 2
"""How many of these agents may be slow ones, by their last collection: nobody waits long for others."""
SLOW_S = 3
"""Seconds that a slow collection takes at least."""
REST_FACTOR = 4
"""An agent is left alone for so many times as long as its last collection took. So it gets a small share, however
often it says that a turn has ended."""


class Turns:
    """What the process knows of one agent."""

    def __init__(self) -> None:
        self.size = -1
        """Bytes of its log when that was last read."""
        self.ended = 0.0
        """When the last turn ended that was collected."""
        self.took = 0.0
        """Seconds that its last collection took."""
        self.due = 0.0
        """When it may be collected from again, by the monotonic clock."""
        self.noted = ""
        """The problem that was last noted of it."""
        self.running = False

    def look(self, context: Context, agent: Agent) -> None:
        """Collect from an agent if its log tells of a turn's end not seen before. Never raises."""
        try:
            with isolated(agent.id):
                size = context.place(agent).size(events.LOG)
                ended = turn_end(context, agent)
                if ended <= self.ended or self.collect(context, agent):
                    self.size, self.ended = size, max(ended, self.ended)
        except MagentsError as error:
            self.note(context, agent, one_line(error.message))
        finally:
            self.running = False

    def collect(self, context: Context, agent: Agent) -> bool:
        """Collect from an agent; False when another command is at work on it. Raises MagentsError."""
        from magents.fleet.collect import settling

        if context.store.get(agent.key).phase != "active":  # it is being stopped, which collects by itself
            return False
        begun, problem = time.monotonic(), ""
        try:
            problem = context.workspace(agent).collect(hold=lambda: settling(context, agent))
        except Conflict:
            return False
        except MagentsError as error:
            problem = one_line(error.message)
        finally:
            self.took = time.monotonic() - begun
            self.due = time.monotonic() + self.took * REST_FACTOR
        self.note(context, agent, problem)
        listeners.tell(context, "turn_ended", agent)
        return True

    def note(self, context: Context, agent: Agent, problem: str) -> None:
        """Note what kept its commits back, unless that was noted last, or it was stopped meanwhile."""
        with contextlib.suppress(MagentsError):
            if problem not in ("", self.noted) and context.store.get(agent.key).phase == "active":
                context.store.note(agent, "not-collected", f"not collected: {problem}")
        self.noted = problem


def serve(store: Store) -> None:
    """Collect whenever a turn has ended, until there is no agent to collect from."""
    from concurrent.futures import ThreadPoolExecutor

    known: dict[int, Turns] = {}
    idle = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while idle < MAX_IDLE_LOOKS and os.path.exists(store.path):
            context = quiet(store)
            agents = {agent.key: agent for agent in secluded(context)}
            known = {key: known.get(key) or Turns() for key in agents}
            idle = 0 if agents else idle + 1
            grown = {
                turns: agents[key] for key, turns in known.items()
                if turns.running or context.place(agents[key]).size(events.LOG) != turns.size
            }  # fmt: skip
            for turns in chosen(grown, time.monotonic()):
                turns.running = True
                pool.submit(turns.look, quiet(Store(store.folder)), grown[turns])
            time.sleep(PAUSE_S)


def quiet(store: Store) -> Context:
    """A context that tells nobody."""
    from magents.fleet.context import Context

    return Context(store, lambda step: None, lambda text: None)


def chosen(grown: Iterable[Turns], now: float) -> list[Turns]:
    """Those to look at now, of the agents whose logs have grown or that are being looked at: as many as may be at
    once, quick ones first. Pure."""
    busy = [turns for turns in grown if turns.running]
    free, slow = AT_ONCE - len(busy), SLOW_AT_ONCE - sum(turns.took >= SLOW_S for turns in busy)
    waiting = sorted(
        (turns for turns in grown if not turns.running and turns.due <= now), key=lambda turns: turns.took
    )
    quick = [turns for turns in waiting if turns.took < SLOW_S]
    others = [turns for turns in waiting if turns.took >= SLOW_S]
    return [*quick, *others[: max(0, slow)]][: max(0, free)]


def secluded(context: Context) -> Iterator[Agent]:
    """The agents that run, or should, where the user's repository cannot be reached."""
    for agent in context.store.live():
        runtime = context.runtime(agent)
        secluded = runtime.traits.workspace != "worktree" and not isinstance(runtime, Unknown)
        if agent.phase in ("creating", "active") and secluded:
            yield agent


def turn_end(context: Context, agent: Agent) -> float:
    """When its last turn ended, by its log; 0 for never."""
    report = context.report(agent)
    done = report.signal is not None and report.signal.state == "done"
    return max(report.ended_at or 0.0, (report.signal_at or 0.0) if done else 0.0)


def main(folder: str) -> None:
    """The process: one for each store."""
    with log.recorded("collector"):
        store = Store(folder)
        if collect.alone(store) is not None:
            serve(store)


if __name__ == "__main__":
    main(sys.argv[1])
