"""`magents trust`."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from magents import schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import age, show_json, table, terminal_width, visible
from magents.core.text import one_line

if TYPE_CHECKING:
    from magents.fleet import Waiting


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents trust`."""
    parser.description = (
        "See and accept what agents in containers brought of the files that act on your side by themselves:\n"
        "git hooks that the project tracks, .worktreeinclude, files that the set-up command names; and branches\n"
        "on which the set-up command does not run here. Magents leaves them out until you accept them. What an\n"
        "agent changes after that waits again.\n\n"
        "Without a name it lists them. PATH@CONTENT, as it is listed, accepts just that content of a file.\n"
        "Only Magents holds back: when you or an agent in tmux runs git, it runs the hooks that stand there."
    )
    parser.epilog = """\
examples:
  magents trust
  magents trust --diff
  magents trust .husky/post-merge@1a2b3c4d5e
  magents trust feature/login            its set-up command may run here
  magents trust --all"""
    parser.add_argument("names", nargs="*", metavar="NAME", help="a path, PATH@CONTENT, or a branch to accept")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--all", action="store_true", help="accept all that is listed")
    how.add_argument("--diff", action="store_true", help="see what they change")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """List what waits, or accept it."""
    fleet = common.fleet()
    here = common.standing()
    if options.diff:
        return show_differences(fleet.brought(here), options.names)
    accepting = bool(options.names or options.all)
    rows = fleet.trust(options.names, here) if accepting else fleet.brought(here)
    if options.json:
        show_json(schema.waiting(rows))
    elif accepting:
        for name in [*(row.name for row in rows.files), *(row.branch for row in rows.branches)]:
            echo(f"Accepted {one_line(name)}")
    elif not rows.files and not rows.branches:
        echo("Nothing waits for your yes.")
    else:
        echo("\n".join(lines(rows)))
    return 0


def lines(rows: Waiting) -> list[str]:
    """What waits, for people."""
    now = time.time()
    cells = [
        *([one_line(row.name), row.agent, one_line(row.branch), age(now - row.at)] for row in rows.files),
        *([one_line(row.branch), row.agent, "its set-up", age(now - row.at)] for row in rows.branches),
    ]  # fmt: skip
    return table(["NAME", "AGENT", "BRANCH", "AGE"], cells, terminal_width())


def show_differences(rows: Waiting, names: list[str]) -> int:
    """Print what each file changes since the last content that was the user's own. Control sequences are shown by
    their numbers: one that is left out could hide what the user is to say yes to."""
    for row in rows.files:
        if names and row.path not in names and row.name not in names:
            continue
        echo(f"{one_line(row.name)} ({row.agent})")
        text = rows.difference(row).decode("utf-8", "replace")
        for line in text.removesuffix("\n").split("\n") if text else ():
            echo(visible(line))
    for branch in rows.branches:
        if not names or branch.branch in names:
            echo(f"{one_line(branch.branch)} ({branch.agent}): see it with git log -p {branch.tip[:10]}")
    return 0
