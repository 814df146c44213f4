"""What Magents does in a clone, run where the agent is: `python3 -m magents.guest.workspace VERB ARGUMENTS`.

Git obeys the configuration, hooks and attributes of the repository it works in, and those of a clone are the
agent's. So Magents runs no git in a clone from outside: this program is in the image, and does in the container
what the host needs. Whatever it prints is read as coming from the agent.

ARGUMENTS is a JSON object. The answer is JSON on standard output (`diff`: the bytes of `git diff`). An error is
JSON on standard error, `{"message", "hint"}`, with exit code 3.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from magents.core.errors import Conflict, MagentsError
from magents.git import diff as diffs
from magents.git import inert, layout
from magents.git import plumbing as workspace_git
from magents.git.pins import format, read, write
from magents.git.plumbing import git
from magents.git.workspaces import include
from magents.system import paths

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED = 3
"""The exit code of an error that is printed as JSON."""


def diff(top: str, start: str, options: list[str]) -> None:
    """Print all that differs from `start`, untracked files too."""
    with tempfile.TemporaryFile() as file:
        diffs.since(file, top, start, *options)
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout.buffer)


def summary(top: str, start: str) -> dict[str, int]:
    """How many files are uncommitted, and how many differ from `start`."""
    return {"uncommitted": len(diffs.uncommitted(top)), "changed": diffs.changed(top, start)}


def uncommitted(top: str) -> list[str]:
    """The files changed, untracked or gone since the last commit."""
    return diffs.uncommitted(top)


def commit(top: str, message: str) -> None:
    """Commit everything, by the clone's own hooks and filters. Raises Conflict if filters do not run here and the
    clone has one: the commit would lack what the filter does."""
    if inert.is_still() and (missing := inert.filters(inert.configured(top))):
        raise Conflict(
            f"Nothing was committed: the repository has {missing[0]}, and filters run only where the agent does.",
            "Start the agent, then try again: magents start ID",
        )
    diffs.commit_all(top, message)


def renew(top: str, name: str, commit: str) -> bool:
    """Move the branch that the clone was given, `refs/heads/…`, on to `commit`. Returns False if the branch is
    checked out, or has commits of its own."""
    known = git(top, "for-each-ref", "--format=%(objectname)%00%(HEAD)", name).line
    old, _, head = known.partition("\0")
    if head == "*" or (old and git(top, "merge-base", "--is-ancestor", old, commit, ok=(0, 1)).code):
        return False
    git(top, "update-ref", "-m", "magents: the newest base", name, commit, old or "0" * len(commit))
    given = os.path.join(top, ".git", layout.GIVEN)
    os.makedirs(os.path.dirname(given), exist_ok=True)
    with open(given, "a", encoding="utf-8") as file:
        file.write(f"{commit} {name}\n")
    return True


def pin(top: str, id: str, patterns: str, known: dict[str, str]) -> dict[str, Any]:
    """Pin everything in the clone itself; the host fetches the pin from there. Returns the ref and how much is
    uncommitted.

    Ignored files that match `patterns` are kept too, unless their content is `known`: path → SHA-256.
    """
    ref, meta, _ = write.take(top, top, id, included(top, patterns, known))
    return {"ref": ref, "uncommitted": meta.uncommitted}


def salvage(top: str, id: str, patterns: str, known: dict[str, str]) -> dict[str, Any]:
    """`pin`, but what cannot be kept is left out and named."""
    from magents.git.pins import salvage as salvaging

    return salvaging.whole(top, top, id, included(top, patterns, known), write.OURS)._asdict()


def included(top: str, patterns: str, known: dict[str, str]) -> list[str]:
    """The ignored files that match and have changed since they came."""
    with tempfile.NamedTemporaryFile("w", prefix="magents-") as file:
        file.write(patterns)
        file.flush()
        names = include.wanted(top, file.name) if patterns else []
    return [name for name in names if include.digest(os.path.join(top, name)) not in (known.get(name), "")]


def fill(top: str, pin: str) -> None:
    """Lay a pin over the clone that was just made; git finds the pin's commit in the objects that it borrows."""
    meta = format.meta_of(top, pin)
    read.fill(top, pin, meta, top)


VERBS: dict[str, Callable[..., Any]] = {
    "diff": diff, "summary": summary, "uncommitted": uncommitted, "commit": commit, "renew": renew, "pin": pin,
    "fill": fill, "salvage": salvage,
}  # fmt: skip


def main(top: str, verb: str, arguments: str) -> int:
    """Do one thing in the clone `top`; returns the exit code."""
    workspace_git.HERE = True
    try:
        answer = VERBS[verb](top, **json.loads(arguments))
    except MagentsError as error:
        sys.stderr.write(json.dumps({"message": error.message, "hint": error.hint}))
        return REFUSED
    if answer is not None:
        sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(paths.WORKSPACE, *sys.argv[1:]))
