"""What an agent has changed since its base, committed or not."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import CommandFailed, MagentsError
from magents.git.layout import git_folder
from magents.git.plumbing import LOOK, command, git
from magents.system import process
from magents.system.process import Running

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

TRIES = 20
EMPTY = {
    40: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    64: "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}
"""What git calls an empty file, by the length of its names of objects: SHA-1, SHA-256."""
MANY = 5000
"""New files, of which there are seldom so many."""
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


def fork(where: str, base: str, base_commit: str, head: str = "HEAD", seconds: float = 600) -> str:
    """The commit that the agent's work, at `head`, is measured from. `where`: a folder of the repository.

    Where its branch and its base have parted, so that what it has taken over from the base since does not
    count; once its work has been merged, the commit it began at.
    """
    if not base:
        return base_commit
    found = git(where, "merge-base", f"refs/heads/{base}", head, env=LOOK, ok=None, timeout=seconds)
    commit = git(where, "rev-parse", head, env=LOOK).line
    return found.line if found.code == 0 and found.line != commit else base_commit


def diff(workspace: str, base: str, base_commit: str, *options: str) -> bytes:
    """`git diff` of the working tree against `fork`, untracked files too."""
    return held(lambda target: since(target, workspace, fork(workspace, base, base_commit), *options))


def held(write: Callable[[BinaryIO], None], most: int = process.MAX_OUTPUT_BYTES) -> bytes:
    """What is written to a file. Raises MagentsError where that is more than `most` bytes."""
    with tempfile.TemporaryFile() as target:
        write(target)
        if target.tell() > most:
            raise MagentsError(f"The diff is larger than {most >> 20} MiB.", "Look at parts of it with git itself.")
        target.seek(0)
        return target.read()


def since(target: BinaryIO, workspace: str, start: str, *options: str) -> None:
    """Write to an empty file: `git diff` of the working tree against the commit `start`, untracked files too.

    The index it compares with is a copy, so the agent's own is neither locked nor changed. Files that come and
    go while git reads make it fail, so it is asked again then.
    """
    for left in reversed(range(TRIES)):
        try:
            compare(target, workspace, start, *options)
            return
        except CommandFailed as error:
            if not (left and re.search(VANISHED, error.stderr)):
                raise
        target.seek(0)
        target.truncate()


def compare(target: BinaryIO, workspace: str, start: str, *options: str) -> None:
    """`since`, tried once."""
    with tempfile.TemporaryDirectory(prefix="magents-") as folder:
        index = os.path.join(folder, "index")
        source = os.path.join(git_folder(workspace), "index")
        if os.path.isfile(source):
            shutil.copyfile(source, index)
        env = {**LOOK, "GIT_INDEX_FILE": index}
        new = untracked(workspace)
        declare(workspace, new, EMPTY.get(len(start), EMPTY[40]), env)
        # Before it compares files git looks whether they are as it knows them; of new ones it knows nothing.
        ahead = ("-c", "core.preloadIndex=false") if len(new) > MANY else ()
        git(
            workspace, *ahead, "diff", "--no-ext-diff", "--no-textconv", "--no-color", *options, start, "--",
            env=env, target=target,
        )  # fmt: skip


def declare(workspace: str, new: list[str], empty: str, env: dict[str, str]) -> None:
    """Let the index know of new files, so that a diff shows them: each as one that was empty when git last looked.

    `git add --intent-to-add` takes quadratic time for it.
    """
    if new:
        rows = os.fsencode("".join(f"100644 {empty} 0\t{name}\0" for name in new))
        git(workspace, "update-index", "-z", "--index-info", env=env, stdin=rows)


def untracked(workspace: str) -> list[str]:
    """The files git does not track and does not ignore. Not what is in repositories of their own."""
    listed = git(workspace, "ls-files", "-z", "--others", "--exclude-standard", env=LOOK).text.split("\0")
    return [name for name in listed if name and not name.endswith("/")]


NUMBERS = ("--numstat", "-z", "--no-renames")
MOST_NUMBERS = 64 << 20
"""Bytes of such a diff that are read at most where an agent in a container answers: some 500,000 files."""


def files(workspace: str, base: str, base_commit: str) -> list[Change]:
    """The changed files with their numbers of lines."""
    return numbered(diff(workspace, base, base_commit, *NUMBERS))


def numbered(raw: bytes) -> list[Change]:
    """The files of a diff that was made with the options `NUMBERS`. A row that is none is passed over: an agent can
    have written it."""
    rows = (os.fsdecode(row).split("\t", 2) for row in raw.split(b"\0"))
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
