"""`magents stop`."""

from __future__ import annotations

import sys

from magents.cli import common
from magents.cli.console import ask, echo
from magents.cli.render import complain, count, show_json, warn
from magents.core.errors import MagentsError, Unkept, UsageError
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from magents.core.agent import Agent
    from magents.fleet import Fleet


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
    how.add_argument("--forget", action="store_true", help="let go of agents whose project is gone for good")
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
    done: list[dict[str, Any]] = []
    agents = common.found(fleet, options.ids)
    asks = options.discard and not options.yes and not options.json and sys.stdin.isatty()
    if options.remove_worktree or options.forget:
        common.make_sure(options.ids, agents, given=options.prefix, quiet=options.json)
    if options.forget:
        code = common.each(agents, lambda agent: forget(fleet, agent, done, quiet=options.json))
    else:
        code = stop_each(
            fleet, agents, options.remove_worktree, done, quiet=options.json, discard=options.discard, asks=asks
        )
    if options.json:
        show_json(done)
    return code


def forget(fleet: Fleet, agent: Agent, done: list[dict[str, Any]], *, quiet: bool) -> None:
    """Let go of one agent."""
    fleet.forget(agent)
    done.append({"id": agent.id, "removed": False, "pin": None, "uncommitted": None, "unkept": []})
    if not quiet:
        echo(f"Forgot {agent.id}.")


def stop_each(
    fleet: Fleet, agents: Sequence[Agent], remove: bool, done: list[dict[str, Any]], *, quiet: bool,
    discard: bool = False, asks: bool = False,
) -> int:  # fmt: skip
    """Stop agents, or remove them; `done` gets an entry for each. `discard`: give up what cannot be kept, and where
    a person `asks`, after a yes."""

    def one(agent: Agent) -> None:
        if not remove:
            fleet.stop(agent)
            done.append({"id": agent.id, "removed": False, "pin": None, "uncommitted": None, "unkept": []})
            if not quiet:
                echo(f"Stopped {agent.id}.   Again: magents start {agent.id}")
            return
        try:
            removed = fleet.remove(agent, discard=discard and not asks)
        except Unkept as error:
            if not asks:
                raise
            complain(MagentsError(error.message))
            if not ask(f"Remove {agent.id}, and give up what cannot be kept?"):
                raise MagentsError(f"{agent.id} was stopped, and nothing of it was removed.") from error
            removed = fleet.remove(agent, discard=True)
        done.append({
            "id": agent.id, "removed": True, "pin": removed.pin, "uncommitted": removed.uncommitted,
            "unkept": list(removed.unkept),
        })  # fmt: skip
        if not quiet:
            with_work = f" with {count(removed.uncommitted, 'file')} uncommitted" if removed.uncommitted else ""
            echo(f"Removed {agent.id}{with_work}; the branch {agent.branch} stays.")
            echo(f"  bring it back   magents restore {agent.id}")
            if removed.absent:
                warn(f"{agent.workspace} was not there: what was uncommitted in it could not be kept")
            for what in removed.unkept:
                warn(f"{agent.id}: this could not be kept: {one_line(what, 300)}")

    return common.each(agents, one)
