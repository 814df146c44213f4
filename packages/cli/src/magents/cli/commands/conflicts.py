"""`magents conflicts`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from magents import schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import count, show_json, warn
from magents.core.text import one_line

if TYPE_CHECKING:
    from magents.fleet import Clash, Side


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents conflicts`."""
    parser.description = (
        "See which agents' branches conflict with their base or with each other, and in which files. They are\n"
        "merged in memory; no branch and no working tree is touched. Uncommitted work is not seen, nor what an\n"
        "agent in a container has committed since its commits were collected. Without an id: all of them.\n\n"
        "The exit code is 1 when there is a conflict."
    )
    parser.epilog = """\
examples:
  magents conflicts
  magents conflicts feature-login --json"""
    common.add_id(parser, many=True, nargs="*")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the conflicts between branches."""
    fleet = common.fleet()
    agents = common.agents_of(fleet, options.ids) if options.ids else fleet.agents()
    conflicts = fleet.conflicts(agents)
    for problem in conflicts.problems:
        warn(problem)
    if options.json:
        show_json(schema.conflicts(conflicts))
    elif conflicts.clashes:
        echo("\n".join(line for clash in conflicts.clashes for line in lines(clash)))
    elif not conflicts.problems:
        echo(f"No conflicts: {count(len(agents), 'agent')}, with each other and their bases.")
    return 1 if conflicts.clashes or conflicts.problems else 0


def lines(clash: Clash) -> list[str]:
    """A conflict for people."""
    files = [one_line(file) for file in clash.files] or ["a folder, renamed to different places"]
    return [f"{name(clash.one)} and {name(clash.other)}:", *(f"  {file}" for file in files)]


def name(side: Side) -> str:
    """What a branch in conflict is called."""
    return side.id or f"its base {one_line(side.branch)}"
