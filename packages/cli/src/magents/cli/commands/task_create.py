"""`magents task-create`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from magents import schema
from magents.cli import common
from magents.cli.commands.tasks import add_tag
from magents.cli.console import echo
from magents.cli.render import show_json
from magents.taskmaster import Tasks

if TYPE_CHECKING:
    from magents.taskmaster import Request


def add_agents(parser: argparse.ArgumentParser) -> None:
    """The options that `task-create` and `task-agents` share."""
    add_tag(parser)
    common.add_kind(parser)
    parser.add_argument(
        "--agent-text", action="store_true", help="in tmux: also what agents in containers wrote, unread by you"
    )
    common.add_json(parser)


def request_of(options: argparse.Namespace, **more: Any) -> Request:
    """What is asked for."""
    from magents.taskmaster import Request

    common.check_program(options)
    return Request(
        common.standing(),
        options.tag,
        runtime=options.mode,
        harness=options.agent,
        command=tuple(options.program),
        agent_text=options.agent_text,
        **more,
    )


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents task-create`."""
    parser.usage = "magents task-create TASK [ID] [options] [-- PROGRAM …]"
    parser.description = (
        "Make an agent for one task or subtask, on the branch task/<id>-<title>. Its prompt is the task, with\n"
        "what the tasks before it have brought; or `.taskmaster/templates/magents-prompt.md`, filled in."
    )
    parser.epilog = """\
examples:
  magents task-create 3
  magents task-create 3.2 login-form --agent codex"""
    parser.add_argument("task", metavar="TASK", help="a task's id, or a subtask's: 3.2")
    parser.add_argument(
        "id", metavar="ID", nargs="?", default="", help="what to call the agent (default: task-TASK)"
    )
    add_agents(parser)


def run(options: argparse.Namespace) -> int:
    """Make an agent for a task."""
    fleet = common.fleet()
    agent = Tasks(fleet).create(options.task, options.id, request_of(options))
    if options.json:
        show_json(schema.task_agent(fleet.view(agent), agent.task.rpartition(":")[2]))
    else:
        echo(f"{agent.id} works on task {options.task}, on branch {agent.branch}")
        echo(f"  go there   magents attach {agent.id}")
    return 0
