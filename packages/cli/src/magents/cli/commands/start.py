"""`magents start`."""

from __future__ import annotations

import argparse

from magents import schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import show_json
from magents.core.errors import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.core.agent import Agent


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents start`."""
    parser.description = (
        "Start agents again, after a stop or a reboot. A harness that can resumes its conversation."
    )
    parser.epilog = """\
examples:
  magents start feature-login
  magents start feature-login --prompt 'Go on'"""
    common.add_id(parser, many=True)
    parser.add_argument("-p", "--prompt", metavar="TEXT", help="what each should do now")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Start agents again."""
    fleet = common.fleet()
    done = []

    def one(agent: Agent) -> None:
        started = fleet.start(agent, options.prompt)
        done.append(schema.started(agent, started))
        if not started and options.prompt:
            raise Conflict(
                f"{agent.id} runs already, and was not given the prompt.", f"Use: magents send {agent.id} TEXT"
            )
        if not options.json:
            echo(f"Started {agent.id}." if started else f"{agent.id} runs already.")

    code = common.each(common.agents_of(fleet, options.ids), one)
    if options.json:
        show_json(done)
    return code
