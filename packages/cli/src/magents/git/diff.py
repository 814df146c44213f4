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

RETRIES = 20
"""How often a diff is repeated while files vanish under it."""
EMPTY_BLOB = {
    40: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    64: "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}
"""The object id of an empty file, by the length of ids: SHA-1, SHA-256."""
MANY_NEW_FILES = 5000
VANISHED = "No such file or directory|did not match any file"


class Change(NamedTuple):
    """One changed file."""

    path: str
    added: int | None
    """Lines added; None for a binary file."""
    deleted: int | None


class Summary(NamedTuple):
    """An agent's work in numbers."""

    ahead: int
    """Commits that the base does not have."""
    uncommitted: int
    """Files changed, added or deleted since the last commit."""
    changed: int
    """Files that differ from the base, committed or not."""


def fork(where: str, base: str, base_commit: str, head: str = "HEAD", seconds: float = 600) -> str:
    """The commit that the agent's work is measured from.

    It is the merge base of the base branch and `head`: what the agent took over from the base since does not count.
    Once the work was merged, it is the commit that the agent began at. `where` is a folder of the repository.
    """
    if not base:
        return base_commit
    parting = git(where, "merge-base", f"refs/heads/{base}", head, env=LOOK, ok=None, timeout=seconds)
    commit = git(where, "rev-parse", head, env=LOOK).line
    return parting.line if parting.code == 0 and parting.line != commit else base_commit


def diff(workspace: str, base: str, base_commit: str, *options: str) -> bytes:
    """The output of `git diff` between `fork` and the working tree, with untracked files."""
    return held(lambda target: since(target, workspace, fork(workspace, base, base_commit), *options))


def held(write: Callable[[BinaryIO], None], max_bytes: int = process.MAX_OUTPUT_BYTES) -> bytes:
    """All that `write` writes to its file. Raises MagentsError for more than `max_bytes`."""
    with tempfile.TemporaryFile() as target:
        write(target)
        if target.tell() > max_bytes:
            raise MagentsError(
                f"The diff is larger than {max_bytes >> 20} MiB.", "Look at parts of it with git itself."
            )
        target.seek(0)
        return target.read()


def since(target: BinaryIO, workspace: str, start: str, *options: str) -> None:
    """Write what `git diff` says between the commit `start` and the working tree to an empty file, with untracked
    files.

    Git works with a copy of the index: the agent's own is neither locked nor changed. Git fails when files come
    and go while it reads; then the diff is repeated.
    """
    for left in reversed(range(RETRIES)):
        try:
            compare(target, workspace, start, *options)
            return
        except CommandFailed as error:
            if not (left and re.search(VANISHED, error.stderr)):
                raise
        target.seek(0)
        target.truncate()


def compare(target: BinaryIO, workspace: str, start: str, *options: str) -> None:
    """`since`, once."""
    with tempfile.TemporaryDirectory(prefix="magents-") as folder:
        index = os.path.join(folder, "index")
        source = os.path.join(git_folder(workspace), "index")
        if os.path.isfile(source):
            shutil.copyfile(source, index)
        env = {**LOOK, "GIT_INDEX_FILE": index}
        new = untracked(workspace)
        declare(workspace, new, EMPTY_BLOB.get(len(start), EMPTY_BLOB[40]), env)
        # Preloading compares files with what git knows of them. It knows nothing of new files.
        preload = ("-c", "core.preloadIndex=false") if len(new) > MANY_NEW_FILES else ()
        git(
            workspace, *preload, "diff", "--no-ext-diff", "--no-textconv", "--no-color", *options, start, "--",
            env=env, target=target,
        )  # fmt: skip


def declare(workspace: str, new: list[str], empty: str, env: dict[str, str]) -> None:
    """Add new files to the index, so that a diff shows them: each as a file that was empty before.

    `git add --intent-to-add` does the same in quadratic time.
    """
    if new:
        rows = os.fsencode("".join(f"100644 {empty} 0\t{name}\0" for name in new))
        git(workspace, "update-index", "-z", "--index-info", env=env, stdin=rows)


def untracked(workspace: str) -> list[str]:
    """The files that git neither tracks nor ignores, without those in nested repositories."""
    listed = git(workspace, "ls-files", "-z", "--others", "--exclude-standard", env=LOOK).text.split("\0")
    return [name for name in listed if name and not name.endswith("/")]


NUMBERS = ("--numstat", "-z", "--no-renames")
MAX_NUMBERS_BYTES = 64 << 20
"""How much of such a diff is read from a container: some 500,000 files."""


def files(workspace: str, base: str, base_commit: str) -> list[Change]:
    """The changed files with their line counts."""
    return numbered(diff(workspace, base, base_commit, *NUMBERS))


def numbered(raw: bytes) -> list[Change]:
    """The files in the output of a diff with the options `NUMBERS`. Malformed rows are skipped: an agent can have
    written them."""
    rows = (os.fsdecode(row).split("\t", 2) for row in raw.split(b"\0"))
    return [Change(row[2], number(row[0]), number(row[1])) for row in rows if len(row) == 3]


def number(text: str) -> int | None:
    """A count in `git diff --numstat`; None for `-`, which stands for a binary file."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def summary(workspace: str, base: str, base_commit: str) -> Summary:
    """The agent's work in numbers. Raises CommandFailed when git cannot read the workspace."""
    start = f"refs/heads/{base}" if base else base_commit
    counting = Running(command(workspace, "rev-list", "--count", f"{start}..HEAD"), env=LOOK)
    try:
        dirty = uncommitted(workspace)
    finally:
        counts = counting.result(ok=None)
    if counts.code:
        counts = git(workspace, "rev-list", "--count", f"{base_commit}..HEAD", env=LOOK)
    return Summary(int(counts.line), len(dirty), changed(workspace, fork(workspace, base, base_commit)))


def changed(workspace: str, start: str) -> int:
    """How many files differ from the commit `start`, committed or not."""
    listed = git(workspace, "diff", "--name-only", "-z", "--no-renames", start, env=LOOK)
    return len({name for name in listed.text.split("\0") if name} | set(untracked(workspace)))


def uncommitted(workspace: str) -> list[str]:
    """The files changed, added or deleted since the last commit."""
    listed = git(workspace, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", env=LOOK)
    return [row[3:] for row in listed.text.split("\0") if row]


def commit_all(workspace: str, message: str) -> None:
    """Commit everything in the workspace, with untracked files."""
    git(workspace, "add", "--all")
    git(workspace, "commit", "--quiet", "--message", message, hint="Mend what its commit hook complains of.")
