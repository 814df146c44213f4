"""What agents in containers brought of the files that run by themselves, and what of it the user accepted.

An agent in a container is someone we do not trust, and a hook, a set-up script or `.worktreeinclude` on its branch
would act on the user's side as soon as git or we come upon it there. So what comes home is noted in the project's
git folder, where no container reaches: for each file of the watched paths its content, by git's id of it. A content
counts as the user's own unless it is noted here and was not accepted. That holds after a merge, a rename of the
branch and a rebase too.

The record is read before each git command of ours (`hooks`), so nothing is imported for a project that has none.
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
"""`git log`, whatever the user has configured for his own."""
MAX_ALL_FILES = 20_000
"""How many versions are told apart in all."""
EMPTY = {40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
         64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"}  # fmt: skip
"""git's id of a tree without files, by the length of ids."""


# --- what comes


def arrive(project: str, arrival: Arrival) -> None:
    """Note what came with commits: before any branch of the user's stands on them. Raises MagentsError."""
    paths = always(project)
    while True:
        record = watch(Record(common_of(project)), project, paths)
        known = record.watched | paths
        noted = tuple(old.tip for old in record.arrivals if same(old, arrival))
        rows = versions(project, arrival._replace(since=arrival.since + noted), known)
        with changing(common_of(project)) as record:
            if not record.watched <= known:
                continue  # another command has just begun to watch more
            record.watched |= known
            put(record, rows, known, arrival)
            before = next((old for old in record.arrivals if same(old, arrival)), None)
            if before:  # all its commits are the agent's, from the first one on
                record.arrivals.remove(before)
            record.arrivals.append(arrival._replace(since=before.since) if before else arrival)
            return


def always(project: str) -> set[str]:
    """The paths that are watched from the beginning."""
    return {INCLUDE, *FOLDERS, *MANAGERS, *hook_paths(project)[1]}


def same(old: Arrival, new: Arrival) -> bool:
    """Whether an arrival takes the place of another: more of the same branch."""
    return bool(new.branch) and (old.branch, old.agent, old.accepted) == (new.branch, new.agent, False)


def versions(project: str, arrival: Arrival, paths: Iterable[str]) -> set[tuple[str, str]]:
    """The contents that these commits gave to watched files, but not those that the user's own have; `ANY` of all
    where there are too many."""
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
    """Add contents to the record; the first who brought one stays named."""
    if len(rows) + len(record.files) > MAX_ALL_FILES:
        rows = {(path, ANY) for path in paths}
    for path, blob in rows:
        record.files.setdefault((path, blob), Brought(path, blob, arrival.agent, arrival.branch, arrival.at))
        if blob == ANY:  # other contents than those that were accepted
            record.accepted.discard((path, blob))


def arrive_pin(project: str, pin: str, agent: str, branch: str, own: Sequence[str] = ()) -> None:
    """Note what came with a pin from a container: its files can be laid into a workspace on this side, and the
    commits that it leads to can be checked out. `own`: commits of the user's own; by default what is checked out in
    the project, and no branch is said to be the agent's then."""
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
    """The uncommitted files that a pin has at these paths, with their contents."""
    found = contents(project, commit, [f"files/{path}" for path in paths])
    return [(name.removeprefix("files/"), blob) for name, blob in found]


def changed_files(raw: str, *, gone: bool = False) -> Iterator[tuple[str, str]]:
    """Path and new content of each file in `git log --raw -z`, those of merges (`-c`) too; files that are `gone`,
    whose content is all zeros, only if asked for."""
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
    words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", EMPTY[len(commit)], commit, "--", *specs(paths))
    listed = ask(project, *words, ok=None)
    return [pair for pair in changed_files(listed.text) if is_of(pair[0], paths)] if listed.code == 0 else []


def watch(record: Record, where: str, paths: Iterable[str]) -> Record:
    """See to it that the record knows these paths: those that nobody watched before are looked for in what came."""
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
    """What an agent brought of the hooks that git would run in the working tree `where`, and nobody accepted; also
    of those that the working tree gets with one of `commits`. With any of it git must run no hook there."""
    record = kept(where)
    if record is None:
        return []
    top, paths = hook_paths(where)
    if not paths:
        return []
    if record.broken:
        return [record.unknown]
    return found(watch(record, where, paths), top, paths, commits)


