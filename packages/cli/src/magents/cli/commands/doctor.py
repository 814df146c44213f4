"""`magents doctor`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from magents import schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import paint, show_json
from magents.core.text import one_line, plain

if TYPE_CHECKING:
    from magents.fleet import Finding


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents doctor`."""
    parser.description = (
        "See what is missing or wrong, each with the command that mends it. Exits with 1 when something that is\n"
        "needed is missing."
    )
    parser.add_argument("--fix", action="store_true", help="repair what is safe to repair, and say what was done")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Check everything."""
    from magents.fleet import Fleet

    checkup = Fleet().doctor(common.standing(), fix=options.fix)
    if options.json:
        show_json(schema.checkup(checkup))
    else:
        for line in checkup.fixed:
            echo(f"{paint('fixed', '36')}  {plain(line)}")
        for finding in checkup.findings:
            echo("\n".join(lines(finding)))
    return 1 if any(not finding.ok and finding.needed for finding in checkup.findings) else 0


def lines(finding: Finding) -> list[str]:
    """A finding for people: a mark, what it is about, and the remedy below it."""
    mark = paint("ok", "32") if finding.ok else paint("!!", "31;1") if finding.needed else paint("--", "33")
    first = f"{mark}  {finding.about}: {one_line(finding.text, 200)}"
    return [first] if finding.ok or not finding.remedy else [first, f"      {plain(finding.remedy)}"]
