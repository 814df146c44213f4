"""`magents create`."""

from __future__ import annotations

import argparse
import os
import sys

from magents import config
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import warn
from magents.core.errors import MagentsError, UsageError
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.core.agent import Agent
    from magents.fleet import Fleet, Plan

EXAMPLES = """\
examples:
  magents create feature/login                          agent `feature-login`, on a branch of that name
  magents create feature/login login --from develop     agent `login`, the branch made from develop
  magents create fix/typo --prompt 'Fix the typos in the README'
  magents create docs --prompt-file task.md --agent codex
  git log -5 | magents create summary --prompt-file -
  magents create build -- make -C src all               any program instead of a harness
  magents create try/it --docker                        in a container of its own"""


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents create`."""
    parser.usage = "magents create BRANCH [ID] [options] [-- PROGRAM …]"
    parser.description = (
        "Make an agent: a git worktree on BRANCH beside the project, and a harness that runs there in tmux.\n"
        "A branch that exists is checked out; one that only a remote has is tracked; any other is made."
    )
    parser.epilog = EXAMPLES
    branch = parser.add_argument("branch", metavar="BRANCH", help="the branch to work on")
    branch.completer = common.branches  # type: ignore[attr-defined]
    parser.add_argument(
        "id", metavar="ID", nargs="?", default="", help="what to call it (default: made from BRANCH)"
    )
    base = parser.add_argument(
        "--from", dest="base", metavar="BASE", default="", help="what a new branch starts from"
    )
    base.completer = common.branches  # type: ignore[attr-defined]
    common.add_kind(parser)
    given = parser.add_mutually_exclusive_group()
    given.add_argument("-p", "--prompt", metavar="TEXT", help="what it should do")
    given.add_argument("--prompt-file", metavar="FILE", help="the same from a file; - for standard input")
    parser.add_argument(
        "-e",
        "--env",
        metavar="K=V",
        action="append",
        default=[],
        help="set in its environment; may be repeated",
    )
    parser.add_argument("--attach", action="store_true", help="go into its terminal at once")
    parser.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Create an agent."""
    common.check_program(options)
    if options.attach and options.json:
        raise UsageError("`--attach` and `--json` exclude each other.")
    fleet = common.fleet()
    for problem in config.load().problems:
        warn(problem)
    request = {
        "folder": common.standing(), "harness": options.agent, "base": options.base, "prompt": prompt(options),
        "env": dict(map(pair, options.env)), "command": options.program,
        "runtime": options.mode,
    }  # fmt: skip
    if options.dry_run:
        tell_plan(fleet.plan(options.branch, options.id, **request), options.json)
        return 0
    agent = fleet.create(options.branch, options.id, **request)
    tell(fleet, agent, options)
    if options.attach:
        from magents.cli.commands.attach import go_to

        return go_to(fleet, agent)
    return 0


def prompt(options: argparse.Namespace) -> str | None:
    """The prompt, from wherever it comes."""
    if options.prompt_file is None:
        given: str | None = options.prompt
        return given
    if options.prompt_file == "-":
        return sys.stdin.read()
    try:
        with open(options.prompt_file, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MagentsError(f"{options.prompt_file} cannot be read: {reason}.") from error


def pair(text: str) -> tuple[str, str]:
    """`K=V` as two."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or not name.isascii() or "\0" in value:
        raise UsageError(f"`--env {one_line(text)}` is not of the form K=V.")
    return name, value


def tell(fleet: Fleet, agent: Agent, options: argparse.Namespace) -> None:
    """Say what was made and what comes next."""
    if options.json:
        from magents import schema
        from magents.cli.render import show_json

        show_json(schema.agent(fleet.view(agent)))
        return
    runs = " ".join(agent.command) if agent.command else agent.harness
    echo(f"Created {agent.id}: {runs} on branch {agent.branch}")
    echo(f"  workspace  {os.path.relpath(agent.workspace)}")
    echo(f"  go there   magents attach {agent.id}")


def tell_plan(plan: Plan, json: bool) -> None:
    """Say what would be made."""
    agent = plan.agent
    if json:
        from magents import schema
        from magents.cli.render import show_json

        show_json(schema.plan(plan))
        return
    how = f"new, from {agent.base or agent.base_commit[:10]}" if plan.new_branch else "as it is"
    how = f"new, tracking {plan.track}" if plan.track else how
    echo(f"Would create {agent.id}:")
    echo(f"  branch     {agent.branch} ({how})")
    echo(f"  workspace  {agent.workspace}")
    if plan.moves:
        echo(f"  takes over what {plan.moves.id} has in {plan.moves.runtime}")
    echo(f"  runs       {' '.join(agent.command) if agent.command else agent.harness} in {agent.runtime}")
    if plan.setup:
        echo(f"  set-up     {plan.setup}")