def found(record: Record, where: str, paths: Sequence[str], commits: Iterable[str]) -> list[Brought]:
    """What was brought of these files, where they stand and in commits."""
    if not record.concerns(paths):
        return []
    pairs = {pair for commit in commits for pair in contents(where, commit, paths)}
    pairs |= set(standing(where, paths))
    return sorted({row for path, blob in pairs for row in record.waiting(path, "" if blob == ANY else blob)})


def foreign(project: str, path: str) -> Brought | None:
    """Who brought the content that a file of the project has now, if nobody accepted it."""
    record = kept(project)
    if record is None:
        return None
    if record.broken:
        return record.unknown
    record = watch(record, project, [path])
    # As git would keep it, and as git wrote it: attributes that an agent wrote can make another content of it on
    # the way out, and again on the way back.
    kept_as = ask(project, "hash-object", "--path", path, "--", os.path.join(project, path), ok=None).line
    rows = [row for blob in {kept_as, written(project, path)} for row in record.waiting(path, blob or ANY)]
    return rows[-1] if rows else None


def own_version(project: str, path: str) -> str:
    """The newest content in the history of a file that no agent brought, or that was accepted; '' if it was not
    there then."""
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
    """What was brought, and not accepted, of the files that git would run by itself, or be configured by, once a
    pin that came to `head` is laid out."""
    commit = ask(project, "rev-parse", "--verify", f"{pin}^{{commit}}").line
    paths, record = programs(project), kept(project)
    pairs = files_of_pin(project, commit, paths) if paths and record else []
    pairs = [pair for pair in pairs if any(below(path, pair[0]) for path in paths)]  # no program is a folder
    rows = [row for path, blob in pairs for row in record.waiting(path, blob)] if record else []
    return rows + (in_commit(project, head, paths) if paths and head else [])


def in_commit(project: str, commit: str, paths: Sequence[str]) -> list[Brought]:
    """What was brought, and not accepted, of these files as a commit has them; folders do not count."""
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
    """What came from a container, was not accepted, and is in the history of `commit`, but not of what is checked
    out in the project; None if nothing is. `branch`: the one that is at `commit`, to be named before others."""
    record = kept(project)
    waiting = [arrival for arrival in record.arrivals if arrival.branch and not arrival.accepted] if record else []
    if not waiting:
        return None
    tips = [arrival.tip for arrival in waiting]
    own = {old for arrival in waiting for old in arrival.since} - set(tips)
    names = {f"refs/heads/{arrival.branch}" for arrival in waiting}  # it can have moved on without its branch here
    listed = ask(project, "for-each-ref", "--format=%(objectname) %(refname)", *names).text.splitlines()
    tips += [oid for oid, _, name in (row.partition(" ") for row in listed) if name in names]
    head = ask(project, "symbolic-ref", "--quiet", "--short", "HEAD", ok=None).line
    if head and head not in {arrival.branch for arrival in waiting}:  # detached, it can be at the agent's
        own.add("HEAD")
    known = ("--ignore-missing", "--not", *sorted(own))
    new = set(ask(project, "rev-list", commit, *known, ok=None).text.split())
    if not new or not new & set(ask(project, "rev-list", *tips, *known, ok=None).text.split()):
        return None
    return next((arrival for arrival in reversed(waiting) if arrival.branch == branch), waiting[-1])


# --- what was accepted


def accept(project: str, files: Iterable[Brought], branches: Iterable[Arrival]) -> None:
    """Take these for the user's own from now on."""
    files, chosen = list(files), set(branches)
    if not files and not chosen:
        return
    with changing(common_of(project)) as record:
        record.accepted |= {(row.path, row.blob) for row in files}
        rows = (row._replace(accepted=True) if row in chosen else row for row in record.arrivals)
        record.arrivals = list(rows)


def of_branch(project: str, branch: str) -> list[Arrival]:
    """What came on a branch and was not accepted."""
    record = kept(project)
    return [row for row in record.arrivals if row.branch == branch and not row.accepted] if record else []
