"""Making agents for tasks: one for one task, or for all that are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from magents.core import names
from magents.core.errors import Conflict, MagentsError
from magents.core.text import plain
from magents.fleet import create, launch, observe, stop
from magents.fleet.observe import View
from magents.git.plumbing import git
from magents.system.files import guarded
from magents.taskmaster import file, mirror, parse, prompt, statuses
from magents.taskmaster.board import load_board
from magents.taskmaster.plan import reason
from magents.taskmaster.scheduler import Job, accepting, schedule, shortage, unread, whose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.taskmaster.board import Assignment, Board
    from magents.taskmaster.model import Task
    from magents.taskmaster.plan import Clash
    from magents.taskmaster.scheduler import Request

TEMPLATE = "templates/magents-prompt.md"
"""The project's own prompt, below `.taskmaster`."""
MAX_TEMPLATE_BYTES = 65536


class Outcome(NamedTuple):
    """What was done."""

    started: list[tuple[Job, View]]
    failed: dict[str, MagentsError]
    left: dict[str, str]
    held: dict[str, Clash]


def start_ready(context: Context, board: Board, request: Request, started: Callable[[Job, View], None]) -> Outcome:
    """Do what `schedule` says, one after the other; `started` is told of each agent.

    One that fails does not keep the others from it. Ends early where memory is short.
    """
    planned = schedule(context, board, request)
    outcome = Outcome([], {}, planned.left, planned.held)
    for number, job in enumerate(planned.jobs):
        if short := shortage():
            outcome.left.update({later.task.id: short for later in planned.jobs[number:]})
            break
        try:
            agent = begin(context, board, job, request)
        except MagentsError as error:
            outcome.failed[job.task.id] = error
            continue
        view = View(agent, observe.one(context, agent))
        outcome.started.append((job, view))
        started(job, view)
    return outcome


def create_for(context: Context, id: str, name: str, request: Request) -> Agent:
    """An agent for one task or subtask. Raises Conflict when it has one, or cannot be begun yet."""
    board = load_board(context, request.folder, request.tag)
    task, previous = board.task(id), board.assignments.get(id)
    if previous and not previous.ended:
        raise Conflict(
            f"Task {id} already has an agent: {previous.agent.id}.", f"Go to it: magents attach {previous.agent.id}"
        )
    if task.status not in ("pending", "in-progress"):
        raise Conflict(
            f"Task {id} is {task.status}.",
            f"If it is to be worked on: task-master set-status --id={id} --status=pending",
        )
    if why := reason(task._replace(status="pending"), board.tasks.every()):
        raise Conflict(f"Task {id} {why}.", "Merge those first; `magents tasks --graph` shows what waits for what.")
    return begin(context, board, Job(task, previous), request, name)


def begin(context: Context, board: Board, job: Job, request: Request, name: str = "") -> Agent:
    """Make the agent of a task, or start it again; then the task is in progress.

    Raises Conflict where the new agent must not be told what the task says.
    """
    if ids := unread(board, job.task, request):
        raise Conflict(
            f"Task {job.task.id} needs your yes before an agent with your rights gets it: {whose(ids)}.",
            f"Read it, and accept it: {accepting(ids)}; or let an agent in a container do it: --docker",
        )
    agent = start_again(context, board, job, request) or make(context, board, job, request, name)
    statuses.move(board.project, board.tasks.tag, {job.task.id: (job.task.status, "in-progress")})
    mirror.try_update(context, board.project)
    return agent


def start_again(context: Context, board: Board, job: Job, request: Request) -> Agent | None:
    """Start an agent that has ended again, where it was. None: there is none; or it is to move to another mode, so
    it was stopped, and a new one takes its work over."""
    if job.previous is None or not job.previous.present:
        return None
    agent = job.previous.agent
    if request.runtime and request.runtime != agent.runtime:
        stop.stop(context, agent)
        return None
    text = "Go on where you left off."
    trusted = context.runtime(agent).traits.trusted
    if request.agent_text or not trusted or not board.texts_by_agents(job.task):
        text += " Your task was this:\n\n" + words(board, job.task, agent.branch)
    launch.start(context, agent, text)
    return context.store.get(agent.key)


def make(context: Context, board: Board, job: Job, request: Request, name: str) -> Agent:
    """A new agent; on the branch of the one before it, where there was one."""
    tag, task, previous = board.tasks.tag, job.task, job.previous
    branch = previous.agent.branch if previous else prompt.branch(tag, task)
    taken = {agent.id for agent in context.store.live()}
    if previous and previous.present:
        taken.discard(previous.agent.id)  # it makes way
    id = name or names.free(prompt.agent_id(tag, task), taken)
    wanted = create.Request(
        branch, id, board.project, request.harness, tuple(request.command), words(board, task, branch),
        env={"MAGENTS_TASK": task.id, **request.env}, runtime=request.runtime, task=prompt.ref(tag, task.id),
    )  # fmt: skip
    return create.create(context, wanted)


def words(board: Board, task: Task, branch: str) -> str:
    """The prompt of a task's agent."""
    raw = guarded.read_below(board.project, f"{file.FOLDER}/{TEMPLATE}", MAX_TEMPLATE_BYTES)
    template = plain(raw.decode("utf-8", "replace"))
    by_agent = bool(board.texts_by_agents(task))
    return prompt.write(task, branch, delivered(board, task), template, by_agent=by_agent)


def delivered(board: Board, task: Task) -> dict[str, str]:
    """What each task that this one depends on has brought: its title, and the commits of its agent, as quotes."""
    every = board.tasks.every()
    return {
        id: " — ".join([f"“{every[id].title}”", *commits(board.assignments.get(id))]) for id in task.dependencies
    }


def commits(assignment: Assignment | None) -> Sequence[str]:
    """The titles of an agent's commits, as far as its branch is there."""
    if assignment is None:
        return []
    agent = assignment.agent
    span = f"{agent.base_commit}..refs/heads/{agent.branch}"
    titles = git(agent.project, "log", "-n", "10", "--no-merges", "--format=%s", span, ok=None)
    quoted = [f"“{parse.words(line)}”" for line in titles.text.splitlines()]
    return [f"commits, as its agent calls them: {'; '.join(quoted)}"] if titles.line else []
