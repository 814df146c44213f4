"""`magents tasks`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from magents import schema
from magents.cli import common
from magents.cli.console import ask, echo
from magents.cli.render import count, cut, paint, show_json, table, terminal_width, visible, warn
from magents.core.errors import Conflict, NotFound, UsageError
from magents.core.text import one_line
from magents.taskmaster import Tasks

if TYPE_CHECKING:
    from magents.taskmaster import Assignment, Board, Task

COLOURS = {
    "done": "32",
    "completed": "32",
    "in-progress": "36",
    "review": "33;1",
    "cancelled": "2",
    "blocked": "31",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents tasks`."""
    parser.description = (
        "See Task Master's tasks of the project you stand in, with their agents: which can be begun now, which\n"
        "wait for what, which are being worked on, which are to be reviewed and merged."
    )
    parser.epilog = """\
examples:
  magents tasks --graph
  magents tasks --json | jq -r '.tasks[] | select(.ready) | .id'"""
    add_tag(parser)
    parser.add_argument("--graph", action="store_true", help="draw what waits for what")
    parser.add_argument(
        "--accept", metavar="TASK,…", action="append", help="let a text that an agent wrote count as yours"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="with --accept: do not ask")
    common.add_json(parser)


def add_tag(parser: argparse.ArgumentParser) -> None:
    """`--tag`."""
    parser.add_argument(
        "--tag", metavar="TAG", default="", help="the tag to look at (default: Task Master's current one)"
    )


def run(options: argparse.Namespace) -> int:
    """Print the tasks."""
    tasks = Tasks(common.fleet())
    board = tasks.board(common.standing(), options.tag)
    for problem in board.problems:
        warn(problem)
    if options.accept:
        return accept(options, tasks, board)
    if options.json:
        show_json(schema.board(board))
    elif options.graph:
        width = terminal_width()
        lines = tasks.graph(board, lambda task: node(board, task))
        echo("\n".join(cut(line, width) if width else line for line in lines))
    else:
        echo("\n".join(rows(board, terminal_width())))
    return 1 if board.problems else 0


def accept(options: argparse.Namespace, tasks: Tasks, board: Board) -> int:
    """Show texts that agents wrote, and take those for the user's that the user says yes to."""
    every = board.tasks.every()
    ids = common.parted(options.accept)
    if unknown := [id for id in ids if id not in board.by_agents or id not in every]:
        raise NotFound(f"No text of task {one_line(unknown[0])} waits to be accepted.", "See: magents tasks")
    if not options.yes:
        if options.json or not sys.stdin.isatty():
            raise UsageError("`tasks --accept` asks before it acts, and here is nobody to ask.", "Give: --yes")
        for id in ids:
            echo("\n".join(map(visible, tasks.text(board, id).splitlines())), end="\n\n")
        if not ask("Are these texts as you want them?"):
            echo("Nothing was done.")
            return 1
    changed = tasks.accept(board, ids)
    if changed:
        raise Conflict(
            f"An agent has changed {', '.join(changed)} meanwhile.", "Read it again, and accept it then."
        )
    if options.json:
        show_json(schema.accepted(ids))
    else:
        echo(f"Accepted: {', '.join(ids)}")
    return 0


def present(assignment: Assignment | None) -> bool:
    """Whether it has an agent."""
    return assignment is not None and assignment.present


def rows(board: Board, columns: int | None) -> list[str]:
    """The table, and what comes next."""
    tasks = board.tasks.tasks
    if not tasks:
        return [f"No tasks under the tag {board.tasks.tag}. Make some: task-master parse-prd FILE"]
    head = ["ID", "TITLE", "PRIORITY", "STATUS", "AGENT", "WORK", "NEXT"]
    cells = [
        [
            t.id,
            title(board, t),
            t.priority,
            t.status,
            agent_of(board.assignments.get(t.id)),
            work_of(board, t),
            next_of(board, t),
        ]
        for t in tasks
    ]
    lines = table(head, cells, columns)
    shown = [paint(lines[0], "2")]
    for line, task in zip(lines[1:], tasks, strict=True):
        colour = COLOURS.get(task.status, "")
        shown.append(line.replace(f" {task.status} ", f" {paint(task.status, colour)} ", 1) if colour else line)
    return [*shown, "", summary(board)]


def title(board: Board, task: Task) -> str:
    """A task's title, and whose it is where no person has seen it."""
    return f"{cut(task.title, 32)} (by an agent)" if task.id in board.by_agents else cut(task.title, 44)


def agent_of(assignment: Assignment | None) -> str:
    """Its agent and what that does."""
    return f"{assignment.agent.id} ({assignment.status.state})" if assignment and assignment.status else "-"


def work_of(board: Board, task: Task) -> str:
    """How much an agent has committed, and whether that is merged."""
    assignment = board.assignments.get(task.id)
    if assignment is None:
        return "-"
    return "merged" if assignment.merged else "?" if assignment.ahead is None else count(assignment.ahead, "commit")


def next_of(board: Board, task: Task) -> str:
    """What is to be done about it."""
    assignment = board.assignments.get(task.id)
    if task.done:
        return ""
    if assignment and assignment.status and task.status == "review":
        return f"magents merge {assignment.agent.id}"
    if task in board.plan.ready:
        return "" if present(assignment) else paint("ready", "32;1")
    why = board.plan.left.get(task.id, "")
    return why if why != task.status else ""


def summary(board: Board) -> str:
    """One line under the table."""
    done = sum(task.done for task in board.tasks.tasks)
    ready = sum(not present(board.assignments.get(task.id)) for task in board.plan.ready)
    text = f"{done} of {count(len(board.tasks.tasks), 'task')} done, {ready} ready"
    text = f"{text}: magents task-agents" if ready else text
    by = [task.id for task in board.tasks.tasks if task.id in board.by_agents]
    what = f"\nAn agent wrote the text of {', '.join(by[:20])}. Read and accept it: magents tasks --accept"
    return f"{text}{what} {','.join(by[:20])}" if by else text


def node(board: Board, task: Task) -> str:
    """A task in the drawing."""
    assignment = board.assignments.get(task.id)
    state = paint(task.status, COLOURS.get(task.status, ""))
    more = f", {agent_of(assignment)}" if present(assignment) and not task.done else ""
    ready = ", ready" if task in board.plan.ready and not present(assignment) else ""
    ready += ", by an agent" if task.id in board.by_agents else ""
    return f"{task.id} {task.title} ({state}{more}{ready})"
