"""Agents of tasks that do not go on by themselves: started again, and in the end left to a person.

An agent is stuck when its program has ended, when its turn has failed (its model gave no answer), or when nothing
was heard or seen of it for too long while it should work. One that asks something is not. How often it was started
again is noted in its history, so that a killed command does not begin to count anew.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from magents import config
from magents.core.errors import MagentsError
from magents.fleet import observe, stop
from magents.system.isolated import isolated
from magents.taskmaster import statuses
from magents.taskmaster.board import leave

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from magents.fleet.context import Context
    from magents.taskmaster.board import Assignment, Board
    from magents.taskmaster.model import Task

PAUSES_S = (0.0, 60.0, 300.0)
"""Seconds to wait after a failed turn, start by start: what keeps a model from answering may pass. There are as
many starts, for whatever reason."""


class Step(NamedTuple):
    """What becomes of an agent that is stuck."""

    what: str
    """`stuck`: it does not run any more, and is to be started again. `left`: a person has to look. `problem`: that
    could not be done."""
    task: Task
    assignment: Assignment
    text: str
    """Why."""


def why(assignment: Assignment, now: float, silence: float) -> str:
    """Why an agent is stuck; '' when it is not. `silence`: seconds without a sign that are too many."""
    status = assignment.status
    if status is None or assignment.merged:
        return ""
    if status.died:
        return f"it has ended: {status.detail}"
    if status.reason == "turn-failed":
        return status.detail
    silent_s = now - (assignment.last_sign or now)
    if (status.state == "working" or status.reason == "on-screen") and silent_s > silence:
        return f"no sign of it for {silent_s:.0f} s"
    return ""


def stuck(board: Board) -> dict[str, str]:
    """Why, by the task's id, for each agent that is stuck at a task in progress."""
    silence, now = float(config.load()["SILENCE_TIMEOUT"]), time.time()
    every = board.tasks.every()
    reasons = {
        id: why(assignment, now, silence)
        for id, assignment in board.assignments.items()
        if id in every and every[id].status == "in-progress"
    }
    return {id: reason for id, reason in reasons.items() if reason}


def steps(context: Context, board: Board, only: Sequence[str] = ()) -> Iterator[Step]:
    """Stop each stuck agent, so that it can be started again; or leave its task to a person, at `review`."""
    every = board.tasks.every()
    for id, reason in stuck(board).items():
        task, assignment = every[id], board.assignments[id]
        if only and id not in only:
            continue
        try:
            with isolated(assignment.agent.id):
                step = step_of(context, board, task, assignment, reason)
        except MagentsError as error:
            step = Step("problem", task, assignment, f"{error.message} {error.hint}".strip())
        if step:
            yield step


def step_of(context: Context, board: Board, task: Task, assignment: Assignment, reason: str) -> Step | None:
    """The step for one stuck agent, taken; None where its time has not come."""
    agent = assignment.agent
    starts = len(context.store.history(agent, "stuck"))
    if starts >= len(PAUSES_S):
        leave(context, agent, reason)
        statuses.move(board.project, board.tasks.tag, {task.id: ("in-progress", "review")})
        return Step("left", task, assignment, reason)
    status = assignment.status
    if status and status.reason == "turn-failed" and time.time() - (status.since or 0.0) < PAUSES_S[starts]:
        return None
    if observe.is_alive(context, agent):
        stop.stop(context, agent)
    context.store.note(agent, "stuck", f"was stuck: {reason}")
    return Step("stuck", task, assignment, reason)
