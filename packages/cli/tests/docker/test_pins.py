"""A hostile agent in a container writes its own pin, or makes itself unremovable."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from conftest import git, until
from magents import Fleet
from magents.core.agent import Agent
from magents.git.pins import format, write

from .conftest import Box

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("agents")]

SLEEP = ("--", "sh", "-c", "exec sleep 300")


@pytest.fixture
def agent(docker_mode: str, project: Path, magents, unique: str, fleet: Fleet) -> Agent:
    magents("create", "feature/x", f"bad{unique}", "--docker", *SLEEP)
    made = fleet.find(f"bad{unique}")
    inside = Box(f"magents-{made.id}")
    until(lambda: inside.sh("git config user.email", code=None), what="a name to commit by")
    inside.sh("echo kept >kept.txt && git add kept.txt && git commit -qm Kept && echo new >new.txt")
    magents("collect", made.id)
    return made


@pytest.fixture
def box(agent: Agent) -> Box:
    return Box(f"magents-{agent.id}")


def forged(box: Box, agent: Agent, files: dict[str, str]) -> str:
    """A commit in the project that looks like a pin of the agent's, and holds what the agent likes."""
    meta = {
        "id": agent.id, "branch": agent.branch, "head": box.sh("git rev-parse HEAD").strip(), "workspace": "/nowhere",
        "taken": 1, "deleted": [], "nested": [], "uncommitted": 1, "stashes": [],
    }  # fmt: skip
    add = "git update-index --add --cacheinfo 100644,$(printf %s {} | git hash-object -w --stdin),{}"
    rows = "; ".join(
        add.format(shlex.quote(text), name) for name, text in {"meta.json": json.dumps(meta), **files}.items()
    )
    made = "git update-ref refs/heads/forged $(git commit-tree -p HEAD -m x $(git write-tree))"
    box.sh(f"export GIT_INDEX_FILE=/tmp/forged; {rows}; {made}; git bundle create -q /agent/forged forged")
    git("fetch", "-q", f"{Fleet().context.folder(agent)}/agent/forged", "forged", cwd=agent.project)
    return git("rev-parse", "FETCH_HEAD", cwd=agent.project)


def refs(project: Path) -> str:
    return git("for-each-ref", "refs/heads", "refs/tags", "refs/replace", cwd=project)


def test_who_made_it_is_written_down_here_and_restored_there(agent, box, project, magents, place):
    box.sh(
        "git init -q inner; echo x >inner/x; git rebase -q main; git checkout -q --detach; echo staged >s; git add s"
    )
    magents("stop", agent.id, "--remove-worktree")
    removed = Fleet().find_removed(agent.id)
    assert format.origin(str(project), removed.pin) == format.Origin("clone", "docker")
    for name in os.listdir(place.state):
        if name.startswith("magents.db"):
            (place.state / name).unlink()
    said = magents("restore", agent.id, "--json").json()
    assert said["foreign"] is False and Fleet().find(agent.id).runtime == "docker"
    assert Path(said["workspace"], "inner", ".git", "HEAD").exists()
    assert Path(said["workspace"], "new.txt").read_text() == "new\n"


def test_a_pin_that_it_forged_is_data_in_tmux(agent, box, project, magents, place):
    canary, evil = place.top / "canary", "../../../../project-agents/{}/evil"
    files = {
        "files/evil/config": f"[core]\n\tfsmonitor = touch {canary}\n\trepositoryformatversion = 0\n",
        "files/evil/HEAD": "ref: refs/heads/main\n", "files/evil/objects/x": "x", "files/evil/refs/x": "x",
        "files/new.txt": "forged\n", "admin/commondir": evil.format(agent.id), "admin/HEAD": "ref: refs/heads/main\n",
    }  # fmt: skip
    commit = forged(box, agent, files)
    box.sh(f"git update-ref refs/magents/{agent.id}/origin/20260101T000000.000Z HEAD")
    before = refs(project)
    magents("stop", agent.id, "--remove-worktree")
    known = git("for-each-ref", "--format=%(refname)", "refs/magents/*/origin/*", cwd=project).splitlines()
    assert len(known) == 1 and "20260101" not in known[0], "what it wrote there stays there"
    pin = Fleet().find_removed(agent.id).pin  # in whose place comes what an older image let its agent write
    git("update-ref", "-d", format.origin_ref(pin), cwd=project)
    git("update-ref", pin, commit, cwd=project)
    write.record(str(project), pin, commit, format.Origin("clone", "docker"))
    magents("create", "feature/x", agent.id, "--tmux", *SLEEP)
    workspace = Fleet().find(agent.id).workspace
    assert Path(workspace, "new.txt").read_text() == "forged\n"
    magents("diff", agent.id)
    magents("stop", agent.id, "--remove-worktree")
    assert magents("restore", agent.id, "--pin", pin, "--json").json()["foreign"] is True
    assert git("rev-parse", "--git-common-dir", cwd=workspace) == f"{project}/.git"
    magents("stop", agent.id, "--remove-worktree")
    assert refs(project) == before
    assert not canary.exists()


def test_a_pin_that_is_refused_can_be_given_up(agent, box, project, magents):
    box.sh("mkdir -p a/.GIT && echo x >a/.GIT/config")
    before = refs(project)
    said = magents("stop", agent.id, "--remove-worktree", code=1).err
    assert f"The work of {agent.id} could not be brought" in said and "--discard" in said
    assert format.pins(str(project)) == [], "nothing of it is left"
    said = magents("stop", agent.id, "--remove-worktree", "--discard").err
    assert "this could not be kept: what was not committed or not collected" in said
    magents("restore", agent.id)
    assert Path(agent.workspace, "kept.txt").exists()
    assert refs(project) == before


UNREMOVABLE = {
    "a folder without rights": "mkdir -p far/away; echo x >far/away/x; chmod 0 far/away far",
    "a repository elsewhere": "mv .git /tmp/mine; echo 'gitdir: /shared' >.git",
    "a tree too deep": "i=0; while [ $i -lt 30 ]; do d=$(printf '%0200d' 1); mkdir $d; cd -P $d; i=$((i+1)); done; echo x >x",
}


@pytest.mark.parametrize("what", UNREMOVABLE)
def test_it_cannot_make_itself_unremovable(agent, box, place, magents, what):
    box.sh(UNREMOVABLE[what], code=None)
    assert "--discard" in magents("stop", agent.id, "--remove-worktree", code=1).err
    said = magents("stop", agent.id, "--remove-worktree", "--discard", "--json").json()[0]
    until(lambda: not (place.top / "project-agents").exists(), what="an end of the trash")
    assert bool(said["unkept"]) == (what != "a folder without rights")
    magents("restore", agent.id)
    assert Path(agent.workspace, "kept.txt").read_text() == "kept\n"
    if what == "a folder without rights":
        assert Path(agent.workspace, "far/away/x").read_text() == "x\n"
