"""An agent's work: reading it and merging it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from magents.errors import Conflict, NotFound, UsageError
from magents.text import one_line
from magents.workspace import changes
from magents.workspace import merge as merging

if TYPE_CHECKING:
    from magents.fleet.context import Context
    from magents.model import Agent
    from magents.workspace.changes import Change
    from magents.workspace.merge import Merged


def check_workspace(agent: Agent) -> None:
    """Raises NotFound when the workspace is not there."""
    if not os.path.isdir(agent.workspace):
        raise NotFound(f"The workspace of {agent.id} is not there: {agent.workspace}.", "Bring its disk back.")


def diff(agent: Agent, *options: str) -> bytes:
    """The bytes of `git diff` since its base, untracked files included."""
    check_workspace(agent)
    return changes.diff(agent.workspace, agent.base, agent.base_commit, *options)


def files(agent: Agent) -> list[Change]:
    """The changed files."""
    check_workspace(agent)
    return changes.files(agent.workspace, agent.base, agent.base_commit)


def merge(
    context: Context, agent: Agent, into: str, squash: bool, message: str, commit: str, committed_only: bool
) -> Merged:
    """Merge its branch; see `Fleet.merge`."""
    target = into or agent.base
    if not target:
        raise UsageError(f"{agent.id} did not start from a branch.", "Name one: --into BRANCH")
    if target == agent.branch:
        raise UsageError(f"{target} is the agent's own branch.", "Name another: --into BRANCH")
    with context.store.lock(agent.id):
        context.runtime(agent).collect(agent)
        merging.check_target(agent.project, target)
        committed = see_to_uncommitted(agent, commit, committed_only)
        context.progress(f"merging {agent.branch} into {target}")
        try:
            done = merging.merge(agent.project, agent.branch, target, squash=squash, message=message)
        except Conflict as error:
            error.hint = error.hint.replace("send ID", f"send {agent.id}")
            if committed:
                error.message += f"\nWhat was uncommitted has been committed to {agent.branch}."
            raise
        if done.before != done.after:
            context.store.note(agent, f"merged into {target} as {done.after[:10]}")
        return done


def see_to_uncommitted(agent: Agent, commit: str, committed_only: bool) -> bool:
    """Commit what is uncommitted, or refuse: a merge without it would look whole and not be.

    Returns whether there was something to commit.
    """
    if committed_only or not os.path.isdir(agent.workspace):
        return False
    open_files = changes.uncommitted(agent.workspace)
    if open_files and commit:
        changes.commit_all(agent.workspace, commit)
    elif open_files:
        shown = ", ".join(one_line(name) for name in open_files[:5]) + (" …" if len(open_files) > 5 else "")
        raise Conflict(
            f"{agent.id} has uncommitted work: {shown}.",
            f"Commit it with the merge: magents merge {agent.id} --commit MESSAGE   "
            f"or leave it out: --committed-only",
        )
    return bool(open_files)
