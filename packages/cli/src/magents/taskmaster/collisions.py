"""Which agents would change the same files, before the second one has begun: guessed from what tasks name and
branches have changed. See docs/adr/0012-foreseen-collisions.md.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from magents.core.status import ENDED
from magents.fleet import observe
from magents.git.plumbing import git
from magents.git.project import heads
from magents.taskmaster import paths, prompt
from magents.taskmaster.model import PRIORITIES, rank
from magents.taskmaster.plan import Choice, Work, choose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.taskmaster.board import Board
    from magents.taskmaster.model import Task

USUAL_URGENCY = PRIORITIES.index("medium")
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
    tips = heads(board.project)
    sides = [*unmerged(context, board, tips), *(side(board, task, tips) for task in begun)]
    if not sides and len(ready) == 1:
        return Choice(tuple(ready), {}, {})
    tracked = git(board.project, "ls-tree", "-r", "-z", "--name-only", "HEAD", ok=None).text.split("\0")
    files = paths.known({*filter(None, tracked), *(name for other in sides for name in other.changed)})

    def work(task: Task) -> Work:
        assignment = board.assignments.get(task.id)
        id = assignment.agent.id if assignment else prompt.agent_id(board.tasks.tag, task)
        return Work(id, rank(task)[0], paths.of_task(task, files))

    def work_of(side: Side) -> Work:
        named = paths.of_task(side.task, files) if side.task else frozenset()
        return Work(side.agent.id, rank(side.task)[0] if side.task else USUAL_URGENCY, named | side.changed)

    return choose(ready, map(work_of, sides), work, slots, idle=idle)


def unmerged(context: Context, board: Board, tips: Mapping[str, str]) -> list[Side]:
    """The agents of the project whose work is going to be merged: they have not ended, or their task is to be
    reviewed. Those of other lists, and of none, too."""
    every = board.tasks.every()
    sides = [
        side(board, every[id], tips)
        for id, assignment in board.assignments.items()
        if id in every and assignment.present and not assignment.merged
        and (not assignment.ended or every[id].status == "review")
    ]  # fmt: skip
    known = {assignment.agent.key for assignment in board.assignments.values()}
    others = [a for a in context.store.live() if a.project == board.project and a.key not in known]
    views = observe.observe(context, others).views if others else []
    living = [view.agent for view in views if view.status.state not in ENDED]
    return sides + [Side(agent, None, changed(agent, tips)) for agent in living]


def side(board: Board, task: Task, tips: Mapping[str, str]) -> Side:
    """The agent of a task."""
    agent = board.assignments[task.id].agent
    return Side(agent, task, changed(agent, tips))


def changed(agent: Agent, tips: Mapping[str, str]) -> frozenset[str]:
    """The files that the commits of an agent have changed since its branch left its base; none where git cannot
    tell. What it has not committed is not asked for: that would cost a walk through each workspace."""
    tip = tips.get(agent.branch, "")
    return between(agent.project, tips.get(agent.base, agent.base_commit), tip) if tip else frozenset()


@lru_cache(1000)
def between(project: str, base: str, tip: str) -> frozenset[str]:
    """The files that `tip` has changed since it left `base`. Two commits never change, so git is asked once."""
    words = ("diff", "--no-ext-diff", "--no-renames", "--name-only", "-z", f"{base}...{tip}", "--")
    listed = git(project, *words, ok=None)
    return frozenset(filter(None, listed.text.split("\0"))) if listed.code == 0 else frozenset()
