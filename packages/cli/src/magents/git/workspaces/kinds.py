"""The two kinds of workspace, behind one door: a worktree on this machine, a clone that is the agent's own.

A worktree shares the user's repository, and git may work in it. A clone's git obeys the agent, so what is to
be known of it is asked where the agent is: `inside.py`, reached by the words that lead there.

The worktree is in `worktree.py`, so that it is not paid for the clone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any, Protocol

from magents.core import bounded
from magents.core.errors import CommandFailed, Conflict, MagentsError, Missing, NoAnswer
from magents.core.text import one_line, plain
from magents.core.tuples import NamedTuple
from magents.git.pins import pinned, snapshot
from magents.git.plumbing import git
from magents.git.trust import brought
from magents.git.workspaces import clone, worktree
from magents.system import process

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from magents.core.model import Agent
    from magents.git.changes import Change, Summary
    from magents.git.pins.restore import Restored
    from magents.system.process import Running

GLANCE_S = 10
"""Seconds that the numbers of a table may take: it is for all agents, and one can hold up what runs there."""
QUESTION_S = 30
"""Seconds that another short answer from inside may take."""
WORK_S = 300
"""Seconds that may take what reads all of a workspace, brings it home, or fills it."""
MARGIN_S = 2
"""Seconds after which a command that should have been ended inside is given up."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Bytes that an answer may have, but for a diff: it can name every file of a large project."""
INSIDE = "/usr/local/lib/magents/inside"
"""The program in the image that runs `inside.py`."""


class Workspace(Protocol):
    """An agent's own copy of the project. Every method raises MagentsError."""

    def fill(self, *, new: bool, track: str, workers: str, keep: Sequence[int]) -> Running:
        """Begin to check its branch out in its folder, which is empty; see `worktree.add`."""

    def filled(self, filling: Running, *, new: bool, keep: Sequence[int]) -> None:
        """Wait until it is checked out."""

    def hand_over(self, owner: tuple[int, int] | None) -> None:
        """Give its files to the user and group that the agent runs as; None: they are theirs already."""

    def collect(self, seconds: float = clone.PATIENCE, hold: clone.Hold = contextlib.nullcontext) -> str:
        """Bring its commits to the project; why the branch there did not follow, or ''.

        Raises NoAnswer when the agent, in a place of its own, has not given them within `seconds`. `hold` is
        entered once they are here, before anything of the project is changed.
        """

    def renew(self) -> None:
        """Let its git know the newest commit of its base branch, as far as it has not gone its own way there."""

    def diff(self, target: BinaryIO, *options: str) -> None:
        """Write to an empty file: `git diff` of all that it changed since its base, untracked files too."""

    def files(self) -> list[Change]:
        """The changed files with their numbers of lines."""

    def summary(self) -> Summary:
        """The work in numbers."""

    def uncommitted(self) -> list[str]:
        """The files changed, untracked or gone since the last commit."""

    def commit(self, message: str) -> None:
        """Commit everything that is uncommitted."""

    def check_removable(self) -> None:
        """Raises Conflict when the user has locked it."""

    def pin(self) -> tuple[str, int]:
        """Keep everything in it below `refs/magents/<id>/`; the ref and how many files were uncommitted."""

    def salvage(self) -> pinned.Kept:
        """As `pin` where that fails: keep what can be kept, at least its commits, and tell what could not be."""

    def clear(self) -> None:
        """Delete in it what the user who calls could not. Only after `salvage`; may fail, and says nothing then."""

    def remove(self) -> None:
        """Delete it, whatever is in it. Idempotent; only after `pin` is nothing lost by it."""

    def restore(self, pin: str, owner: tuple[int, int] | None, keep: Sequence[int], *, foreign: bool) -> Restored:
        """Bring it back from a pin into its folder, which is empty. `foreign`: we do not trust who made the pin."""


