"""Creating an agent: a branch, a workspace, a running harness; or nothing at all."""

from __future__ import annotations

import os
import time

from magents import config, harnesses, runtimes
from magents.core import names
from magents.core.agent import Agent
from magents.core.errors import CommandFailed, Conflict, MagentsError, Missing, NotFound, UsageError, remedy
from magents.core.text import one_line
from magents.core.tuples import NamedTuple
from magents.fleet import prompts, remove
from magents.fleet.context import CLAIMED, Context, boot
from magents.git import project as projects
from magents.git.layout import has_record
from magents.git.project import Asked
from magents.git.workspaces import disk, worktree
from magents.system import programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from magents.config import Config
    from magents.git.plumbing import Retried
    from magents.git.project import Branch, Project


class Request(NamedTuple):
    """What the user asks for."""

    branch: str
    id: str = ""
    """'' for one made from the branch's name."""
    folder: str = "."
    """Where the user stands: in the project, or deeper."""
    harness: str = ""
    command: tuple[str, ...] = ()
    """Any program instead of a harness."""
    prompt: str | None = None
    base: str = ""
    """What a new branch starts from; '' for the default."""
    env: Mapping[str, str] = {}
    runtime: str = ""
    """'' for the configured mode."""
    task: str = ""
    """The task it is to work on, `tag:id`."""


class Plan(NamedTuple):
    """What `create` is going to do."""

    agent: Agent
    project: Project
    new_branch: bool
    track: str
    """The remote branch that a new one follows; '' for none."""
    setup: str
    """The command to run in the workspace first; '' for none."""
    prompt: str | None
    env: Mapping[str, str]
    warnings: list[str]
    """What the user should know although it stops nothing: a key that the harness is going to ask for."""
    moves: Agent | None = None
    """The stopped agent of another mode whose workspace is removed first, its work kept and taken over."""


def plan(context: Context, request: Request, asked: Asked | None = None) -> Plan:
    """What is going to be made. Raises MagentsError for all that can be refused; makes nothing.

    `asked`: the questions to git about the folder and the branch, if they are under way already.
    """
    if asked is None:
        with Asked(request.folder, request.branch) as asked:
            return plan(context, request, asked)
    if request.id:
        names.check_id(request.id)
    prompts.check(request.prompt)
    project, branch = asked.result()
    if not project.commit:
        raise Conflict(
            f"{project.path} has no commit yet, so there is nothing an agent could start from.",
            "Make one: git commit --allow-empty -m 'Begin'",
        )
    settings = config.load(project.settings)
    mode = request.runtime or runtimes.mode(settings)
    where = runtimes.runtime(mode)
    chosen = check_harness(request, settings, here=where.traits.program == "here")
    facts = harnesses.record(chosen)
    where.require(chosen, facts.program)
    warnings = keyless(facts.keys, request, settings) if where.traits.home == "image" else []
    base, commit, track = starting_point(project, request, settings, branch)
    moved = movable(context, project.path, request.branch, mode)
    taken = {agent.id for agent in context.store.live() if agent != moved}
    id = request.id or (moved.id if moved else names.free(names.slug(request.branch), taken))
    agent = Agent(
        0, id, project.path, request.branch, base, commit, not branch.commit, chosen, request.command, mode,
        os.path.join(workspaces(project, settings), id), time.time(), "creating",
        unattended(settings, mode), "", "", request.task or (moved.task if moved else ""),
    )  # fmt: skip
    result = Plan(
        agent, project, not branch.commit, track, settings["SETUP"], request.prompt, request.env, warnings, moved
    )
    if moved:
        return result
    try:
        if rival := context.store.rival(agent):
            raise rival
        projects.check_free(request.branch, branch)
        disk.check_absent(agent.workspace)
    except Conflict:
        if request.id or not taken_meanwhile(context, agent):
            raise
        return plan(context, request)  # another command has just taken the id that was free: choose the next
    return result


def movable(context: Context, path: str, branch: str, mode: str) -> Agent | None:
    """The stopped agent of another mode that has the branch: it makes way, and the new one takes its work over."""
    mine = (other for other in context.store.live() if (other.project, other.branch) == (path, branch))
    return next((other for other in mine if other.phase == "stopped" and other.runtime != mode), None)


