"""Waiting until agents are done, ask something, or have stopped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from magents.fleet.context import Context
from magents.fleet.observe import observe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from magents.core.agent import Agent
    from magents.core.status import Status

Goal = Literal["done", "waiting", "stopped"]


def reached(state: Status, goal: Goal) -> bool | None:
    """Whether an agent is where `wait` wants it; None when it cannot get there by itself any more. Of one that
    cannot be asked for, neither is known."""
    if state.reason == "unreachable":
        return False
    there = state.over if goal == "stopped" else state.state == goal
    return None if state.over and not there else there


class Waited(NamedTuple):
    """How a wait ended."""

    reached: bool
    timed_out: bool
    states: dict[str, Status]


def wait(context: Context, agents: Sequence[Agent], goal: Goal, timeout: float | None) -> Waited:
    """Wait until all agents are there, one cannot get there any more, or `timeout` seconds are over. A runtime that
    cannot be asked is told of, and asked again."""
    reported: set[str] = set()
    until = time.monotonic() + timeout if timeout is not None else float("inf")
    while True:
        now = [agent for agent in context.store.live() if agent.key in {a.key for a in agents}]
        overview = observe(context, now)
        for problem in set(overview.problems) - reported:
            context.warn(problem)
        reported |= set(overview.problems)
        states = {view.agent.id: view.status for view in overview.views}
        results = [reached(states[a.id], goal) if a.id in states else None for a in agents]
        if goal == "stopped":
            results = [True if result is None else result for result in results]
        if all(results) or None in results:
            return Waited(all(results), False, states)
        if time.monotonic() >= until:
            return Waited(False, True, states)
        time.sleep(0.2)
