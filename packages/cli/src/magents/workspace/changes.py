"""What an agent has changed since its base, committed or not."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from typing import NamedTuple

from magents.errors import CommandFailed
from magents.process import Running
from magents.workspace.git import LOOK, command, git
from magents.workspace.snapshot import git_folder

TRIES = 20
VANISHED = "No such file or directory|did not match any file"


class Change(NamedTuple):
    """One changed file."""

    path: str
    added: int | None
    """Lines; None for a binary file."""
    deleted: int | None


class Summary(NamedTuple):
    """An agent's work in numbers."""

    ahead: int
    """Commits that its base does not have."""
    uncommitted: int
    """Files changed, untracked or gone since the last commit."""
    changed: int
    """Files that differ from its base, committed or not."""


def fork(where: str, base: str, base_commit: str, head: str = "HEAD") -> str:
    """The commit that the agent's work, at `head`, is measured from. `where`: a folder of the repository.

    Where its branch and its base have parted, so that what it has taken over from the base since does not
    count; once its work has been merged, the commit it began at.
    """
    if not base:
        return base_commit
    found = git(where, "merge-base", f"refs/heads/{base}", head, env=LOOK, ok=None)
    commit = git(where, "rev-parse", head, env=LOOK).line
    return found.line if found.code == 0 and found.line != commit else base_commit


def diff(workspace: str, base: str, base_commit: str, *options: str) -> bytes:
    """`git diff` of the working tree against `fork`, untracked files too."""
    return since(workspace, fork(workspace, base, base_commit), *options)


def since(workspace: str, start: str, *options: str) -> bytes:
    """`git diff` of the working tree against the commit `start`, untracked files too.

    The index it compares with is a copy, so the agent's own is neither locked nor changed. Files that come and
    go while git reads make it fail, so it is asked again then.
    """
    for _ in range(TRIES):
        try:
            return compare(workspace, start, *options)
        except CommandFailed as error:
            if not re.search(VANISHED, error.stderr):
                raise
    return compare(workspace, start, *options)


def compare(workspace: str, start: str, *options: str) -> bytes:
    """`since`, tried once."""
    with tempfile.TemporaryDirectory(prefix="magents-") as folder:
        index = os.path.join(folder, "index")
        source = os.path.join(git_folder(workspace), "index")
        if os.path.isfile(source):
            shutil.copyfile(source, index)
        env = {**LOOK, "GIT_INDEX_FILE": index}
        declare(workspace, untracked(workspace), env)
        return git(
            workspace, "diff", "--no-ext-diff", "--no-textconv", "--no-color", *options, start, "--", env=env
        ).raw


def declare(workspace: str, new: list[str], env: dict[str, str]) -> None:
    """Let the index know of new files, so that a diff shows them."""
    if new:
        listed = "\0".join(new).encode("utf-8", "surrogateescape")
        env = {**env, "GIT_LITERAL_PATHSPECS": "1"}
        args = ("--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul")
        git(workspace, "add", *args, env=env, stdin=listed)


def untracked(workspace: str) -> list[str]:
    """The files git does not track and does not ignore. Not what is in repositories of their own."""
    listed = git(workspace, "ls-files", "-z", "--others", "--exclude-standard", env=LOOK).text.split("\0")
    return [name for name in listed if name and not name.endswith("/")]


NUMBERS = ("--numstat", "-z", "--no-renames")


def files(workspace: str, base: str, base_commit: str) -> list[Change]:
    """The changed files with their numbers of lines."""
    return numbered(diff(workspace, base, base_commit, *NUMBERS))


def numbered(raw: bytes) -> list[Change]:
    """The files of a diff that was made with the options `NUMBERS`. A row that is none is passed over: an agent can
    have written it."""
    rows = (row.split("\t", 2) for row in os.fsdecode(raw).split("\0"))
    return [Change(row[2], number(row[0]), number(row[1])) for row in rows if len(row) == 3]


def number(text: str) -> int | None:
    """A count of `git diff --numstat`, which has `-` for binary files."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def summary(workspace: str, base: str, base_commit: str) -> Summary:
    """The work in numbers. Raises CommandFailed where git cannot read the workspace."""
    start = f"refs/heads/{base}" if base else base_commit
    counted = Running(command(workspace, "rev-list", "--count", f"{start}..HEAD"), env=LOOK)
    try:
        dirty = uncommitted(workspace)
    finally:
        counts = counted.result(ok=None)
    if counts.code:
        counts = git(workspace, "rev-list", "--count", f"{base_commit}..HEAD", env=LOOK)
    return Summary(int(counts.line), len(dirty), changed(workspace, fork(workspace, base, base_commit)))


def changed(workspace: str, start: str) -> int:
    """How many files differ from the commit `start`, committed or not."""
    listed = git(workspace, "diff", "--name-only", "-z", "--no-renames", start, env=LOOK)
    return len({name for name in listed.text.split("\0") if name} | set(untracked(workspace)))


def uncommitted(workspace: str) -> list[str]:
    """The files changed, untracked or gone since the last commit."""
    listed = git(workspace, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", env=LOOK)
    return [row[3:] for row in listed.text.split("\0") if row]


def commit_all(workspace: str, message: str) -> None:
    """Commit everything in the workspace, untracked files too."""
    git(workspace, "add", "--all")
    git(workspace, "commit", "--quiet", "--message", message, hint="Mend what its commit hook complains of.")
