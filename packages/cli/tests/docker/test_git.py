"""Git in a container: all of it works there, and commits come home without ever overwriting the user's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from conftest import commit, git, until

from .conftest import Box

pytestmark = [pytest.mark.engine, pytest.mark.slow]

BRANCH = "feature/x"
TURN = """
while :; do
    [ ! -e /workspace/turn ] || { rm /workspace/turn; "$MAGENTS_EVENT" "$MAGENTS_FOLDER" command done ''; }
    sleep 0.1
done
"""
"""An agent whose turn ends when it is told so."""


@pytest.fixture
def agent(docker_mode, project, magents, unique, fleet):
    """An agent in a container, on a branch of its own."""
    magents("create", BRANCH, f"git{unique}", "--docker", "--", "sh", "-c", TURN)
    return fleet.find(f"git{unique}")


@pytest.fixture
def box(agent) -> Box:
    return ready(agent.id)


def ready(id: str) -> Box:
    """An agent's container, once git knows there who commits."""
    box = Box(f"magents-{id}")
    until(lambda: box.sh("git config user.name", code=None), 60, "git's configuration")
    return box


def work(box: Box, message: str = "Work") -> str:
    """Commit something inside; the commit."""
    box.sh(f"echo {message} >>done.txt && git add . && git commit -q -m {message}")
    return box.sh("git rev-parse HEAD").strip()


def at(project) -> str:
    """Where the agent's branch is in the user's repository."""
    return git("rev-parse", BRANCH, cwd=project)


def test_git_works_inside(agent, box, project, magents):
    assert box.sh("git status --porcelain; git branch --show-current") == f"{BRANCH}\n"
    assert box.sh("git log --format=%s") == "Begin\n"
    work(box, "First")
    assert box.sh("git log --format='%s by %an <%ae>, %cn' -1") == "First by Ada <ada@example.org>, Ada\n"
    box.sh("echo more >>README.md")
    assert "+more" in box.sh("git diff")
    box.sh("git stash -q")
    assert box.sh("git status --porcelain") == ""
    box.sh("git stash pop -q && git commit -q -am Second")
    box.sh("git worktree add -q ../tmp/other -b other main && cd /tmp/other && git switch -q -c third"
           " && echo x >third && git add third && git commit -q -m Third")  # fmt: skip
    box.sh("git rebase -q third && git worktree remove /tmp/other && git gc -q && git fsck --strict 2>&1")
    assert box.sh("git log --format=%s").split() == ["Second", "First", "Third", "Begin"]
    assert "main" in box.sh("git branch --list main")
    magents("collect", agent.id)
    assert git("log", "--format=%s", BRANCH, cwd=project).split() == ["Second", "First", "Third", "Begin"]
    assert git("branch", "--list", "--format=%(refname:short)", cwd=project).split() == [BRANCH, "main"]
    git("fsck", "--strict", cwd=project)
    assert git("stash", "list", cwd=project) == ""


def test_several_bring_commits_home_at_once(agent, box, project):
    argv = [sys.executable, "-m", "magents", "collect", agent.id]
    for number in range(3):
        made = work(box, f"Work{number}")
        at_once = [subprocess.Popen(argv, cwd=project, stderr=subprocess.PIPE, text=True) for _ in range(4)]
        said = [child.communicate(timeout=120)[1] for child in at_once]
        assert [child.returncode for child in at_once] == [0] * 4, said
        assert at(project) == made


def test_commits_come_home_at_the_end_of_a_turn(box, project):
    began = at(project)
    made = work(box)
    assert at(project) == began
    box.sh("touch turn")
    until(lambda: at(project) == made, 30, "the branch at home")
    again = work(box, "Again")
    box.sh("touch turn")
    until(lambda: at(project) == again, 30, "the branch at home again")


def under_way(project) -> list[str]:
    """The fetches to the project that are under way."""
    return [name for name in os.listdir(project / ".git/objects") if name.startswith("tmp_objdir-")]


def test_one_that_holds_its_collections_up_holds_up_nobody(agent, box, project, magents, unique):
    """Neither another agent, nor its own `stop`."""
    magents("create", "other", f"other{unique}", "--docker", "--", "sh", "-c", TURN)
    other = ready(f"other{unique}")
    mine = work(box)
    box.sh("git config --global uploadpack.packObjectsHook 'sleep 1000;:'; touch turn")
    until(lambda: under_way(project), 30, "a fetch that stalls")
    theirs = work(other)
    other.sh("touch turn")
    until(lambda: git("rev-parse", "other", cwd=project) == theirs, 15, "the other's branch at home")
    assert under_way(project)
    box.sh("git config --global --unset uploadpack.packObjectsHook")
    begun = time.monotonic()
    magents("stop", agent.id)
    assert time.monotonic() - begun < 15
    assert at(project) == mine
    until(lambda: not under_way(project), 15, "nothing left of it")


def test_what_was_refused_is_noted_once_and_leaves_nothing(agent, box, project, fleet, magents):
    objects = project / ".git/objects"
    box.sh("head -c 3000000 /dev/urandom >large && git add . && git commit -qm Large")
    before = sorted(path for path in objects.rglob("*") if path.is_file())
    failing = magents("collect", agent.id, code=1, MAGENTS_COLLECT_LIMIT="1m")
    assert f"What {agent.id} sends takes more than 1 MiB" in failing.err
    assert sorted(path for path in objects.rglob("*") if path.is_file()) == before
    box.sh("git config --global uploadpack.packObjectsHook 'echo refused >&2; false'")
    for _ in range(2):
        box.sh("touch turn")
        until(lambda: "turn" not in box.sh("ls"))
    noted = until(lambda: fleet.context.store.history(agent, "not-collected"), 30)
    assert len(noted) == 1
    assert sorted(path for path in objects.rglob("*") if path.is_file()) == before


