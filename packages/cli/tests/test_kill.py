"""`kill -9` at random moments of each command that makes or removes something: nothing lost, nothing half-made.

Only kills that hit a running command count.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import commit, git, leaked, make_project, run, until, work_of
from kills import Killer
from magents import Fleet
from magents.core.agent import Agent
from magents.core.errors import MagentsError

pytestmark = pytest.mark.slow

KILLS = 35
SLEEP = ("sleep", "300")


@pytest.fixture
def project(place) -> Path:
    """A few hundred files."""
    made = make_project(place.top / "project")
    for number in range(300):
        path = made / f"folder{number % 10}" / f"file{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"line {number}\n" * 20)
    commit(made, "many files")
    return made


def mended(fleet: Fleet, magents, *ids: str) -> None:
    """The next command comes once the killed one's children have ended."""
    until(
        lambda: not any(fleet.context.store.busy(id) for id in ids), 30, "the end of the killed command's children"
    )
    magents("doctor", "--fix", code=None)
    assert fleet.context.store.unsettled() == []


def consistent(fleet: Fleet, place, project: Path) -> None:
    """Records, worktrees, branches, sessions, folders and processes all tell the same."""
    live, removed = fleet.context.store.live(), fleet.context.store.removed()
    assert {agent.phase for agent in live} <= {"active", "stopped"}

    listed = git("worktree", "list", "--porcelain", cwd=project)
    trees = {line.removeprefix("worktree ") for line in listed.splitlines() if line.startswith("worktree ")}
    assert trees == {str(project), *(agent.workspace for agent in live)}
    assert "prunable" not in listed
    admins = project / ".git" / "worktrees"
    assert len(list(admins.iterdir()) if admins.is_dir() else []) == len(live)
    assert set(git("branch", "--format=%(refname:short)", cwd=project).split()) == {
        "main", *(agent.branch for agent in [*live, *removed]),
    }  # fmt: skip

    beside = place.top / "project-agents"
    names = {path.name for path in beside.iterdir()} if beside.exists() else set()
    assert {name for name in names if not name.startswith(".magents-trash-")} == {agent.id for agent in live}
    folders = place.state / "agents"
    assert {path.name for path in folders.iterdir()} == {f"{agent.id}.{agent.key}" for agent in [*live, *removed]}
    assert [str(path) for path in (project / ".git").rglob("*.lock")] == []

    views = fleet.list().views
    assert not any(view.orphan for view in views)
    alive = {view.agent.id for view in views if view.status.state == "running"}
    sessions = run("tmux", "list-sessions", "-F", "#{session_name}", code=None).out.split()
    assert (
        set(sessions)
        == {f"magents-{id}" for id in alive}
        == {f"magents-{agent.id}" for agent in live if agent.phase == "active"}
    )
    until(lambda: all(any(f"agents/{id}." in owner for id in alive) for owner in owners(place)))


def owners(place) -> list[str]:
    """The folders of the agents whose processes there are."""
    found = []
    for pid, _ in leaked(place):
        try:
            lines = Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
        except OSError:
            continue
        found += [line for line in lines if line.startswith("MAGENTS_FOLDER=")]
    return found


def fingerprint(agent: Agent) -> dict[str, object]:
    """All of a workspace that must never change by itself."""
    where = agent.workspace
    return {
        "files": work_of(agent),
        "status": git("status", "--porcelain=v2", "--branch", cwd=where),
        "staged": git("diff", "--cached", "--binary", cwd=where),
        "unstaged": git("diff", "--binary", cwd=where),
        "log": git("log", "--format=%H %s", cwd=where),
        "modes": {path.name: path.lstat().st_mode for path in Path(where).iterdir()},
    }


