"""What `list --long` adds: agents' work in numbers, what their containers use, what their branches conflict
with."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from magents.core.errors import MagentsError
from magents.core.text import one_line
from magents.core.tuples import NamedTuple
from magents.fleet import observe
from magents.fleet.conflicts import conflicts
from magents.system.isolated import together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from magents.core.agent import Agent
    from magents.fleet.conflicts import Side
    from magents.fleet.context import Context
    from magents.git.diff import Summary

MAX_MERGES = 40
"""How many merges in memory are made for one list; of conflicts beyond them nothing is known yet."""


class Details(NamedTuple):
    """More of one agent; None where it cannot be told."""

    work: Summary | None = None
    usage: str | None = None
    conflicts: Sequence[Side] | None = None


class Known(NamedTuple):
    """The details of several agents, in their order."""

    details: list[Details]
    problems: list[str]
    """Which agents could not be asked, and why, a line each."""


def details(context: Context, agents: Sequence[Agent]) -> Known:
    """See `Fleet.details`; several agents are asked at once."""
    recorded = [agent for agent in agents if agent.key]
    there = [agent for agent in recorded if os.path.isdir(agent.workspace)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        using = pool.submit(observe.usage, context, agents)
        clashing = pool.submit(against, context, recorded)
        summaries = together(there, lambda agent: context.workspace(agent).summary())
        answers = {agent.key: answer for agent, answer in zip(there, summaries, strict=True)}
        usage, clashes = using.result(), clashing.result()
    problems = [
        f"the work of {agent.id} is not known: {one_line(answer.message, 200)}"
        for agent in there
        if isinstance(answer := answers[agent.key], MagentsError)
    ]
    works = {key: answer for key, answer in answers.items() if not isinstance(answer, MagentsError)}
    return Known([Details(works.get(a.key), usage.get(a.id), clashes.get(a.id)) for a in agents], problems)


def against(context: Context, agents: Sequence[Agent]) -> dict[str, list[Side]]:
    """What each agent's branch conflicts with; agents of which that is not known yet are left out."""
    try:
        result = conflicts(context, agents, MAX_MERGES)
    except MagentsError:
        return {}
    return {agent.id: result.of(agent.id) for agent in agents if agent.id not in result.unknown}
