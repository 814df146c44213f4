"""What the agents do: one query of the store, one look at each runtime, one read of each log."""

from __future__ import annotations

import contextlib
import os
import time

from magents import runtimes
from magents.core import bounded
from magents.core.agent import Agent
from magents.core.errors import MagentsError, NotFound
from magents.core.event import Signal
from magents.core.status import Status
from magents.core.tuples import NamedTuple
from magents.fleet.context import Context, boot
from magents.guest import status
from magents.guest.events import MAX_TIME_S
from magents.harnesses.base import Unknown
from magents.store.agents import pick
from magents.system.isolated import isolated
from magents.system.overlap import begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from magents.harnesses.base import Harness
    from magents.runtimes.base import Observation, Runtime
    from magents.system.overlap import Handle

    Places = dict[tuple[str, str], Agent]
    """Agents by the name of their runtime and their own folder."""


class View(NamedTuple):
    """An agent and what it does."""

    agent: Agent
    status: Status
    orphan: bool = False
    """It runs, but the store does not know it."""
    last_sign: float = 0.0
    """Unix time of the last sign of it, an event or output; 0 when there was none."""


class Overview(NamedTuple):
    """All agents at one moment."""

    views: list[View]
    problems: list[str]
    """What could not be asked, a line each."""


class Seen(NamedTuple):
    """What the runtimes have seen."""

    observations: dict[str, list[Observation]]
    """By the name of each runtime that could be asked."""
    problems: list[str]


def observe(context: Context, agents: Sequence[Agent] | None = None) -> Overview:
    """What these agents do; by default all living ones, and whatever runs without a record."""
    chosen = context.store.live() if agents is None else agents
    places = placed(context, chosen)
    logs = Logs(context)
    asked = ask_runtimes(chosen)
    logs.read(places)
    seen = asked.result()
    facts = with_screens(context, gather(context, places, seen, logs))
    views = [View(fact.agent, status.status(fact), last_sign=status.last_sign(fact)) for fact in facts]
    if agents is None:
        views += orphans(context, places, seen)
    return Overview(views, seen.problems)


class Asked:
    """Runtimes that were asked what they see."""

    def __init__(self, answers: Mapping[str, Handle[list[Observation]]], needed: Container[str]) -> None:
        self._answers = answers
        self._needed = needed

    def result(self) -> Seen:
        """What they see, once each has answered."""
        seen = Seen({}, [])
        for name, answer in self._answers.items():
            try:
                seen.observations[name] = answer.result()
            except MagentsError as error:
                # Where none of the user's agents is, another machine or an engine that does not run is no problem.
                if name in self._needed or runtimes.runtime(name).traits.program == "here":
                    seen.problems.append(f"{name} cannot be asked: {error.message}")
        return seen


def ask_runtimes(agents: Iterable[Agent]) -> Asked:
    """Ask each runtime once, all at the same time: those in use, and those that can hold orphans."""
    used = {agent.runtime for agent in agents}
    names = [*sorted(used - runtimes.TABLE.keys()), *reversed(runtimes.TABLE)]  # the slowest to answer comes first
    asked = {name: begin(ask, runtimes.recorded(name)) for name in names if name in used or plausible(name)}
    return Asked(asked, used)


def ask(runtime: Runtime) -> list[Observation]:
    """What a runtime sees."""
    return runtime.observe()


def plausible(name: str) -> bool:
    """Whether a runtime can have agents that no store knows. A runtime that cannot tell is asked for its agents,
    which shows its error."""
    try:
        return runtimes.runtime(name).plausible()
    except MagentsError:
        return True


def placed(context: Context, agents: Iterable[Agent]) -> Places:
    """Each agent by its place."""
    return {(agent.runtime, context.folder(agent)): agent for agent in agents}


