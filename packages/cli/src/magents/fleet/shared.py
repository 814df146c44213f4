"""The folder that the agents of a project share where they cannot reach the project itself: `/shared`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magents.fleet.context import Context
    from magents.model import Agent

TASKS = ".taskmaster"
GUIDE = """\
# What the agents of this project share

You are one of several agents. Each works in its own copy of the project, `/workspace`, on its own branch.
What is in this folder, `/shared`, all of them see and may change.

- `/shared/.taskmaster` is the project's list of tasks. `task-master list`, `next`, `show` and `set-status`
  work on it from anywhere, and so do the tools of the MCP server `task-master-ai`. One call waits for the other.
- Commit your work to your branch. Your commits are collected from here; there is no remote to push to.
"""
TOOLS = (
    "get_tasks", "next_task", "get_task", "set_task_status", "add_task", "add_subtask", "update_task",
    "update_subtask", "expand_task", "remove_task", "add_dependency", "remove_dependency",
)  # fmt: skip
"""What agents are offered of Task Master's tools. Its 30 others would cost each conversation 8,000 tokens more."""
SERVERS = {"mcpServers": {"task-master-ai": {
    "type": "stdio", "command": "task-master-ai", "args": [], "env": {"TASK_MASTER_TOOLS": ",".join(TOOLS)},
}}}  # fmt: skip


def provide(context: Context, agent: Agent, owner: tuple[int, int] | None) -> str:
    """The path of its project's shared folder, made and filled when it is not there yet.

    It appears in one step, whole. Once it is there nothing here writes to it: agents can have put links
    into it.
    """
    path = context.shared(agent.project)
    if os.path.isdir(path):
        return path
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    made = tempfile.mkdtemp(prefix=".new-", dir=os.path.dirname(path))
    try:
        fill(made, os.path.join(agent.project, TASKS))
        if owner:
            give(made, owner)
        with contextlib.suppress(OSError):  # another command was first
            os.rename(made, path)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return path


def fill(folder: str, tasks: str) -> None:
    """What is in it from the start: the project's tasks as they are now, and what agents should know."""
    if os.path.isdir(tasks):
        shutil.copytree(tasks, os.path.join(folder, TASKS), symlinks=True)
    else:
        os.makedirs(os.path.join(folder, TASKS, "tasks"))
    for name, text in {"CLAUDE.md": GUIDE, ".mcp.json": json.dumps(SERVERS, indent=2) + "\n"}.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


def give(folder: str, owner: tuple[int, int]) -> None:
    """Give a folder and all that is in it to a user and a group."""
    os.chown(folder, *owner)
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            os.chown(os.path.join(place, name), *owner, follow_symlinks=False)
