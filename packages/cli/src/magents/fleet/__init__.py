"""The use cases: what a user can do with agents. `from magents import Fleet` is the library.

Each subject is a module of its own; `Fleet` is the one door to all of them.
"""

from __future__ import annotations

import os

from magents.fleet.context import Context
from magents.store import Store

__all__ = [
    "Checkup", "Clash", "Conflicts", "Delivery", "Details", "Difference", "Finding", "Fleet", "Overview", "Plan",
    "Removed", "Side", "View", "Waited", "Waiting",
]  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from magents.config import Config
    from magents.core.agent import Agent
    from magents.core.status import Status
    from magents.fleet.accepted import Difference
    from magents.fleet.conflicts import Clash, Conflicts, Side
    from magents.fleet.create import Plan
    from magents.fleet.details import Details, Known
    from magents.fleet.doctor import Checkup, Finding
    from magents.fleet.observe import Overview, View
    from magents.fleet.remove import Removed
    from magents.fleet.send import Delivery
    from magents.fleet.trust import Waiting
    from magents.fleet.wait import Goal, Waited
    from magents.git.diff import Change, Summary
    from magents.git.merge import Merged
    from magents.git.pins.read import Restored
    from magents.runtimes.base import Traits


class Fleet:
    """All agents of this user.

    Every method raises `magents.core.errors.MagentsError`, with a message and a remedy, and then has changed
    nothing or can be called again; methods that change something first recover what a killed command has left
    half-made. Agents are given as `Agent`, from `list`, `find` or `create`. Safe to use from several
    processes at once.

    >>> fleet = Fleet()
    >>> agent = fleet.create("feature/login", prompt="Write the login page", folder="~/project")
    >>> fleet.wait([agent], "done")
    >>> print(fleet.diff(agent).decode())
    >>> fleet.merge(agent)
    >>> fleet.remove(agent)
    """

    def __init__(
        self,
        state: str | None = None,
        progress: Callable[[str], None] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """`state`: the folder of the store, by default `magents.system.paths.state()`. `progress` is told, in a
        few words, of each step that can take longer than a moment; `warn`, of what stops nothing but should
        be known."""
        self.context = Context(Store(state), progress or (lambda step: None), warn or (lambda text: None))

    def on_progress(self, progress: Callable[[str], None]) -> None:
        """Tell `progress` of each step from now on."""
        self.context.progress = progress

    # --- seeing

    def list(self) -> Overview:
        """Every agent that is not removed, and what it does; also what runs without a record."""
        from magents.fleet import observe

        return observe.observe(self.context)

    def agents(self) -> Sequence[Agent]:
        """Every agent that is not removed; nobody looks what it does."""
        return self.context.store.live()

    def removed(self) -> Sequence[Agent]:
        """Agents whose workspace was removed and can be restored, newest first."""
        return self.context.store.removed()

    def find(self, id: str) -> Agent:
        """The agent with this id, or whose id alone begins with it."""
        return self.context.store.find(id)

    def find_running(self, id: str) -> Agent:
        """As `find`, and what runs without a record: an orphan, a service of a compose file (`key` is 0)."""
        from magents.fleet import observe

        return observe.find(self.context, id)

    def find_removed(self, id: str, folder: str = ".", pin: str = "") -> Agent:
        """The removed agent with this id or unique prefix; of several with one id the newest.

        One that the store does not know any more is found by its pins in the project that `folder` lies in.
        `pin`: an earlier pin of it to restore instead of its last one.
        """
        from magents.fleet import restore

        return restore.find_removed(self.context, id, folder, pin)

    def status(self, agent: Agent) -> Status:
        """What an agent does now."""
        from magents.fleet import observe

        return observe.one(self.context, agent)

    def view(self, agent: Agent) -> View:
        """An agent with what it does now."""
        from magents.fleet import observe

        return observe.View(agent, observe.one(self.context, agent))

    def summary(self, agent: Agent) -> Summary:
        """Its work in numbers: commits ahead of its base, uncommitted files."""
        return self.context.workspace(agent).summary()

    def traits(self, agent: Agent) -> Traits:
        """What holds for it because of where it runs. Raises NotFound for a mode that is not known."""
        return self.context.runtime(agent).traits

    def details(self, agents: Sequence[Agent]) -> Known:
        """More of each of these agents: its work in numbers, what its container uses of what it may have, what its
        branch conflicts with."""
        from magents.fleet import details

        return details.details(self.context, agents)

    # --- where the user stands

    def settings(self, folder: str = ".") -> Config:
        """The settings that hold in a folder: its project's own before the user's."""
        return self.context.settings(folder)

    def branches(self, folder: str = ".") -> Sequence[str]:
        """The local branches of the project that `folder` lies in."""
        from magents.git import project

        return list(project.heads(self.context.project(folder).path))

    # --- its life

    def plan(
        self, branch: str, id: str = "", *, folder: str = ".", harness: str = "", base: str = "",
        prompt: str | None = None, env: Mapping[str, str] | None = None, command: Sequence[str] = (),
        runtime: str = "",
    ) -> Plan:  # fmt: skip
        """What `create` with the same arguments would do; makes nothing."""
        from magents.git.project import Asked

        self.recover()
        with Asked(folder := self.context.here(folder), branch) as asked:
            from magents.fleet import create  # while git answers

            request = create.Request(branch, id, folder, harness, tuple(command), prompt, base, env or {}, runtime)
            return create.plan(self.context, request, asked)

    def create(
        self, branch: str, id: str = "", *, folder: str = ".", harness: str = "", base: str = "",
        prompt: str | None = None, env: Mapping[str, str] | None = None, command: Sequence[str] = (),
        runtime: str = "",
    ) -> Agent:  # fmt: skip
        """A new agent on `branch` of the project that `folder` lies in; returns once its program runs.

        `id`: '' for one made from the branch. `harness`: '' for the configured one; or `command`, any
        program. `base`: what a new branch starts from. `env` is added to this process's environment.
        """
        from magents.git.project import Asked

        self.recover()
        with Asked(folder := self.context.here(folder), branch) as asked:
            from magents.fleet import create  # while git answers

            request = create.Request(branch, id, folder, harness, tuple(command), prompt, base, env or {}, runtime)
            return create.create(self.context, request, asked)

    def start(self, agent: Agent, prompt: str | None = None) -> bool:
        """Start it again, its conversation resumed; False when it runs already."""
        from magents.fleet import launch

        self.recover(agent)
        return launch.start(self.context, agent, prompt)

    def stop(self, agent: Agent) -> None:
        """End its terminal and all that runs in it; its workspace stays. Idempotent."""
        from magents.fleet import stop

        self.recover(agent)
        stop.stop(self.context, agent)

    def remove(self, agent: Agent, *, discard: bool = False) -> Removed:
        """Stop it, pin all its work under `refs/magents/<id>/`, delete its workspace. Its branch stays.

        Raises Unkept when something cannot be pinned. With `discard` that is given up, and the result names it.
        """
        from magents.fleet import remove

        self.recover(agent)
        return remove.remove(self.context, agent, discard=discard)

    def forget(self, agent: Agent) -> None:
        """Stop it and delete its record, when its project is gone for good; nothing else is touched."""
        from magents.fleet import remove

        self.recover(agent)
        remove.forget(self.context, agent)

    def restore(self, agent: Agent) -> tuple[Agent, Restored]:
        """Bring the workspace of a removed agent back, exactly as it was; the agent is stopped then."""
        from magents.fleet import restore

        self.recover(agent)
        return restore.restore(self.context, agent)

    def recover(self, agent: Agent | None = None, *, again: bool = False) -> Sequence[str]:
        """Complete or undo what killed commands have left half-made; returns a line for each.

        A recovery that has failed is tried again only if it is of this `agent`, or if `again` asks for all of them.
        """
        lines = []
        if os.path.isdir(self.context.checks):
            from magents.fleet import check

            lines += check.sweep(self.context)
        if self.context.store.unsettled():
            from magents.fleet import recover

            lines += recover.recover(self.context, agent, again=again)
        return lines

    def doctor(self, folder: str = ".", *, fix: bool = False) -> Checkup:
        """What is missing or wrong on this machine and in the project that `folder` lies in, and what mends it.

        `fix`: repair first what is safe to repair. Completes or undoes what killed commands began, adopts agents
        that run without a record.
        """
        from magents.fleet import doctor

        fixed = [*self.recover(again=True), *doctor.fix(self.context)] if fix else []
        return doctor.Checkup(fixed, doctor.examine(self.context, folder))

    # --- talking

    def send(self, agent: Agent, prompt: str, timeout: float = 15.0) -> Delivery:
        """Give it a prompt; returns how it was taken, raises NotDelivered when it was not."""
        from magents.fleet import send

        return send.send(self.context, agent, prompt, timeout)

    def wait(self, agents: Sequence[Agent], goal: Goal = "done", timeout: float | None = None) -> Waited:
        """Wait until all these agents are done, waiting or stopped, or one of them cannot get there; `timeout` in
        seconds."""
        from magents.fleet import wait

        return wait.wait(self.context, agents, goal, timeout)

    def logs(self, agent: Agent, *, styled: bool = False) -> Sequence[str]:
        """The lines of its terminal's history, oldest first; with colours if `styled`."""
        from magents.fleet import logs

        return logs.logs(self.context, agent, styled)

    def attach_command(self, agent: Agent, *, inside: bool = False, read_only: bool = False) -> Sequence[str]:
        """The words of the command that brings a terminal to the agent; `inside`: from within tmux."""
        return self.context.terminal(agent).attach(agent.id, inside=inside, read_only=read_only)

    def same_server(self, agent: Agent, tmux: str) -> bool:
        """Whether `tmux`, a value of $TMUX, means the server that the agent's terminal belongs to."""
        here = self.traits(agent).program == "here"
        return here and self.context.terminal(agent).socket() == tmux.split(",")[0]

    # --- its work

    def diff(self, agent: Agent, *options: str) -> bytes:
        """All it changed since its base, committed or not, untracked files too: the bytes of `git diff`."""
        from magents.fleet import diff

        return diff.read(self.context, agent, *options)

    def write_diff(self, agent: Agent, target: BinaryIO, *, stat: bool = False) -> None:
        """Write what `diff` returns to an empty file, as a patch or in numbers of lines, and go back to the file's
        beginning. The diff need not fit in memory. Warns of files that run by themselves on the user's side."""
        from magents.fleet import diff
        from magents.git.trust import notice

        if names := diff.write(self.context, agent, target, "--stat" if stat else "--patch"):
            self.context.warn(notice.line(agent.id, names))

    def changes(self, agent: Agent) -> Sequence[Change]:
        """What `diff` returns as a list of files with their numbers of lines."""
        from magents.fleet import diff

        return diff.files(self.context, agent)

    def runs_by_itself(self, agent: Agent, changes: Sequence[Change]) -> Sequence[str]:
        """The files among its changes that run by themselves on the user's side: hooks, settings of editors."""
        from magents.fleet import diff

        return diff.runs_by_itself(self.context, agent, changes)

    def collect(self, agent: Agent) -> str:
        """Bring the commits of an agent in a container to its branch in the project.

        Returns why the branch was left alone, because the user has moved it or has it checked out; '' if it
        was not. Nothing to do for a worktree. `diff`, `merge`, `stop` and the end of each turn do it, too.
        """
        from magents.fleet import collect

        return collect.collect(self.context, agent)

    def merge(
        self, agent: Agent, into: str = "", *, squash: bool = False, message: str = "", commit: str = "",
        committed_only: bool = False, check: str = "",
    ) -> Merged:  # fmt: skip
        """Merge its branch into `into`, by default its base. `commit`: a message to commit what is
        uncommitted with, first; without it uncommitted work is a Conflict, unless `committed_only`.

        `check`: a shell command that must pass on the result before `into` moves, in a working tree of its own;
        it runs the agent's code with this user's rights. Raises CheckFailed, with its output, when it does not.
        """
        from magents.fleet import merge

        self.recover(agent)
        return merge.merge(self.context, agent, into, squash, message, commit, committed_only, check)

    def brought(self, folder: str = ".") -> Waiting:
        """The hooks, set-up files and `.worktreeinclude` that agents in containers brought to the project that
        `folder` lies in, and that the user has not accepted. They are left out on this side until then."""
        from magents.fleet import trust

        return trust.waiting(self.context.project(folder).path)

    def trust(self, names: Sequence[str] = (), folder: str = ".") -> Waiting:
        """Accept what `brought` returns: by paths, by `PATH@CONTENT` for one content of a file, or by branches;
        without names all of it.

        What an agent brings after that waits again. Returns what was accepted. Raises NotFound for other names.
        """
        from magents.fleet import trust

        return trust.accept(self.context.project(folder).path, names)

    def conflicts(self, agents: Sequence[Agent] | None = None, most: int | None = None) -> Conflicts:
        """Which branches of these agents conflict with their base or another agent's branch, and in which files.

        Looks at what is committed and collected; touches no checkout. `agents`: by default all living ones.
        `most`: how many merges may be made for it; results are kept, so that the next call needs fewer.
        """
        from magents.fleet import conflicts

        return conflicts.conflicts(self.context, agents, most)

    # --- what agents share

    def shared_differences(self, folder: str = ".", names: Sequence[str] = ()) -> Sequence[Difference]:
        """The files of `/shared` that are instructions or servers to the agents of the project that `folder` lies
        in, and differ from what the user has accepted; `names`: only these. Raises NotFound for other names, and
        where nothing is shared yet."""
        from magents.fleet import accepted

        return accepted.differences(self.context, self.context.project(folder).path, names)

    def shared_accept(self, differences: Sequence[Difference], folder: str = ".") -> None:
        """Let these files count, as they are in `differences`, from the next start of each agent of the project."""
        from magents.fleet import accepted

        accepted.accept(self.context, self.context.project(folder).path, differences)
