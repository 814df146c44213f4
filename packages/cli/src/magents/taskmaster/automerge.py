"""Merging the agents of finished tasks by themselves; what does not go through goes back to its agent.

One after the other, each task after those it depends on. How often an agent was asked to mend its work is noted in
its history, so that a killed command does not begin to count anew.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import CheckFailed, Conflict, MagentsError
from magents.core.status import ABSENT, LIVE
from magents.core.text import one_line
from magents.fleet import collect, launch, listeners, merge, observe, send, stop
from magents.git import merge as merging
from magents.system.isolated import isolated
from magents.taskmaster import statuses
from magents.taskmaster.assignments import words
from magents.taskmaster.board import leave, left
from magents.taskmaster.plan import order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.taskmaster.board import Board
    from magents.taskmaster.model import Task

MAX_OUTPUT_CHARS = 20_000
"""Characters of a check's output that an agent is shown: the last ones."""


class Auto(NamedTuple):
    """How finished agents are merged."""

    check: str = ""
    """A command that must succeed on the merge's result; '' for none."""
    retries: int = 2
    """How often an agent may mend its work before a person has to look."""


class Back(MagentsError):
    """Work that cannot be merged as it is, in words for its agent."""


class Step(NamedTuple):
    """What has become of one finished agent."""

    what: str
    """`merged`, `back` (it is to mend its work), `left` (a person has to look), `problem`."""
    task: Task
    agent: Agent
    text: str = ""


def candidates(context: Context, board: Board) -> Iterator[tuple[Task, Agent]]:
    """The finished agents that may be merged, each after what it depends on."""
    for task in order(board.tasks.every().values()):
        assignment = board.assignments.get(task.id)
        status = assignment.status if assignment else None
        over = status and (status.finished or status.state in ABSENT)
        if task.status == "review" and assignment and over and not left(context, assignment.agent):
            yield task, assignment.agent


def steps(context: Context, board: Board, auto: Auto) -> Iterator[Step]:
    """Merge the first finished agent that can be merged, or send it back; before it, tell of those that cannot.

    One at a time: what it unblocks can begin before the next one.
    """
    resume(context, board)
    for task, agent in candidates(context, board):
        step = merge_one(context, board, task, agent, auto)
        yield step
        if step.what != "problem":
            return


def resume(context: Context, board: Board) -> None:
    """Tasks whose agents are at work again are in progress: whoever sent them back was killed before saying so.
    What was left to a person stays there."""
    every = board.tasks.every()
    again = {
        id: ("review", "in-progress")
        for id, assignment in board.assignments.items()
        if id in every
        and every[id].status == "review"
        and assignment.status
        and assignment.status.state in LIVE
        and not left(context, assignment.agent)
    }
    statuses.move(board.project, board.tasks.tag, again)


def merge_one(context: Context, board: Board, task: Task, agent: Agent, auto: Auto) -> Step:
    """Merge one agent; or send its work back; or leave it to a person."""
    try:
        with isolated(agent.id):
            merging.check_target(agent.project, agent.base, listeners.folders())
            done = attempt(context, agent, auto)
    except Back as error:
        return try_to_send(context, board, task, agent, auto, error.message)
    except MagentsError as error:  # nothing that the agent could mend
        return Step("problem", task, agent, f"{agent.id} is not merged: {error.message} {error.hint}")
    rest(context, agent)
    return Step("merged", task, agent, f"{done.into} {done.after[:10]}")


def rest(context: Context, agent: Agent) -> None:
    """Stop an agent whose work is merged: idle ones would fill the memory that those to come need."""
    try:
        stop.stop(context, agent)
    except MagentsError as error:
        context.warn(f"{agent.id} is merged, but could not be stopped: {error.message}")


def attempt(context: Context, agent: Agent, auto: Auto) -> merging.Merged:
    """Merge it. Raises Back for what the agent can mend, any other MagentsError for what it cannot."""
    if kept_back := collect.collect(context, agent):
        raise Conflict(f"{kept_back}.", "Bring the two together.")
    workspace = context.workspace(agent)
    if os.path.isdir(agent.workspace) and (names := workspace.uncommitted()):
        shown = ", ".join(one_line(name) for name in names[:20])
        raise Back(f"There is uncommitted work in your workspace: {shown}. Commit what belongs to the task.")
    summary = workspace.summary()
    if not summary.ahead:
        raise Back(f"Your branch {agent.branch} has no commit of its own. Do the task, and commit it.")
    base, _ = merging.tip(agent.project, agent.base)
    tip, _ = merging.tip(agent.project, agent.branch)
    try:
        merging.merged_tree(agent.project, base, tip, agent.branch, agent.base)
    except Conflict as error:
        raise Back(
            f"{error.message}\n\nMerge {agent.base} ({base[:12]}) into your branch {agent.branch}, resolve the "
            "conflicts so that both changes are there, and commit."
        ) from error
    try:
        return merge.merge(context, agent, "", False, "", "", False, auto.check)
    except CheckFailed as error:
        raise Back(
            f"Your work was merged with {agent.base}, and there `{auto.check}` failed:\n\n"
            f"{error.output[-MAX_OUTPUT_CHARS:]}\n\n"
            f"Merge {agent.base} ({base[:12]}) into your branch {agent.branch} if that is behind, mend what fails, "
            "and commit."
        ) from error


def try_to_send(context: Context, board: Board, task: Task, agent: Agent, auto: Auto, why: str) -> Step:
    """`send_back`; an agent that cannot be told is a problem, and told again at the next look."""
    try:
        with isolated(agent.id):
            return send_back(context, board, task, agent, auto, why)
    except MagentsError as error:
        return Step("problem", task, agent, f"{agent.id} cannot be asked to mend its work: {error.message}")


def send_back(context: Context, board: Board, task: Task, agent: Agent, auto: Auto, why: str) -> Step:
    """Ask the agent to mend its work, or leave it to a person when it was asked as often as it may be."""
    asked = len(context.store.history(agent, "sent-back"))
    first = one_line(why)
    if asked >= auto.retries:
        leave(context, agent, first)
        return Step("left", task, agent, first)
    renew(context, agent)
    text = f"Your work on task {task.id} cannot be merged yet.\n\n{why}"
    if observe.is_alive(context, agent):
        send.send(context, agent, text, 30.0)
    else:  # its conversation may not be there any more
        task_words = words(board, task, agent.branch)
        launch.start(context, agent, f"{text}\n\nYour task was this:\n\n{task_words}")
    context.store.note(agent, "sent-back", f"sent back: {first}")
    statuses.move(board.project, board.tasks.tag, {task.id: ("review", "in-progress")})
    return Step("back", task, agent, first)


def renew(context: Context, agent: Agent) -> None:
    """Bring the newest base to where the agent merges it. An image from before that was possible is no reason to
    stop: the prompt names the commit, too."""
    try:
        context.workspace(agent).renew()
    except MagentsError as error:
        context.warn(f"{agent.id} may not see the newest {agent.base}: {error.message}")
