"""Seeing what the agents do: one look at the store, one at each runtime, one read of each log."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from magents import events, harnesses, runtimes, status
from magents.errors import MagentsError
from magents.fleet.context import Context, boot
from magents.model import Agent, Status
from magents.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from magents.runtimes.base import Sighting


class View(NamedTuple):
    """An agent and what it does."""

    agent: Agent
    status: Status
    orphan: bool = False
    """It runs, but the store does not know it."""


class Look(NamedTuple):
    """All agents at one moment."""

    views: list[View]
    problems: list[str]
    """What could not be asked, a line each."""


class Seen(NamedTuple):
    """What the runtimes have seen."""

    sightings: dict[str, list[Sighting]]
    """By the name of each runtime that could be asked."""
    problems: list[str]


def look(context: Context, agents: Sequence[Agent] | None = None) -> Look:
    """What these agents do; by default all living ones, and whatever runs without a record."""
    chosen = context.store.live() if agents is None else agents
    seen = observe(chosen)
    facts = gather(context, chosen, seen)
    views = [View(fact.agent, status.status(fact)) for fact in with_screens(context, facts)]
    if agents is None:
        views += orphans(context, chosen, seen)
    return Look(views, seen.problems)


def observe(agents: Iterable[Agent]) -> Seen:
    """Ask each runtime once: those in use, and tmux, which can hold orphans."""
    sightings: dict[str, list[Sighting]] = {}
    problems = []
    for name in dict.fromkeys(["tmux", *(agent.runtime for agent in agents)]):
        try:
            sightings[name] = runtimes.runtime(name).observe()
        except MagentsError as error:
            problems.append(f"{name} cannot be asked: {error.message}")
    return Seen(sightings, problems)


def gather(context: Context, agents: Iterable[Agent], seen: Seen) -> list[status.Facts]:
    """What is known of each agent, without any call per agent but the read of its log."""
    by_folder = {
        (name, sighting.label.get("folder", "")): sighting
        for name, found in seen.sightings.items()
        for sighting in found
    }
    machine = boot()
    facts = []
    for agent in agents:
        folder = context.folder(agent)
        kind = context.harness(agent)
        sighting = by_folder.get((agent.runtime, folder))
        state = "absent" if sighting is None else "alive" if sighting.alive else "ended"
        facts.append(
            status.Facts(
                agent,
                status.read(events.read(folder), kind),
                kind.reports,
                bool(kind.takes_prompt),
                state if agent.runtime in seen.sightings else "unknown",
                sighting.active if sighting else 0.0,
                os.path.isdir(agent.workspace),
                machine,
                agent.phase not in ("active", "stopped") and context.store.busy(agent.id),
            )
        )
    return facts


def with_screens(context: Context, facts: list[status.Facts]) -> list[status.Facts]:
    """Look at the screens of those agents about which nothing else can tell, in one call per runtime."""
    now = time.time()
    open_ones = [fact for fact in facts if status.doubtful(fact, now)]
    screens: dict[str, str] = {}
    for name in dict.fromkeys(fact.agent.runtime for fact in open_ones):
        ids = [fact.agent.id for fact in open_ones if fact.agent.runtime == name]
        screens |= Terminal(runtimes.runtime(name).inside(ids[0])).screens(ids)
    return [
        status.seen_on_screen(fact, context.harness(fact.agent).look(screens[fact.agent.id]), now)
        if fact in open_ones and fact.agent.id in screens
        else fact
        for fact in facts
    ]


def orphans(context: Context, agents: Iterable[Agent], seen: Seen) -> list[View]:
    """Agents that run without a record: the store was lost, or belongs to another home."""
    known = {(agent.runtime, context.folder(agent)) for agent in agents}
    return [
        View(adopted(name, sighting), of_orphan(sighting), orphan=True)
        for name, found in seen.sightings.items()
        for sighting in found
        if (name, sighting.label.get("folder", "")) not in known
    ]


def of_orphan(sighting: Sighting) -> Status:
    """What an orphan does, as far as its terminal tells."""
    if sighting.alive:
        return Status("running", "orphan: no record of it")
    return Status("stopped", "orphan: its program has ended, and there is no record of it")


def adopted(name: str, sighting: Sighting) -> Agent:
    """The record of an orphan, as far as its label tells."""
    told = sighting.label
    harness = told.get("harness", "")
    return Agent(
        0, sighting.id, told.get("project", ""), told.get("branch", ""), told.get("base", ""),
        told.get("base_commit", ""), False, harness if harness in harnesses.TABLE else "command",
        command_of(told), name, told.get("workspace", ""), sighting.active, "active", False, boot(), "",
    )  # fmt: skip


def command_of(label: dict[str, str]) -> tuple[str, ...]:
    """The program in an orphan's label; empty if it is none."""
    try:
        words = json.loads(label.get("command", "[]"))
    except ValueError:
        return ()
    return tuple(map(str, words)) if isinstance(words, list) else ()


def one(context: Context, agent: Agent) -> Status:
    """What one agent does; `agent` may be an older record of it."""
    return look(context, [context.store.get(agent.key)]).views[0].status


def is_alive(context: Context, agent: Agent) -> bool:
    """Whether its program runs. Raises MagentsError when its runtime cannot be asked."""
    folder = context.folder(agent)
    return any(s.alive for s in context.runtime(agent).observe() if s.label.get("folder") == folder)
