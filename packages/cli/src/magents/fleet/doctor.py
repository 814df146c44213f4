"""What is missing or wrong on this machine, and what mends it. Each part checks itself."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, NamedTuple

from magents import config, harnesses, runtimes
from magents.core.errors import MagentsError, Problem
from magents.core.status import ABSENT
from magents.fleet import listeners, observe, recover, stop
from magents.harnesses.base import Unknown as UnknownHarness
from magents.runtimes import Unknown as UnknownRuntime
from magents.system import log, paths, process
from magents.system.extensions import BROKEN
from magents.system.isolated import isolated
from magents.system.programs import INSTALL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.fleet.observe import View
    from magents.runtimes.base import Runtime, Traits

    T = TypeVar("T")

MIN_GIT = (2, 38)
"""The git that brought `merge-tree --write-tree`."""
MIN_FREE_BYTES = 1024 * 1024 * 1024
"""Free bytes below which a disk is called almost full."""
RECENT_S = 7 * 24 * 3600
"""Seconds for which an unexpected error is shown."""
MAX_SHOWN_ERRORS = 3


class Finding(NamedTuple):
    """What one check has found."""

    about: str
    ok: bool
    text: str
    remedy: str = ""
    needed: bool = True
    """Whether Magents cannot do its work while it is not ok."""


class Checkup(NamedTuple):
    """What there is to say of this machine."""

    fixed: Sequence[str]
    """What was repaired, a line each."""
    findings: Sequence[Finding]


def examine(context: Context, folder: str) -> list[Finding]:
    """Check everything; `folder` is where the user stands."""
    settings = context.settings(folder)
    kept = store(context)
    return [
        git(),
        *places(),
        *extensions(),
        *programs(settings["AGENT"] if in_mode(settings).program == "here" else ""),
        *keys(settings),
        *configuration(settings),
        *errors(),
        kept,
        # The store tells which agents there are.
        *([*agents(context), *unknown(context), *of_listeners(context)] if kept.ok else []),
        *disks(context, folder, context.store.live() if kept.ok else []),
    ]


def fix(context: Context) -> list[str]:
    """Adopt agents that run without a record, and stop those whose stop was cut short; a line for each."""
    done: list[str] = []
    for view in observe.observe(context).views:
        if view.orphan and not view.agent.project:  # a container that somebody else looks after
            continue
        try:
            with isolated(view.agent.id):
                done += fix_one(context, view)
        except MagentsError as error:
            done.append(f"{view.agent.id}: left alone: {error.message}")
    return done


def errors() -> list[Finding]:
    """The last unexpected errors, of the days before."""
    remedy = f"It is a defect of Magents: report it with {config.shorten(log.path())}"
    return [
        Finding(
            "error", False, f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(at))} {summary}", remedy, needed=False
        )
        for at, summary in log.last(MAX_SHOWN_ERRORS)
        if time.time() - at < RECENT_S
    ]


def of_listeners(context: Context) -> list[Finding]:
    """What the rooms that join the agents' lives have found."""
    findings: list[Finding] = []
    for listener in listeners.LISTENERS:
        try:
            with isolated(listener.module):
                findings += listener.load().findings(context)
        except MagentsError as error:
            findings.append(Finding(listener.module, False, error.message, error.hint, needed=False))
    return findings


def fix_one(context: Context, view: View) -> list[str]:
    """`fix` for one agent. Raises MagentsError."""
    if view.orphan:
        return [f"{recover.adopt(context, view).id}: has a record again"]
    if view.agent.phase == "stopped" and view.status.state not in ABSENT:
        stop.stop(context, view.agent)
        return [f"{view.agent.id}: its stop was cut short, and has been completed"]
    return []


def git() -> Finding:
    """Git is there, and new enough."""
    try:
        version_line = process.run(["git", "--version"], timeout=10).line
    except MagentsError as error:
        return Finding("git", False, error.message, INSTALL["git"])
    digits = next((word for word in version_line.split() if word[0].isdigit()), "0")
    version = tuple(int(part) for part in digits.split(".")[:2] if part.isdigit())
    if version < MIN_GIT:
        return Finding("git", False, f"{version_line} is too old: 2.38 or newer is needed", INSTALL["git"])
    return Finding("git", True, version_line)


def places() -> list[Finding]:
    """Each runtime's own check."""
    findings = []
    for name in [*runtimes.TABLE, *(plugin.name for plugin in runtimes.plugins() if not plugin.problem)]:
        problems = asked(name, lambda runtime: runtime.check(), lambda error: [Problem(error.message, error.hint)])
        findings += [Finding(name, False, p.what, p.remedy, p.needed) for p in problems]
        if not problems:
            findings.append(Finding(name, True, "works"))
    return findings


def asked(name: str, ask: Callable[[Runtime], T], failed: Callable[[MagentsError], T]) -> T:
    """What a runtime answers, or what follows from its error."""
    try:
        return ask(runtimes.runtime(name))
    except MagentsError as error:
        return failed(error)


def extensions() -> list[Finding]:
    """What installed packages bring can be used."""
    return [
        Finding(
            plugin.kind, not plugin.problem, f"`{plugin.name}` of {plugin.package}{suffix}", BROKEN, needed=False
        )
        for plugin in (*harnesses.plugins(), *runtimes.plugins())
        for suffix in [f": {plugin.problem}" if plugin.problem else ""]
    ]


def unknown(context: Context) -> list[Finding]:
    """The harnesses and modes of agents that this machine does not have."""
    missing = dict[str, tuple[MagentsError, list[str]]]()
    for agent in context.store.live():
        for part in (context.harness(agent), context.runtime(agent)):
            if isinstance(part, (UnknownHarness, UnknownRuntime)):
                missing.setdefault(part.why.message, (part.why, []))[1].append(agent.id)
    return [
        Finding("agents", False, f"{why.message} Agents that need it: {', '.join(ids)}", why.hint, needed=False)
        for why, ids in missing.values()
    ]


