"""`magents list`."""

from __future__ import annotations

import argparse
import os
import sys
import time

from magents.cli import common
from magents.cli.console import Screen, echo
from magents.cli.render import agent_table, show_json, terminal_width, warn
from magents.core.errors import UsageError
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from magents.fleet import Details, Fleet, Overview, Side, View


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
    overview, details, problems = ask(fleet, options.long)
    for problem in overview.problems:
        warn(problem)
    if options.json:
        from magents import schema

        rows = [schema.agent(view) for view in overview.views]
        show_json(
            [row | schema.details(more) for row, more in zip(rows, details, strict=True)] if details else rows
        )
    else:
        echo("\n".join(lines(overview.views, details, terminal_width())))
    for problem in problems:
        warn(problem)
    return 1 if overview.problems or problems else 0


def ask(fleet: Fleet, long: bool) -> tuple[Overview, Sequence[Details], Sequence[str]]:
    """All agents; the details of each if `long`, else none; a line for each detail that could not be had."""
    overview = fleet.list()
    return (overview, *(fleet.details([view.agent for view in overview.views]) if long else ((), ())))


def lines(views: Sequence[View], details: Sequence[Details], columns: int | None) -> list[str]:
    """The table, or what to do where there is nothing to show."""
    if not views:
        return ["No agents. Make one: magents create BRANCH --prompt 'What it should do'"]
    here = project_here(views)
    order = sorted(range(len(views)), key=lambda at: (views[at].agent.project != here, views[at].agent.project))
    views = [views[at] for at in order]
    extra = detail_columns([details[at] for at in order], views) if details else None
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


def detail_columns(details: Sequence[Details], views: Sequence[View]) -> dict[str, list[str]]:
    """What `--long` adds, as columns."""

    def cells(name: str) -> list[str]:
        return [str(getattr(more.work, name)) if more.work else "?" for more in details]

    def against(sides: Sequence[Side] | None) -> str:
        return "?" if sides is None else one_line(", ".join(side.id or "base" for side in sides), 40) or "-"

    usage = {"USAGE": [more.usage or "-" for more in details]} if any(more.usage for more in details) else {}
    return {
        "AHEAD": cells("ahead"), "CHANGED": cells("changed"), "UNCOMMITTED": cells("uncommitted"),
        "CONFLICTS": [against(more.conflicts) for more in details], **usage,
        "PATH": [one_line(view.agent.workspace) for view in views],
    }  # fmt: skip


def watch(fleet: Fleet, long: bool) -> int:
    """Redraw the table four times a second on the terminal's other screen, until Ctrl-C."""
    try:
        with Screen() as screen:
            while True:
                size = os.get_terminal_size()
                overview, details, problems = ask(fleet, long)
                shown = [*lines(overview.views, details, size.columns), *overview.problems, *problems]
                screen.draw([*shown[: size.lines - 2], "", time.strftime("%H:%M:%S  Ctrl-C ends")])
                time.sleep(0.25)
    except KeyboardInterrupt:
        return 0


def list_removed(fleet: Fleet, json: bool) -> int:
    """Print the agents that can be restored."""
    from magents.cli.render import table

    agents = fleet.removed()
    if json:
        from magents import schema

        show_json([schema.removed(agent) for agent in agents])
    elif not agents:
        echo("No removed agents.")
    else:
        rows = [[a.id, a.branch, a.project, a.pin] for a in agents]
        echo("\n".join(table(["ID", "BRANCH", "PROJECT", "KEPT AS"], rows, terminal_width())))
    return 0
