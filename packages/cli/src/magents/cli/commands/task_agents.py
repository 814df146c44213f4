"""`magents task-agents`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from magents import schema
from magents.cli import common
from magents.cli.commands.task_create import add_agents, request_of
from magents.cli.console import ask, echo
from magents.cli.render import complain, count, cut, show_json, table
from magents.core.errors import MagentsError, UsageError
from magents.taskmaster import Tasks

if TYPE_CHECKING:
    from magents.fleet import View
    from magents.taskmaster import Auto, Job, Outcome, Schedule


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents task-agents`."""
    parser.usage = "magents task-agents [options] [-- PROGRAM …]"
    parser.description = (
        "Make agents for all tasks that are ready, the most urgent first, as long as memory allows; and start\n"
        "those again that have ended before their task was done. Type it again when some are merged. A task waits\n"
        "while an agent is at work that seems to change the same files."
    )
    parser.epilog = """\
examples:
  magents task-agents --dry-run
  magents task-agents --max 3 --docker
  magents task-agents --only 2,5
  magents task-agents --watch --yes --json > events        one event a line"""
    parser.add_argument(
        "--max", metavar="N", type=positive, default=0, help="how many may be at work at once (setting MAX_AGENTS)"
    )
    parser.add_argument(
        "--only", metavar="TASK", action="append", default=[], help="only these tasks; several parted by commas"
    )
    parser.add_argument("--dry-run", action="store_true", help="say which would be started, and start none")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "-w", "--watch", action="store_true", help="go on as tasks are merged, until all is worked off"
    )
    parser.add_argument("--auto-merge", action="store_true", help="with --watch: merge what is finished")
    common.add_check(parser, "with --auto-merge: what must succeed on the merge's result")
    parser.add_argument(
        "--retries", metavar="N", type=int, default=2, help="how often an agent may mend what does not merge (2)"
    )
    add_agents(parser)


def positive(text: str) -> int:
    """A number from 1. Raises ValueError, which argparse tells of by this function's name."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def run(options: argparse.Namespace) -> int:
    """Make agents for the ready tasks."""
    tasks = Tasks(common.fleet())
    request = request_of(options, limit=options.max, only=tuple(common.parted(options.only)))
    if options.check and not options.auto_merge:
        raise UsageError("`--check` needs `--auto-merge`.")
    if options.auto_merge and not options.watch:
        raise UsageError("`--auto-merge` needs `--watch`.")
    if options.watch and options.dry_run:
        raise UsageError("`--watch` and `--dry-run` exclude each other.")
    planned = tasks.schedule(request)
    if options.dry_run:
        tell_schedule(planned, options.json)
        return 0
    if (planned.jobs or options.watch) and not options.yes and not agreed(planned, options.json):
        return 1
    if options.watch:
        from magents.cli import progress

        return progress.follow(tasks, request, auto_of(options), json=options.json)

    def report(job: Job, view: View) -> None:
        if not options.json:
            how = "goes on with" if job.again else "works on"
            echo(f"{view.agent.id} {how} task {job.task.id}: {cut(job.task.title, 60)}", flush=True)

    return tell_outcome(tasks.start(request, report), options.json)


def auto_of(options: argparse.Namespace) -> Auto | None:
    """How finished agents are to be merged."""
    if not options.auto_merge:
        return None
    from magents.taskmaster import Auto

    return Auto(options.check or "", options.retries)


def agreed(planned: Schedule, json: bool) -> bool:
    """Whether the user says yes."""
    if json or not sys.stdin.isatty():
        raise UsageError("`task-agents` asks before it acts, and here is nobody to ask.", "Give: --yes")
    echo("\n".join(schedule_lines(planned)))
    if ask(f"Start {count(len(planned.jobs), 'agent')}?"):
        return True
    echo("Nothing was done.")
    return False


def tell_schedule(planned: Schedule, json: bool) -> None:
    """Say what would be done."""
    if json:
        show_json(schema.schedule(planned))
    else:
        echo("\n".join(schedule_lines(planned)))


def schedule_lines(planned: Schedule) -> list[str]:
    """The same in lines."""
    if planned.jobs:
        lines = ["Would start:"]
        lines += table(
            ["  TASK", "TITLE", "PRIORITY", ""],
            [[f"  {j.task.id}", cut(j.task.title, 60), j.task.priority, note(j)] for j in planned.jobs],
        )
    else:
        lines = ["No task to start an agent for."]
    return lines + left_lines(planned.left)


def note(job: Job) -> str:
    """What else is to be known of a task that is begun."""
    if job.clash:
        return f"may collide with {job.clash.who}: {job.clash.text}"
    return "again" if job.again else ""


def left_lines(left: dict[str, str]) -> list[str]:
    """Why the others get none."""
    return ["Left for now:", *(f"  {id}  {why}" for id, why in left.items())] if left else []


def tell_outcome(outcome: Outcome, json: bool) -> int:
    """Say what was done; returns the exit code."""
    if json:
        show_json(schema.outcome(outcome))
    else:
        for id, error in outcome.failed.items():
            complain(MagentsError(f"task {id}: {error.message}", error.hint))
        if not outcome.started and not outcome.failed:
            echo("No task to start an agent for.")
        echo("\n".join(left_lines(outcome.left)), end="\n" if outcome.left else "")
    return 1 if outcome.failed else 0
