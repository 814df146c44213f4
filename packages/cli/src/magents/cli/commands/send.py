"""`magents send`."""

from __future__ import annotations

import argparse
import sys

from magents import schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import show_json


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents send`."""
    parser.description = (
        "Give an agent a prompt. Succeeds only once the harness has said that it took it (or, while it is at\n"
        "work, shows that it keeps it for later)."
    )
    parser.epilog = """\
examples:
  magents send feature-login 'Add tests for it'
  git diff main | magents send feature-login -"""
    common.add_id(parser)
    parser.add_argument("text", metavar="TEXT", nargs="+", help="the prompt; - for standard input")
    parser.add_argument(
        "--timeout", metavar="S", type=common.seconds, default=15.0, help="seconds to wait (default 15)"
    )
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Give an agent a prompt."""
    fleet = common.fleet()
    agent = fleet.find(options.id)
    text = sys.stdin.read() if options.text == ["-"] else " ".join(options.text)
    delivery = fleet.send(agent, text, options.timeout)
    if options.json:
        show_json(schema.delivery(agent, delivery.how))
    elif delivery.how == "queued":
        echo(f"{agent.id} keeps the prompt until its turn is over.")
    elif delivery.how == "typed":
        echo(f"Typed into {agent.id}; its program does not say whether it took it.")
    else:
        echo(f"{agent.id} took the prompt.")
    return 0
