"""`magents send`, `magents wait` and `magents logs`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from magents.cli import common
from magents.cli.console import echo, end_colours
from magents.cli.render import complain, paint, show_json, width
from magents.core.errors import MagentsError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from magents.core.agent import Agent
    from magents.fleet import Fleet

TIMED_OUT = 124
"""The exit code of timeout(1)."""


def add_send(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument("--timeout", metavar="S", type=seconds, default=15.0, help="seconds to wait (default 15)")
    common.add_json(parser)
    parser.set_defaults(run=run_send)


def seconds(text: str) -> float:
    """A length of time as an option: seconds, or with s, m or h behind."""
    units = {"s": 1, "m": 60, "h": 3600}
    number = float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text)
    if not 0 <= number < 1e9:
        raise ValueError(text)
    return number


def run_send(options: argparse.Namespace) -> int:
    """Give an agent a prompt."""
    fleet = common.fleet()
    agent = fleet.find(options.id)
    text = sys.stdin.read() if options.text == ["-"] else " ".join(options.text)
    delivery = fleet.send(agent, text, options.timeout)
    if options.json:
        show_json({"id": agent.id, "delivery": delivery.how})
    elif delivery.how == "queued":
        echo(f"{agent.id} keeps the prompt until its turn is over.")
    elif delivery.how == "typed":
        echo(f"Typed into {agent.id}; its program does not say whether it took it.")
    else:
        echo(f"{agent.id} took the prompt.")
    return 0


def add_wait(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument("--timeout", metavar="S", type=seconds, help="seconds, or with s, m, h behind")
    common.add_json(parser)
    parser.set_defaults(run=run_wait)


def run_wait(options: argparse.Namespace) -> int:
    """Wait for agents."""
    fleet = common.fleet()
    agents = common.found(fleet, options.ids)
    waited = fleet.wait(agents, options.goal, options.timeout)
    if options.json:
        show_json([{"id": id, "status": s.state, "detail": s.detail} for id, s in waited.states.items()])
    else:
        for id, status in waited.states.items():
            echo(f"{id}  {status.state}" + (f"  {status.detail}" if status.detail else ""))
    if waited.timed_out:
        echo(f"error: not all were {options.goal} after {options.timeout:g} s", sys.stderr)
        return TIMED_OUT
    return 0 if waited.reached else 1


def add_logs(parser: argparse.ArgumentParser) -> None:
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
    parser.set_defaults(run=run_logs)


def run_logs(options: argparse.Namespace) -> int:
    """Print terminals' histories."""
    fleet = common.fleet()
    agents = (
        common.found(fleet, options.ids, running=True)
        if options.ids
        else [v.agent for v in fleet.list().views if not v.orphan]
    )
    if options.raw and (options.follow or options.json or len(agents) != 1):
        raise UsageError("`--raw` is for one agent, without `--follow` and `--json`.")
    styled = options.raw and sys.stdout.isatty()
    answers = common.together(agents, lambda agent: fleet.logs(agent, styled=styled))
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
        show_json([{"id": id, "lines": lines} for id, lines in last.items()])
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
    """Print new lines as they come. One that cannot be read any more is told of and left out: the others go on."""
    from magents.fleet.logs import Follower

    followers = {agent.id: Follower(shown[agent.id]) for agent in agents}
    while followers:
        time.sleep(0.25)
        followed = [agent for agent in agents if agent.id in followers]
        for agent, answer in zip(followed, common.together(followed, fleet.logs), strict=True):
            if isinstance(answer, MagentsError):
                del followers[agent.id]
                complain(answer)
                continue
            for line in followers[agent.id].next(list(answer)):
                echo(f"{labels[agent.id]}{line}", flush=True)
