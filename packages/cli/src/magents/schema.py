"""The public JSON of every noun: what `--json` prints, and what every other door to Magents answers with.

Each function makes a noun from the record of the room that it belongs to. docs/json.md explains every field; a test
holds the two together. Fields are only ever added. None stands for: there is none, or it cannot be told.
Importing this imports no room.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, TypeAlias

    from magents import config as settings
    from magents.core.agent import Agent
    from magents.core.status import Status
    from magents.fleet.accepted import Difference
    from magents.fleet.conflicts import Conflicts
    from magents.fleet.create import Plan
    from magents.fleet.details import Details
    from magents.fleet.doctor import Checkup
    from magents.fleet.observe import View
    from magents.fleet.remove import Removed
    from magents.fleet.trust import Waiting
    from magents.git.diff import Change
    from magents.git.merge import Merged
    from magents.git.pins.read import Restored
    from magents.runtimes.docker.image import Image
    from magents.taskmaster.assignments import Outcome
    from magents.taskmaster.board import Board
    from magents.taskmaster.loop import Event
    from magents.taskmaster.model import Task
    from magents.taskmaster.plan import Clash
    from magents.taskmaster.scheduler import Schedule

    JSON: TypeAlias = dict[str, Any]


def agent(view: View) -> JSON:
    """An agent and what it does."""
    agent, status = view.agent, view.status
    return {
        "id": agent.id, "branch": agent.branch, "base": agent.base or None, "project": agent.project,
        "workspace": agent.workspace, "mode": agent.runtime, "harness": agent.harness,
        "command": list(agent.command), "status": status.state, "reason": status.reason or None,
        "exit_code": status.code, "detail": status.detail, "since": status.since, "created": agent.created,
        "unattended": agent.unattended, "orphan": view.orphan,
    }  # fmt: skip


def details(more: Details) -> JSON:
    """What `list --long` adds to an agent."""
    work = more.work
    return {
        "ahead": work.ahead if work else None, "uncommitted": work.uncommitted if work else None,
        "changed": work.changed if work else None, "usage": more.usage,
        "conflicts": None if more.conflicts is None else [
            {"with": side.id or None, "branch": side.branch} for side in more.conflicts
        ],
    }  # fmt: skip


def removed(agent: Agent) -> JSON:
    """An agent that can be restored."""
    return {"id": agent.id, "branch": agent.branch, "project": agent.project, "pin": agent.pin}


def plan(plan: Plan) -> JSON:
    """What `create` would make."""
    agent = plan.agent
    return {
        "id": agent.id, "branch": agent.branch, "new_branch": plan.new_branch, "tracks": plan.track or None,
        "base": agent.base or None, "base_commit": agent.base_commit, "workspace": agent.workspace,
        "mode": agent.runtime, "harness": agent.harness, "command": list(agent.command),
        "setup": plan.setup or None, "moves": plan.moves.id if plan.moves else None,
    }  # fmt: skip


def started(agent: Agent, started: bool) -> JSON:
    """An agent that was to be started again; not `started`: it ran already."""
    return {"id": agent.id, "started": started}


def stopped(agent: Agent, removed: Removed | None = None) -> JSON:
    """An agent that was stopped, and `removed` if its workspace was."""
    return {
        "id": agent.id, "removed": removed is not None, "pin": removed.pin if removed else None,
        "uncommitted": removed.uncommitted if removed else None, "unkept": list(removed.unkept if removed else ()),
    }  # fmt: skip


def restored(agent: Agent, back: Restored) -> JSON:
    """An agent whose workspace was brought back."""
    return {
        "id": agent.id, "branch": agent.branch, "workspace": agent.workspace, "pin": agent.pin,
        "uncommitted": back.meta.uncommitted, "remark": back.remark or None, "foreign": back.foreign,
    }  # fmt: skip


def delivery(agent: Agent, how: str) -> JSON:
    """What became of a prompt."""
    return {"id": agent.id, "delivery": how}


def waited(id: str, status: Status) -> JSON:
    """An agent that was waited for."""
    return {
        "id": id, "status": status.state, "reason": status.reason or None, "exit_code": status.code,
        "detail": status.detail,
    }  # fmt: skip


def log(id: str, lines: Sequence[str]) -> JSON:
    """What an agent's terminal has shown."""
    return {"id": id, "lines": lines}


def diff(agent: Agent, changes: Iterable[Change], runs_by_itself: Sequence[str]) -> JSON:
    """What an agent has changed."""
    return {
        "id": agent.id, "base": agent.base or None, "base_commit": agent.base_commit,
        "files": [{"path": c.path, "added": c.added, "deleted": c.deleted} for c in changes],
        "runs_by_itself": runs_by_itself,
    }  # fmt: skip


def merged(agent: Agent, done: Merged) -> JSON:
    """A merge of an agent's branch."""
    return {
        "id": agent.id, "branch": agent.branch, "into": done.into, "before": done.before, "after": done.after,
        "checkout": done.checkout or None, "runs_by_itself": done.runs_by_itself,
    }  # fmt: skip


