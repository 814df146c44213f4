"""`magents shared`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from magents import schema
from magents.cli import common
from magents.cli.console import ask, echo
from magents.cli.render import paint, show_json, visible
from magents.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from magents.fleet import Difference


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents shared`."""
    parser.description = (
        "Agents of a project in containers may all write to /shared. What one of them changes in CLAUDE.md and\n"
        ".mcp.json there would be instructions and servers to the others: it counts once you have accepted it.\n"
        "See what differs from what you accepted last, in the project you stand in, and accept it."
    )
    parser.epilog = """\
examples:
  magents shared diff
  magents shared accept CLAUDE.md
  magents shared accept --yes               in a script"""
    parser.add_argument("action", nargs="?", choices=("diff", "accept"), default="diff", help="diff is the default")
    parser.add_argument("files", metavar="FILE", nargs="*", help="CLAUDE.md or .mcp.json (default: both)")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Show what differs, and accept it."""
    fleet = common.fleet()
    differences = fleet.shared_differences(common.standing(), options.files)
    if options.action == "accept" and differences and not agreed(options, differences):
        return 1
    if options.action == "accept":
        fleet.shared_accept(differences, common.standing())
    if options.json:
        show_json(schema.shared(differences, options.action == "accept"))
    elif not differences:
        echo("What agents share is as you accepted it.")
    elif options.action == "diff":
        show(differences)
    else:
        echo(f"Accepted: {', '.join(one.name for one in differences)}. It counts from each agent's next start.")
    return 0


def agreed(options: argparse.Namespace, differences: Sequence[Difference]) -> bool:
    """Whether the user says yes."""
    if options.yes:
        return True
    if options.json or not sys.stdin.isatty():
        raise UsageError("`shared accept` asks before it acts, and here is nobody to ask.", "Give: --yes")
    show(differences)
    if ask("Let this count for all agents of the project?"):
        return True
    echo("Nothing was done.")
    return False


def show(differences: Sequence[Difference]) -> None:
    """Print what differs. Characters that cannot be seen are shown by their numbers, so that nothing hides."""
    colours = {"+": "32", "-": "31", "@": "36"}
    for one in differences:
        if one.problem:
            echo(f"/shared/{one.name} cannot be taken: {one.problem}.")
        for line in one.diff().split("\n") if one.offered is not None or not one.problem else ():
            echo(paint(visible(line), colours.get(line[:1], "")))
