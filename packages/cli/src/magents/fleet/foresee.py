"""Which agents would change the same files, before the second one has begun: guessed from what tasks name and
branches have changed. See docs/adr/0012-foreseen-collisions.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from magents.fleet import look
from magents.fleet.tasks import ENDED
from magents.tasks import paths, prompt
from magents.tasks.model import PRIORITIES, rank
from magents.tasks.plan import Choice, Work, choose
from magents.workspace.git import git

if TYPE_CHECKING:
    from collections.abc import Sequence

    from magents.fleet.context import Context
    from magents.fleet.tasks import Board
    from magents.model import Agent
    from magents.tasks.model import Task

USUAL = PRIORITIES.index("medium")
"""How urgent an agent is that works on no task of this list."""


class Side(NamedTuple):
    """An agent whose work is not merged yet."""

    agent: Agent
    task: Task | None
    """None for an agent that works on none of this list."""
    changed: frozenset[str]
    """Files that its commits have changed since they left its base."""


def choice(
    context: Context, board: Board, begun: Sequence[Task], ready: Sequence[Task], slots: int, *, idle: bool
) -> Choice:
    """Which of the ready tasks to begin; `begun`: those whose agents go on first. See `plan.choose`."""
    if slots <= 0 or not ready:
        return Choice((), {}, {})
    sides = [*unmerged(context, board), *(side(board, task) for task in begun)]
    if not sides and len(ready) == 1:
        return Choice(tuple(ready), {}, {})
    tracked = git(board.project, "ls-tree", "-r", "-z", "--name-only", "HEAD", ok=None).text.split("\0")
    files = paths.known({*filter(None, tracked), *(name for one in sides for name in one.changed)})

    def work(task: Task) -> Work:
        hand = board.hands.get(task.id)
        id = hand.agent.id if hand else prompt.agent_id(board.tasks.tag, task)
        return Work(id, rank(task)[0], paths.of_task(task, files))

    def work_of(one: Side) -> Work:
        named = paths.of_task(one.task, files) if one.task else frozenset()
        return Work(one.agent.id, rank(one.task)[0] if one.task else USUAL, named | one.changed)

    return choose(ready, map(work_of, sides), work, slots, idle=idle)


def unmerged(context: Context, board: Board) -> list[Side]:
    """The agents of the project whose work is going to be merged: they have not ended, or their task is to be
    reviewed. Those of other lists, and of none, too."""
    every = board.tasks.every()
    found = [
        side(board, every[id])
        for id, hand in board.hands.items()
        if id in every and hand.status and not hand.merged
        and (hand.status.state not in ENDED or every[id].status == "review")
    ]  # fmt: skip
    known = {hand.agent.key for hand in board.hands.values()}
    others = [a for a in context.store.live() if a.project == board.project and a.key not in known]
    views = look.look(context, others).views if others else []
    return found + [Side(view.agent, None, changed(view.agent)) for view in views if view.status.state not in ENDED]


def side(board: Board, task: Task) -> Side:
    """The agent of a task."""
    hand = board.hands[task.id]
    return Side(hand.agent, task, changed(hand.agent) if hand.ahead != 0 else frozenset())


def changed(agent: Agent) -> frozenset[str]:
    """The files that the commits of an agent have changed since its branch left its base; none where git cannot
    tell. What it has not committed is not asked for: that would cost a walk through each workspace."""
    base = f"refs/heads/{agent.base}" if agent.base else agent.base_commit
    both = f"{base}...refs/heads/{agent.branch}"
    listed = git(agent.project, "diff", "--no-ext-diff", "--no-renames", "--name-only", "-z", both, "--", ok=None)
    return frozenset(filter(None, listed.text.split("\0"))) if listed.code == 0 else frozenset()
