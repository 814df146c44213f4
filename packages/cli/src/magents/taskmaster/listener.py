"""What Task Master's side does at the moments of an agent's life; see `fleet.listeners`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from magents.core.errors import MagentsError

if TYPE_CHECKING:
    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.fleet.doctor import Finding

GUIDE = """\
- `/shared/.taskmaster` is the project's list of tasks. `task-master list`, `next`, `show` and `set-status`
  work on it from anywhere, and so do the tools of the MCP server `task-master-ai`. One call waits for the other.
"""
TOOLS = (
    "get_tasks", "next_task", "get_task", "set_task_status", "add_task", "add_subtask", "update_task",
    "update_subtask", "expand_task", "remove_task", "add_dependency", "remove_dependency",
)  # fmt: skip
"""What agents are offered of Task Master's tools. Its 30 others would cost each conversation 8,000 tokens more."""
SERVERS = {"task-master-ai": {
    "type": "stdio", "command": "task-master-ai", "args": [], "env": {"TASK_MASTER_TOOLS": ",".join(TOOLS)},
}}  # fmt: skip


def findings(context: Context) -> list[Finding]:
    """Lists of tasks that agents in containers keep locked, so that neither we nor other agents can write them."""
    from magents.fleet.doctor import Finding
    from magents.taskmaster import mirror

    return [Finding("tasks", False, text, hint, needed=False) for text, hint in mirror.locks(context)]


def starting(context: Context, agent: Agent) -> None:
    """Bring both lists together, so that the agent finds the project's tasks as they are now."""
    if context.runtime(agent).traits.workspace != "worktree":
        from magents.taskmaster import mirror

        mirror.try_update(context, agent.project)


def turn_ended(context: Context, agent: Agent) -> None:
    """Take over what the agent has written. Raises MagentsError; a command of the user's tells of it later."""
    from magents.taskmaster import mirror

    mirror.update(context, agent.project)


def merged(context: Context, agent: Agent) -> None:
    """Set its task to done. What goes wrong is told; the merge stays."""
    if agent.task:
        from magents.taskmaster import board, mirror, prompt

        try:
            mirror.try_update(context, agent.project)
            board.refresh(context, agent.project, prompt.unref(agent.task)[0])
        except MagentsError as error:
            context.warn(f"the task of {agent.id} is not set to done: {error.message}")


def removed(context: Context, agent: Agent) -> None:
    """Take over what the agent wrote in a turn that was cut short. Nobody waits here: not while another writes."""
    if context.runtime(agent).traits.workspace != "worktree":
        from magents.taskmaster import mirror

        with suppress(MagentsError):  # the next command that has to do with tasks does it, and tells of it
            mirror.update(context, agent.project, wait=0, own_wait=0)
