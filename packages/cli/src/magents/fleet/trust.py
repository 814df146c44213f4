"""Files that run by themselves and that agents in containers brought: what is left out, and the user's yes."""

from __future__ import annotations

import os
import shlex
import time
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import Conflict, NotFound
from magents.core.text import one_line
from magents.git.layout import has_record
from magents.git.plumbing import git
from magents.git.preflight import touched
from magents.git.project import heads
from magents.git.trust import brought, hooks, notice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.git.merge import Merged
    from magents.git.trust.brought import Arrival, Brought

MAX_SHOWN_FILES = 3
"""How many files a warning names."""


class Waiting(NamedTuple):
    """What waits for the user's yes in one project."""

    project: str
    files: Sequence[Brought]
    branches: Sequence[Arrival]
    """Where the set-up command does not run on this side."""

    def difference(self, row: Brought) -> bytes:
        """What accepting one content changes: `git diff` from the last one of the user's own."""
        if row.blob == hooks.ANY:
            return b""
        old = brought.own_version(self.project, row.path)
        old = old or git(self.project, "hash-object", "-w", "-t", "blob", "--stdin", stdin=b"").line
        return git(self.project, "diff", "--no-color", "--no-ext-diff", "--no-textconv", old, row.blob, ok=None).raw


def waiting(project: str) -> Waiting:
    """See `Fleet.brought`. Of each file, the contents that branches and working trees have now; where none has one,
    those of earlier commits."""
    record = brought.kept(project)
    if record is None:
        return Waiting(project, [], [])
    if record.broken:
        raise brought.broken(record)
    commits = heads(project)
    branches = [
        row for row in record.arrivals
        if row.branch in commits and not row.accepted and brought.came(project, commits[row.branch], row.branch)
    ]  # fmt: skip
    rows = record.waiting()
    paths, tips = {row.path for row in rows}, {row.tip for row in record.arrivals}
    there = stand(project, paths, tips | set(commits.values()))
    there |= {pair for tip in tips if paths for pair in brought.files_of_pin(project, tip, paths)}
    known = {path for path, _ in there}
    rows = [row for row in rows if row.path not in known or (row.path, row.blob) in there or row.blob == hooks.ANY]
    return Waiting(project, sorted(rows, key=lambda row: (row.at, row.path, row.blob)), branches)


def stand(project: str, paths: set[str], commits: set[str]) -> set[tuple[str, str]]:
    """The contents that files have in commits and in all working trees."""
    if not paths:
        return set()
    listed = git(project, "worktree", "list", "--porcelain", "-z").text.split("\0")
    trees = [word.removeprefix("worktree ") for word in listed if word.startswith("worktree ")]
    there = {pair for commit in commits for pair in brought.contents(project, commit, paths)}
    return there | {pair for tree in trees if os.path.isdir(tree) for pair in hooks.standing(tree, paths)}


def accept(project: str, names: Sequence[str]) -> Waiting:
    """See `Fleet.trust`."""
    there = waiting(project)
    if not names:
        brought.accept(project, there.files, there.branches)
        return there
    files: list[Brought] = []
    branches: list[Arrival] = []
    for name in names:
        path, _, blob = name.rpartition("@")
        some = [
            row for row in there.files
            if name in (row.path, row.name) or (row.path == path and len(blob) >= 7 and row.blob.startswith(blob))
        ]  # fmt: skip
        more = [row for row in there.branches if row.branch == name]
        if not some and not more:
            raise NotFound(f"Nothing called `{one_line(name)}` waits for your yes.", "See what does: magents trust")
        files += some
        branches += more
    brought.accept(project, files, branches)
    return Waiting(project, files, branches)


def named(rows: Sequence[Brought]) -> str:
    """Contents, for a warning: their names, and whose they are."""
    shown = ", ".join(f"{one_line(row.name)} ({row.agent})" for row in rows[:MAX_SHOWN_FILES])
    return shown + (f" and {len(rows) - MAX_SHOWN_FILES} more" if len(rows) > MAX_SHOWN_FILES else "")


def warn_of_hooks(context: Context, where: str, *commits: str) -> None:
    """Say which hooks git does not run in a working tree, also with one of `commits` in it."""
    if has_record(where) and (rows := brought.hooks(where, *commits)):
        context.warn(
            f"no git hook is run, because an agent in a container changed them: {named(rows)}; look at them: "
            "magents trust --diff, accept them: magents trust NAME"
        )


def check_programs(project: str, commit: str) -> None:
    """Raises Conflict if the user's configuration makes git run a file of this commit that an agent in a container
    brought: a filter or a driver. To leave it out would change what git makes."""
    if (
        has_record(project)
        and (names := hooks.programs(project))
        and (rows := brought.in_commit(project, commit, names))
    ):
        raise Conflict(
            f"By your configuration git would run what an agent in a container changed: {named(rows)}.",
            "Look at it: magents trust --diff   and accept it: magents trust NAME",
        )


def may_set_up(context: Context, agent: Agent, command: str) -> bool:
    """Whether the set-up command may run in a new workspace. In a container it always may; on this side not on
    commits that came from a container and were not accepted. Tells the user if it may not."""
    if not context.runtime(agent).traits.trusted or not has_record(agent.project):
        return True
    by_hand = f"or run it by hand: cd {shlex.quote(agent.workspace)} && {command}"
    if arrival := brought.came(agent.project, agent.base_commit, agent.branch):
        context.warn(
            f"the set-up command was not run: {one_line(arrival.branch)} came from {arrival.agent}, in a "
            f"container; look at it, and accept it for the next time: magents trust {shlex.quote(arrival.branch)}, "
            f"{by_hand}"
        )
        return False
    if rows := brought.in_commit(agent.project, agent.base_commit, hooks.files_of(agent.project, command)):
        context.warn(
            f"the set-up command was not run, because an agent in a container changed {named(rows)}; look at it: "
            f"magents trust --diff, accept it: magents trust NAME, {by_hand}"
        )
        return False
    return True


def look_at(context: Context, agent: Agent, made: Merged, reported: Sequence[str] = ()) -> list[str]:
    """Note what a merge brings, before it lands; returns what of it runs by itself. Warns of that, unless it was
    `reported` before."""
    strange = not context.runtime(agent).traits.trusted
    if strange or (has_record(agent.project) and is_of_container(agent)):
        arrival = brought.Arrival("", made.after, (made.before,), agent.id, time.time())
        brought.arrive(agent.project, arrival)
    check_programs(agent.project, made.after)
    rows = [(row.path, row.old, row.new) for row in touched(agent.project, made.before, made.after)]
    names = notice.of(agent.project, rows, hooks.hook_paths(agent.project)[1])
    if names and names != reported:
        context.warn(notice.line(agent.id, names))
    if made.checkout:
        warn_of_hooks(context, made.checkout, made.before, made.after)
    return names


def is_of_container(agent: Agent) -> bool:
    """Whether an agent on this side works on what came from a container."""
    record = brought.kept(agent.project)
    return record is None or record.broken or any(row.branch == agent.branch for row in record.arrivals)
