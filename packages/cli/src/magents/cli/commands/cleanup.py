"""`magents cleanup`."""

from __future__ import annotations

import argparse
import sys

from magents.cli import common
from magents.cli.commands import stop
from magents.cli.console import ask, echo
from magents.cli.render import count
from magents.core.errors import UsageError


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents cleanup`."""
    parser.description = "Stop every agent of every project. Shows what it will do, and asks."
    parser.add_argument(
        "--remove-worktrees", action="store_true", help="also remove their workspaces; all work is kept"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Stop every agent."""
    fleet = common.fleet()
    views = [view for view in fleet.list().views if not view.orphan]
    if not options.remove_worktrees:
        views = [view for view in views if view.status.state != "stopped"]
    if views and not options.yes:
        if options.json or not sys.stdin.isatty():
            raise UsageError("`cleanup` asks before it acts, and here is nobody to ask.", "Give: --yes")
        verb = "Stop and remove the workspaces of" if options.remove_worktrees else "Stop"
        echo(f"{verb} {count(len(views), 'agent')}:")
        for view in views:
            echo(f"  {view.agent.id}  {view.status.state}  {view.agent.project}")
        if not ask("Go on?"):
            echo("Nothing was done.")
            return 1
    if not views and not options.json:
        echo("No agent to stop.")
    do = stop.remove if options.remove_worktrees else stop.stop
    return stop.each([view.agent for view in views], lambda agent: do(fleet, agent), json=options.json)
