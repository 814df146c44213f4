"""The tasks of a project with what their agents make of them, and keeping their statuses true."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import MagentsError, NotFound
from magents.core.status import ABSENT, BUSY, ENDED
from magents.core.text import one_line
from magents.fleet import observe
from magents.git.plumbing import git
from magents.git.project import heads
from magents.system.isolated import isolated
from magents.taskmaster import baseline, file, mirror, prompt, statuses
from magents.taskmaster.model import FINISHED, HELD
from magents.taskmaster.plan import Plan, plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from magents.core.agent import Agent
    from magents.core.status import Status
    from magents.fleet.context import Context
    from magents.fleet.observe import View
    from magents.taskmaster.model import Task, TaskList


class Assignment(NamedTuple):
    """The newest agent that was made for a task."""

    agent: Agent
    status: Status | None
    """None once it was removed."""
    merged: bool
    """Whether its base has its work."""
    ahead: int | None
    """Commits that its base does not have; None where git cannot tell."""
    last_sign: float = 0.0
    """Unix time of the last sign of it, an event or output; 0 when there was none."""

    @property
    def present(self) -> bool:
        """Whether the agent is there, and not removed."""
        return self.status is not None

    @property
    def ended(self) -> bool:
        """Whether the task goes on only when its agent is started again, or another one is made."""
        return self.status is None or self.status.state in ENDED

    @property
    def busy(self) -> bool:
        """Whether the agent takes one of the places of those at work."""
        return self.status is not None and self.status.state in BUSY


class Board(NamedTuple):
    """The tasks of one tag and what is known of each."""

    project: str
    tasks: TaskList
    plan: Plan
    assignments: dict[str, Assignment]
    """By the id of the task."""
    problems: list[str]
    """What could not be asked, a line each."""
    by_agents: Mapping[str, str] = {}
    """The ids of tasks whose text an agent in a container has written and no person has accepted; see
    `baseline.marked`."""

    def task(self, id: str) -> Task:
        """The task or subtask of this id. Raises NotFound."""
        if task := self.tasks.every().get(id):
            return task
        raise NotFound(f"{self.tasks.path} has no task {one_line(id)}.", "See them: magents tasks")

    def texts_by_agents(self, task: Task) -> list[str]:
        """The ids of such tasks whose text an agent for this one would be told: itself or what it is a part of, and
        what it builds on."""
        parts = (id.split(".") for id in (task.id, *task.dependencies))
        ids = (".".join(part[:length]) for part in parts for length in range(1, len(part) + 1))
        return [id for id in dict.fromkeys(ids) if id in self.by_agents]


def load_board(context: Context, folder: str, tag: str = "") -> Board:
    """The tasks of the project that a folder lies in, each status where it belongs. Raises NotFound, BadTasks."""
    project = context.project(folder).path
    mirror.try_update(context, project)
    return refresh(context, project, tag)


def refresh(context: Context, project: str, tag: str = "") -> Board:
    """The tasks of a project; statuses that its agents have outrun are moved first: see `due`."""
    before = read_board(context, project, tag)
    every = before.tasks.every()
    moves = {
        id: (every[id].status, after)
        for id, assignment in before.assignments.items()
        if id in every and (after := due(every[id].status, assignment))
    }
    if not statuses.move(project, before.tasks.tag, moves):
        return before
    mirror.try_update(context, project)
    tasks = file.read(project, before.tasks.tag)
    return before._replace(tasks=tasks, plan=plan(tasks), by_agents=baseline.marked(context, project, tasks.tag))


def read_board(context: Context, project: str, tag: str = "") -> Board:
    """The tasks as they stand in the file, and their agents."""
    tasks = file.read(project, tag)
    by_agents = baseline.marked(context, project, tasks.tag)
    newest = newest_of(context.store.of_tasks(project), tasks.tag)
    living = [agent for agent in newest.values() if agent.phase != "removed"]
    overview = observe.observe(context, living) if living else observe.Overview([], [])
    views = {view.agent.key: view for view in overview.views}
    every = tasks.every()
    tips = heads(project) if newest else {}
    assignments = {
        id: assignment_of(context, agent, views.get(agent.key), every[id].done if id in every else True, tips)
        for id, agent in newest.items()
    }
    return Board(project, tasks, plan(tasks), assignments, overview.problems, by_agents)


def newest_of(agents: Iterable[Agent], tag: str) -> dict[str, Agent]:
    """The newest agent of each task of a tag, by the task's id; a living one before a removed one."""
    newest: dict[str, Agent] = {}
    for agent in agents:
        its_tag, id = prompt.unref(agent.task)
        if its_tag == tag and not (agent.phase == "removed" and id in newest and newest[id].phase != "removed"):
            newest[id] = agent
    return newest


@cache
def ahead_of(project: str, base: str, tip: str) -> int:
    """How many commits of `tip` the commit `base` does not have. Two commits never change, so git is asked once."""
    return int(git(project, "rev-list", "--count", f"{base}..{tip}").line)


def assignment_of(
    context: Context, agent: Agent, view: View | None, done: bool, tips: Mapping[str, str]
) -> Assignment:
    """What an agent does, and what has become of its work as far as git tells. `tips`: the project's branches."""
    status = view.status if view else None
    try:
        with isolated(agent.id):
            assignment = work_of(context, agent, status, done, tips)
    except MagentsError:
        assignment = Assignment(agent, status, False, None)
    return assignment._replace(last_sign=view.last_sign) if view else assignment


def work_of(
    context: Context, agent: Agent, status: Status | None, done: bool, tips: Mapping[str, str]
) -> Assignment:
    """What has become of an agent's work."""
    if any(entry.data["into"] == agent.base for entry in context.store.history(agent, "merged")):
        return Assignment(agent, status, True, 0)
    if not agent.base or (done and status is None):
        return Assignment(agent, status, done, None)
    base, tip = tips.get(agent.base), tips.get(agent.branch)
    if not base or not tip:
        return Assignment(agent, status, False, None)
    ahead = ahead_of(agent.project, base, tip)
    busy = status is not None and status.state in BUSY
    return Assignment(agent, status, not ahead and tip != agent.base_commit and not busy, ahead)


def due(status: str, assignment: Assignment) -> str:
    """The status that a task should move to, as its agent stands; '' when it is where it should be.

    pending → in-progress (its agent was started) → review (the agent is done) → done (its work is merged). What a
    person holds back stays. Done before it is merged means no more than review: what builds on it would begin
    without it.
    """
    if status in HELD:
        return ""
    state = assignment.status.state if assignment.status else ""
    if assignment.merged:
        return "done" if status in ("in-progress", "review") else ""
    if status == "pending":
        # One that is being created can still be undone, and then nothing would be in progress.
        return "in-progress" if state and state not in ABSENT | {"creating"} else ""
    if status == "in-progress":
        return "review" if assignment.status and assignment.status.finished else ""
    if status in FINISHED:
        return "review" if state and assignment.ahead else ""
    return ""


def left(context: Context, agent: Agent) -> bool:
    """Whether its task was left to a person."""
    return bool(context.store.history(agent, "left"))


def leave(context: Context, agent: Agent, why: str) -> None:
    """Leave its task to a person: from now on nothing is done about it by itself."""
    context.store.note(agent, "left", f"left to a person: {why}")
