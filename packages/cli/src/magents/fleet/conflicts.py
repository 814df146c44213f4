"""Which agents' branches conflict, found by merging them in memory.

Each branch is merged with its base, and with each other branch of the project. The result of a merge of two commits
never changes, so it is kept in the store's folder for as long as branches stand at both.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import CommandFailed, MagentsError
from magents.core.text import one_line
from magents.fleet.context import digest
from magents.git.layout import borrow_objects
from magents.git.merge import Attempt, attempt, tips
from magents.git.workspaces.disk import discard
from magents.system.files import atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.git.merge import Tip

MAX_AT_ONCE = 2
"""How many merges run at the same time."""
MERGE_TIMEOUT_S = 20
"""Seconds that one merge may take: agents make what is merged."""
MAX_TIMEOUTS = 2
"""After so many merges that took too long, a branch is tried no more."""
SCRATCH = "scratch-"
DAY_S = 86400
Pair = tuple[str, str]
"""Two commits, sorted: their merge conflicts in the same files whichever comes first."""


class Side(NamedTuple):
    """One of two branches that conflict."""

    id: str
    """The agent whose branch it is; '' for a base."""
    branch: str


class Clash(NamedTuple):
    """Two branches that conflict."""

    one: Side
    other: Side
    files: tuple[str, ...]
    """Names as git has them; strip control characters before you print them. Can be empty: see `Attempt`."""


class Conflicts(NamedTuple):
    """What was found."""

    clashes: list[Clash]
    unknown: set[str]
    """Ids of agents for which not all was tried."""
    problems: list[str]
    """What could not be tried, a line each."""

    def of(self, id: str) -> list[Side]:
        """What the branch of an agent conflicts with."""
        others = [clash.other for clash in self.clashes if clash.one.id == id]
        return others + [clash.one for clash in self.clashes if clash.other.id == id]


def conflicts(context: Context, agents: Sequence[Agent] | None = None, most: int | None = None) -> Conflicts:
    """See `Fleet.conflicts`."""
    live = context.store.live()
    asked = {agent.id for agent in (live if agents is None else agents)}
    report = Conflicts([], set(), [])
    for project in sorted({agent.project for agent in live if agent.id in asked}):
        try:
            in_project(context, project, [agent for agent in live if agent.project == project], asked, most, report)
        except MagentsError as error:
            report.unknown.update(agent.id for agent in live if agent.project == project)
            report.problems.append(f"{project}: {error.message}")
    return report


def in_project(
    context: Context, project: str, live: Sequence[Agent], asked: set[str], most: int | None, report: Conflicts
) -> None:
    """Add to the report what the agents of one project conflict with."""
    heads = tips(project)
    agents = [agent for agent in live if agent.branch in heads]
    tries = Tries(context, project, heads, most)
    bases = [(Side(a.id, a.branch), Side("", a.base)) for a in agents if a.base in heads and a.base != a.branch]
    # The bases of all: a branch with nothing that its base lacks cannot be in another's way.
    results = tries.all(bases)
    spent = {
        one.id for one, base in bases
        if (result := results.get((one, base))) and result.clean and result.tree == heads[base.branch].tree
    }  # fmt: skip
    sides = [Side(agent.id, agent.branch) for agent in agents if agent.id not in spent]
    pairs = [(one, other) for n, one in enumerate(sides) for other in sides[n + 1 :] if asked & {one.id, other.id}]
    results |= tries.all(pairs)
    tries.keep()
    for one, other in [pair for pair in bases if pair[0].id in asked] + pairs:
        result = results.get((one, other))
        if result is None:
            report.unknown.update({one.id, other.id} - {""})
        elif not result.clean:
            report.clashes.append(Clash(one, other, result.files))
    report.problems.extend(tries.problems)


class Tries:
    """Merges in memory in one project, with the results of earlier ones."""

    def __init__(self, context: Context, project: str, heads: dict[str, Tip], most: int | None) -> None:
        self.context, self.project, self.heads = context, project, heads
        self.path = os.path.join(context.store.folder, "conflicts", f"{digest(project)}.json")
        self.known = read(self.path)
        self.left = most
        self.changed = False
        self.problems: list[str] = []
        self.strikes: dict[str, int] = {}
        """How many merges of a branch took too long."""

    def pair(self, one: Side, other: Side) -> Pair:
        """The commits of two branches."""
        first, second = sorted((self.heads[one.branch].commit, self.heads[other.branch].commit))
        return first, second

    def all(self, pairs: Sequence[tuple[Side, Side]]) -> dict[tuple[Side, Side], Attempt]:
        """The result of each of these merges; those that fail, or are too many, are left out."""
        wanted = {both: self.pair(*both) for both in pairs}
        for (one, _), pair in wanted.items():
            if pair[0] == pair[1]:
                self.known[pair] = Attempt(self.heads[one.branch].tree, True, ())
        chosen = list({pair: both for both, pair in wanted.items() if pair not in self.known}.items())[: self.left]
        if self.left is not None:
            self.left -= len(chosen)
        if chosen:
            self.context.progress(f"merging {len(chosen)} pairs of branches in memory")
            self.merge(dict(chosen))
        return {both: self.known[pair] for both, pair in wanted.items() if pair in self.known}

    def merge(self, new: Mapping[Pair, tuple[Side, Side]]) -> None:
        """Make these merges, some at once."""
        from concurrent.futures import ThreadPoolExecutor

        with scratch(self.context, self.project) as folder, ThreadPoolExecutor(MAX_AT_ONCE) as pool:
            running = {pair: pool.submit(self.one, pair, sides, folder) for pair, sides in new.items()}
            try:
                for pair, (one, other) in new.items():
                    try:
                        result = running[pair].result()
                    except CommandFailed as error:
                        reason = "it takes too long" if error.code is None else one_line(error.stderr)
                        self.problems.append(f"{one.branch} and {other.branch} cannot be merged: {reason}")
                    else:
                        self.changed |= result is not None
                        self.known |= {pair: result} if result else {}
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def one(self, pair: Pair, sides: tuple[Side, Side], folder: str) -> Attempt | None:
        """Merge two; None where one of the branches was too slow before. Raises CommandFailed."""
        branches = [side.branch for side in sides if side.id]
        if any(self.strikes.get(branch, 0) >= MAX_TIMEOUTS for branch in branches):
            return None
        try:
            return attempt(self.project, *pair, folder, MERGE_TIMEOUT_S)
        except CommandFailed as error:
            for branch in branches if error.code is None else []:
                self.strikes[branch] = self.strikes.get(branch, 0) + MAX_TIMEOUTS // len(branches)
            raise

    def keep(self) -> None:
        """Write down what is known of commits that branches stand at."""
        if self.changed:
            current = {tip.commit for tip in self.heads.values()}
            write(self.path, {pair: result for pair, result in self.known.items() if current.issuperset(pair)})


@contextlib.contextmanager
def scratch(context: Context, project: str) -> Iterator[str]:
    """A folder for the objects that merges make, so that the project does not fill with them."""
    import tempfile

    folder = os.path.join(context.store.folder, "conflicts")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    sweep(folder)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder, ignore_cleanup_errors=True) as top:
        borrow_objects(project, top)
        yield top


def sweep(folder: str) -> None:
    """Delete what killed commands have left there; nobody merges in memory for longer than a day."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            if name.startswith(SCRATCH) and time.time() - os.stat(path).st_mtime > DAY_S:
                discard(path)


def read(path: str) -> dict[Pair, Attempt]:
    """The results that were kept; none where they cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return {
                (one, other): Attempt(tree, clean, tuple(files))
                for one, other, tree, clean, files in json.load(file)
            }
    except (OSError, ValueError, TypeError):
        return {}


def write(path: str, known: Mapping[Pair, Attempt]) -> None:
    """Keep the results, in one step. What cannot be written is found out again next time."""
    rows: Iterable[object] = [(*pair, *result) for pair, result in known.items()]
    folder, name = os.path.split(path)
    with contextlib.suppress(OSError):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        atomic.write(folder, name, json.dumps(rows))
