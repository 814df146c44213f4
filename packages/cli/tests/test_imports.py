"""What commands do not import: what takes milliseconds, and is needed by few of them or by none."""

from __future__ import annotations

import sys

from conftest import run
from taskmaster.lab import put, tagged, task

HEAVY = {
    "typing", "shutil", "tempfile", "datetime", "sqlite3",
    "dataclasses", "inspect", "logging", "asyncio", "pathlib", "urllib", "socket", "argcomplete", "questionary",
}  # fmt: skip
BESIDE = {"datetime"}
"""What `list` has where there is an engine to ask, too."""


def imported(*words: str, cwd, program: str = "from magents.cli import run; run()") -> set[str]:
    """The modules that a command imports, by name."""
    said = run(sys.executable, "-X", "importtime", "-c", program, *words, cwd=cwd).err
    return {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}


def test_commands_import_nothing_heavy(place, project):
    heavy = HEAVY - imported(cwd=project, program="pass")  # what somebody has put into the environment
    assert heavy & imported("--help", cwd=project) == set()
    assert heavy & imported("create", "one", "--", "sleep", "300", cwd=project) == set()
    assert heavy & imported("list", cwd=project) <= BESIDE
    assert heavy & imported("stop", "one", "--remove-worktree", cwd=project) == set()


def test_task_master_is_imported_only_where_there_are_tasks(place, project):
    for words in (
        ["create", "one", "--", "true"],
        ["list"],
        ["merge", "one"],
        ["stop", "one", "--remove-worktree"],
    ):
        assert not [name for name in imported(*words, cwd=project) if name.startswith("magents.taskmaster")], words
    put(project, tagged(task(1)))
    assert "magents.taskmaster.board" in imported("tasks", cwd=project)
