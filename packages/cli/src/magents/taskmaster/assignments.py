"""Agents for tasks: one for one task, or for all that are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from magents import config
from magents.core import names
from magents.core.errors import Conflict, MagentsError, NotFound
from magents.core.status import BUSY, ENDED
from magents.core.text import one_line, plain
from magents.fleet import create, launch, observe, stop
from magents.fleet.observe import View
from magents.runtimes import runtime
from magents.system.files import guarded
from magents.taskmaster import board as boards
from magents.taskmaster import collisions, file, mirror, prompt, statuses
from magents.taskmaster.model import rank
from magents.taskmaster.plan import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.taskmaster.board import Board, Hand
    from magents.taskmaster.model import Task
    from magents.taskmaster.plan import Clash

TEMPLATE = "templates/magents-prompt.md"
"""The project's own prompt, below `.taskmaster`."""
NEEDED = 700
"""MiB of memory that must be free for one more agent: what a harness takes, and some for its tests."""


class Request(NamedTuple):
    """How agents for tasks are to be made."""

    folder: str = "."
    tag: str = ""
    most: int = 0
    """How many may be at work at once; 0 for the setting MAX_AGENTS."""
    only: Sequence[str] = ()
    """Ids of the only tasks to look at; empty for all."""
    runtime: str = ""
    harness: str = ""
    command: Sequence[str] = ()
    """A program to run in the place of the harness."""
    env: Mapping[str, str] = {}
    agent_text: bool = False
    """Whether an agent with the user's rights may be told what an agent in a container has written."""

    def wants(self, task: Task) -> bool:
        """Whether it is about this task."""
        return not self.only or task.id in self.only


class Job(NamedTuple):
    """A task that gets an agent."""

    task: Task
    hand: Hand | None
    """The agent that worked on it before."""
    clash: Clash | None = None
    """What it may collide with all the same."""

    @property
    def again(self) -> bool:
        """Whether it goes on with what was begun."""
        return self.hand is not None


class Schedule(NamedTuple):
    """What is to be done now."""

    jobs: list[Job]
    left: dict[str, str]
    """Why each of the other open tasks gets none, by id."""
    most: int
    held: dict[str, Clash]
    """Those of them that wait for what they would collide with."""


class Outcome(NamedTuple):
    """What was done."""

    started: list[tuple[Job, View]]
    failed: dict[str, MagentsError]
    left: dict[str, str]
    held: dict[str, Clash]


def schedule(
    context: Context, board: Board, request: Request, *, without: Container[str] = (), patient: bool = False
) -> Schedule:
    """Which tasks get an agent now: those in progress whose agent is not at work any more, then the ready ones that
    are not about to collide. `without`: ids of tasks that are given up. `patient`: what others wait for is going to
    be merged by itself, so nothing is begun that collides with it, even if nothing else runs."""
    every = board.tasks.every()
    for id in request.only:
        if id not in every:
            raise NotFound(f"{board.tasks.path} has no task {one_line(id)}.", "See them: magents tasks")
    most = request.most or int(config.load()["MAX_AGENTS"])
    busy = sum(hand.status is not None and hand.status.state in BUSY for hand in board.hands.values())
    left = {task.id: board.plan.left.get(task.id, "") for task in board.tasks.tasks if not task.done}
    full = f"{most} agents are at work already" if busy >= most else f"no more than {most} at once"
    begun, ready = candidates(board)
    withheld = {task.id: why_withheld(ids) for task in begun + ready if (ids := withheld_by(board, task, request))}
    for task in begun + ready:
        left[task.id] = full if request.wants(task) else "not asked for"
    begun, ready = (
        [t for t in tasks if request.wants(t) and t.id not in without and t.id not in withheld]
        for tasks in (begun, ready)
    )
    begun = begun[: max(0, most - busy)]
    idle = not (busy or begun or patient)
    choice = collisions.choice(context, board, begun, ready, most - busy - len(begun), idle=idle)
    jobs = [Job(t, board.hands.get(t.id), choice.clashes.get(t.id)) for t in (*begun, *choice.chosen)]
    for id, hand in board.hands.items():
        if id in left and hand.status:
            left[id] = standing(every[id].status, hand)
    left |= {id: f"waits for {clash.who}: {clash.text}" for id, clash in choice.held.items()} | withheld
    for job in jobs:
        left.pop(job.task.id, None)
    return Schedule(jobs, {id: why or "has an agent" for id, why in left.items()}, most, choice.held)


def withheld_by(board: Board, task: Task, request: Request) -> list[str]:
    """The ids of the tasks whose text keeps an agent from being begun for this one: itself or what it builds on,
    written by an agent that may less than the new one would. None where it is begun.

    One that goes on is not told its task again, see `again`.
    """
    hand = board.hands.get(task.id)
    by = board.text_by_agent(task)
    if not by or request.agent_text or (hand and hand.status and request.runtime in ("", hand.agent.runtime)):
        return []
    mode = request.runtime or ("docker" if config.load().flag("DOCKER_ENABLED") else "tmux")
    if not runtime(mode).traits.trusted:
        return []
    return by


def why_withheld(ids: Sequence[str]) -> str:
    """The same for people, with what to do."""
    return f"an agent wrote the text of {', '.join(ids)}: magents tasks --accept {','.join(ids)}"


