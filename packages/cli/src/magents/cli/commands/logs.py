"""`magents logs`."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from magents import schema
from magents.cli import common
from magents.cli.console import echo, end_colours
from magents.cli.render import complain, paint, show_json, width
from magents.core.errors import MagentsError, UsageError
from magents.system.isolated import together

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from magents.core.agent import Agent
    from magents.fleet import Fleet


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents logs`."""
    parser.description = "Read what agents' terminals have shown; of stopped agents, what they showed last."
    parser.epilog = """\
examples:
  magents logs feature-login -n 50
  magents logs -f                       all agents, as they go on"""
    common.add_id(parser, many=True, nargs="*", help="agents (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as more comes, until Ctrl-C")
    parser.add_argument("-n", "--lines", metavar="N", type=int, help="only the last N lines of each")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="keep colours, nothing else; only to a terminal, one agent",
    )
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print terminals' histories."""
    fleet = common.fleet()
    agents = (
        common.agents_of(fleet, options.ids, running=True)
        if options.ids
        else [v.agent for v in fleet.list().views if not v.orphan]
    )
    if options.raw and (options.follow or options.json or len(agents) != 1):
        raise UsageError("`--raw` is for one agent, without `--follow` and `--json`.")
    styled = options.raw and sys.stdout.isatty()
    answers = together(agents, lambda agent: fleet.logs(agent, styled=styled))
    failed = [answer for answer in answers if isinstance(answer, MagentsError)]
    shown = {
        agent.id: list(answer)
        for agent, answer in zip(agents, answers, strict=True)
        if not isinstance(answer, MagentsError)
    }
    last = {id: lines[-options.lines :] if options.lines else lines for id, lines in shown.items()}
    if options.lines == 0:
        last = {id: [] for id in shown}
    if options.json:
        show_json([schema.log(id, lines) for id, lines in last.items()])
    labels = label([agent.id for agent in agents])
    for id, lines in last.items() if not options.json else ():
        for line in lines:
            echo(f"{labels[id]}{line}")
    if styled:
        end_colours()
    for error in failed:
        complain(error)
    if options.follow and not options.json:
        follow(fleet, [agent for agent in agents if agent.id in shown], shown, labels)
    return failed[-1].exit_code if failed else 0


def label(ids: Sequence[str]) -> dict[str, str]:
    """What stands before each agent's lines: nothing where there is only one agent."""
    if len(ids) == 1:
        return {ids[0]: ""}
    columns = max(map(width, ids), default=0)
    colours = ["36", "33", "32", "35", "34", "31"]
    return {id: paint(f"{id:<{columns}} | ", colours[n % len(colours)]) for n, id in enumerate(ids)}


def follow(fleet: Fleet, agents: Sequence[Agent], shown: dict[str, list[str]], labels: dict[str, str]) -> None:
    """Print new lines as they come. An agent whose terminal cannot be read any more is named and left out; the
    others go on."""
    followers = {agent.id: Follower(shown[agent.id]) for agent in agents}
    while followers:
        time.sleep(0.25)
        followed = [agent for agent in agents if agent.id in followers]
        for agent, answer in zip(followed, together(followed, fleet.logs), strict=True):
            if isinstance(answer, MagentsError):
                del followers[agent.id]
                complain(answer)
                continue
            for line in followers[agent.id].next(list(answer)):
                echo(f"{labels[agent.id]}{line}", flush=True)


class Follower:
    """The new lines of one agent's terminal, look by look.

    A program that redraws its screen changes lines again and again. So a line is printed once it has stayed the
    same for two looks, and not again while it is still near.
    """

    def __init__(self, shown: list[str]) -> None:
        self._last = shown
        self._printed = shown[-400:]
        self._start = len(shown)

    def next(self, shown: list[str]) -> Iterator[str]:
        """The lines to tell after this look."""
        same = 0
        for old, new in zip(self._last, shown, strict=False):
            if old != new:
                break
            same += 1
        start = min(self._start, same) if len(shown) >= len(self._last) else 0
        settled = shown[start:same]
        recent = set(self._printed)
        for line in settled:
            if line and line not in recent:
                self._printed.append(line)
                yield line
        self._printed = self._printed[-400:]
        self._start = same
        self._last = shown
