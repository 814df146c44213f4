"""`magents collect`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from magents import schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import show_json, warn

if TYPE_CHECKING:
    from magents.core.agent import Agent


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents collect`."""
    parser.description = (
        "Bring the commits of agents in containers to their branches in your repository. That also happens at the\n"
        "end of each turn, and before a diff, a merge and a stop. A branch that you have moved or checked out is\n"
        "left alone. Without an id: all of them."
    )
    common.add_id(parser, many=True, nargs="*")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Collect agents' commits."""
    fleet = common.fleet()
    agents = common.agents_of(fleet, options.ids) if options.ids else [view.agent for view in fleet.list().views]
    done = []

    def one(agent: Agent) -> None:
        if fleet.traits(agent).workspace == "worktree":
            return
        kept_back = fleet.collect(agent)
        done.append(schema.collected(agent, kept_back))
        if kept_back and not options.json:
            warn(f"{agent.id}: {kept_back}")
        elif not options.json:
            echo(f"{agent.branch} has all commits of {agent.id}.")

    code = common.each(agents, one)
    if options.json:
        show_json(done)
    return 1 if any(row["kept_back"] for row in done) else code