class Logs:
    """What the agents' logs say."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reports: dict[tuple[str, str], status.Report] = {}

    def read(self, places: Places) -> None:
        """Read the logs of all these agents."""
        for place, agent in places.items():
            self._reports[place] = self._context.report(agent, place[1])

    def report(self, name: str, folder: str, agent: Agent, alive: bool) -> status.Report:
        """What one agent's log says. It is read, or read again, if it was not read yet, or if the agent was seen to
        end after that: the wrapper writes of the end before anybody can see it."""
        report = self._reports.get((name, folder))
        if report is None or not (alive or report.ended_at):
            self.read({(name, folder): agent})
        return self._reports[name, folder]


def gather(context: Context, places: Places, seen: Seen, logs: Logs) -> list[status.Facts]:
    """What is known of each agent, without any call per agent but the read of its log."""
    by_folder = {
        (name, observation.label.get("folder", "")): observation
        for name, observations in seen.observations.items()
        for observation in observations
    }
    machine = boot()
    facts = []
    for (name, folder), agent in places.items():
        kind = context.harness(agent)
        observation = by_folder.get((name, folder))
        report = logs.report(name, folder, agent, bool(observation and observation.alive))
        facts.append(
            status.Facts(
                agent,
                report,
                kind.reports,
                bool(kind.takes_prompt),
                presence(observation, report) if agent.runtime in seen.observations else "unknown",
                observation.active if observation else 0.0,
                os.path.isdir(agent.workspace),
                machine,
                agent.phase not in ("active", "stopped") and context.store.busy(agent.id),
                runtime_note=unknown(kind) or (observation.note if observation else gone(context, agent)),
            )
        )
    return facts


def unknown(harness: Harness) -> str:
    """What to say of a harness that this machine does not have; '' for any other."""
    return harness.why.message.rstrip(".") if isinstance(harness, Unknown) else ""


def gone(context: Context, agent: Agent) -> str:
    """What to say of an agent that its runtime does not see, although it keeps something of each; else ''."""
    keeps = context.runtime(agent).traits.keeps
    return f"its {keeps} is gone" if keeps else ""


def presence(observation: Observation | None, report: status.Report) -> status.Presence:
    """`status.presence` of what a runtime has observed."""
    if observation is None:
        return "absent"
    return status.presence(observation.there, observation.alive, report, time.time())


def with_screens(context: Context, facts: list[status.Facts]) -> list[status.Facts]:
    """Look at the screens of those agents about which nothing else can tell, in one call per runtime."""
    now = time.time()
    open_ones = [fact for fact in facts if status.doubtful(fact, now)]
    screens: dict[str, str] = {}
    for name in dict.fromkeys(fact.agent.runtime for fact in open_ones):
        folders = {f.agent.id: context.folder(f.agent) for f in open_ones if f.agent.runtime == name}
        with contextlib.suppress(MagentsError):  # then what was reported holds
            screens |= runtimes.recorded(name).screens(folders)
    return [seen_closer(context, fact, screens, now) if fact in open_ones else fact for fact in facts]


def seen_closer(context: Context, fact: status.Facts, screens: dict[str, str], now: float) -> status.Facts:
    """The facts with what the agent's screen shows. An agent whose terminal stirs long after a question, or after
    its turn, is at work again; once the terminal is still, the screen tells for certain."""
    if fact.agent.id in screens:
        try:
            with isolated("its screen can't be read"):
                seen = context.harness(fact.agent).look(screens[fact.agent.id])
        except MagentsError as error:
            return fact._replace(report=fact.report._replace(unreadable=error.message))
        return status.with_screen(fact, seen, now)
    stirs = context.runtime(fact.agent).traits.screens == "still" and fact.report.signal is not None
    return fact._replace(on_screen=Signal("working")) if stirs else fact


def orphans(context: Context, known: Places, seen: Seen) -> list[View]:
    """Agents that run without a record, because the store was lost. Agents of another store that exists are not
    among them."""
    return [
        View(adopted(name, observation), of_orphan(observation), orphan=True)
        for name, observations in seen.observations.items()
        for observation in observations
        if (name, folder := observation.label.get("folder", "")) not in known and not context.store.foreign(folder)
    ]


def of_orphan(observation: Observation) -> Status:
    """What an orphan does, as far as its terminal tells. A container without a label was made by somebody else: it
    is a service of a compose file."""
    if not observation.label:
        note = observation.note or "a container of your own"
        return Status("running" if observation.alive else "stopped", note, reason="foreign")
    note = f"; {observation.note}" if observation.note else ""
    if observation.alive:
        return Status("running", f"orphan: no record of it{note}", reason="no-record")
    detail = f"orphan: its program has ended, and there is no record of it{note}"
    return Status("stopped", detail, reason="no-record")


def adopted(name: str, observation: Observation) -> Agent:
    """The record of an orphan, as far as its label tells."""
    from magents.core.names import is_id

    label = observation.label
    harness = label.get("harness", "")
    return Agent(
        0, observation.id, label.get("project", ""), label.get("branch", ""), label.get("base", ""),
        label.get("base_commit", ""), False, harness if is_id(harness) else "command",
        command_of(label), name, label.get("workspace", ""), made(observation), "active", False, boot(), "",
    )  # fmt: skip


def made(observation: Observation) -> float:
    """When an orphan was created, as its label tells; else when its terminal last stirred."""
    try:
        created = float(observation.label["created"])
    except (KeyError, ValueError):
        return observation.active
    return created if 0 <= created < MAX_TIME_S else observation.active


def command_of(label: dict[str, str]) -> tuple[str, ...]:
    """The program in an orphan's label; empty if it is none."""
    try:
        words = bounded.loads(label.get("command", "[]"))
    except ValueError:
        return ()
    return tuple(map(str, words)) if isinstance(words, list) else ()


def usage(context: Context, agents: Sequence[Agent]) -> dict[str, str]:
    """What agents use of what they may have, by id. A runtime that cannot be asked adds nothing."""
    by_id: dict[str, str] = {}
    for name in dict.fromkeys(agent.runtime for agent in agents):
        with contextlib.suppress(MagentsError):
            by_id |= runtimes.recorded(name).usage()
    return by_id


def find(context: Context, id: str) -> Agent:
    """The living agent with this id or unique prefix, or an orphan of that id. Raises NotFound, Conflict."""
    try:
        return context.store.find(id)
    except NotFound:
        agents = context.store.live()
        views = orphans(context, placed(context, agents), ask_runtimes(agents).result())
        return pick(id, [view.agent for view in views], "magents list")


def one(context: Context, agent: Agent) -> Status:
    """What one agent does; `agent` may be an older record of it, or an orphan."""
    if not agent.key:
        views = orphans(context, {}, ask_runtimes([agent]).result())
        gone = Status("lost", "it is gone", reason="terminal-gone")
        return next((v.status for v in views if v.agent.id == agent.id), gone)
    return observe(context, [context.store.get(agent.key)]).views[0].status


def is_alive(context: Context, agent: Agent) -> bool:
    """Whether its program runs. Raises MagentsError when its runtime cannot be asked."""
    folder = context.folder(agent)
    report = context.report(agent)
    mine = [s for s in context.runtime(agent).observe() if s.label.get("folder") == folder]
    return any(presence(observation, report) == "alive" for observation in mine)