def check_harness(request: Request, settings: Config, *, here: bool) -> str:
    """The harness to use. Raises NotFound for an unknown one, and Missing for one that is to run `here`, on this
    machine, and is not installed."""
    if request.command:
        if here and not programs.find(request.command[0]):
            raise Missing(f"The program `{request.command[0]}` was not found.", "Install it, or mend your PATH.")
        return "command"
    chosen = request.harness or settings["AGENT"]
    try:
        record = harnesses.record(chosen)
    except NotFound as error:
        if request.harness:
            raise
        raise NotFound(
            f"AGENT={one_line(chosen)} ({settings.values['AGENT'].source}) is no harness.",
            "Choose another: magents config --set AGENT=claude",
        ) from error
    if chosen == "command":
        raise UsageError("`command` needs a program: magents create BRANCH -- PROGRAM …")
    for problem in record.check() if here else ():
        raise Missing(f"{problem.what}.", f"Install it: {problem.remedy}   or choose another: --agent NAME")
    return chosen


def keyless(keys: Sequence[str], request: Request, settings: Config) -> list[str]:
    """A warning if the environment has none of a harness's keys: the harness is going to ask for one, where nobody
    looks."""
    passed = [*keys, *settings["API_KEYS"].replace(",", " ").split()]
    if not keys or any(request.env.get(name) or os.environ.get(name) for name in passed):
        return []
    return [f"none of its keys is in the environment, so it will ask for one: {', '.join(keys)}"]


def unattended(settings: Config, mode: str) -> bool:
    """Whether an agent in this mode may act without asking, by the setting AUTO_ACCEPT."""
    return settings["AUTO_ACCEPT"] in ("always", mode)


def starting_point(project: Project, request: Request, settings: Config, branch: Branch) -> tuple[str, str, str]:
    """The base's name, the commit to begin at, and the remote branch to track.

    An existing branch begins where it is; a branch that only a remote has begins there and tracks it; any
    other at `--from`, else at the setting BASE, else at what is checked out where the user stands.
    """
    asked = request.base or settings["BASE"]
    base = projects.base_name(project, asked) if asked else project.head
    if base == request.branch:
        base = ""
    if branch.commit:
        return base, branch.commit, ""
    if not request.base and branch.remotes:
        name = next(iter(branch.remotes)) if len(branch.remotes) == 1 else f"origin/{request.branch}"
        if name not in branch.remotes:
            raise Conflict(
                f"Several remotes have a branch `{request.branch}`: {', '.join(branch.remotes)}.",
                f"Say which: --from {next(iter(branch.remotes))}",
            )
        return base, branch.remotes[name], name
    return base, projects.commit_of(project, asked) if asked else project.commit, ""


def workspaces(project: Project, settings: Config) -> str:
    """The folder that workspaces are made in."""
    chosen = settings["WORKSPACES"]
    if not chosen:
        return os.path.join(project.beside, f"{project.name}-agents")
    chosen = os.path.expanduser(chosen.replace("{project}", project.name))
    return os.path.normpath(os.path.join(project.path, chosen))


def create(context: Context, request: Request, asked: Asked | None = None) -> Agent:
    """Make the agent and start it. Raises MagentsError; then nothing of the agent is left, or the error says that
    what was made could not be taken back yet. `asked`: see `plan`."""
    while True:
        planned = plan(context, request, asked)
        asked = None  # a second plan asks git again
        if planned.moves:
            context.progress(f"moving {planned.moves.id} from {planned.moves.runtime}")
            remove.remove(context, planned.moves)
            request = request._replace(id=request.id or planned.moves.id)
            continue
        with context.store.lock(planned.agent.id) as lock:
            try:
                agent = context.store.add(planned.agent)
            except Conflict:
                if request.id or not taken_meanwhile(context, planned.agent):
                    raise
                continue  # another command has just taken the id that was free: choose the next
            for text in planned.warnings:
                context.warn(text)
            try:
                return build(context, agent, planned, lock)
            except BaseException as error:
                outcome = take_back(context, agent)
                if isinstance(error, MagentsError):
                    error.hint = f"{outcome} {error.hint}".rstrip()
                raise


def taken_meanwhile(context: Context, agent: Agent) -> bool:
    """Whether only the id is in the way, and not the branch."""
    live = context.store.live()
    return agent.id in {a.id for a in live} and not any(
        a.project == agent.project and a.branch == agent.branch for a in live
    )


