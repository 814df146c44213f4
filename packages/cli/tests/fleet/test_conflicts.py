"""Which branches do not go together: found in memory, nothing touched, nothing printed raw."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from conftest import commit, git, make_project
from git.lab import files
from magents import Fleet
from magents.core.agent import Agent
from magents.core.errors import Conflict
from magents.fleet import conflicts
from magents.fleet.conflicts import Clash, Side

SLEEP = ("sleep", "300")
ODD = "ünï 'q\" \n\t\x1b[31m$x.txt"


@pytest.fixture
def agents(fleet, project) -> list[Agent]:
    """Three agents on branches that stand where the base does."""
    return [fleet.create(f"work/{id}", id, folder=str(project), command=SLEEP) for id in ("one", "two", "three")]


def write(folder: Path | str, name: str, data: bytes | str) -> None:
    """Commit one file."""
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    git("add", "-A", cwd=folder)
    git("commit", "-qm", "work", cwd=folder)


def found(fleet: Fleet) -> set[tuple[str, str, tuple[str, ...]]]:
    """The conflicts as ids and files; '' is a base."""
    seen = fleet.conflicts()
    assert (seen.unknown, seen.problems) == (set(), [])
    return {(clash.one.id, clash.other.id, clash.files) for clash in seen.clashes}


def everything(project: Path) -> tuple[object, ...]:
    """All that a look must not change: the objects, too."""
    return git("for-each-ref", cwd=project), files(str(project))


def test_nothing_in_conflict(fleet, project, agents):
    assert found(fleet) == set()
    commit(agents[0].workspace, a_txt="a\n")
    commit(agents[1].workspace, b_txt="b\n")
    commit(project, c_txt="c\n")
    assert found(fleet) == set()


def test_with_each_other_and_with_the_base(fleet, project, agents):
    one, two, three = agents
    commit(one.workspace, README_md="one\n", new_txt="one\n")
    commit(two.workspace, README_md="two\n")
    commit(three.workspace, new_txt="three\n")
    commit(project, new_txt="base\n")
    before = everything(project)
    seen = fleet.conflicts()
    assert seen.clashes == [
        Clash(Side("one", "work/one"), Side("", "main"), ("new.txt",)),
        Clash(Side("three", "work/three"), Side("", "main"), ("new.txt",)),
        Clash(Side("one", "work/one"), Side("two", "work/two"), ("README.md",)),
        Clash(Side("one", "work/one"), Side("three", "work/three"), ("new.txt",)),
    ]
    assert everything(project) == before
    assert {side.id for side in seen.of("one")} == {"", "two", "three"}
    assert [(c.one.id, c.other.id) for c in fleet.conflicts([two]).clashes] == [("one", "two")]


def test_uncommitted_work_is_not_seen(fleet, agents):
    commit(agents[0].workspace, README_md="one\n")
    Path(agents[1].workspace, "README.md").write_text("two\n")
    assert found(fleet) == set()


@pytest.mark.parametrize("squash", [False, True])
def test_what_is_merged_is_in_nobody_s_way_again(squash, fleet, project, agents):
    """The other one conflicts with the base now, and that is said once."""
    commit(agents[0].workspace, README_md="one\n")
    commit(agents[1].workspace, README_md="two\n")
    fleet.merge(agents[0], squash=squash)
    assert found(fleet) == {("two", "", ("README.md",))}


def test_binary_files_renames_and_deletions(fleet, project, agents):
    one, two, three = agents
    for agent in (one, two):
        write(agent.workspace, "data.bin", b"\0" + agent.id.encode())
    git("mv", "src/app.py", "src/one.py", cwd=one.workspace)
    git("commit", "-qm", "rename", cwd=one.workspace)
    git("mv", "src/app.py", "src/three.py", cwd=three.workspace)
    git("commit", "-qm", "rename", cwd=three.workspace)
    git("rm", "-q", "src/app.py", cwd=two.workspace)
    git("commit", "-qm", "delete", cwd=two.workspace)
    assert found(fleet) == {
        ("one", "two", ("data.bin", "src/one.py")),
        ("one", "three", ("src/app.py", "src/one.py", "src/three.py")),
        ("two", "three", ("src/three.py",)),
    }


def test_a_folder_renamed_to_two_places(fleet, project, agents, magents):
    """A conflict, and yet no file is in it."""
    for number in range(4):
        write(project, f"old/{number}.txt", f"{number}\n" * 20)
    for agent in agents[:2]:
        git("merge", "-q", "main", cwd=agent.workspace)
    for number in range(4):
        target = Path(agents[0].workspace, f"new{number % 2}")
        target.mkdir(exist_ok=True)
        git("mv", f"old/{number}.txt", target, cwd=agents[0].workspace)
    git("commit", "-qm", "move", cwd=agents[0].workspace)
    write(agents[1].workspace, "old/more.txt", "more\n")
    assert found(fleet) == {("one", "two", ())}
    assert magents("conflicts", code=1).out == "one and two:\n  a folder, renamed to different places\n"
    fleet.merge(agents[0])
    before = git("rev-parse", "main", cwd=project)
    with pytest.raises(Conflict):
        fleet.merge(agents[1])
    assert git("rev-parse", "main", cwd=project) == before


def test_a_history_that_crosses(fleet, project, agents):
    """Two merge bases, in conflict with each other: git merges those first, and so do we."""
    one, two, _ = agents
    write(one.workspace, "x.txt", "one\n")
    write(two.workspace, "x.txt", "two\n")
    first, second = (git("rev-parse", "HEAD", cwd=agent.workspace) for agent in (one, two))
    for agent, other in ((one, second), (two, first)):
        git("merge", "-q", "--no-commit", "-s", "ours", other, cwd=agent.workspace)
        git("commit", "-qm", "cross", cwd=agent.workspace)
    assert len(git("merge-base", "--all", "work/one", "work/two", cwd=project).split()) == 2
    assert found(fleet) == {("one", "two", ("x.txt",))}


def test_submodules(fleet, project, agents, place):
    """Two that point to commits of which none follows the other."""
    part = make_project(place.top / "part")
    tips = []
    for name in ("a", "b"):
        git("checkout", "-qb", name, "main", cwd=part)
        write(part, f"{name}.txt", name)
        tips.append(git("rev-parse", "HEAD", cwd=part))
    for agent, tip in zip(agents, tips, strict=False):
        git("update-index", "--add", "--cacheinfo", f"160000,{tip},part", cwd=agent.workspace)
        git("commit", "-qm", "part", cwd=agent.workspace)
    assert found(fleet) == {("one", "two", ("part",))}


def test_odd_names(fleet, project, agents, magents):
    for agent in agents[:2]:
        write(agent.workspace, ODD, agent.id)
        write(agent.workspace, os.fsdecode(b"bad\xff.txt"), agent.id)
    assert found(fleet) == {("one", "two", (os.fsdecode(b"bad\xff.txt"), ODD))}
    for words in (["conflicts"], ["list", "--long"], ["conflicts", "--json"]):
        said = magents(*words, code=None)
        assert "ünï 'q\" $x.txt\n" in said.out or words != ["conflicts"]
        assert not any(mark in said.out + said.err for mark in "\x1b\t\x9b")


def test_what_is_known_is_not_merged_again(fleet, project, agents):
    commit(agents[0].workspace, README_md="one\n")
    commit(agents[1].workspace, README_md="two\n")
    some = fleet.conflicts(most=2)
    assert (some.clashes, some.unknown) == ([], {"one", "two"})
    said: list[str] = []
    told = Fleet(progress=said.append)
    assert found(told) == found(told) == {("one", "two", ("README.md",))}
    assert len(said) == 1
    commit(agents[2].workspace, README_md="three\n")
    assert len(found(told)) == 3
    assert len(said) == 3  # with its base, then with the others
    kept = Path(fleet.context.store.folder, "conflicts")
    (kept_file,) = kept.iterdir()  # and no scratch
    kept_file.write_text("[[1, 2]")
    assert len(found(told)) == 3


def test_no_commit_in_common(fleet, project, agents):
    git("checkout", "-q", "--orphan", "fresh", cwd=agents[0].workspace)
    commit(agents[0].workspace, "alone")
    git("checkout", "-q", "-B", "work/one", cwd=agents[0].workspace)
    commit(agents[1].workspace, b_txt="b\n")
    seen = fleet.conflicts()
    assert any("work/one and main cannot be merged" in line for line in seen.problems)
    assert "one" in seen.unknown
    assert seen.clashes == []


def test_branches_that_are_gone(fleet, project, agents):
    """A branch that was deleted, a base that was, an agent that began at no branch."""
    commit(agents[0].workspace, README_md="one\n")
    git("checkout", "-q", "--detach", cwd=agents[0].workspace)
    git("branch", "-D", "work/one", cwd=project)
    git("checkout", "-q", "--detach", cwd=project)
    git("branch", "-qm", "main", "renamed", cwd=project)
    assert found(fleet) == set()


def test_projects_do_not_mix(fleet, project, agents, place):
    other = make_project(place.top / "other")
    far = fleet.create("work/one", "far", folder=str(other), command=SLEEP)
    commit(agents[0].workspace, README_md="one\n")
    commit(far.workspace, README_md="far\n")
    assert found(fleet) == set()


def test_on_the_command_line(fleet, project, agents, magents):
    assert magents("conflicts").out == "No conflicts: 3 agents, with each other and their bases.\n"
    commit(agents[0].workspace, README_md="one\n")
    commit(agents[1].workspace, README_md="two\n")
    commit(project, README_md="base\n")
    assert magents("conflicts", "two", code=1).out == (
        "two and its base main:\n  README.md\none and two:\n  README.md\n"
    )
    assert json.loads(magents("conflicts", "two", "--json", code=1).out)["conflicts"][1] == {
        "one": {"id": "one", "branch": "work/one"}, "other": {"id": "two", "branch": "work/two"},
        "files": ["README.md"],
    }  # fmt: skip
    rows = [line.split() for line in magents("list", "--long").out.splitlines()]
    assert "CONFLICTS" in rows[0]
    assert "base, two" in magents("list", "--long").out
    assert magents("conflicts", "three").code == 0
    assert magents("conflicts", "nope", code=1).out == ""


def test_a_branch_whose_merges_take_for_ever_does_not_hold_up_the_others(fleet, project, monkeypatch):
    monkeypatch.setattr(conflicts, "MERGE_TIMEOUT_S", 1)
    (project / ".git/info").mkdir(exist_ok=True)
    (project / ".git/info/attributes").write_text("README.md merge=slow\n")
    git(
        "config",
        "merge.slow.driver",
        "! grep -q slow %A %B || exec sleep 20; git merge-file %A %O %B",
        cwd=project,
    )
    ids = ["slow", *(f"quick{number}" for number in range(5))]
    for id in ids:
        agent = fleet.create(f"work/{id}", id, folder=str(project), command=SLEEP)
        commit(agent.workspace, README_md=f"{id}\n")
    begun = time.monotonic()
    seen = fleet.conflicts()
    assert time.monotonic() - begun < 20
    assert {(clash.one.id, clash.other.id) for clash in seen.clashes} == {
        (one, other) for n, one in enumerate(ids[1:]) for other in ids[n + 2 :]
    }
    assert "slow" in seen.unknown
    assert 1 <= len([problem for problem in seen.problems if "takes too long" in problem]) <= 4