def keys(settings: config.Config) -> list[Finding]:
    """In Docker mode, the configured harness finds a key of its model's in the environment."""
    if in_mode(settings).home != "image" or not is_harness(settings["AGENT"]):
        return []
    wanted = harnesses.record(settings["AGENT"]).keys
    there = [name for name in wanted if os.environ.get(name)]
    if there or not wanted:
        return [Finding("keys", True, ", ".join(there) or f"{settings['AGENT']} takes one of many")]
    problem = f"none for {settings['AGENT']} is in the environment, so agents in containers will ask for one"
    return [Finding("keys", False, problem, f"export {wanted[0]}=…", needed=False)]


def programs(default: str) -> list[Finding]:
    """Which harnesses are installed; the configured one is needed."""
    findings = []
    for name in [*harnesses.NAMES, *(plugin.name for plugin in harnesses.plugins() if not plugin.problem)]:
        record = harnesses.record(name)
        problems = record.check()
        findings += [Finding(name, False, p.what, p.remedy, name == default) for p in problems]
        if not problems:
            findings.append(Finding(name, True, shutil.which(record.program) or "installed"))
    return findings


def in_mode(settings: config.Config) -> Traits:
    """What holds for new agents; of a mode that this machine does not have, what holds for an unknown one."""
    return runtimes.recorded(runtimes.mode(settings)).traits


def is_harness(name: str) -> bool:
    """Whether this machine has the harness."""
    try:
        return bool(harnesses.record(name))
    except MagentsError:
        return False


def configuration(settings: config.Config) -> list[Finding]:
    """Every line of the configuration makes sense."""
    findings = [
        Finding("configuration", False, problem, f"Mend the line in {config.shorten(paths.config())}", needed=False)
        for problem in settings.problems
    ]
    if not is_harness(settings["AGENT"]):
        text = f"AGENT={settings['AGENT']} ({settings.values['AGENT'].source}) is no harness"
        findings.append(Finding("configuration", False, text, "magents config --set AGENT=claude"))
    try:
        runtimes.record(runtimes.mode(settings))
    except MagentsError as error:
        text = f"MODE={runtimes.mode(settings)} ({settings.values['MODE'].source}): {error.message}"
        findings.append(Finding("configuration", False, text, "magents config --set MODE=tmux"))
    where = config.shorten(paths.config())
    there = os.path.exists(paths.config())
    return findings or [Finding("configuration", True, where if there else f"no {where}: the defaults hold")]


def store(context: Context) -> Finding:
    """The store can be read and is whole."""
    try:
        verdict = context.store.check()
    except MagentsError as error:
        return Finding("store", False, error.message, error.hint)
    path = context.store.path
    if verdict != "ok":
        return Finding(
            "store",
            False,
            f"{path}: {verdict}",
            f"Move it away; running agents can be adopted again: mv {path} {path}.broken",
        )
    return Finding("store", True, path)


def agents(context: Context) -> list[Finding]:
    """Agents that are lost, half-made, or run without a record."""
    findings = []
    overview = observe.observe(context)
    for view in overview.views:
        agent, status = view.agent, view.status
        if view.orphan and not agent.project:
            continue
        if view.orphan:
            findings.append(
                Finding("agent", False, f"{agent.id} runs without a record", "magents doctor --fix", needed=False)
            )
        elif status.reason == "unreachable":
            continue  # its runtime's problem stands below
        elif status.state == "lost":
            remedy = f"magents start {agent.id}"
            if not os.path.isdir(agent.project):
                remedy = f"Bring its disk back; or, if it is gone for good: magents stop {agent.id} --forget"
            elif not os.path.isdir(agent.workspace):
                remedy = f"Bring its disk back; or give it up: magents stop {agent.id} --remove-worktree"
            findings.append(Finding("agent", False, f"{agent.id} is lost: {status.detail}", remedy, needed=False))
        elif status.reason == "interrupted":
            findings.append(
                Finding(
                    "agent",
                    False,
                    f"{agent.id}: {status.state} was cut short",
                    "magents doctor --fix",
                    needed=False,
                )
            )
    findings += [
        Finding("agents", False, problem, "Try again; magents doctor tells more above.")
        for problem in overview.problems
    ]
    return findings or [Finding("agents", True, f"{len(overview.views)} known, none lost")]


def disks(context: Context, folder: str, live: Sequence[Agent]) -> list[Finding]:
    """There is room where the store, the workspaces and what the runtimes keep are."""
    findings = []
    none = list[str]()
    engines = {
        disk: name
        for name in runtimes.TABLE
        for disk in asked(name, lambda runtime: runtime.disks(), lambda error: none)
    }
    wanted = {context.store.folder, folder, *(agent.workspace for agent in live), *engines}
    checked = set()
    for path in sorted(wanted):
        place = path
        while not os.path.exists(place):
            place = os.path.dirname(place) or "/"
        device = os.stat(place).st_dev
        if device in checked:
            continue
        checked.add(device)
        free = shutil.disk_usage(place).free
        if free < MIN_FREE_BYTES:
            text = f"only {free // (1024 * 1024)} MiB are free at {place}"
            remedy = "Free some; agents' workspaces, their work kept: magents cleanup --remove-worktrees"
            if path in engines:
                text += f", where {engines[path]} keeps images and containers"
                remedy = "Free some; what fills it: docker system df; what nothing uses: docker system prune"
            findings.append(Finding("disk", False, text, remedy, needed=False))
    return findings or [Finding("disk", True, "room enough")]
