"""`magents restore`."""

from __future__ import annotations

import argparse
import os

from magents import schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import count, show_json, warn


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents restore`."""
    parser.description = (
        "Bring a removed agent's workspace back exactly: uncommitted and untracked files, staging area, a merge\n"
        "or rebase under way. The agent is stopped then. See what there is: magents list --removed"
    )
    common.add_id(parser, removed=True)
    parser.add_argument("--pin", metavar="REF", default="", help="an earlier pin of it instead of the last")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Restore a workspace."""
    fleet = common.fleet()
    agent, back = fleet.restore(fleet.find_removed(options.id, common.standing(), options.pin))
    if options.json:
        show_json(schema.restored(agent, back))
        return 0
    files = count(back.meta.uncommitted, "uncommitted file")
    echo(f"Restored {agent.id} to {os.path.relpath(agent.workspace)} with {files}.")
    if back.remark:
        echo(f"  HEAD is detached at {back.meta.head[:10]}: {back.remark}.")
    if back.foreign:
        warn(f"a container may have made this pin, so only files came back; git's own state stays in {agent.pin}")
    echo(f"  go on   magents start {agent.id}")
    return 0
