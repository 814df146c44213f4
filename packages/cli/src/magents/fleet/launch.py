"""Starting an agent's harness in its workspace, the first time or again."""

from __future__ import annotations

import json
import os

from magents import harnesses
from magents.core.errors import CommandFailed, MagentsError, NotFound
from magents.core.program import Start
from magents.fleet import listeners, prompts
from magents.fleet.context import Context, boot
from magents.guest import events
from magents.guest.status import PROMPTED
from magents.runtimes.base import Launch
from magents.system import process
from magents.system.files import atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from magents.core.agent import Agent

ENV = "env.json"
"""The agent's `--env`, kept for its next start; readable by the user alone."""


def prepare(
    context: Context,
    agent: Agent,
    *,
    prompt: str | None = None,
    resume: bool = False,
    env: Mapping[str, str] | None = None,
    keep: Sequence[int] = (),
) -> Launch:
    """Find out what to start. `env` is kept for later starts; None stands for what was kept."""
    folder, place = context.folder(agent), context.place(agent)
    session = context.report(agent).session if resume else None
    start = Start(place.folder, place.share, prompt, resume, session, agent.unattended, agent.command)
    program = context.harness(agent).start(start)
    if env is None:
        env = kept_env(folder)
    elif env:
        keep_env(folder, env)
    here, keys = process.environment(None), harnesses.record(agent.harness).keys
    launch = Launch(agent, program, folder, here, env, keys=keys, keep=keep)
    if context.runtime(agent).traits.workspace != "worktree":
        launch = secluded(context, launch)
    return launch


def secluded(context: Context, launch: Launch) -> Launch:
    """What an agent needs, too, if it sees only what it is shown of this machine."""
    from magents.fleet import accepted, shared
    from magents.git import project
    from magents.git.workspaces import borrow

    agent = launch.agent
    place = shared.provide(context, agent, context.runtime(agent).owner())
    return launch._replace(
        env=launch.env | project.author(agent.project),
        shared=place,
        accepted=accepted.provide(context, agent.project),
        borrowed=borrow.borrowed(agent.project),
    )


def keep_env(folder: str, env: Mapping[str, str]) -> None:
    """Write the agent's own environment down."""
    atomic.write(folder, ENV, json.dumps(dict(env)))


def kept_env(folder: str) -> dict[str, str]:
    """The agent's own environment."""
    try:
        with open(os.path.join(folder, ENV), encoding="utf-8") as file:
            return {str(name): str(value) for name, value in json.load(file).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise MagentsError(f"{folder}/{ENV} cannot be read.", "Remove it to start without it.") from error


def go(context: Context, launch: Launch, *, prompted: bool) -> None:
    """Start it. Raises MagentsError."""
    runtime = context.runtime(launch.agent)
    place = runtime.place(launch.agent, launch.folder)
    listeners.tell(context, "starting", launch.agent)
    with events.launching(place, PROMPTED if prompted else ""):
        runtime.start(launch)
    if runtime.traits.workspace != "worktree":
        from magents.fleet import collect

        collect.ensure_collector(context)


def set_up(context: Context, agent: Agent, command: str, folder: str, lock: int) -> None:
    """Run the user's set-up command in the workspace, where the agent is going to run.

    Raises MagentsError with its output if it fails.

    The command inherits the lock: if this process is killed, the set-up is still seen as at work.
    """
    context.progress(f"set-up: {command}")
    env = {
        **kept_env(folder), "MAGENTS_ID": agent.id, "MAGENTS_BRANCH": agent.branch,
        "MAGENTS_PROJECT": agent.project,
    }  # fmt: skip
    here = context.runtime(agent).traits.program == "here"  # elsewhere the place has the environment already
    try:
        process.run(
            context.place(agent).command(["sh", "-c", command]), cwd=agent.workspace if here else None,
            env=env if here else None, timeout=3600, keep=(lock,), merge_output=True,
        )  # fmt: skip
    except CommandFailed as error:
        last = "\n".join(error.output.strip().splitlines()[-40:])
        how = "took longer than an hour" if error.code is None else f"failed with exit code {error.code}"
        raise MagentsError(
            f"The set-up command {how}: {command}\n{last}",
            "Where it is set: magents config",
        ) from error


def predecessor(context: Context, agent: Agent) -> Agent | None:
    """The last removed agent on the same branch; `take_over` may bring back its uncommitted work."""
    removed = context.store.removed(agent.project)
    return next((old for old in removed if old.branch == agent.branch and old.pin), None)


def is_foreign(context: Context, old: Agent) -> bool:
    """Whether a container made the pin of this removed agent."""
    from magents.fleet import origin

    return origin.is_foreign(context, old.project, old.pin)


def take_over(context: Context, agent: Agent, old: Agent, *, foreign: bool) -> str:
    """Bring back what a removed agent on the same branch left uncommitted; returns words for the history.

    Only while the branch still stands where that agent left it; otherwise its pin is left alone. A pin that cannot
    be used is left alone, too, and `warn` says so.
    """
    from magents.git.pins import format, read

    try:
        back = read.bring_over(agent.project, old.pin, agent.workspace, foreign=foreign)
    except format.Unreadable as error:
        context.warn(f"the uncommitted work of {old.id} was not brought back: {error.message}")
        return ""
    if not back:
        return ""
    context.progress(f"brought back the uncommitted work of {old.id}: {back} files")
    return f", with {back} uncommitted files of {old.id}"


def start(context: Context, agent: Agent, prompt: str | None = None) -> bool:
    """Start it again, its conversation resumed. False: it runs already. Raises MagentsError."""
    from magents.fleet.observe import is_alive

    prompts.check(prompt)
    with context.store.lock(agent.id):
        agent = context.store.get(agent.key)
        if is_alive(context, agent):
            context.store.update(agent, phase="active")
            return False
        if not os.path.isdir(agent.workspace):
            raise NotFound(
                f"The workspace of {agent.id} is not there: {agent.workspace}.",
                f"Bring its disk back; or give it up: magents stop {agent.id} --remove-worktree",
            )
        go(context, prepare(context, agent, prompt=prompt, resume=True), prompted=prompt is not None)
        context.store.update(agent, phase="active", boot=boot())
        context.store.note(agent, "started", "started again")
        return True
