"""Checking a merge before it is made: the user's command runs on its result, in a working tree of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from magents import config
from magents.core.errors import CheckFailed, CommandFailed, Conflict, MagentsError, NotFound
from magents.core.text import one_line
from magents.git.inert import UNHOOKED
from magents.git.plumbing import git
from magents.git.workspaces import disk, include
from magents.system import processes
from magents.system.isolated import isolated
from magents.system.process import following

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from magents.core.agent import Agent
    from magents.fleet.context import Context

MARK = "MAGENTS_CHECK"
"""A variable in the environment of all that a check runs; its value is the working tree. So all of it can be found
and ended."""
MAX_SHOWN_LINES = 40
"""Lines of a failing command's output that are shown."""
MAX_OUTPUT_BYTES = 1024 * 1024
"""Bytes at the end of a command's output that are kept."""
GRACE_S = 3.0
"""Seconds that what a check has started gets to end by itself, before it is killed."""


def run(context: Context, agent: Agent, into: str, commit: str, command: str) -> None:
    """Run a shell command on `commit`, the merge of an agent's branch. Raises CheckFailed unless it exits with 0.

    Its working tree is new, and gone afterwards with all that the command has started.
    """
    limit = int(config.load()["CHECK_TIMEOUT"])
    with hold(context, agent) as lock, tree(context, agent, commit, lock) as place:
        context.progress(f"checking the merge: {one_line(command)}")
        env = {
            "MAGENTS_ID": agent.id, "MAGENTS_BRANCH": agent.branch, "MAGENTS_PROJECT": agent.project, MARK: place,
        }  # fmt: skip
        try:
            following.tail(["sh", "-c", command], cwd=place, env=env, timeout=limit, max_bytes=MAX_OUTPUT_BYTES)
        except CommandFailed as error:
            raise failed(agent, into, command, error.code, error.output, limit) from error


def failed(agent: Agent, into: str, command: str, code: int | None, output: str, limit: int) -> CheckFailed:
    """The error that shows how a check has ended."""
    how = f"took longer than {limit} s" if code is None else f"failed with exit code {code}"
    lines = output.strip().splitlines()
    return CheckFailed(
        f"The check {how} on {agent.branch} merged into {into}; nothing was merged: {command}\n"
        + "\n".join(lines[-MAX_SHOWN_LINES:]),
        f"Let the agent mend it: magents send {agent.id} 'Merge {into} into your branch and make the check pass'",
        command, code, output,
    )  # fmt: skip


@contextlib.contextmanager
def hold(context: Context, agent: Agent) -> Iterator[int]:
    """The lock of an agent's check. No id has a dot. The command does not inherit the lock: if this process is
    killed, the command may hang for ever, and the next check has to end it."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(context.store.lock(f"{agent.id}.check", wait=0))
        except Conflict as error:
            raise Conflict(f"A merge of {agent.id} is being checked already.", "Wait for its end.") from error
        yield lock


@contextlib.contextmanager
def tree(context: Context, agent: Agent, commit: str, lock: int) -> Iterator[str]:
    """A working tree of the project at `commit`, on no branch; no hook runs for it. Git inherits the lock."""
    place = os.path.join(context.checks, str(agent.key))
    clear(agent.project, place)  # what a killed command has left
    os.makedirs(context.checks, mode=0o700, exist_ok=True)
    words = (*UNHOOKED, "worktree", "add", "--quiet", "--detach", place, commit)
    try:
        git(agent.project, *words, timeout=3600, keep=(lock,))
        include.copy(agent.project, place, warn=context.warn)
        yield place
    finally:
        clear(agent.project, place)


def clear(project: str, place: str) -> None:
    """End what runs in a check's working tree and delete the tree; after the last check, delete the folder of all
    of them, too."""
    end_all(f"{MARK}={place}")
    disk.remove(project, place)


def end_all(mark: str) -> None:
    """End what a check has left running, firmly if need be."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes.marked(mark):
            processes.end(pid, number)
        until = time.monotonic() + GRACE_S
        while processes.marked(mark):
            if time.monotonic() > until:
                break
            time.sleep(0.02)
        else:
            return


def sweep(context: Context) -> list[str]:
    """Delete the working trees of killed checks, and end what still runs there; a line for each."""
    lines = []
    names = os.listdir(context.checks) if os.path.isdir(context.checks) else []
    for name in names:
        if name.isdecimal():
            lines += sweep_one(context, int(name), os.path.join(context.checks, name))
    if any(name.startswith(disk.TRASH) for name in names):
        disk.sweep(context.checks)
    with contextlib.suppress(OSError):
        os.rmdir(context.checks)
    return lines


def sweep_one(context: Context, key: int, place: str) -> list[str]:
    """`sweep` for one agent. A failure is told, and tried again next time: it must not block all commands."""
    try:
        agent = context.store.get(key)
        with isolated(agent.id), context.store.lock(f"{agent.id}.check", wait=0):
            if not os.path.lexists(place):
                return []
            clear(agent.project, place)
        return [f"{agent.id}: the check of its merge was cut short; nothing was merged"]
    except Conflict:
        return []
    except NotFound:  # forgotten, and its project with it
        end_all(f"{MARK}={place}")
        with contextlib.suppress(OSError):
            disk.discard(place)
        return []
    except MagentsError as error:
        return [f"{place} cannot be cleared away: {error.message} {error.hint}"]
