"""The tasks of a project with what their agents make of them, and keeping their statuses true."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import MagentsError
from magents.core.status import ABSENT, BUSY
from magents.fleet import observe
from magents.git.plumbing import git
from magents.system.isolated import isolated
from magents.taskmaster import baseline, file, mirror, parse, prompt, statuses
from magents.taskmaster.model import FINISHED, HELD
from magents.taskmaster.plan import Plan, plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from magents.core.agent import Agent
    from magents.core.status import Status
    from magents.fleet.context import Context
    from magents.fleet.observe import View
    from magents.taskmaster.model import Task, TaskList


class Hand(NamedTuple):
    """The newest agent that was made for a task."""

    agent: Agent
    status: Status | None
    """None once it was removed."""
    merged: bool
    """Whether its base has its work."""
    ahead: int | None
    """Commits that its base does not have; None where git cannot tell."""
    stirred: float = 0.0
    """Unix time of the last that was heard or seen of it; 0 when nothing was."""


class Board(NamedTuple):
    """The tasks of one tag and what is known of each."""

    project: str
    tasks: TaskList
    plan: Plan
    hands: dict[str, Hand]
    """By the id of the task."""
    problems: list[str]
    """What could not be asked, a line each."""
    by_agents: Mapping[str, str] = {}
    """The ids of tasks whose text an agent in a container has written and no person has accepted; see
    `baseline.marked`."""

    def text_by_agent(self, task: Task) -> list[str]:
        """The ids of such tasks whose text an agent for this one would be told: itself or what it is a part of, and
        what it builds on."""
        parts = (id.split(".") for id in (task.id, *task.dependencies))
        told = (".".join(part[:length]) for part in parts for length in range(1, len(part) + 1))
        return [id for id in dict.fromkeys(told) if id in self.by_agents]


def board(context: Context, folder: str, tag: str = "") -> Board:
    """The tasks of the project that a folder lies in, each status where it belongs. Raises NotFound, BadTasks."""
    found = context.project(folder)
    mirror.try_update(context, found.path)
    return settled(context, found.path, tag)


def settled(context: Context, project: str, tag: str = "") -> Board:
    """The tasks of a project; statuses that its agents have outrun are moved first: see `due`."""
    before = read(context, project, tag)
    every = before.tasks.every()
    moves = {
        id: (every[id].status, after)
        for id, hand in before.hands.items()
        if id in every and (after := due(every[id].status, hand))
    }
    if not statuses.move(project, before.tasks.tag, moves):
        return before
    mirror.try_update(context, project)
    tasks = file.read(project, before.tasks.tag)
    return before._replace(tasks=tasks, plan=plan(tasks), by_agents=baseline.marked(context, project, tasks.tag))


def read(context: Context, project: str, tag: str = "") -> Board:
    """The tasks as they stand in the file, and their agents."""
    tasks = file.read(project, tag)
    by_agents = baseline.marked(context, project, tasks.tag)
    newest = newest_of(context.store.of_tasks(project), tasks.tag)
    living = [agent for agent in newest.values() if agent.phase != "removed"]
    overview = observe.observe(context, living) if living else observe.Overview([], [])
    views = {view.agent.key: view for view in overview.views}
    every = tasks.every()
    tips = heads(project) if newest else {}
    hands = {
        id: hand_of(context, agent, views.get(agent.key), every[id].done if id in every else True, tips)
        for id, agent in newest.items()
    }
    return Board(project, tasks, plan(tasks), hands, overview.problems, by_agents)


def newest_of(agents: Iterable[Agent], tag: str) -> dict[str, Agent]:
    """The newest agent of each task of a tag, by the task's id; a living one before a removed one."""
    found: dict[str, Agent] = {}
    for agent in agents:
        mine, id = prompt.unref(agent.task)
        if mine == tag and not (agent.phase == "removed" and id in found and found[id].phase != "removed"):
            found[id] = agent
    return found


def heads(project: str) -> dict[str, str]:
    """The commit of each local branch, asked in one call."""
    rows = git(project, "for-each-ref", "--format=%(refname:lstrip=2)%00%(objectname)", "refs/heads").text
    return dict(row.split("\0") for row in rows.split("\n")[:-1])


@cache
def ahead_of(project: str, base: str, tip: str) -> int:
    """How many commits of `tip` the commit `base` does not have. Two commits never change, so git is asked once."""
    return int(git(project, "rev-list", "--count", f"{base}..{tip}").line)


def hand_of(context: Context, agent: Agent, view: View | None, done: bool, tips: Mapping[str, str]) -> Hand:
    """What an agent does, and what has become of its work as far as git tells. `tips`: the project's branches."""
    status = view.status if view else None
    try:
        with isolated(agent.id):
            hand = work_of(context, agent, status, done, tips)
    except MagentsError:
        hand = Hand(agent, status, False, None)
    return hand._replace(stirred=view.stirred) if view else hand


def work_of(context: Context, agent: Agent, status: Status | None, done: bool, tips: Mapping[str, str]) -> Hand:
    """What has become of an agent's work."""
    if any(entry.data["into"] == agent.base for entry in context.store.history(agent, "merged")):
        return Hand(agent, status, True, 0)
    if not agent.base or (done and status is None):
        return Hand(agent, status, done, None)
    base, tip = tips.get(agent.base), tips.get(agent.branch)
    if not base or not tip:
        return Hand(agent, status, False, None)
    ahead = ahead_of(agent.project, base, tip)
    busy = status is not None and status.state in BUSY
    return Hand(agent, status, not ahead and tip != agent.base_commit and not busy, ahead)


def due(status: str, hand: Hand) -> str:
    """The status that a task should move to, as its agent stands; '' when it is where it should be.

    pending → in-progress (its agent was started) → review (the agent is done) → done (its work is merged). What a
    person holds back stays. Done before it is merged means no more than review: what builds on it would begin
    without it.
    """
    if status in HELD:
        return ""
    state = hand.status.state if hand.status else ""
    if hand.merged:
        return "done" if status in ("in-progress", "review") else ""
    if status == "pending":
        # One that is being created can still be undone, and then nothing would be in progress.
        return "in-progress" if state and state not in ABSENT | {"creating"} else ""
    if status == "in-progress":
        return "review" if hand.status and hand.status.finished else ""
    if status in FINISHED:
        return "review" if state and hand.ahead else ""
    return ""


def left(context: Context, agent: Agent) -> bool:
    """Whether its task was left to a person."""
    return bool(context.store.history(agent, "left"))


def delivered(context: Context, board: Board, task: Task) -> dict[str, str]:
    """What each task that this one depends on has brought: its title, and the commits of its agent, as quotes."""
    every = board.tasks.every()
    return {id: " — ".join([f"“{every[id].title}”", *commits(board.hands.get(id))]) for id in task.dependencies}


def commits(hand: Hand | None) -> Sequence[str]:
    """The titles of an agent's commits, as far as its branch is there."""
    if hand is None:
        return []
    span = f"{hand.agent.base_commit}..refs/heads/{hand.agent.branch}"
    titles = git(hand.agent.project, "log", "-n", "10", "--no-merges", "--format=%s", span, ok=None)
    quoted = [f"“{parse.words(line)}”" for line in titles.text.splitlines()]
    return [f"commits, as its agent calls them: {'; '.join(quoted)}"] if titles.line else []