def candidates(board: Board) -> tuple[list[Task], list[Task]]:
    """All that could get an agent, in the order of their turn: what was begun, and what is ready."""
    every = board.tasks.every()
    begun = [
        every[id]
        for id, hand in board.hands.items()
        if id in every
        and every[id].status == "in-progress"
        and not hand.merged
        and (hand.status is None or hand.status.state in ENDED)
    ]
    begun.sort(key=rank)
    living = {id for id, hand in board.hands.items() if hand.status and hand.status.state not in ENDED}
    return begun, [task for task in board.plan.ready if task.id not in living]


def standing(status: str, hand: Hand) -> str:
    """Why a task that has an agent gets no other."""
    state = hand.status.state if hand.status else ""
    if status == "review":
        return f"review: magents diff {hand.agent.id}, then magents merge {hand.agent.id}"
    return f"{hand.agent.id} is {state}"


def run(
    context: Context, board: Board, request: Request, told: Callable[[Job, View], None] = lambda job, view: None
) -> Outcome:
    """Do what `schedule` says, one after the other; `told` of each agent as it starts.

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
        told(job, view)
    return outcome


def one(context: Context, id: str, name: str, request: Request) -> Agent:
    """An agent for one task or subtask. Raises Conflict when it has one, or cannot be begun yet."""
    board = boards.board(context, request.folder, request.tag)
    every = board.tasks.every()
    task = every.get(id)
    if task is None:
        raise NotFound(f"{board.tasks.path} has no task {one_line(id)}.", "See them: magents tasks")
    hand = board.hands.get(id)
    if hand and hand.status and hand.status.state not in ENDED:
        raise Conflict(
            f"Task {id} already has an agent: {hand.agent.id}.", f"Go to it: magents attach {hand.agent.id}"
        )
    if task.status not in ("pending", "in-progress"):
        raise Conflict(
            f"Task {id} is {task.status}.",
            f"If it is to be worked on: task-master set-status --id={id} --status=pending",
        )
    if why := reason(task._replace(status="pending"), every):
        raise Conflict(f"Task {id} {why}.", "Merge those first; `magents tasks --graph` shows what waits for what.")
    return begin(context, board, Job(task, hand), request, name)


def begin(context: Context, board: Board, job: Job, request: Request, name: str = "") -> Agent:
    """Make the agent of a task, or start it again; then the task is in progress."""
    agent = again(context, board, job, request) if job.hand and job.hand.status else None
    agent = agent or made(context, board, job, request, name)
    statuses.move(board.project, board.tasks.tag, {job.task.id: (job.task.status, "in-progress")})
    mirror.try_update(context, board.project)
    return agent


def again(context: Context, board: Board, job: Job, request: Request) -> Agent | None:
    """Start an agent that has ended again, where it was. None: it is to move to another mode, so it was stopped,
    and a new one takes its work over."""
    assert job.hand is not None
    agent = job.hand.agent
    if request.runtime and request.runtime != agent.runtime:
        stop.stop(context, agent)
        return None
    text = "Go on where you left off."
    trusted = context.runtime(agent).traits.trusted
    if request.agent_text or not trusted or not board.text_by_agent(job.task):
        text += " Your task was this:\n\n" + words(context, board, job.task, agent.branch)
    launch.start(context, agent, text)
    return context.store.get(agent.key)


def made(context: Context, board: Board, job: Job, request: Request, name: str) -> Agent:
    """A new agent; on the branch of the one before it, where there was one. Raises Conflict where it must not be
    told what the task says."""
    if ids := withheld_by(board, job.task, request):
        raise Conflict(
            f"Task {job.task.id} needs your yes before an agent with your rights gets it: "
            f"an agent wrote the text of {', '.join(ids)}.",
            f"Read it, and accept it: magents tasks --accept {','.join(ids)}; "
            "or let an agent in a container do it: --docker",
        )
    tag, task = board.tasks.tag, job.task
    branch = job.hand.agent.branch if job.hand else prompt.branch(tag, task)
    taken = {agent.id for agent in context.store.live()}
    if job.hand and job.hand.status:
        taken.discard(job.hand.agent.id)  # it makes way
    id = name or names.free(prompt.agent_id(tag, task), taken)
    wanted = create.Request(
        branch, id, board.project, request.harness, tuple(request.command), words(context, board, task, branch),
        env={"MAGENTS_TASK": task.id, **request.env}, runtime=request.runtime, task=prompt.ref(tag, task.id),
    )  # fmt: skip
    return create.create(context, wanted)


def words(context: Context, board: Board, task: Task, branch: str) -> str:
    """The prompt."""
    raw = guarded.read_below(board.project, f"{file.FOLDER}/{TEMPLATE}", 65536)
    template = plain(raw.decode("utf-8", "replace"))
    by_agent = bool(board.text_by_agent(task))
    return prompt.write(task, branch, boards.delivered(context, board, task), template, by_agent=by_agent)


def shortage() -> str:
    """Why memory does not allow for one more agent; '' when it does."""
    free = memory()
    if free is None or free >= NEEDED:
        return ""
    return f"memory is short: {free} MiB are free, {NEEDED} are needed for one more"


def memory() -> int | None:
    """MiB that are free for new programs, as Linux reckons; None where that cannot be told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:")), None)
    except (OSError, ValueError):
        return None
