"""Creating agents: every kind of branch and project, and nothing left where it fails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import commit, git, leaked, make_project, run, until, work_of
from magents import Fleet
from magents.core.errors import CommandFailed, Conflict, MagentsError, Missing, NotFound, UsageError
from magents.fleet.create import LARGE_INDEX_BYTES, is_large
from magents.git.project import locate
from magents.git.workspaces import disk

SLEEP = ("sleep", "300")


def state(project: Path, place) -> dict[str, object]:
    """All that a creation could leave behind."""
    beside = project.parent / f"{project.name}-agents"
    agents = place.state / "agents"
    sessions = run("tmux", "list-sessions", "-F", "#{session_name}", code=None).out.split()
    return {
        "worktrees": git("worktree", "list", "--porcelain", cwd=project),
        "refs": git("for-each-ref", cwd=project),
        "config": git("config", "--local", "--list", cwd=project),
        "beside": sorted(os.listdir(beside)) if beside.exists() else None,
        "folders": sorted(os.listdir(agents)) if agents.exists() else [],
        "records": [(agent.id, agent.phase) for agent in Fleet().context.store.live()],
        "sessions": sorted(sessions),
        "at work": at_work(place),
    }


def at_work(place) -> set[bytes]:
    """The folders of agents of which something runs; what that is changes while a program comes up."""
    found: set[bytes] = set()
    for pid, _ in leaked(place):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            found |= {line for line in lines if line.startswith(b"MAGENTS_FOLDER=")}
    return found


def same(before: dict[str, object], project: Path, place) -> None:
    """Nothing was left; files are deleted in the background."""
    until(lambda: state(project, place)["beside"] == before["beside"], what="nothing beside the project")
    assert state(project, place) == before


def settle(place) -> None:
    """Wait until the agents of before have come up: each runs what it is to run."""
    until(lambda: len([words for _, words in leaked(place) if words == "sleep 300 "]) >= len(Fleet().list().views))


def refused(place, project: Path, kind: type[MagentsError], match: str, *words: str, **options) -> str:
    """A creation that fails with that error and leaves nothing; the whole error."""
    settle(place)
    before = state(project, place)
    with pytest.raises(kind, match=match) as caught:
        Fleet().create(*words, **{"folder": str(project), "command": SLEEP, **options})
    assert type(caught.value) is kind
    same(before, project, place)
    return str(caught.value)


def test_an_existing_branch(fleet, project):
    git("branch", "old", cwd=project)
    ahead = commit(project, "main goes on", new_txt="x")
    agent = fleet.create("old", folder=str(project), command=SLEEP)
    assert not agent.made_branch
    assert (agent.id, agent.base) == ("old", "main")
    assert git("branch", "--show-current", cwd=agent.workspace) == "old"
    assert git("rev-parse", "HEAD", cwd=agent.workspace) != ahead
    assert agent.workspace == str(project.parent / "project-agents" / "old")
    assert fleet.status(agent).state == "running"


def test_a_branch_that_only_the_remote_has(fleet, project, place):
    git("branch", "far/away", cwd=project)
    clone = place.top / "clone"
    git("clone", "-q", str(project), str(clone), cwd=place.top)
    agent = fleet.create("far/away", folder=str(clone), command=SLEEP)
    assert agent.made_branch
    assert git("rev-parse", "--abbrev-ref", "far/away@{upstream}", cwd=clone) == "origin/far/away"


def test_a_new_branch_from_a_base(fleet, project):
    git("switch", "-q", "-c", "develop", cwd=project)
    there = commit(project, "on develop", a_txt="x")
    git("switch", "-q", "main", cwd=project)
    agent = fleet.create("new", "short", folder=str(project), command=SLEEP, base="develop")
    assert (agent.id, agent.base, agent.base_commit) == ("short", "develop", there)
    assert git("rev-parse", "new", cwd=project) == there
    assert git("config", "--get-regexp", "^branch", cwd=project, code=1) == ""


def test_from_a_detached_head(fleet, project):
    first = git("rev-parse", "HEAD", cwd=project)
    commit(project, "second", b_txt="x")
    git("checkout", "-q", "--detach", first, cwd=project)
    agent = fleet.create("new", folder=str(project), command=SLEEP)
    assert (agent.base, agent.base_commit) == ("", first)


def test_from_a_folder_in_the_project_and_from_another_workspace(fleet, project):
    first = fleet.create("one", folder=str(project / "src"), command=SLEEP)
    commit(first.workspace, "work", c_txt="x")
    second = fleet.create("two", folder=first.workspace, command=SLEEP)
    assert second.project == str(project)
    assert second.base == "one"
    assert Path(second.workspace, "c.txt").exists()
    assert Path(second.workspace).parent == Path(first.workspace).parent


def test_a_bare_project(fleet, place, project):
    bare = place.top / "other.git"
    git("clone", "-q", "--bare", str(project), str(bare), cwd=place.top)
    agent = fleet.create("new", folder=str(bare), command=SLEEP)
    assert agent.workspace == str(place.top / "other-agents" / "new")
    assert Path(agent.workspace, "README.md").exists()


def test_a_project_with_a_submodule(fleet, place, project):
    library = make_project(place.top / "library")
    git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib", cwd=project)
    commit(project, "with a library")
    agent = fleet.create("new", folder=str(project), command=SLEEP)
    assert "lib" in git("submodule", "status", cwd=agent.workspace)
    fleet.remove(agent)
    assert not Path(agent.workspace).exists()


@pytest.mark.parametrize(
    "name", ["two words", "日本é", "#(touch x)", 'it\'s "quoted"', "$HOME `id`", "-dash", "%s{}"]
)
def test_a_project_with_a_strange_name(fleet, place, name):
    project = make_project(place.top / name)
    words = ["sh", "-c", "pwd >where; exec sleep 300"]
    agent = fleet.create("feature/ü", folder=str(project), command=words)
    where = Path(agent.workspace, "where")
    until(lambda: where.exists() and where.read_text().endswith("\n"))
    assert where.read_text() == f"{agent.workspace}\n" == f"{place.top}/{name}-agents/feature-u\n"
    assert fleet.status(agent).state == "running"
    assert not [path for path in place.top.rglob("x") if path.name == "x"]
    fleet.remove(agent)
    until(lambda: not Path(agent.workspace).parent.exists())
    fleet.restore(fleet.find_removed(agent.id))
    assert where.read_text() == f"{agent.workspace}\n"


def test_an_empty_project_is_refused(place):
    empty = place.top / "empty"
    git("init", "-q", str(empty), cwd=place.top)
    refused(place, empty, Conflict, "has no commit yet", "new")


def test_outside_of_a_project(fleet, place):
    with pytest.raises(NotFound, match="not in a git repository"):
        fleet.create("new", folder=str(place.home), command=SLEEP)


def test_a_branch_that_is_checked_out_elsewhere(place, project, fleet):
    git("worktree", "add", "-q", "-b", "busy", str(place.top / "other"), cwd=project)
    assert str(place.top / "other") in refused(place, project, Conflict, "checked out at", "busy")
    refused(place, project, Conflict, "checked out at", "main")
    fleet.create("mine", folder=str(project), command=SLEEP)
    refused(place, project, Conflict, "checked out at|already has an agent", "mine")


def test_a_base_there_is_not(place, project):
    refused(place, project, NotFound, "`nowhere` is no commit", "new", base="nowhere")
    refused(place, project, NotFound, "is no commit", "new", base="--help")


@pytest.mark.parametrize("id", ["A", "-a", "a-", "a_b", "a.b", "a/b", "..", "é", "x" * 56, "a b", "a\n"])
def test_ids_that_are_none(place, project, id):
    refused(place, project, UsageError, "cannot be an id", "new", id)


@pytest.mark.parametrize(
    "branch", ["", "-a", "a..b", "a b", "a~", "HEAD", "a.lock", "/a", "a/", "@{", "\x1b[31m", "a//b"]
)
def test_branches_that_are_none(place, project, branch):
    error = refused(place, project, UsageError, "cannot be a branch", branch)
    assert "\x1b" not in error


def test_ids_are_made_from_branches(fleet, project):
    made = [
        fleet.create(branch, folder=str(project), command=SLEEP).id
        for branch in ("feature/My_Feature", "feature-my-feature", "feature/my-feature", "9", "x" * 200)
    ]
    assert made == ["feature-my-feature", "feature-my-feature-2", "feature-my-feature-3", "9", "x" * 55]


def test_an_id_or_a_branch_that_is_taken(place, project, fleet):
    fleet.create("one", "first", folder=str(project), command=SLEEP)
    refused(place, project, Conflict, "`first` is taken", "two", "first")
    other = make_project(place.top / "other")
    refused(place, other, Conflict, "`first` is taken", "one", "first")
    assert fleet.create("one", folder=str(other), command=SLEEP).id == "one"


def test_a_branch_below_a_branch(place, project, fleet):
    fleet.create("a", folder=str(project), command=SLEEP)
    refused(place, project, MagentsError, "a/b", "a/b")


def test_a_harness_that_is_not_there(place, project, monkeypatch):
    monkeypatch.setenv("PATH", f"{programs(place)}")
    error = refused(place, project, Missing, "claude is not installed", "new", command=(), harness="claude")
    assert "npm install -g @anthropic-ai/claude-code" in error
    refused(place, project, Missing, "`never-made` was not found", "new", command=("never-made",))
    refused(place, project, NotFound, "no harness `clod`", "new", command=(), harness="clod")


def programs(place, *without: str) -> Path:
    """A folder with what Magents needs, but for some; to be the whole PATH."""
    folder = place.top / "programs"
    folder.mkdir()
    for name in {"git", "tmux", "sh", "sleep", "head", "tr", "sed", "date", "cat", "rm", "env", "rmdir"} - set(
        without
    ):
        found = run("sh", "-c", f"command -v {name}").out.strip()
        (folder / name).symlink_to(found)
    return folder


def test_without_tmux(place, project, monkeypatch):
    before = state(project, place)
    with monkeypatch.context() as without:
        without.setenv("PATH", str(programs(place, "tmux")))
        with pytest.raises(Missing, match="`tmux` was not found"):
            Fleet().create("new", folder=str(project), command=SLEEP)
    assert state(project, place) == before


def test_a_folder_in_the_way(place, project):
    there = place.top / "project-agents" / "new"
    there.mkdir(parents=True)
    (there / "precious").write_text("mine")
    refused(place, project, Conflict, "is there already", "new")
    assert (there / "precious").read_text() == "mine"


def test_an_empty_folder_in_the_way(place, project):
    (place.top / "project-agents" / "new").mkdir(parents=True)
    refused(place, project, Conflict, "is there already", "new")


def test_a_session_in_the_way(place, project, tmux):
    tmux("new-session", "-d", "-s", "magents-new", *SLEEP)
    refused(place, project, Conflict, "`magents-new`", "new")
    assert "magents-new" in tmux("list-sessions")


def test_tmux_that_fails(place, project, monkeypatch):
    """It can be asked, but opens no session."""
    folder = programs(place, "tmux")
    real = run("sh", "-c", "command -v tmux").out.strip()
    (folder / "tmux").write_text(
        f'#!/bin/sh\ncase "$*" in *new-session*) echo no room >&2; exit 1 ;; esac\nexec {real} "$@"\n'
    )
    (folder / "tmux").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert "new-session" in refused(place, project, CommandFailed, "no room", "new")


def test_git_that_fails(place, project):
    git("branch", "other", cwd=project)
    (project / ".git" / "worktrees").write_text("in the way")
    with pytest.raises(MagentsError, match="git could not make the workspace"):
        Fleet().create("new", folder=str(project), command=SLEEP)
    (project / ".git" / "worktrees").unlink()
    assert git("branch", "--format=%(refname:short)", cwd=project).split() == ["main", "other"]
    assert Fleet().list().views == []
    until(lambda: not (place.top / "project-agents").exists())


def test_ignored_files_that_come_along(fleet, project):
    (project / ".gitignore").write_text(".env*\nbuild/\nsecret\n")
    (project / ".worktreeinclude").write_text(".env\n.env.*\nconf/\n")
    commit(project, "ignore")
    (project / ".env").write_text("KEY=1\n")
    (project / ".env").chmod(0o600)
    (project / "src" / ".env.local").write_text("KEY=2\n")
    (project / "secret").write_text("stays")
    (project / "untracked.txt").write_text("stays")
    os.symlink(".env", project / ".env.link")
    agent = fleet.create("new", folder=str(project), command=SLEEP)
    there = Path(agent.workspace)
    assert (there / ".env").read_text() == "KEY=1\n"
    assert (there / ".env").stat().st_mode & 0o777 == 0o600
    assert (there / "src" / ".env.local").read_text() == "KEY=2\n"
    assert os.readlink(there / ".env.link") == ".env"
    assert not (there / "secret").exists()
    assert not (there / "untracked.txt").exists()
    assert git("status", "--porcelain", cwd=there) == ""


def test_a_set_up_command(fleet, project, monkeypatch):
    monkeypatch.setenv("MAGENTS_SETUP", 'echo "$MAGENTS_ID $MAGENTS_BRANCH $MAGENTS_PROJECT $MORE" >set-up')
    words = ["sh", "-c", "cp set-up seen; exec sleep 300"]
    agent = fleet.create("a/b", folder=str(project), command=words, env={"MORE": "more"})
    seen = Path(agent.workspace, "seen")
    until(lambda: seen.exists() and seen.read_text())
    assert seen.read_text() == f"a-b a/b {project} more\n"


def test_a_set_up_command_that_fails(place, project, monkeypatch):
    monkeypatch.setenv("MAGENTS_SETUP", "echo so it goes; touch made; echo bad >&2; exit 7")
    error = refused(place, project, MagentsError, "failed with exit code 7", "new")
    assert "so it goes\nbad" in error


def test_the_agents_own_environment(fleet, project):
    words = ["sh", "-c", "env >env; exec sleep 300"]
    agent = fleet.create("new", folder=str(project), command=words, env={"MORE": "a 'b'\nc"})
    env = Path(agent.workspace, "env")
    until(lambda: env.exists() and "MORE=a 'b'\nc\n" in env.read_text())
    fleet.stop(agent)
    env.unlink()
    fleet.start(agent)
    until(lambda: env.exists() and "MORE=a 'b'\nc\n" in env.read_text())


CREATE = [sys.executable, "-m", "magents", "create"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle(place, project, number, monkeypatch):
    monkeypatch.setenv("MAGENTS_SETUP", "echo $$ >../../ready; sleep 301")
    before = state(project, place)
    running = subprocess.Popen(
        [*CREATE, "new", "--", *SLEEP], cwd=project, stderr=subprocess.PIPE, process_group=0, text=True
    )
    until(lambda: (place.top / "ready").exists() and (place.top / "ready").read_text())
    os.killpg(running.pid, number)
    _, said = running.communicate(timeout=60)
    if number == signal.SIGINT:
        assert (running.returncode, "Interrupted" in said) == (130, True)
    monkeypatch.delenv("MAGENTS_SETUP")
    until(lambda: not Fleet().context.store.busy("new"))
    Fleet().recover()
    same(before, project, place)


def race(project: Path, *commands: list[str]) -> list[tuple[int, str]]:
    """Run several at once; their exit codes and what they complained of."""
    running = [
        subprocess.Popen(
            [*CREATE, *words, "--", *SLEEP],
            cwd=project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in commands
    ]
    return [(one.communicate(timeout=60)[1], one.returncode)[::-1] for one in running]


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ([["one", "same"], ["two", "same"]], "`same` is taken"),
        ([["same", "one"], ["same", "two"]], "`same`"),
        ([["same"], ["same"]], "`same`"),
    ],
)
def test_two_at_once(place, project, commands, reason):
    ended = race(project, *commands)
    assert sorted(code for code, _ in ended) == [0, 1], ended
    assert reason in next(said for code, said in ended if code)
    now = state(project, place)
    assert len(now["records"]) == len(now["sessions"]) == len(now["folders"]) == len(now["beside"]) == 1
    assert len(git("branch", "--format=%(refname:short)", cwd=project).split()) == 2
    assert now["worktrees"].count("worktree ") == 2


def test_ids_made_at_once(project):
    branches = ["a/b", "a-b", "A/b", "A-b"]
    ended = race(project, *([branch] for branch in branches))
    assert [code for code, _ in ended] == [0, 0, 0, 0], ended
    assert sorted(view.agent.id for view in Fleet().list().views) == ["a-b", "a-b-2", "a-b-3", "a-b-4"]


def test_twenty_at_once(project):
    with ThreadPoolExecutor(20) as pool:
        agents = list(pool.map(lambda n: Fleet().create(f"b{n}", folder=str(project), command=SLEEP), range(20)))
    views = Fleet().list().views
    assert {view.agent.id for view in views} == {f"b{n}" for n in range(20)}
    assert {view.status.state for view in views} == {"running"}
    for agent in agents:
        assert work_of(agent) == {"README.md": b"# Sample\n", "src/app.py": b"print('hello')\n"}
        assert git("status", "--porcelain", "-b", cwd=agent.workspace) == f"## {agent.branch}"


def test_a_folder_of_workspaces_that_is_just_swept_away(place, monkeypatch):
    """Its removal, when the last agent has gone, runs beside the next creation: here it comes each time
    between the two folders, until it has come more often than commands can be at work."""
    path = place.top / "project-agents" / "new"
    make, sweeps = os.mkdir, iter(range(200))

    def mkdir(wanted, *mode) -> None:
        if str(wanted) == str(path) and next(sweeps, None) is not None:
            path.parent.rmdir()
        make(wanted, *mode)

    monkeypatch.setattr(os, "mkdir", mkdir)
    disk.claim(str(path))
    assert path.is_dir() and next(sweeps, None) is None


def test_a_folder_of_workspaces_that_cannot_be(place, monkeypatch):
    monkeypatch.setattr(disk, "MAKE_TIMEOUT_S", 0.1)
    (place.top / "project-agents").symlink_to(place.top / "nowhere")
    with pytest.raises(MagentsError, match="cannot be made"):
        disk.claim(str(place.top / "project-agents" / "new"))


def test_a_plan_makes_nothing(fleet, place, project):
    before = state(project, place)
    plan = fleet.plan("feature/x", folder=str(project), command=SLEEP)
    assert (plan.agent.id, plan.new_branch, plan.track) == ("feature-x", True, "")
    assert state(project, place) == before


def test_a_prompt_that_is_none(place, project):
    refused(place, project, UsageError, "prompt is empty", "new", prompt=" \n")
    refused(place, project, UsageError, "longer than", "new", prompt="x" * 200_000)


def test_a_large_project_is_known_by_its_index(project, tmp_path):
    found = locate(str(project))
    assert not is_large(found)
    assert not is_large(found._replace(common=str(tmp_path / "bare")))
    with (project / ".git" / "index").open("r+b") as index:
        index.truncate(LARGE_INDEX_BYTES + 1)
    assert is_large(found)
