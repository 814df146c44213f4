"""The workspace of Docker mode: a clone that is the agent's own, mounted where the agent is.

A clone's git obeys the agent. So what is to be known of it is asked where the agent is, see `verbs`.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TYPE_CHECKING, Any

from magents.core.errors import CommandFailed, MagentsError, Missing
from magents.core.text import one_line
from magents.core.tuples import NamedTuple
from magents.git.pins import format, write
from magents.git.plumbing import git, refs
from magents.git.project import heads
from magents.git.trust import brought
from magents.git.workspaces import borrow, disk, fetch, verbs
from magents.system import paths, process
from magents.system.there import run_there

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from magents.core.agent import Agent
    from magents.git.diff import Change, Summary
    from magents.git.pins.read import Restored
    from magents.system.process import Running
    from magents.system.there import Command

GLANCE_S = 10
"""Seconds that the numbers of a table may take: it is for all agents, and one can hold up what runs there."""


class Clone(NamedTuple):
    """A clone that is mounted where the agent is."""

    agent: Agent
    reach: Callable[[], AbstractContextManager[Command]]
    """Leads to where the agent is, running or not: what runs a command there. Raises MagentsError."""
    warn: Callable[[str], None]
    """Told why the project's branch did not follow, where that is not what was asked for."""

    @property
    def maker(self) -> format.Origin:
        """Who makes its pins."""
        return format.Origin("clone", self.agent.runtime)

    def fill(self, *, new: bool, track: str, workers: str, keep: Sequence[int]) -> Running:
        """A private clone; the branch is made in the project too, where its commits will come home to."""
        agent = self.agent
        start = borrow.Beginning(agent.branch, agent.base_commit, agent.base, new, track)
        return borrow.fill(agent.project, agent.workspace, agent.id, start, workers)

    def hand_over(self, owner: tuple[int, int] | None) -> None:
        """Everything in it, links themselves and not where they lead."""
        if owner:
            process.run(["chown", "-R", "-h", f"{owner[0]}:{owner[1]}", self.agent.workspace])

    def collect(self, seconds: float = fetch.PATIENCE, hold: fetch.Hold = contextlib.nullcontext) -> str:
        """Fetch its branch, and move the project's where the user has not."""
        with self.reach() as inside:
            return self._collect(inside, seconds, hold)

    def _collect(
        self, inside: Command, seconds: float = fetch.PATIENCE, hold: fetch.Hold = contextlib.nullcontext
    ) -> str:
        agent = self.agent
        return fetch.collect(
            agent.project, agent.id, agent.branch, agent.base_commit, inside, seconds, hold
        ).kept_back

    def _bring_home(self, inside: Command) -> None:
        """Collect on the way to something else."""
        if kept_back := self._collect(inside):
            self.warn(f"{self.agent.id}: {kept_back}")

    def _start(self, seconds: float = verbs.WORK_S) -> str:
        """The commit that its work is measured from, as of the last collection. How long that takes is up to the
        history that the agent has made: `seconds` at most."""
        from magents.git import diff

        agent = self.agent
        tip = fetch.kept(agent.id)
        if tip not in refs(agent.project, tip):
            return agent.base_commit
        return diff.fork(agent.project, agent.base, agent.base_commit, tip, seconds)

    def renew(self) -> None:
        """Move the branch inside. Its objects are among those that the clone borrows; pinned, they stay."""
        agent = self.agent
        name = f"refs/heads/{agent.base}"
        if agent.base and (commit := refs(agent.project, name).get(name)):
            git(agent.project, "update-ref", f"{format.prefix(agent.id)}onto", commit)
            with self.reach() as inside:
                verbs.ask(self.agent.id, inside, "renew", verbs.QUESTION_S, name=name, commit=commit)

    def diff(self, target: BinaryIO, *options: str) -> None:
        """Asked inside, after its commits were brought home."""
        with self.reach() as inside:
            self._bring_home(inside)
            verbs.ask(self.agent.id, inside, "diff", target=target, start=self._start(), options=list(options))

    def files(self) -> list[Change]:
        """Asked inside."""
        from magents.git import diff

        raw = diff.held(lambda target: self.diff(target, *diff.NUMBERS), diff.MAX_NUMBERS_BYTES)
        return diff.numbered(raw)

    def summary(self) -> Summary:
        """Commits as of the last collection, files asked inside."""
        from magents.git.diff import Summary

        agent = self.agent
        tip = fetch.kept(agent.id)
        since = f"refs/heads/{agent.base}" if agent.base else agent.base_commit
        counting = ("rev-list", "--count", f"{since}..{tip}")
        ahead = git(agent.project, *counting, ok=None, timeout=GLANCE_S).line or "0"
        with self.reach() as inside:
            said = verbs.ask_json(self.agent.id, inside, "summary", GLANCE_S, start=self._start(GLANCE_S))
        return Summary(int(ahead), verbs.whole(said, "uncommitted"), verbs.whole(said, "changed"))

    def uncommitted(self) -> list[str]:
        """Asked inside."""
        with self.reach() as inside:
            said = verbs.ask_json(self.agent.id, inside, "uncommitted", verbs.QUESTION_S)
        return [str(name) for name in said] if isinstance(said, list) else []

    def commit(self, message: str) -> None:
        """`git commit` inside, with the clone's own hooks; then the commit is brought home."""
        with self.reach() as inside:
            verbs.ask(self.agent.id, inside, "commit", env=self._identity(), message=message)
            self._bring_home(inside)

    def _identity(self) -> list[str]:
        """The user's name and address as git's variables: only the agent's own container has them in its home."""
        from magents.git import project

        told = project.author(self.agent.project)
        values = {name.removeprefix("MAGENTS_GIT_"): value for name, value in told.items() if value}
        return [f"GIT_{who}_{name}={value}" for who in ("AUTHOR", "COMMITTER") for name, value in values.items()]

    def check_removable(self) -> None:
        """Nobody can lock it."""

    def pin(self) -> tuple[str, int]:
        """Pinned inside, then fetched; or what is known of one that is gone."""
        agent = self.agent
        if not os.path.isdir(agent.workspace):
            return self._known(), 0
        with self.reach() as inside:
            kept_back = self._collect(inside)
            ref, said = self._pinned(inside, "pin")
        if kept_back:  # what a collection goes to is deleted with the workspace; the pin has it all
            self.warn(f"{agent.id}: {kept_back.replace(fetch.kept(agent.id), ref)}")
        return ref, verbs.whole(said, "uncommitted")

    def _known(self) -> str:
        """Pin what the project has of it."""
        agent, also = self.agent, [fetch.kept(self.agent.id)]
        return write.take_absent(agent.project, agent.workspace, agent.id, agent.branch, self.maker, also)

    def _pinned(self, inside: Command, verb: str) -> tuple[str, Any]:
        """Have it pinned inside and fetch that: the ref here, and what was said."""
        agent = self.agent
        patterns, known = self._included()
        said = verbs.ask_json(self.agent.id, inside, verb, id=agent.id, patterns=patterns, known=known)
        there = said.get("ref") if isinstance(said, dict) else None
        wanted = re.escape(format.prefix(agent.id)) + format.STAMP
        if not isinstance(there, str) or not re.fullmatch(wanted, there):
            raise MagentsError(f"{agent.id} gave no pin of its work.", "Nothing was removed.")
        ref = format.new_ref(agent.id, time.time())  # named by us, so that it can take the place of no other
        self._fetch(inside, there, ref)
        try:
            own = (agent.base_commit, *refs(agent.project, f"{format.prefix(agent.id)}onto").values())
            brought.arrive_pin(agent.project, ref, agent.id, agent.branch, own)
            commit, _ = format.read(agent.project, ref)
        except MagentsError:  # it could not be restored
            git(agent.project, "update-ref", "-d", ref)
            raise
        write.record(agent.project, ref, commit, self.maker)
        return ref, said

    def salvage(self) -> format.Kept:
        """Salvaged inside; else what the project has of it, from its last collection."""
        from magents.git.pins.salvage import MAX_NAMED

        if not os.path.isdir(self.agent.workspace):
            return format.Kept(*self.pin())
        try:
            with self.reach() as inside:
                with contextlib.suppress(MagentsError):
                    self._collect(inside)
                ref, said = self._pinned(inside, "salvage")
        except Missing:
            raise
        except MagentsError as error:
            why = f"what was not committed or not collected: {one_line(error.message, 300)}"
            return format.Kept(self._known(), 0, [why])
        told = said.get("unkept") if isinstance(said, dict) else None
        unkept = [one_line(str(text), 300) for text in told[:MAX_NAMED]] if isinstance(told, list) else []
        return format.Kept(ref, verbs.whole(said, "uncommitted"), unkept)

    def clear(self) -> None:
        """As the agent, to whom it belongs where the engine numbers users in its own way."""
        clear = ("sh", "-c", disk.CLEAR, "sh", paths.WORKSPACE)
        with contextlib.suppress(MagentsError), self.reach() as inside:
            run_there(inside, clear, ok=None, timeout=verbs.WORK_S)

    def _fetch(self, inside: Command, there: str, ref: str) -> None:
        agent = self.agent
        try:
            fetch.fetch(agent.project, agent.id, inside, there, ref, 600)
        except CommandFailed as error:
            what, hint = f"work of {agent.id}", "Nothing was removed. It is"
            raise fetch.unfetched(agent.project, what, hint, error) from error

    def _included(self) -> tuple[str, dict[str, str]]:
        """The patterns of `.worktreeinclude`, and what the files they match in the project hold."""
        from magents.git.workspaces import include

        project = self.agent.project
        names = include.own_files(project, project)
        return include.chosen(project).patterns, {
            name: include.digest(os.path.join(project, name)) for name in names
        }

    def remove(self) -> None:
        """Its folder, and the refs that it needed."""
        disk.remove(self.agent.project, self.agent.workspace)
        borrow.renounce(self.agent.project, self.agent.id)

    def restore(self, pin: str, owner: tuple[int, int] | None, keep: Sequence[int], *, foreign: bool) -> Restored:
        """A new clone, with the pin laid over it where the agent will be: there, whoever made it does no harm."""
        from magents.git.pins import read
        from magents.git.workspaces import include

        agent = self.agent
        meta = format.meta_of(agent.project, pin)
        new = agent.branch not in heads(agent.project)
        start = borrow.Beginning(agent.branch, meta.head or agent.base_commit, agent.base, new)
        borrow.fill(agent.project, agent.workspace, agent.id, start).result()
        include.copy(agent.project, agent.workspace, links=False, warn=self.warn)
        self.hand_over(owner)
        oid = git(agent.project, "rev-parse", f"{pin}^{{commit}}").line
        with self.reach() as inside:
            verbs.ask(self.agent.id, inside, "fill", pin=oid)
        return read.Restored(meta, "")