def collected(agent: Agent, kept_back: str) -> JSON:
    """An agent whose commits were brought home, or why they were kept back."""
    return {"id": agent.id, "branch": agent.branch, "kept_back": kept_back or None}


def conflicts(conflicts: Conflicts) -> JSON:
    """The conflicts between branches."""
    return {
        "conflicts": [
            {
                "one": {"id": clash.one.id or None, "branch": clash.one.branch},
                "other": {"id": clash.other.id or None, "branch": clash.other.branch},
                "files": clash.files,
            }
            for clash in conflicts.clashes
        ],
        "problems": conflicts.problems,
    }


def shared(differences: Iterable[Difference], accepted: bool) -> JSON:
    """The files of `/shared` that differ from what counts, and whether they were accepted now."""

    def text(raw: bytes | None) -> str | None:
        return None if raw is None else raw.decode("utf-8", "replace")

    return {
        "accepted": accepted,
        "files": [
            {"file": d.name, "accepted": text(d.accepted), "offered": text(d.offered), "problem": d.problem or None}
            for d in differences
        ],
    }


def waiting(waiting: Waiting) -> JSON:
    """What waits for the user's yes, or was accepted."""
    return {
        "files": [
            {"path": f.path, "content": f.blob, "agent": f.agent, "branch": f.branch or None, "at": f.at}
            for f in waiting.files
        ],
        "branches": [
            {"branch": b.branch, "commit": b.tip, "agent": b.agent, "at": b.at} for b in waiting.branches
        ],
    }  # fmt: skip


def board(board: Board) -> JSON:
    """The tasks of a project, with their agents."""
    return {
        "project": board.project, "tag": board.tasks.tag, "file": board.tasks.path,
        "tasks": [task(board, one) for one in board.tasks.tasks],
    }  # fmt: skip


def task(board: Board, task: Task) -> JSON:
    """A task and its agent."""
    assignment = board.assignments.get(task.id)
    agent, status = (assignment.agent, assignment.status) if assignment else (None, None)
    return {
        "id": task.id, "title": task.title, "status": task.status, "priority": task.priority,
        "dependencies": list(task.dependencies), "ready": task in board.plan.ready and not status,
        "why": board.plan.left.get(task.id), "agent": agent.id if agent and status else None,
        "agent_status": status.state if status else None, "branch": agent.branch if agent else None,
        "merged": assignment.merged if assignment else None,
        "ahead": assignment.ahead if assignment else None, "agent_text": task.id in board.by_agents,
        "subtasks": [{"id": t.id, "title": t.title, "status": t.status} for t in task.subtasks],
    }  # fmt: skip


def task_agent(view: View, task: str) -> JSON:
    """An agent for a task."""
    return agent(view) | {"task": task}


def accepted(ids: Sequence[str]) -> JSON:
    """The tasks whose texts were accepted."""
    return {"accepted": ids}


def schedule(schedule: Schedule) -> JSON:
    """What `task-agents` would do."""
    return {
        "start": [
            {
                "task": job.task.id, "title": job.task.title, "again": job.again,
                "collides": collision(job.clash) if job.clash else None,
            }
            for job in schedule.jobs
        ],
        "left": schedule.left, "held": held(schedule.held), "max": schedule.limit,
    }  # fmt: skip


def outcome(outcome: Outcome) -> JSON:
    """What `task-agents` has done."""
    return {
        "started": [task_agent(view, job.task.id) for job, view in outcome.started],
        "failed": {id: error.message for id, error in outcome.failed.items()},
        "left": outcome.left, "held": held(outcome.held),
    }  # fmt: skip


def held(held: Mapping[str, Clash]) -> JSON:
    """Tasks that wait, by id, with what each would collide with."""
    return {id: collision(clash) for id, clash in held.items()}


def collision(clash: Clash) -> JSON:
    """What a task would collide with, and in which files."""
    return {"with": clash.who, "files": list(clash.files)}


def event(event: Event, at: float) -> JSON:
    """What has happened while tasks are worked off."""
    return {
        "at": at, "event": event.event, "task": event.task or None, "agent": event.agent or None,
        "text": event.text or None, "left": event.left or None,
    }  # fmt: skip


def image(image: Image) -> JSON:
    """An image that agents' containers are made from."""
    return {
        "id": image.id, "tags": list(image.tags), "size": image.size, "created": image.built,
        "version": image.version, "holds": image.holds, "current": image.current,
    }  # fmt: skip


def config(config: settings.Config, file: str) -> JSON:
    """All settings. `file`: the configuration file."""
    values = [setting(value) for value in config.values.values()]
    return {"file": file, "settings": values, "problems": config.problems}


def setting(value: settings.Value) -> JSON:
    """A setting, its value, and where that comes from."""
    return {"key": value.setting.key, "value": value.value, "source": value.source}


def checkup(checkup: Checkup) -> JSON:
    """What `doctor` has repaired and found."""
    return {
        "fixed": checkup.fixed,
        "findings": [
            {"about": f.about, "ok": f.ok, "said": f.text, "remedy": f.remedy, "needed": f.needed}
            for f in checkup.findings
        ],
    }
