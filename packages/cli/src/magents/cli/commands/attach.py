"""`magents attach`."""

from __future__ import annotations

import argparse
import os
import sys

from magents.cli import common
from magents.cli.console import echo
from magents.core.errors import UsageError
from magents.core.status import ABSENT
from magents.system.process import foreground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.core.agent import Agent
    from magents.fleet import Fleet


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents attach`."""
    parser.description = (
        "Go into an agent's terminal; it is started again first if it is stopped. Inside tmux the client is\n"
        "switched there. Leave with tmux's own keys: Ctrl-b d."
    )
    common.add_id(parser)
    parser.add_argument("-r", "--read-only", action="store_true", help="look, but do not type")


def run(options: argparse.Namespace) -> int:
    """Go into an agent's terminal."""
    fleet = common.fleet()
    agent = fleet.find_running(options.id)
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise UsageError("`attach` needs a terminal.", f"Read it with: magents logs {agent.id}")
    state = fleet.status(agent).state
    if state in ABSENT and agent.key and fleet.start(agent):
        echo(f"Started {agent.id} again.", sys.stderr)
    return go_to(fleet, agent, read_only=options.read_only)


def go_to(fleet: Fleet, agent: Agent, *, read_only: bool = False) -> int:
    """Bring the user's terminal to the agent; returns an exit code once the client in it was switched."""
    tmux = os.environ.get("TMUX", "")
    inside = bool(tmux) and fleet.same_server(agent, tmux)
    words = list(fleet.attach_command(agent, inside=inside, read_only=read_only))
    if not inside:
        sys.stdout.flush()
        foreground.become(words)
    return foreground.interact(words, env={"TMUX": tmux})