def build(context: Context, agent: Agent, planned: Plan, lock: int) -> Agent:
    """Make everything that the agent's row promises."""
    disk.claim(agent.workspace)
    folder = claim_folder(context, agent)
    context.progress(f"checking out {agent.branch}")
    workspace, runtime = context.workspace(agent), context.runtime(agent)
    traits = runtime.traits
    if traits.workspace == "worktree" and has_record(agent.project):
        from magents.fleet import trust

        trust.check_programs(agent.project, agent.base_commit)
        trust.warn_of_hooks(context, agent.project, agent.base_commit)
    with workspace.fill(
        new=planned.new_branch, track=planned.track, workers=checkout_workers(context, planned), keep=(lock,)
    ) as filling:
        from magents.fleet import launch  # while git is at work

        ready = launch.prepare(context, agent, prompt=planned.prompt, env=planned.env, keep=(lock,))
        runtime.prepare(ready)
        check_out(context, agent, planned, filling)
    if os.path.exists(os.path.join(agent.project, ".worktreeinclude")):
        from magents.git.workspaces import include

        include.copy(agent.project, agent.workspace, links=traits.workspace == "worktree", warn=context.warn)
    old = launch.predecessor(context, agent)
    foreign = old is not None and launch.is_foreign(context, old)
    # What a container left is laid out after the set-up: the set-up would run it with the user's rights.
    late = foreign and traits.trusted
    brought = launch.take_over(context, agent, old, foreign=foreign) if old and not late else ""
    workspace.hand_over(runtime.owner())
    if planned.setup and may_set_up(context, agent, planned.setup):
        launch.set_up(context, agent, planned.setup, folder, lock)
    if old and late:
        brought = launch.take_over(context, agent, old, foreign=foreign)
    launch.go(context, ready, prompted=planned.prompt is not None)
    agent = context.store.update(agent, phase="active", boot=boot())
    context.store.note(agent, "created", f"created on {agent.branch}{brought}")
    return agent


def may_set_up(context: Context, agent: Agent, command: str) -> bool:
    """See `trust.may_set_up`, which is loaded only where an agent in a container ever was."""
    if not has_record(agent.project):
        return True
    from magents.fleet import trust

    return trust.may_set_up(context, agent, command)


LARGE_INDEX_BYTES = 1 << 20
"""Bytes of git's index in a large project: some ten thousand files."""


def checkout_workers(context: Context, planned: Plan) -> str:
    """How many processes git may check files out with: the cores, shared among the agents that are being made right
    now. '' if the user has set that.

    In a large project there are two processes for each core: git deals the files out beforehand, so one process
    ends long before another. In a small project, to start more processes takes longer than they save.
    """
    if planned.project.workers:
        return ""
    making = sum(other.phase == "creating" for other in context.store.unsettled())
    workers = (os.cpu_count() or 1) * (2 if is_large(planned.project) else 1)
    return str(max(1, workers // max(1, making)))


def is_large(project: Project) -> bool:
    """Whether the project has many files checked out itself. One without a checkout counts as small."""
    try:
        return os.path.getsize(os.path.join(project.common, "index")) > LARGE_INDEX_BYTES
    except OSError:
        return False


def check_out(context: Context, agent: Agent, planned: Plan, filling: Retried) -> None:
    """Wait until the workspace is filled. Raises MagentsError with what git says."""
    try:
        filling.result()
    except CommandFailed as error:
        if planned.new_branch and "already exists" in error.stderr:
            context.store.update(agent, made_branch=False)  # somebody has just made it: not ours to undo
        raise MagentsError(f"git could not make the workspace:\n{error.stderr.strip()}", error.hint) from error


def claim_folder(context: Context, agent: Agent) -> str:
    """Make the agent's own folder, and note in it that the workspace's folder is ours."""
    folder = context.folder(agent)
    if os.path.lexists(folder):  # of an agent that a lost store knew
        os.rename(folder, f"{folder}.{int(time.time())}.old")
    try:
        os.makedirs(folder, mode=0o700)
        with open(os.path.join(folder, CLAIMED), "w", encoding="utf-8"):
            pass
    except OSError as error:
        raise MagentsError(f"{folder} cannot be made: {error.strerror}.", remedy(error)) from error
    return folder


def take_back(context: Context, agent: Agent) -> str:
    """Call `undo` after a failure; returns what to say of it. If `undo` fails, too, as without an engine, the user
    is told so, and the next command tries again."""
    try:
        undo(context, context.store.get(agent.key))
    except (MagentsError, OSError) as error:
        why = error.message if isinstance(error, MagentsError) else f"{error.strerror}."
        context.warn(f"what was made of {agent.id} could not be taken back yet: {why}")
        return "What was made could not be taken back yet: when it is mended, `magents doctor --fix` does that."
    return "Nothing was left behind."


def undo(context: Context, agent: Agent) -> None:
    """Take back a creation that got to any point; a failure and a killed command have this in common.

    The branch goes only if this creation made it and it has not moved since.
    """
    folder = context.folder(agent)
    context.runtime(agent).remove(agent, folder)
    if os.path.exists(os.path.join(folder, CLAIMED)):
        context.workspace(agent).remove()
        if agent.made_branch:
            worktree.drop_branch(agent.project, agent.branch, agent.base_commit)
        disk.discard(folder)
    else:
        disk.discard_empty(agent.workspace)
        disk.discard_empty(folder)
    context.store.forget(agent)
