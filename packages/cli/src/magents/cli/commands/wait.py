"""`magents wait`."""

from __future__ import annotations

import argparse
import sys

from magents import schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import show_json

TIMED_OUT = 124
"""The exit code of timeout(1)."""


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents wait`."""
    parser.description = "Wait for agents. For scripts: the exit code tells how it ended."
    parser.epilog = """\
exit codes:
  0    all of them are there
  1    one cannot get there any more: it has failed, stopped or is lost
  124  the time limit was reached

examples:
  magents wait feature-login && magents merge feature-login
  magents wait a b --for waiting --timeout 10m"""
    common.add_id(parser, many=True)
    about = "done: its turn is over (default); waiting: it asks something; stopped: it runs no more"
    parser.add_argument("--for", dest="goal", choices=["done", "waiting", "stopped"], default="done", help=about)
    parser.add_argument("--timeout", metavar="S", type=common.seconds, help="seconds, or with s, m, h behind")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Wait for agents."""
    fleet = common.fleet()
    agents = common.agents_of(fleet, options.ids)
    waited = fleet.wait(agents, options.goal, options.timeout)
    if options.json:
        show_json([schema.waited(id, status) for id, status in waited.states.items()])
    else:
        for id, status in waited.states.items():
            echo(f"{id}  {status.state}" + (f"  {status.detail}" if status.detail else ""))
    if waited.timed_out:
        echo(f"error: not all were {options.goal} after {options.timeout:g} s", sys.stderr)
        return TIMED_OUT
    return 0 if waited.reached else 1