@pytest.mark.parametrize("words", [("collect",), ("diff",), ("diff", "--stat"), ("stop",), ("merge",),
                                   ("stop", "--remove-worktree")])  # fmt: skip
def test_commits_come_home(agent, box, project, magents, words):
    made = work(box)
    said = magents(words[0], agent.id, *words[1:])
    assert at(project) == made
    if words[0] == "diff":
        assert "done.txt" in said.out
    if words[0] == "merge":
        assert (project / "done.txt").read_text() == "Work\n"


def test_commits_come_home_from_a_stopped_one(agent, box, project, magents):
    magents("stop", agent.id)
    subprocess.run(["docker", "start", box.name], check=True, capture_output=True)
    made = work(box)
    subprocess.run(["docker", "stop", box.name], check=True, capture_output=True)
    assert "+Work" in magents("diff", agent.id).out
    assert at(project) == made


def moved(project) -> str:
    """The user puts a commit of their own on the agent's branch."""
    git(
        "branch",
        "-f",
        BRANCH,
        git("commit-tree", "-p", "main", "-m", "Mine", "main^{tree}", cwd=project),
        cwd=project,
    )
    return "was moved here meanwhile"


def checked_out(project) -> str:
    """The user has the branch checked out."""
    git("switch", "-q", BRANCH, cwd=project)
    return f"is checked out at {project}"


@pytest.mark.parametrize("what", [moved, checked_out])
def test_what_the_user_did_to_the_branch_stays_and_is_told(agent, box, project, magents, what):
    told = what(project)
    before, status = at(project), git("status", "--porcelain", cwd=project)
    made = work(box)
    for words in (["collect"], ["diff"], ["merge"], ["stop"]):
        done = magents(words[0], agent.id, *words[1:], code=None)
        assert told in done.err, words
        assert at(project) == before
        assert git("rev-parse", f"refs/magents/{agent.id}/branch", cwd=project) == made
    assert json.loads(magents("collect", agent.id, "--json", code=1).out)[0]["kept_back"]
    magents("start", agent.id)
    box.sh("touch turn")
    until(lambda: "turn" not in box.sh("ls"))
    done = magents("stop", agent.id, "--remove-worktree")
    assert told in done.err
    pin = next(word for word in done.err.split() if word.startswith("refs/magents/"))
    assert git("rev-list", pin, cwd=project).count(made) == 1
    assert at(project) == before
    assert git("status", "--porcelain", cwd=project) == status
    if what is checked_out:
        git("switch", "-q", "main", cwd=project)
    magents("restore", agent.id)
    magents("start", agent.id)
    assert box.sh("git rev-parse HEAD").strip() == made


def test_a_branch_that_the_user_set_back_follows_again(agent, box, project, magents):
    work(box)
    magents("collect", agent.id)
    git("branch", "-f", BRANCH, "main", cwd=project)
    made = work(box, "Again")
    magents("collect", agent.id)
    assert at(project) == made


def test_a_rewritten_branch_follows(agent, box, project, magents):
    work(box)
    magents("collect", agent.id)
    box.sh("git commit -q --amend -m Amended")
    magents("collect", agent.id)
    assert git("log", "-1", "--format=%s", BRANCH, cwd=project) == "Amended"


def test_what_it_borrows_outlives_a_gc_of_the_users(agent, box, project, magents):
    """Its beginning is in the project only; nothing of the user's leads to it any more."""
    git("switch", "-q", "--orphan", "fresh", cwd=project)
    commit(project, "Fresh")
    git("branch", "-D", "main", BRANCH, cwd=project)
    git("reflog", "expire", "--expire=now", "--all", cwd=project)
    git("gc", "-q", "--prune=now", cwd=project)
    assert box.sh("git fsck 2>&1; git log --format=%s; git status --porcelain").endswith("Begin\n")
    made = work(box)
    magents("collect", agent.id)
    assert at(project) == made


def test_the_newest_base_can_be_merged_inside(agent, box, fleet, project):
    """Its clone was made before the base moved. A base that the agent has made its own is left alone."""
    workspace = fleet.context.workspace(agent)
    work(box)
    commit(project, "Newer", newer_txt="newer\n")
    assert "up to date" in box.sh("git merge main")
    workspace.renew()
    box.sh("git merge -q --no-edit main")
    assert box.sh("cat newer.txt") == "newer\n"
    fleet.collect(agent)
    assert "newer.txt" in git("ls-tree", "--name-only", BRANCH, cwd=project)
    mine = box.sh("git branch -f main && git rev-parse main").strip()
    commit(project, "Newest", newest_txt="newest\n")
    workspace.renew()
    assert box.sh("git rev-parse main").strip() == mine
    box.sh(f"git fetch -q . {git('rev-parse', 'main', cwd=project)} && git merge -q --no-edit FETCH_HEAD")
    box.sh("git branch -f main main~1 && git checkout -q main")
    workspace.renew()
    assert box.sh("git status --porcelain") == ""
    ref = workspace.pin().ref
    assert ref.startswith(f"refs/magents/{agent.id}/")
