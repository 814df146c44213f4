"""Stopping agents: the program ends, the workspace stays."""

from __future__ import annotations

import contextlib
import os
import time

from magents.core.agent import Agent
from magents.core.errors import MagentsError, Missing, NoAnswer
from magents.fleet.context import Context
from magents.system.isolated import isolated

COLLECT_BEFORE_S = 5
"""Seconds that commits get to come home before an agent is stopped: the agent can hold that up."""
COLLECT_AFTER_S = 20
"""The same after the agent was stopped, if its commits did not come home before."""


def stop(context: Context, agent: Agent) -> None:
    """End its terminal and all that runs in it. Idempotent; the workspace stays."""
    with context.store.lock(agent.id):
        agent = context.store.get(agent.key)
        if agent.phase != "removed":  # by a command that had the lock before
            end(context, agent)


def end(context: Context, agent: Agent, *, collect: bool = True) -> Agent:
    """`stop`, for a caller that holds the lock. Without `collect`, its commits are not brought home before.

    Raises MagentsError when it could not be stopped; its phase is not `stopped` then.
    """
    was = agent.phase
    if was != "stopped":
        with contextlib.suppress(MagentsError), isolated(agent.id):  # its log keeps nobody from ending it
            let_it_save(context, agent)
    runtime = context.runtime(agent)
    cloned = runtime.traits.workspace != "worktree"
    late = collect and was == "active" and cloned and not bring_home(context, agent, COLLECT_BEFORE_S)
    agent = context.store.update(agent, phase="stopped")
    try:
        shown = runtime.stop(agent, context.folder(agent))
    except MagentsError:
        context.store.update(agent, phase=was)
        raise
    context.keep_screen(agent, shown)
    if late and not bring_home(context, agent, COLLECT_AFTER_S):
        context.warn(f"{agent.id}: its commits could not be had in time; they stay in its workspace")
    if was != "stopped":
        context.store.note(agent, "stopped", "stopped")
    return agent


def bring_home(context: Context, agent: Agent, seconds: float) -> bool:
    """Collect its commits before it is stopped; an agent whose commits cannot be had is stopped all the same.
    Returns False if that took too long: once the agent is stopped nothing of it runs any more, so the caller can
    try again.

    Raises Missing when the runtime does not answer: then the agent cannot be stopped either.
    """
    try:
        kept_back = context.workspace(agent).collect(seconds) if os.path.isdir(agent.workspace) else ""
    except Missing:
        raise
    except NoAnswer:
        return False
    except MagentsError as error:
        kept_back = error.message
    if kept_back:
        context.warn(f"{agent.id}: {kept_back}")
    return True


def let_it_save(context: Context, agent: Agent) -> None:
    """Wait until its harness has written down the turn that has just ended; otherwise it would not resume it."""
    harness = context.harness(agent)
    if not harness.saves:
        return
    from magents.guest import events, terminal

    log = events.read(context.place(agent))
    last = next((event for event in reversed(log) if event.by == harness.name), None)
    rest = last.at + harness.saves - time.time() if last else 0
    if last and 0 < rest <= harness.saves:
        terminal.wait(lambda: harness.saved(last), rest)
