"""The workspace of an agent in a place of its own: a clone that is mounted there.

The clone's git obeys the agent, so none of ours runs in the clone on this machine. `verbs` ask where the agent is,
and `fetch` brings commits home.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TYPE_CHECKING

from magents.core.errors import CommandFailed, MagentsError, Missing
from magents.core.text import one_line
from magents.git.pins import format, write
from magents.git.pins.salvage import MAX_LINE_CHARS, MAX_NAMED
from magents.git.plumbing import git, refs
from magents.git.project import author, heads
from magents.git.trust import brought
from magents.git.workspaces import borrow, disk, fetch, verbs
from magents.git.workspaces.base import COLLECT_TIMEOUT_S, Workspace
from magents.system import paths, process
from magents.system.there import run_there

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from magents.core.agent import Agent
    from magents.git.diff import Change, Summary
    from magents.git.pins.format import Kept
    from magents.git.pins.read import Restored
    from magents.git.plumbing import Retried
    from magents.git.workspaces.base import Hold
    from magents.system.there import Command

SUMMARY_TIMEOUT_S = 10
"""A table needs the numbers of all agents, and one agent can hold its own up."""
FETCH_TIMEOUT_S = 600


class Clone(Workspace):
    """A clone that is mounted where the agent is. Modules that `create` does not need are imported late."""

    def __init__(
        self, agent: Agent, reach: Callable[[], AbstractContextManager[Command]], warn: Callable[[str], None]
    ) -> None:
        """`reach` leads to where the agent is, running or not; it yields what runs a command there.

        `warn` is called with the reason why the project's branch did not follow, where nobody asked for that.
        """
        super().__init__(agent)
        self.reach = reach
        self.warn = warn

    @property
    def maker(self) -> format.Origin:
        """The maker of its pins."""
        return format.Origin("clone", self.agent.runtime)

    def fill(self, *, new: bool, track: str, workers: str, keep: Sequence[int]) -> Retried:
        """Make the clone. The project gets the branch, too: the commits will come home to it."""
        agent = self.agent
        start = borrow.Beginning(agent.branch, agent.base_commit, agent.base, new, track)
        return borrow.fill(agent.project, agent.workspace, agent.id, start, workers)

    def hand_over(self, owner: tuple[int, int] | None) -> None:
        """Links are handed over themselves, and not what they lead to."""
        if owner:
            process.run(["chown", "-R", "-h", f"{owner[0]}:{owner[1]}", self.agent.workspace])

    def collect(self, seconds: float = COLLECT_TIMEOUT_S, hold: Hold = contextlib.nullcontext) -> str:
        """Fetch the branch, and move the project's branch if the user did not move it."""
        with self.reach() as inside:
            return self._collect(inside, seconds, hold)

    def _collect(
        self, inside: Command, seconds: float = COLLECT_TIMEOUT_S, hold: Hold = contextlib.nullcontext
    ) -> str:
        agent = self.agent
        return fetch.collect(
            agent.project, agent.id, agent.branch, agent.base_commit, inside, seconds, hold
        ).kept_back

    def _bring_home(self, inside: Command) -> None:
        """Collect on the way to something else."""
        if kept_back := self._collect(inside):
            self.warn(f"{self.agent.id}: {kept_back}")

    def _start(self, seconds: float = verbs.WORK_TIMEOUT_S) -> str:
        """The commit that the agent's work is measured from, as of the last collection. The agent's history decides
        how long git needs for that: at most `seconds`."""
        from magents.git import diff

        agent = self.agent
        tip = fetch.kept(agent.id)
        if tip not in refs(agent.project, tip):
            return agent.base_commit
        return diff.fork(agent.project, agent.base, agent.base_commit, tip, seconds)

    def renew(self) -> None:
        """Move the base branch in the clone. The clone borrows the commits; a ref of ours keeps them."""
        agent = self.agent
        name = f"refs/heads/{agent.base}"
        if agent.base and (commit := refs(agent.project, name).get(name)):
            git(agent.project, "update-ref", f"{format.prefix(agent.id)}onto", commit)
            with self.reach() as inside:
                verbs.ask(agent.id, inside, "renew", verbs.QUESTION_TIMEOUT_S, name=name, commit=commit)

    def diff(self, target: BinaryIO, *options: str) -> None:
        """Git runs where the agent is, after the commits came home."""
        with self.reach() as inside:
            self._bring_home(inside)
            verbs.ask(self.agent.id, inside, "diff", target=target, start=self._start(), options=list(options))

    def files(self) -> list[Change]:
        """As `diff`."""
        from magents.git import diff

        raw = diff.held(lambda target: self.diff(target, *diff.NUMBERS), diff.MAX_NUMBERS_BYTES)
        return diff.numbered(raw)

    def summary(self) -> Summary:
        """Commits as of the last collection; files as of now."""
        from magents.git import diff

        agent = self.agent
        tip = fetch.kept(agent.id)
        since = f"refs/heads/{agent.base}" if agent.base else agent.base_commit
        counting = ("rev-list", "--count", f"{since}..{tip}")
        ahead = git(agent.project, *counting, ok=None, timeout=SUMMARY_TIMEOUT_S).line or "0"
        with self.reach() as inside:
            start = self._start(SUMMARY_TIMEOUT_S)
            answer = verbs.ask_json(agent.id, inside, "summary", SUMMARY_TIMEOUT_S, start=start)
        return diff.Summary(int(ahead), verbs.whole(answer, "uncommitted"), verbs.whole(answer, "changed"))

    def uncommitted(self) -> list[str]:
        """Git runs where the agent is."""
        with self.reach() as inside:
            answer = verbs.ask_json(self.agent.id, inside, "uncommitted", verbs.QUESTION_TIMEOUT_S)
        return [str(name) for name in answer] if isinstance(answer, list) else []

    def commit(self, message: str) -> None:
        """`git commit` where the agent is, with the clone's own hooks; then the commit comes home."""
        with self.reach() as inside:
            verbs.ask(self.agent.id, inside, "commit", env=self._identity(), message=message)
            self._bring_home(inside)

    def _identity(self) -> list[str]:
        """The user's name and address as git's variables: only the agent's own container has them in its home."""
        values = {name.removeprefix("MAGENTS_GIT_"): value for name, value in author(self.agent.project).items()}
        return [
            f"GIT_{who}_{name}={value}"
            for who in ("AUTHOR", "COMMITTER")
            for name, value in values.items()
            if value
        ]

    def pin(self) -> Kept:
        """The agent's git pins everything, and the pin is fetched. If the folder is gone: what the project has."""
        agent = self.agent
        if not os.path.isdir(agent.workspace):
            return self._known()
        with self.reach() as inside:
            kept_back = self._collect(inside)
            kept = self._pinned(inside, "pin")
        if kept_back:  # the collected ref goes with the workspace, and the pin has it all
            self.warn(f"{agent.id}: {kept_back.replace(fetch.kept(agent.id), kept.ref)}")
        return kept

    def _known(self, unkept: Sequence[str] = ()) -> Kept:
        """Pin what the project has of the workspace."""
        agent, also = self.agent, [fetch.kept(self.agent.id)]
        ref = write.take_absent(agent.project, agent.workspace, agent.id, agent.branch, self.maker, also)
        return format.Kept(ref, 0, unkept)

    def _pinned(self, inside: Command, verb: str) -> Kept:
        """Have the workspace pinned where the agent is, and fetch the pin."""
        agent = self.agent
        patterns, known = self._included()
        answer = verbs.ask_json(agent.id, inside, verb, id=agent.id, patterns=patterns, known=known)
        there, unkept = (answer.get("ref"), answer.get("unkept")) if isinstance(answer, dict) else (None, None)
        form = re.escape(format.prefix(agent.id)) + format.STAMP
        if not isinstance(there, str) or not re.fullmatch(form, there):
            raise MagentsError(f"{agent.id} gave no pin of its work.", "Nothing was removed.")
        ref = format.new_ref(agent.id, time.time())  # a name of ours, which cannot replace another pin
        try:
            fetch.fetch(agent.project, agent.id, inside, there, ref, FETCH_TIMEOUT_S)
        except CommandFailed as error:
            raise fetch.unfetched(
                agent.project, f"work of {agent.id}", "Nothing was removed. It is", error
            ) from error
        try:
            own = (agent.base_commit, *refs(agent.project, f"{format.prefix(agent.id)}onto").values())
            brought.arrive_pin(agent.project, ref, agent.id, agent.branch, own)
            commit, _ = format.read(agent.project, ref)
        except MagentsError:  # nobody could restore it
            git(agent.project, "update-ref", "-d", ref)
            raise
        write.record(agent.project, ref, commit, self.maker)
        lines = unkept[:MAX_NAMED] if isinstance(unkept, list) else []
        return format.Kept(
            ref, verbs.whole(answer, "uncommitted"), [one_line(str(line), MAX_LINE_CHARS) for line in lines]
        )

    def salvage(self) -> Kept:
        """As `pin`; where that fails, what the project has from the last collection."""
        if not os.path.isdir(self.agent.workspace):
            return self.pin()
        try:
            with self.reach() as inside:
                with contextlib.suppress(MagentsError):
                    self._collect(inside)
                return self._pinned(inside, "salvage")
        except Missing:
            raise
        except MagentsError as error:
            why = one_line(error.message, MAX_LINE_CHARS)
            return self._known([f"what was not committed or not collected: {why}"])

    def clear(self) -> None:
        """It is deleted as the agent: an engine can number users in its own way, so that the files are the
        agent's."""
        argv = ("sh", "-c", disk.CLEAR, "sh", paths.WORKSPACE)
        with contextlib.suppress(MagentsError), self.reach() as inside:
            run_there(inside, argv, ok=None, timeout=verbs.WORK_TIMEOUT_S)

    def _included(self) -> tuple[str, dict[str, str]]:
        """The patterns of `.worktreeinclude`, and the digests of the project's files that match them."""
        from magents.git.workspaces import include

        project = self.agent.project
        names = include.own_files(project, project)
        digests = {name: include.digest(os.path.join(project, name)) for name in names}
        return include.chosen(project).patterns, digests

    def remove(self) -> None:
        """Delete its folder, and the refs that it needed."""
        disk.remove(self.agent.project, self.agent.workspace)
        borrow.renounce(self.agent.project, self.agent.id)

    def restore(self, pin: str, owner: tuple[int, int] | None, keep: Sequence[int], *, foreign: bool) -> Restored:
        """Make a new clone, and fill it from the pin where the agent will be: there, no pin can do harm."""
        from magents.git.pins import read
        from magents.git.workspaces import include

        agent = self.agent
        meta = format.meta_of(agent.project, pin)
        new = agent.branch not in heads(agent.project)
        start = borrow.Beginning(agent.branch, meta.head or agent.base_commit, agent.base, new)
        borrow.fill(agent.project, agent.workspace, agent.id, start).result()
        include.copy(agent.project, agent.workspace, links=False, warn=self.warn)
        self.hand_over(owner)
        commit = git(agent.project, "rev-parse", f"{pin}^{{commit}}").line
        with self.reach() as inside:
            verbs.ask(agent.id, inside, "fill", pin=commit)
        return read.Restored(meta, "")