def make_work(agent: Agent) -> None:
    """Committed, staged, unstaged, untracked, deleted, binary; with names that are no ASCII."""
    top = Path(agent.workspace)
    commit(top, "committed", kept_txt="kept\n")
    (top / "README.md").write_bytes(b"changed\r\n\x00\xff")
    (top / "staged.txt").write_text("staged\n")
    git("add", "staged.txt", cwd=top)
    (top / "staged.txt").write_text("staged, then changed\n")
    (top / "new folder").mkdir()
    (top / "new folder" / "näme\nnewline").write_text("untracked\n")
    for number in range(30):
        (top / "new folder" / f"untracked{number}").write_bytes(os.urandom(2000))
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    os.symlink("/etc/passwd", top / "link")
    (top / "src" / "app.py").unlink()
    git("rm", "-q", "--cached", "folder1/file1.txt", cwd=top)


def nothing_is_left(fleet: Fleet, place, project: Path) -> None:
    """After a last removal that is not disturbed, not even what is being deleted."""
    fleet.remove(fleet.create("last", folder=str(project), command=SLEEP))
    for agent in fleet.context.store.live():
        fleet.remove(agent)
    until(lambda: not (place.top / "project-agents").exists(), 30, "an empty folder of workspaces")
    assert leaked(place) == []


def test_create(fleet, place, project, magents):
    kill = Killer(project, "create")
    for number in range(3):
        kill.measure(f"warm{number}", "--", *SLEEP)
        fleet.remove(fleet.find(f"warm{number}"))
    turn = 0
    while kill.kills < KILLS:
        turn += 1
        branch = f"b{turn}"
        kill(branch, "--", *SLEEP)
        if turn % 2:
            mended(fleet, magents, branch)
        else:  # the next command is the same again
            until(lambda id=branch: not fleet.context.store.busy(id), 30)
            again = magents("create", branch, "--", *SLEEP, code=None)
            assert again.code == 0 or "already has an agent" in again.err, again.err
            assert fleet.find(branch)
        consistent(fleet, place, project)
        for agent in fleet.context.store.live():
            assert fleet.status(agent).state == "running"
            assert git("status", "--porcelain", cwd=agent.workspace) == ""
            fleet.remove(agent)
    nothing_is_left(fleet, place, project)
    print(kill.story())


def test_stop_and_remove(fleet, place, project, magents):
    kill = Killer(project, "stop", "--remove-worktree")
    agent = fleet.create("one", folder=str(project), command=SLEEP)
    make_work(agent)
    before = fingerprint(agent)
    for _ in range(2):
        kill.measure("one")
        agent, _ = fleet.restore(fleet.find_removed("one"))
    turn = 0
    while kill.kills < KILLS:
        turn += 1
        if turn % 3 == 0:
            fleet.start(agent)
        kill("one")
        if turn % 2:
            mended(fleet, magents, "one")
        else:
            until(lambda: not fleet.context.store.busy("one"), 30)
            again = magents("stop", "one", "--remove-worktree", code=None)
            assert again.code == 0 or "no agent `one`" in again.err, again.err
        agent = same_again(fleet, before)
        consistent(fleet, place, project)
    print(kill.story())
    nothing_is_left(fleet, place, project)


def same_again(fleet: Fleet, before: dict[str, object]) -> Agent:
    """The agent, its workspace restored if it was removed; with all it had."""
    try:
        agent = fleet.find("one")
    except MagentsError:
        agent, back = fleet.restore(fleet.find_removed("one"))
        assert back.remark == ""
    assert fingerprint(agent) == before
    return agent


def test_restore(fleet, place, project, magents):
    kill = Killer(project, "restore")
    agent = fleet.create("one", folder=str(project), command=SLEEP)
    make_work(agent)
    before = fingerprint(agent)
    for _ in range(2):
        fleet.remove(agent)
        kill.measure("one")
    turn = 0
    while kill.kills < KILLS:
        turn += 1
        fleet.remove(fleet.find("one"))
        kill("one")
        if turn % 2:
            mended(fleet, magents, "one")
        else:
            until(lambda: not fleet.context.store.busy("one"), 30)
            again = magents("restore", "one", code=None)
            assert again.code == 0 or "is there already" in again.err or "no agent" in again.err, again.err
        same_again(fleet, before)
        consistent(fleet, place, project)
    print(kill.story())
    nothing_is_left(fleet, place, project)
