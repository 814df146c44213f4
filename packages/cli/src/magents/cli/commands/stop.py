"""`magents stop`."""

from __future__ import annotations

import argparse
import sys

from magents.cli import common
from magents.cli.console import ask, echo
from magents.cli.render import complain, count, show_json, warn
from magents.core.errors import MagentsError, Unkept, UsageError
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from magents.core.agent import Agent
    from magents.fleet import Fleet, Removed


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents stop`."""
    parser.description = (
        "End agents and all that runs in their terminals. Their workspaces stay, unless --remove-worktree is\n"
        "given: then everything in them that no branch has is kept first, and `magents restore` brings it back."
    )
    parser.epilog = """\
examples:
  magents stop feature-login fix-crash
  magents stop feature-login --remove-worktree
  magents stop feature-login --remove-worktree --discard"""
    common.add_id(parser, many=True)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--remove-worktree", action="store_true", help="also remove the workspace; the branch stays")
    how.add_argument(
        "--forget", action="store_true", help="let go of agents whose project or mode is gone for good"
    )
    parser.add_argument(
        "--discard", action="store_true",
        help="with --remove-worktree: remove a workspace that cannot be kept whole, too; keeps what can be kept,\n"
        "at least its commits, and asks first at a terminal",
    )  # fmt: skip
    parser.add_argument(
        "--prefix", action="store_true", help="the first letters of an id will do to remove it, too"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Stop agents."""
    if options.discard and not options.remove_worktree:
        raise UsageError("`--discard` is for a workspace that is removed.", "Give also: --remove-worktree")
    fleet = common.fleet()
    agents = common.agents_of(fleet, options.ids)
    asks = options.discard and not options.yes and not options.json and sys.stdin.isatty()
    if options.remove_worktree or options.forget:
        common.make_sure(options.ids, agents, given=options.prefix, quiet=options.json)
    if options.forget:
        return each(agents, lambda agent: forget(fleet, agent), json=options.json)
    if options.remove_worktree:
        return each(agents, lambda agent: remove(fleet, agent, options.discard, asks), json=options.json)
    return each(agents, lambda agent: stop(fleet, agent), json=options.json)


def each(agents: Sequence[Agent], do: Callable[[Agent], tuple[str, Removed | None]], *, json: bool) -> int:
    """Call `do` with each agent, and print its result: words for people, and what was removed if anything was."""
    done: list[tuple[Agent, Removed | None]] = []

    def one(agent: Agent) -> None:
        words, removed = do(agent)
        done.append((agent, removed))
        if json:
            return
        echo(words)
        if removed and removed.absent:
            warn(f"{agent.workspace} was not there: what was uncommitted in it could not be kept")
        for what in removed.unkept if removed else ():
            warn(f"{agent.id}: this could not be kept: {one_line(what, 300)}")

    code = common.each(agents, one)
    if json:
        from magents import schema

        show_json([schema.stopped(*row) for row in done])
    return code


def forget(fleet: Fleet, agent: Agent) -> tuple[str, None]:
    """Let go of one agent."""
    fleet.forget(agent)
    return f"Forgot {agent.id}.", None


def stop(fleet: Fleet, agent: Agent) -> tuple[str, None]:
    """Stop one agent."""
    fleet.stop(agent)
    return f"Stopped {agent.id}.   Again: magents start {agent.id}", None


def remove(fleet: Fleet, agent: Agent, discard: bool = False, asks: bool = False) -> tuple[str, Removed]:
    """Remove one agent. With `discard`, give up what cannot be kept; a person is asked first (`asks`)."""
    try:
        removed = fleet.remove(agent, discard=discard and not asks)
    except Unkept as error:
        if not asks:
            raise
        complain(MagentsError(error.message))
        if not ask(f"Remove {agent.id}, and give up what cannot be kept?"):
            raise MagentsError(f"{agent.id} was stopped, and nothing of it was removed.") from error
        removed = fleet.remove(agent, discard=True)
    with_work = f" with {count(removed.uncommitted, 'file')} uncommitted" if removed.uncommitted else ""
    words = f"Removed {agent.id}{with_work}; the branch {agent.branch} stays."
    return f"{words}\n  bring it back   magents restore {agent.id}", removed
