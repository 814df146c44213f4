"""`magents merge`."""

from __future__ import annotations

import argparse

from magents import schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import show_json


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents merge`."""
    parser.description = (
        "Merge an agent's branch into its base: in the working tree that has the base checked out, if it is\n"
        "clean; without any where none has. A conflict changes nothing.\n\n"
        "--check runs a command on the result first, in a working tree of its own; the base moves only if that\n"
        "passes. It runs the agent's code with your rights, also that of an agent in a container."
    )
    parser.epilog = """\
examples:
  magents merge feature-login
  magents merge feature-login --into develop --squash
  magents merge feature-login --commit 'Add the login page'     what is uncommitted, too
  magents merge feature-login --check 'npm ci && npm test'"""
    common.add_id(parser)
    into = parser.add_argument("--into", metavar="BRANCH", default="", help="merge into this branch instead")
    into.completer = common.branches  # type: ignore[attr-defined]
    parser.add_argument("--squash", action="store_true", help="as one commit")
    parser.add_argument("-m", "--message", metavar="TEXT", default="", help="the merge's message")
    open_work = parser.add_mutually_exclusive_group()
    open_work.add_argument("--commit", metavar="MESSAGE", default="", help="commit what is uncommitted first")
    open_work.add_argument("--committed-only", action="store_true", help="leave uncommitted work out")
    common.add_check(parser, "merge only if this shell command passes on the result")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Merge an agent's branch."""
    fleet = common.fleet()
    agent = fleet.find(options.id)
    done = fleet.merge(
        agent, options.into, squash=options.squash, message=options.message, commit=options.commit,
        committed_only=options.committed_only, check=options.check or "",
    )  # fmt: skip
    if options.json:
        show_json(schema.merged(agent, done))
    elif done.before == done.after:
        echo(f"{done.into} already has all of {agent.branch}.")
    else:
        where = f" (checked out at {done.checkout})" if done.checkout else ""
        echo(f"Merged {agent.branch} into {done.into}{where}: {done.before[:10]} → {done.after[:10]}")
        echo(f"  clear away   magents stop {agent.id} --remove-worktree")
    return 0
