"""Merging an agent's branch into its base."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from magents.core.errors import CheckFailed, Conflict, UsageError
from magents.core.text import one_line
from magents.fleet import listeners
from magents.git import merge as merging
from magents.git.trust import brought

if TYPE_CHECKING:
    from magents.core.agent import Agent
    from magents.fleet.context import Context
    from magents.git.merge import Merged
    from magents.git.workspaces.base import Workspace


def merge(
    context: Context, agent: Agent, into: str, squash: bool, message: str, commit: str, committed_only: bool,
    check: str = "",
) -> Merged:  # fmt: skip
    """Merge its branch; see `Fleet.merge`."""
    target = into or agent.base
    if not target:
        raise UsageError(f"{agent.id} did not start from a branch.", "Name one: --into BRANCH")
    if target == agent.branch:
        raise UsageError(f"{target} is the agent's own branch.", "Name another: --into BRANCH")
    with context.store.lock(agent.id):
        merging.check_target(agent.project, target, listeners.folders())
        workspace = context.workspace(agent)
        if os.path.isdir(agent.workspace) and (kept_back := workspace.collect()):
            raise Conflict(f"Nothing was merged: {kept_back}.", "Bring the two together, then merge again.")
        committed = see_to_uncommitted(context, agent, workspace, commit, committed_only)
        done = None if check else land(context, agent, target, squash, message, committed)
    # A check can take an hour. Meanwhile the user can stop the agent and talk to it.
    done = done or land(context, agent, target, squash, message, committed, check)
    listeners.tell(context, "merged", agent)
    return done


def land(
    context: Context, agent: Agent, target: str, squash: bool, message: str, committed: bool, check: str = ""
) -> Merged:
    """Merge what is committed; with `check`, only after that command has passed on the result."""
    context.progress(f"merging {agent.branch} into {target}")

    def passes(made: str) -> None:
        from magents.fleet import check as checking

        checking.run(context, agent, target, made, check)

    reported: list[str] = []
    merged = brought.of_branch(agent.project, agent.branch)

    def look(made: Merged) -> None:
        from magents.fleet import trust

        reported[:] = trust.look_at(context, agent, made, reported)

    try:
        done = merging.merge(
            agent.project, agent.branch, target, squash=squash, message=message, look=look,
            check=passes if check else None, live=listeners.folders(),
        )  # fmt: skip
    except (Conflict, CheckFailed) as error:
        error.hint = error.hint.replace("send ID", f"send {agent.id}")
        if committed:
            error.message += f"\nWhat was uncommitted has been committed to {agent.branch}."
        raise
    if done.before != done.after:
        commit = done.after[:10]
        context.store.note(agent, "merged", f"merged into {target} as {commit}", into=target, commit=commit)
        # What is merged is the user's, except for files that run by themselves.
        brought.accept(agent.project, [], merged)
    return done._replace(runs_by_itself=tuple(reported))


def see_to_uncommitted(
    context: Context, agent: Agent, workspace: Workspace, commit: str, committed_only: bool
) -> bool:
    """Commit what is uncommitted, or refuse: a merge without it would look whole and not be.

    Returns whether there was something to commit.
    """
    if committed_only or not os.path.isdir(agent.workspace):
        return False
    open_files = workspace.uncommitted()
    if open_files and commit:
        if context.runtime(agent).traits.workspace == "worktree":
            from magents.fleet import trust

            trust.warn_of_hooks(context, agent.workspace)
        workspace.commit(commit)
    elif open_files:
        shown = ", ".join(one_line(name) for name in open_files[:5]) + (" …" if len(open_files) > 5 else "")
        raise Conflict(
            f"{agent.id} has uncommitted work: {shown}.",
            f"Commit it with the merge: magents merge {agent.id} --commit MESSAGE   "
            f"or leave it out: --committed-only",
        )
    return bool(open_files)