class Clone(NamedTuple):
    """A clone that is mounted where the agent is."""

    agent: Agent
    reach: Callable[[], AbstractContextManager[Sequence[str]]]
    """Leads to where the agent is, running or not: the words that run a command there. Raises MagentsError."""
    warn: Callable[[str], None]
    """Told why the project's branch did not follow, where that is not what was asked for."""

    @property
    def maker(self) -> pinned.Origin:
        """Who makes its pins."""
        return pinned.Origin("clone", self.agent.runtime)

    def fill(self, *, new: bool, track: str, workers: str, keep: Sequence[int]) -> Running:
        """A private clone; the branch is made in the project too, where its commits will come home to."""
        agent = self.agent
        start = clone.Beginning(agent.branch, agent.base_commit, agent.base, new, track)
        return clone.fill(agent.project, agent.workspace, agent.id, start, workers)

    def filled(self, filling: Running, *, new: bool, keep: Sequence[int]) -> None:
        """Wait."""
        filling.result(timeout=3600)

    def hand_over(self, owner: tuple[int, int] | None) -> None:
        """Everything in it, links themselves and not where they lead."""
        if owner:
            process.run(["chown", "-R", "-h", f"{owner[0]}:{owner[1]}", self.agent.workspace])

    def collect(self, seconds: float = clone.PATIENCE, hold: clone.Hold = contextlib.nullcontext) -> str:
        """Fetch its branch, and move the project's where the user has not."""
        with self.reach() as words:
            return self._collect(words, seconds, hold)

    def _collect(
        self, words: Sequence[str], seconds: float = clone.PATIENCE, hold: clone.Hold = contextlib.nullcontext
    ) -> str:
        agent = self.agent
        return clone.collect(
            agent.project, agent.id, agent.branch, agent.base_commit, words, seconds, hold
        ).kept_back

    def _bring_home(self, words: Sequence[str]) -> None:
        """Collect on the way to something else."""
        if kept_back := self._collect(words):
            self.warn(f"{self.agent.id}: {kept_back}")

    def _start(self, seconds: float = WORK_S) -> str:
        """The commit that its work is measured from, as of the last collection. How long that takes is up to the
        history that the agent has made: `seconds` at most."""
        from magents.git import changes

        agent = self.agent
        tip = clone.kept(agent.id)
        if not clone.refs(agent.project, tip):
            return agent.base_commit
        return changes.fork(agent.project, agent.base, agent.base_commit, tip, seconds)

    def renew(self) -> None:
        """Move the branch inside. Its objects are among those that the clone borrows; pinned, they stay."""
        agent = self.agent
        found = clone.refs(agent.project, f"refs/heads/{agent.base}") if agent.base else {}
        for name, (commit, _) in found.items():
            git(agent.project, "update-ref", f"{snapshot.prefix(agent.id)}onto", commit)
            with self.reach() as words:
                self._ask(words, "renew", QUESTION_S, name=name, commit=commit)

    def diff(self, target: BinaryIO, *options: str) -> None:
        """Asked inside, after its commits were brought home."""
        with self.reach() as words:
            self._bring_home(words)
            self._ask(words, "diff", target=target, start=self._start(), options=list(options))

    def files(self) -> list[Change]:
        """Asked inside."""
        from magents.git import changes

        raw = changes.held(lambda target: self.diff(target, *changes.NUMBERS), changes.MOST_NUMBERS)
        return changes.numbered(raw)

    def summary(self) -> Summary:
        """Commits as of the last collection, files asked inside."""
        from magents.git.changes import Summary

        agent = self.agent
        tip = clone.kept(agent.id)
        since = f"refs/heads/{agent.base}" if agent.base else agent.base_commit
        counting = ("rev-list", "--count", f"{since}..{tip}")
        ahead = git(agent.project, *counting, ok=None, timeout=GLANCE_S).line or "0"
        with self.reach() as words:
            said = self._json(words, "summary", GLANCE_S, start=self._start(GLANCE_S))
        return Summary(int(ahead), whole(said, "uncommitted"), whole(said, "changed"))

    def uncommitted(self) -> list[str]:
        """Asked inside."""
        with self.reach() as words:
            said = self._json(words, "uncommitted", QUESTION_S)
        return [str(name) for name in said] if isinstance(said, list) else []

    def commit(self, message: str) -> None:
        """`git commit` inside, with the clone's own hooks; then the commit is brought home."""
        with self.reach() as words:
            self._ask([*words, "env", *self._identity()], "commit", message=message)
            self._bring_home(words)

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
        with self.reach() as words:
            kept_back = self._collect(words)
            ref, said = self._pinned(words, "pin")
        if kept_back:  # what a collection goes to is deleted with the workspace; the pin has it all
            self.warn(f"{agent.id}: {kept_back.replace(clone.kept(agent.id), ref)}")
        return ref, whole(said, "uncommitted")

    def _known(self) -> str:
        """Pin what the project has of it."""
        agent, also = self.agent, [clone.kept(self.agent.id)]
        return snapshot.take_absent(agent.project, agent.workspace, agent.id, agent.branch, self.maker, also)

    def _pinned(self, words: Sequence[str], verb: str) -> tuple[str, Any]:
        """Have it pinned inside and fetch that: the ref here, and what was said."""
        agent = self.agent
        patterns, known = self._included()
        said = self._json(words, verb, id=agent.id, patterns=patterns, known=known)
        there = said.get("ref") if isinstance(said, dict) else None
        wanted = re.escape(snapshot.prefix(agent.id)) + snapshot.STAMP
        if not isinstance(there, str) or not re.fullmatch(wanted, there):
            raise MagentsError(f"{agent.id} gave no pin of its work.", "Nothing was removed.")
        ref = pinned.new_ref(agent.id, time.time())  # named by us, so that it can take the place of no other
        self._fetch(words, there, ref)
        try:
            onto = clone.refs(agent.project, f"{snapshot.prefix(agent.id)}onto").values()
            own = (agent.base_commit, *(oid for oid, _ in onto))
            brought.arrive_pin(agent.project, ref, agent.id, agent.branch, own)
            commit, _ = pinned.read(agent.project, ref)
        except MagentsError:  # it could not be restored
            git(agent.project, "update-ref", "-d", ref)
            raise
        snapshot.record(agent.project, ref, commit, self.maker)
        return ref, said

    def salvage(self) -> pinned.Kept:
        """Salvaged inside; else what the project has of it, from its last collection."""
        from magents.git.pins.salvage import MOST_NAMED

        if not os.path.isdir(self.agent.workspace):
            return pinned.Kept(*self.pin())
        try:
            with self.reach() as words:
                with contextlib.suppress(MagentsError):
                    self._collect(words)
                ref, said = self._pinned(words, "salvage")
        except Missing:
            raise
        except MagentsError as error:
            why = f"what was not committed or not collected: {one_line(error.message, 300)}"
            return pinned.Kept(self._known(), 0, [why])
        told = said.get("unkept") if isinstance(said, dict) else None
        unkept = [one_line(str(text), 300) for text in told[:MOST_NAMED]] if isinstance(told, list) else []
        return pinned.Kept(ref, whole(said, "uncommitted"), unkept)

    def clear(self) -> None:
        """As the agent, to whom it belongs where the engine numbers users in its own way."""
        clear = ("sh", "-c", worktree.CLEAR, "sh", clone.THERE)
        with contextlib.suppress(MagentsError), self.reach() as words:
            process.run_there(words, clear, ok=None, timeout=WORK_S)

    def _fetch(self, words: Sequence[str], there: str, ref: str) -> None:
        agent = self.agent
        try:
            clone.fetch(agent.project, agent.id, words, there, ref, 600)
        except CommandFailed as error:
            what, hint = f"work of {agent.id}", "Nothing was removed. It is"
            raise clone.unfetched(agent.project, what, hint, error) from error

    def _included(self) -> tuple[str, dict[str, str]]:
        """The patterns of `.worktreeinclude`, and what the files they match in the project hold."""
        from magents.git.workspaces import include
        from magents.guest import workspace

        project = self.agent.project
        names = include.own_files(project, project)
        return include.chosen(project).patterns, {
            name: workspace.digest(os.path.join(project, name)) for name in names
        }

    def remove(self) -> None:
        """Its folder, and the refs that it needed."""
        worktree.remove(self.agent.project, self.agent.workspace)
        clone.renounce(self.agent.project, self.agent.id)

    def restore(self, pin: str, owner: tuple[int, int] | None, keep: Sequence[int], *, foreign: bool) -> Restored:
        """A new clone, with the pin laid over it where the agent will be: there, whoever made it does no harm."""
        from magents.git.pins import restore
        from magents.git.workspaces import include

        agent = self.agent
        meta = pinned.meta_of(agent.project, pin)
        new = not clone.refs(agent.project, f"refs/heads/{agent.branch}")
        start = clone.Beginning(agent.branch, meta.head or agent.base_commit, agent.base, new)
        clone.fill(agent.project, agent.workspace, agent.id, start).result(timeout=3600)
        include.copy(agent.project, agent.workspace, links=False, warn=self.warn)
        self.hand_over(owner)
        oid = git(agent.project, "rev-parse", f"{pin}^{{commit}}").line
        with self.reach() as words:
            self._ask(words, "fill", pin=oid)
        return restore.Restored(meta, "")

    def _json(self, words: Sequence[str], verb: str, seconds: int = WORK_S, **arguments: Any) -> Any:
        """What was answered inside; None where that is no JSON."""
        try:
            return bounded.loads(self._ask(words, verb, seconds, **arguments), MAX_ANSWER_BYTES)
        except ValueError:
            return None

    def _ask(
        self, words: Sequence[str], verb: str, seconds: int = WORK_S, *, target: BinaryIO | None = None,
        **arguments: Any,
    ) -> bytes:  # fmt: skip
        """Run a verb of `inside.py` where the agent is; its answer, which goes to `target` if given. Raises
        MagentsError."""
        # It is ended inside, which is all that can be done where that is another machine.
        timed = ("timeout", "-k", "1", str(seconds), INSIDE, verb, json.dumps(arguments))
        most = process.MOST if target else MAX_ANSWER_BYTES
        try:
            done = process.run_there(
                words, timed, timeout=seconds + MARGIN_S, ok=None, max_output_bytes=most, target=target
            )
        except CommandFailed as error:
            raise NoAnswer(self.agent.id, seconds) from error
        if done.code == TIMED_OUT:
            raise NoAnswer(self.agent.id, seconds)
        if done.code == 0:
            return done.raw
        raise refusal(self.agent.id, verb, done)


TIMED_OUT = 124
"""The exit code of timeout(1)."""


def refusal(id: str, verb: str, done: process.Result) -> MagentsError:
    """The error that was told from inside, or one that shows what was said instead."""
    try:
        told = bounded.loads(done.stderr)
        message, hint = plain(str(told["message"]))[:4000], one_line(str(told["hint"]), 400)
    except (ValueError, TypeError, KeyError):
        last = plain(done.stderr).strip()[-2000:]
        return MagentsError(f"{id}: `{verb}` failed with exit code {done.code} where it runs:\n{last}")
    return Conflict(message, hint)


def whole(said: object, name: str) -> int:
    """A number in an answer; 0 where there is none."""
    found = said.get(name) if isinstance(said, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else 0
