"""Lists of tasks for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from magents.taskmaster import file, statuses


def task(id: int | str, title: str = "", *needs: int | str, **fields: Any) -> dict[str, Any]:
    """A task as Task Master writes it."""
    made = {
        "id": id, "title": title or f"Task {id}", "description": "", "details": "", "testStrategy": "",
        "status": "pending", "dependencies": list(needs), "priority": "medium", "subtasks": [],
    }  # fmt: skip
    return made | fields


def tagged(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The newer form."""
    return {"master": {"tasks": list(tasks), "metadata": {"created": "2025-01-01"}}, **more}


def put(root: Path, data: Any) -> Path:
    """Write a project's list; the file. Task Master is not to report to its makers: a third of what a call takes."""
    path = root / ".taskmaster" / "tasks" / "tasks.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    (root / ".taskmaster" / "config.json").write_text('{"global": {"anonymousTelemetry": false}}\n')
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent=2))
    return path


def set_status(root: Path, id: str, status: str, wait: float = file.LOCK_WAIT_S) -> bool:
    """Set a task's status, whatever it was; whether that was another one."""
    before = file.read(str(root)).every()[id].status
    return bool(statuses.move(str(root), "master", {id: (before, status)}, wait))
