"""Which files that run by themselves agents in containers brought, and which of them the user accepted.

We do not trust an agent in a container. A hook, a set-up script or a `.worktreeinclude` on its branch would act on
the user's side as soon as git, or Magents, finds it there. So what comes home is recorded in the project's git
folder, where no container reaches: for each file at the watched paths, the object id of its content. A content
counts as the user's own, unless it is recorded and was not accepted. That also holds after a merge, a rebase and a
rename of the branch.

Each git command of ours reads the record (`hooks`). A project without a record imports nothing of this.
"""

from __future__ import annotations

import os
import time

from magents.git.inert import ask
from magents.git.layout import common_of
from magents.git.trust.hooks import (
    ANY,
    FOLDERS,
    MANAGERS,
    MAX_FILES,
    below,
    hook_paths,
    is_of,
    programs,
    specs,
    standing,
    written,
)
from magents.git.trust.record import INCLUDE as INCLUDE
from magents.git.trust.record import Arrival as Arrival
from magents.git.trust.record import Brought as Brought
from magents.git.trust.record import Record, changing
from magents.git.trust.record import broken as broken
from magents.git.trust.record import kept as kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LOG = ("-c", "log.showRoot=true", "-c", "log.showSignature=false", "-c", "log.follow=false", "log")
"""`git log`, independent of the user's settings."""
MAX_ALL_FILES = 20_000
"""How many versions are told apart in all."""
EMPTY_TREE = {40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
         64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"}  # fmt: skip
"""The object id of a tree without files, by the length of ids."""


# --- what comes


def arrive(project: str, arrival: Arrival) -> None:
    """Record what came with commits, before a branch of the user's stands on them. Raises MagentsError."""
    paths = always(project)
    while True:
        record = watch(Record(common_of(project)), project, paths)
        known = record.watched | paths
        seen = tuple(old.tip for old in record.arrivals if same(old, arrival))
        rows = versions(project, arrival._replace(since=arrival.since + seen), known)
        with changing(common_of(project)) as record:
            if not record.watched <= known:
                continue  # another command began to watch more paths meanwhile
            record.watched |= known
            put(record, rows, known, arrival)
            before = next((old for old in record.arrivals if same(old, arrival)), None)
            if before:  # the agent's commits begin where they began before
                record.arrivals.remove(before)
            record.arrivals.append(arrival._replace(since=before.since) if before else arrival)
            return


def always(project: str) -> set[str]:
    """The paths that are always watched."""
    return {INCLUDE, *FOLDERS, *MANAGERS, *hook_paths(project)[1]}


def same(old: Arrival, new: Arrival) -> bool:
    """Whether an arrival replaces another, because it brings more of the same branch."""
    return bool(new.branch) and (old.branch, old.agent, old.accepted) == (new.branch, new.agent, False)


def versions(project: str, arrival: Arrival, paths: Iterable[str]) -> set[tuple[str, str]]:
    """The contents that these commits gave to files at `paths`, without those in the user's own commits. With too
    many it is `ANY` for all paths."""
    paths = sorted(paths)
    words = (*LOG, "--format=%H", "--raw", "-z", "--no-abbrev", "--no-renames", "-c", "--full-history",
             "--ignore-missing", f"--max-count={MAX_FILES}", arrival.tip)  # fmt: skip
    listed = ask(project, *words, "--not", *arrival.since, "--", *specs(paths)).text
    rows = {pair for pair in changed_files(listed) if is_of(pair[0], paths)}
    commits = sum(len(word) == len(arrival.tip) and word.isalnum() for word in listed.split("\0"))
    if max(commits, len(rows)) >= MAX_FILES:
        return {(path, ANY) for path in paths}
    return rows - {pair for commit in arrival.since for pair in contents(project, commit, paths)} if rows else rows


def put(record: Record, rows: set[tuple[str, str]], paths: Iterable[str], arrival: Arrival) -> None:
    """Add contents to the record. The first agent that brought a content stays named."""
    if len(rows) + len(record.files) > MAX_ALL_FILES:
        rows = {(path, ANY) for path in paths}
    for path, blob in rows:
        record.files.setdefault((path, blob), Brought(path, blob, arrival.agent, arrival.branch, arrival.at))
        if blob == ANY:  # it stands for other contents than when it was accepted
            record.accepted.discard((path, blob))


def arrive_pin(project: str, pin: str, agent: str, branch: str, own: Sequence[str] = ()) -> None:
    """Record what came with a pin from a container: its files can be put into a workspace on this side, and its
    commits can be checked out. `own` are commits of the user's. By default that is the commit checked out in the
    project, and no branch counts as the agent's."""
    commit = ask(project, "rev-parse", "--verify", f"{pin}^{{commit}}").line
    known = tuple(own) or tuple(ask(project, "rev-parse", "--verify", "--quiet", "HEAD", ok=None).text.split())
    arrive(project, Arrival(branch if own else "", commit, known, agent, time.time()))
    with changing(common_of(project)) as record:
        paths = record.watched | always(project) | set(programs(project))
        rows = set(files_of_pin(project, commit, paths))
        if len(rows) >= MAX_FILES:
            rows = {(path, ANY) for path in paths}
        put(record, rows, paths, Arrival(branch, commit, (), agent, time.time()))


def files_of_pin(project: str, commit: str, paths: Iterable[str]) -> list[tuple[str, str]]:
    """The uncommitted files of a pin at these paths, with their contents."""
    rows = contents(project, commit, [f"files/{path}" for path in paths])
    return [(name.removeprefix("files/"), blob) for name, blob in rows]


def changed_files(raw: str, *, gone: bool = False) -> Iterator[tuple[str, str]]:
    """The path and the new content of each file in the output of `git log --raw -z`, also of merges (`-c`). Deleted
    files, whose content is all zeros, are only included with `gone`."""
    words = iter(raw.split("\0"))
    for word in words:
        word = word.lstrip("\n")
        if word.startswith(":"):
            sides = len(word) - len(word.lstrip(":"))
            fields = word.lstrip(":").split(" ")
            path, blob = next(words), fields[2 * sides + 1]
            if gone or blob.strip("0"):
                yield path, blob


def contents(project: str, commit: str, paths: Iterable[str]) -> list[tuple[str, str]]:
    """The files of a commit at these paths, with their contents."""
    paths = list(paths)
    words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", EMPTY_TREE[len(commit)], commit, "--", *specs(paths))
    listed = ask(project, *words, ok=None)
    return [pair for pair in changed_files(listed.text) if is_of(pair[0], paths)] if listed.code == 0 else []


def watch(record: Record, where: str, paths: Iterable[str]) -> Record:
    """Make the record know these paths; returns it. Paths that were not watched before are looked up in what
    came."""
    while True:
        new = set(paths) - record.watched
        if not new or not record.arrivals:
            return record
        came = [(arrival, versions(where, arrival, new)) for arrival in record.arrivals]
        with changing(record.common) as changed:
            if changed.arrivals == record.arrivals:
                for arrival, rows in came:
                    put(changed, rows, new, arrival)
                changed.watched |= new
            record = changed


# --- what stands


def hooks(where: str, *commits: str) -> list[Brought]:
    """The hooks that git would run in the working tree `where`, or after it checked out one of `commits` there, and
    that an agent brought and nobody accepted. If there are any, git must run no hook there."""
    record = kept(where)
    if record is None:
        return []
    top, paths = hook_paths(where)
    if not paths:
        return []
    if record.broken:
        return [record.unknown]
    return waiting(watch(record, where, paths), top, paths, commits)


def waiting(record: Record, where: str, paths: Sequence[str], commits: Iterable[str]) -> list[Brought]:
    """What was brought, and not accepted, of these files in a working tree and in commits."""
    if not record.concerns(paths):
        return []
    pairs = {pair for commit in commits for pair in contents(where, commit, paths)}
    pairs |= set(standing(where, paths))
    return sorted({row for path, blob in pairs for row in record.waiting(path, "" if blob == ANY else blob)})


def foreign(project: str, path: str) -> Brought | None:
    """Who brought the content that a file of the project has now, if it was not accepted; else None."""
    record = kept(project)
    if record is None:
        return None
    if record.broken:
        return record.unknown
    record = watch(record, project, [path])
    # Attributes, which an agent can write, change a content on its way out of git and on its way back. So the file
    # counts as what git would store, and as what git wrote.
    kept_as = ask(project, "hash-object", "--path", path, "--", os.path.join(project, path), ok=None).line
    rows = [row for blob in {kept_as, written(project, path)} for row in record.waiting(path, blob or ANY)]
    return rows[-1] if rows else None


def own_version(project: str, path: str) -> str:
    """The newest content of a file that no agent brought, or that was accepted; '' if the file was deleted then, or
    never there."""
    record = kept(project)
    words = (*LOG, "--format=", "--raw", "-z", "--no-abbrev", "--no-renames", "-c", f"--max-count={MAX_FILES}")
    listed = ask(project, *words, "HEAD", "--", *specs([path]), ok=None).text
    for name, blob in changed_files(listed, gone=True):
        if not is_of(name, [path]):
            continue
        if not blob.strip("0"):
            return ""
        if record and not record.waiting(name, blob):
            return blob
    return ""


def programs_in_pin(project: str, pin: str, head: str) -> list[Brought]:
    """What was brought, and not accepted, of the files that git would run or read settings from once a pin on the
    commit `head` is in a workspace."""
    commit = ask(project, "rev-parse", "--verify", f"{pin}^{{commit}}").line
    paths, record = programs(project), kept(project)
    pairs = files_of_pin(project, commit, paths) if paths and record else []
    pairs = [pair for pair in pairs if any(below(path, pair[0]) for path in paths)]  # no program is a folder
    rows = [row for path, blob in pairs for row in record.waiting(path, blob)] if record else []
    return rows + (in_commit(project, head, paths) if paths and head else [])


def in_commit(project: str, commit: str, paths: Sequence[str]) -> list[Brought]:
    """What was brought, and not accepted, of these files in a commit. Folders do not count."""
    record = kept(project)
    pairs = contents(project, commit, paths) if record else []
    pairs = [pair for pair in pairs if any(below(path, pair[0]) for path in paths)]
    if record is None or not pairs:
        return []
    if record.broken:
        return [record.unknown]
    record = watch(record, project, [path for path in paths if any(below(path, name) for name, _ in pairs)])
    return [row for path, blob in pairs for row in record.waiting(path, blob)]


# --- whose a branch is


def came(project: str, commit: str, branch: str = "") -> Arrival | None:
    """An arrival from a container that was not accepted and is in the history of `commit`, but not in that of the
    project's checkout; None if there is none. One of `branch`, which stands at `commit`, comes before others."""
    record = kept(project)
    arrivals = [arrival for arrival in record.arrivals if arrival.branch and not arrival.accepted] if record else []
    if not arrivals:
        return None
    tips = [arrival.tip for arrival in arrivals]
    own = {old for arrival in arrivals for old in arrival.since} - set(tips)
    names = {f"refs/heads/{arrival.branch}" for arrival in arrivals}  # the branch can have moved on
    listed = ask(project, "for-each-ref", "--format=%(objectname) %(refname)", *names).text.splitlines()
    tips += [oid for oid, _, name in (row.partition(" ") for row in listed) if name in names]
    head = ask(project, "symbolic-ref", "--quiet", "--short", "HEAD", ok=None).line
    # A detached HEAD can stand at the agent's commit.
    if head and head not in {arrival.branch for arrival in arrivals}:
        own.add("HEAD")
    known = ("--ignore-missing", "--not", *sorted(own))
    new = set(ask(project, "rev-list", commit, *known, ok=None).text.split())
    if not new or not new & set(ask(project, "rev-list", *tips, *known, ok=None).text.split()):
        return None
    return next((arrival for arrival in reversed(arrivals) if arrival.branch == branch), arrivals[-1])


# --- what was accepted


def accept(project: str, files: Iterable[Brought], branches: Iterable[Arrival]) -> None:
    """Make these count as the user's own from now on."""
    files, chosen = list(files), set(branches)
    if not files and not chosen:
        return
    with changing(common_of(project)) as record:
        record.accepted |= {(row.path, row.blob) for row in files}
        rows = (row._replace(accepted=True) if row in chosen else row for row in record.arrivals)
        record.arrivals = list(rows)


def of_branch(project: str, branch: str) -> list[Arrival]:
    """The arrivals on a branch that were not accepted."""
    record = kept(project)
    return [row for row in record.arrivals if row.branch == branch and not row.accepted] if record else []
