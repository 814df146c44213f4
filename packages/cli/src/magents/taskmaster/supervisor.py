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

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from magents.fleet.context import Context
    from magents.taskmaster.board import Board, Hand
    from magents.taskmaster.model import Task

PAUSES = (0.0, 60.0, 300.0)
"""Seconds to wait after a failed turn, start by start: what keeps a model from answering may pass. There are as
many starts, for whatever reason."""


class Step(NamedTuple):
    """What becomes of an agent that is stuck."""

    what: str
    """`stuck`: it does not run any more, and is to be started again. `left`: a person has to look. `problem`: that
    could not be done."""
    task: Task
    hand: Hand
    text: str
    """Why."""


def why(hand: Hand, now: float, silence: float) -> str:
    """Why an agent is stuck; '' when it is not. `silence`: seconds without a sign that are too many."""
    state = hand.status
    if state is None or hand.merged:
        return ""
    if state.died:
        return f"it has ended: {state.detail}"
    if state.reason == "turn-failed":
        return state.detail
    if (state.state == "working" or state.reason == "on-screen") and hand.stirred and now - hand.stirred > silence:
        return f"no sign of it for {now - hand.stirred:.0f} s"
    return ""


def found(board: Board) -> dict[str, str]:
    """Why, by the task's id, for each agent that is stuck at a task in progress."""
    silence, now = float(config.load()["SILENCE_TIMEOUT"]), time.time()
    every = board.tasks.every()
    reasons = {
        id: why(hand, now, silence)
        for id, hand in board.hands.items()
        if id in every and every[id].status == "in-progress"
    }
    return {id: reason for id, reason in reasons.items() if reason}


def steps(context: Context, board: Board, only: Sequence[str] = ()) -> Iterator[Step]:
    """Stop each stuck agent, so that it can be started again; or leave its task to a person, at `review`."""
    every = board.tasks.every()
    for id, reason in found(board).items():
        task, hand = every[id], board.hands[id]
        if only and id not in only:
            continue
        try:
            with isolated(hand.agent.id):
                step = step_of(context, board, task, hand, reason)
        except MagentsError as error:
            step = Step("problem", task, hand, f"{error.message} {error.hint}".strip())
        if step:
            yield step


def step_of(context: Context, board: Board, task: Task, hand: Hand, reason: str) -> Step | None:
    """The step for one stuck agent, taken; None where its time has not come."""
    starts = len(context.store.history(hand.agent, "stuck"))
    if starts >= len(PAUSES):
        context.store.note(hand.agent, "left", f"left to a person: {reason}")
        statuses.move(board.project, board.tasks.tag, {task.id: ("in-progress", "review")})
        return Step("left", task, hand, reason)
    if hand.status and hand.status.reason == "turn-failed" and not waited(hand, PAUSES[starts]):
        return None
    if observe.is_alive(context, hand.agent):
        stop.stop(context, hand.agent)
    context.store.note(hand.agent, "stuck", f"was stuck: {reason}")
    return Step("stuck", task, hand, reason)


def waited(hand: Hand, pause: float) -> bool:
    """Whether its turn has failed that long ago."""
    since = hand.status.since if hand.status else None
    return time.time() - (since or 0.0) >= pause
