"""`magents list`."""

from __future__ import annotations

import os
import sys
import time

from magents.cli import common
from magents.cli.console import Screen, echo
from magents.cli.render import agent_table, as_json, show_json, terminal_width, warn
from magents.core.errors import MagentsError, UsageError
from magents.core.text import one_line
from magents.core.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from magents.core.agent import Agent
    from magents.fleet import Fleet
    from magents.fleet.observe import Overview, View

MAX_MERGES = 40
"""How many merges in memory `--long` makes at most; what it has not come to is shown as not known."""


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents list`."""
    parser.description = "See all agents, those of the project you stand in first."
    parser.epilog = """\
status:
  working   busy with a prompt           running   a program that tells nothing of itself
  waiting   needs your answer            failed    its program ended with an error
  done      its turn is over             stopped   you stopped it
  lost      should run, but does not, or its workspace is gone

examples:
  magents list --watch
  magents list --json | jq -r '.[] | select(.status == "waiting") | .id'"""
    parser.add_argument(
        "-l", "--long", action="store_true", help="also commits ahead, files changed, conflicts, path"
    )
    parser.add_argument("-w", "--watch", action="store_true", help="refresh in place, four times a second")
    parser.add_argument("--removed", action="store_true", help="agents whose workspace can be restored")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print all agents."""
    from magents.fleet import Fleet

    fleet = Fleet()
    if options.removed:
        return list_removed(fleet, options.json)
    if options.watch:
        if options.json or not sys.stdout.isatty():
            raise UsageError("`--watch` needs a terminal, and does not go with `--json`.")
        return watch(fleet, options.long)
    look = fleet.list()
    for problem in look.problems:
        warn(problem)
    long = long_of(fleet, look.views) if options.long else Long([{}] * len(look.views), [])
    if options.json:
        show_json([as_json(view) | more for view, more in zip(look.views, long.rows, strict=True)])
    else:
        echo("\n".join(lines(look, long.rows, terminal_width())))
    for problem in long.problems:
        warn(problem)
    return 1 if look.problems or long.problems else 0


def lines(look: Overview, long: Sequence[dict[str, Any]], columns: int | None) -> list[str]:
    """The table, or what to do where there is nothing to show. `long`: what `--long` adds to each view, or {}."""
    if not look.views:
        return ["No agents. Make one: magents create BRANCH --prompt 'What it should do'"]
    here = project_here(look.views)
    both = zip(look.views, long, strict=True)
    pairs = sorted(both, key=lambda pair: (pair[0].agent.project != here, pair[0].agent.project))
    views = [view for view, _ in pairs]
    extra = long_columns([more for _, more in pairs], views) if long[0] else None
    return agent_table(views, here, columns, extra)


def project_here(views: Sequence[View]) -> str:
    """The project among these that the user stands in, in it or in one of its workspaces; '' if none."""
    place = os.path.realpath(common.standing()) + os.sep
    best = ("", "")
    for view in views:
        for folder in (view.agent.project, view.agent.workspace):
            if folder and place.startswith(folder + os.sep) and len(folder) > len(best[0]):
                best = (folder, view.agent.project)
    return best[1]


class Long(NamedTuple):
    """What `--long` adds."""

    rows: list[dict[str, Any]]
    """Of each agent; fields are null where they cannot be told."""
    problems: list[str]
    """Which agents could not be asked, and why, a line each."""


def long_of(fleet: Fleet, views: Sequence[View]) -> Long:
    """What `--long` adds for these; several agents are asked at once."""
    from concurrent.futures import ThreadPoolExecutor

    agents = [view.agent for view in views]
    known = [view.agent for view in views if not view.orphan]
    there = [agent for agent in known if os.path.isdir(agent.workspace)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        using = pool.submit(fleet.usage, agents)
        clashing = pool.submit(conflicts_of, fleet, known)
        answers = dict(zip(there, common.together(there, fleet.summary), strict=True))
        uses, clashes = using.result(), clashing.result()
    problems = [
        f"the work of {agent.id} is not known: {one_line(answer.message, 200)}"
        for agent, answer in answers.items()
        if isinstance(answer, MagentsError)
    ]
    nothing = {"ahead": None, "uncommitted": None, "changed": None}
    rows = [
        (nothing if answer is None or isinstance(answer, MagentsError) else answer._asdict())
        | {"usage": uses.get(agent.id), "conflicts": clashes.get(agent.id)}
        for agent in agents
        for answer in [answers.get(agent)]
    ]
    return Long(rows, problems)


def conflicts_of(fleet: Fleet, agents: Sequence[Agent]) -> dict[str, list[dict[str, Any]]]:
    """What each agent's branch conflicts with; without those of which that is not known (yet)."""
    try:
        found = fleet.conflicts(agents, most=MAX_MERGES)
    except MagentsError:
        return {}
    return {
        agent.id: [{"with": side.id or None, "branch": side.branch} for side in found.of(agent.id)]
        for agent in agents
        if agent.id not in found.unknown
    }


def long_columns(long: Sequence[dict[str, Any]], views: Sequence[View]) -> dict[str, list[str]]:
    """The same as columns."""

    def cells(name: str) -> list[str]:
        return ["?" if more[name] is None else str(more[name]) for more in long]

    def clashes(of: list[dict[str, Any]] | None) -> str:
        if of is None:
            return "?"
        return one_line(", ".join(side["with"] or "base" for side in of), 40) or "-"

    usage = {"USAGE": [more["usage"] or "-" for more in long]} if any(more["usage"] for more in long) else {}
    return {
        "AHEAD": cells("ahead"), "CHANGED": cells("changed"), "UNCOMMITTED": cells("uncommitted"),
        "CONFLICTS": [clashes(more["conflicts"]) for more in long], **usage,
        "PATH": [one_line(view.agent.workspace) for view in views],
    }  # fmt: skip


def watch(fleet: Fleet, long: bool) -> int:
    """Redraw the table four times a second on the terminal's other screen, until Ctrl-C."""
    try:
        with Screen() as screen:
            while True:
                size = os.get_terminal_size()
                look = fleet.list()
                more = long_of(fleet, look.views) if long else Long([{}] * len(look.views), [])
                shown = [*lines(look, more.rows, size.columns), *look.problems, *more.problems]
                screen.draw([*shown[: size.lines - 2], "", time.strftime("%H:%M:%S  Ctrl-C ends")])
                time.sleep(0.25)
    except KeyboardInterrupt:
        return 0


def list_removed(fleet: Fleet, json: bool) -> int:
    """Print the agents that can be restored."""
    from magents.cli.render import table

    agents = fleet.removed()
    if json:
        show_json([{"id": a.id, "branch": a.branch, "project": a.project, "pin": a.pin} for a in agents])
    elif not agents:
        echo("No removed agents.")
    else:
        rows = [[a.id, a.branch, a.project, a.pin] for a in agents]
        echo("\n".join(table(["ID", "BRANCH", "PROJECT", "KEPT AS"], rows, terminal_width())))
    return 0
