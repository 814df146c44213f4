"""`magents stop`, `start`, `restore` and `cleanup`."""

from __future__ import annotations

import os
import sys

from magents.cli import common
from magents.cli.console import ask, echo
from magents.cli.render import complain, count, show_json, warn
from magents.core.errors import Conflict, MagentsError, Unkept, UsageError
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from magents.core.agent import Agent
    from magents.fleet import Fleet


def add_stop(parser: argparse.ArgumentParser) -> None:
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
    parser.set_defaults(run=run_stop)


def run_stop(options: argparse.Namespace) -> int:
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


def add_start(parser: argparse.ArgumentParser) -> None:
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
    parser.set_defaults(run=run_start)


def run_start(options: argparse.Namespace) -> int:
    """Start agents again."""
    fleet = common.fleet()
    done = []

    def one(agent: Agent) -> None:
        started = fleet.start(agent, options.prompt)
        done.append({"id": agent.id, "started": started})
        if not started and options.prompt:
            raise Conflict(
                f"{agent.id} runs already, and was not given the prompt.", f"Use: magents send {agent.id} TEXT"
            )
        if not options.json:
            echo(f"Started {agent.id}." if started else f"{agent.id} runs already.")

    code = common.each(common.found(fleet, options.ids), one)
    if options.json:
        show_json(done)
    return code


def add_restore(parser: argparse.ArgumentParser) -> None:
    """Options of `magents restore`."""
    parser.description = (
        "Bring a removed agent's workspace back exactly: uncommitted and untracked files, staging area, a merge\n"
        "or rebase under way. The agent is stopped then. See what there is: magents list --removed"
    )
    common.add_id(parser, removed=True)
    parser.add_argument("--pin", metavar="REF", default="", help="an earlier pin of it instead of the last")
    common.add_json(parser)
    parser.set_defaults(run=run_restore)


def run_restore(options: argparse.Namespace) -> int:
    """Restore a workspace."""
    fleet = common.fleet()
    agent, back = fleet.restore(fleet.find_removed(options.id, common.here(), options.pin))
    if options.json:
        show_json({
            "id": agent.id, "branch": agent.branch, "workspace": agent.workspace, "pin": agent.pin,
            "uncommitted": back.meta.uncommitted, "remark": back.remark or None, "foreign": back.foreign,
        })  # fmt: skip
        return 0
    files = count(back.meta.uncommitted, "uncommitted file")
    echo(f"Restored {agent.id} to {os.path.relpath(agent.workspace)} with {files}.")
    if back.remark:
        echo(f"  HEAD is detached at {back.meta.head[:10]}: {back.remark}.")
    if back.foreign:
        warn(f"a container may have made this pin, so only files came back; git's own state stays in {agent.pin}")
    echo(f"  go on   magents start {agent.id}")
    return 0


def add_cleanup(parser: argparse.ArgumentParser) -> None:
    """Options of `magents cleanup`."""
    parser.description = "Stop every agent of every project. Shows what it will do, and asks."
    parser.add_argument(
        "--remove-worktrees", action="store_true", help="also remove their workspaces; all work is kept"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    common.add_json(parser)
    parser.set_defaults(run=run_cleanup)


def run_cleanup(options: argparse.Namespace) -> int:
    """Stop every agent."""
    fleet = common.fleet()
    views = [view for view in fleet.list().views if not view.orphan]
    if not options.remove_worktrees:
        views = [view for view in views if view.status.state != "stopped"]
    if views and not options.yes:
        if options.json or not sys.stdin.isatty():
            raise UsageError("`cleanup` asks before it acts, and here is nobody to ask.", "Give: --yes")
        verb = "Stop and remove the workspaces of" if options.remove_worktrees else "Stop"
        echo(f"{verb} {count(len(views), 'agent')}:")
        for view in views:
            echo(f"  {view.agent.id}  {view.status.state}  {view.agent.project}")
        if not ask("Go on?"):
            echo("Nothing was done.")
            return 1
    done: list[dict[str, Any]] = []
    agents = [view.agent for view in views]
    code = stop_each(fleet, agents, options.remove_worktrees, done, quiet=options.json)
    if options.json:
        show_json(done)
    elif not agents:
        echo("No agent to stop.")
    return code
