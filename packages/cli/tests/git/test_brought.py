"""What an agent in a container brought of hooks and `.worktreeinclude` does not act on this side until it is accepted.

Its commits are made in a clone here and fetched, as a collection does; the canary is a file that a hook writes.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from conftest import commit, git
from git.lab import files
from magents.core.errors import MagentsError
from magents.fleet import trust
from magents.git.merge import merge
from magents.git.pins import read, write
from magents.git.plumbing import git as ours
from magents.git.trust import brought
from magents.git.trust import hooks as asked_hooks
from magents.git.trust.brought import Arrival
from magents.git.trust.record import Record
from magents.git.workspaces import disk, include, worktree

EVERY = ("post-checkout", "post-merge", "post-index-change", "reference-transaction", "pre-commit", "post-commit")


@pytest.fixture
def ran(place) -> Path:
    """Where the agent's hooks leave a mark."""
    return place.top / "ran"


@pytest.fixture
def far(project) -> Path:
    """The agent's clone, on the branch `agent`."""
    clone = project.parent / "far"
    git("clone", "-q", project, clone, cwd=project.parent)
    git("checkout", "-q", "-b", "agent", cwd=clone)
    return clone


def hook(top: Path, mark: Path, name: str, folder: str = ".husky", more: str = "") -> None:
    """Write a hook that leaves a mark."""
    path = top / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{more}\necho {name} >>{mark}\n")
    path.chmod(0o755)


def hooks(top: Path, mark: Path, folder: str = ".husky") -> None:
    for name in EVERY:
        hook(top, mark, name, folder)


def collect(project: Path, far: Path, branch: str = "agent") -> str:
    """Bring the branch home; the commit."""
    since = git("rev-parse", "main", cwd=project)
    git("fetch", "-q", far, f"+{branch}:refs/magents/x/{branch}", cwd=project)
    tip = git("rev-parse", f"refs/magents/x/{branch}", cwd=project)
    brought.arrive(str(project), Arrival(branch, tip, (since,), "x", time.time()))
    git("-c", "core.hooksPath=/dev/null", "update-ref", f"refs/heads/{branch}", tip, cwd=project)
    return tip


def add(project: Path, branch: str = "agent", *, new: bool = False) -> Path:
    """What `create` in tmux mode does."""
    path = project.parent / f"tmux-{branch}"
    disk.claim(str(path))
    start = git("rev-parse", "main" if new else branch, cwd=project)
    worktree.add(str(project), str(path), branch, start, new=new).result()
    return path


def marks(ran: Path) -> set[str]:
    """Which hooks ran since the last look."""
    said = set(ran.read_text().split()) if ran.exists() else set()
    ran.unlink(missing_ok=True)
    return said


def accept(project: Path) -> None:
    there = trust.waiting(str(project))
    brought.accept(str(project), there.files, there.branches)


@pytest.mark.parametrize("folder", [".husky", ".husky/_", "tools/git/hooks"])
def test_hooks_on_its_branch(project, far, ran, folder):
    """Neither the merge, nor a workspace on its branch, nor any other git command of ours; once accepted, all."""
    git("config", "core.hooksPath", folder, cwd=project)
    hooks(far, ran, folder)
    commit(far, "hooks")
    collect(project, far)
    path = add(project)
    merge(str(project), "agent", "main")
    ours(str(project), "update-ref", "refs/heads/other", "main")
    ours(str(path), "commit", "-q", "--allow-empty", "-m", "mine")
    assert marks(ran) == set()
    assert {row.path for row in trust.waiting(str(project)).files} == {f"{folder}/{name}" for name in EVERY}
    accept(project)
    ours(str(project), "update-ref", "refs/heads/other-2", "main")
    ours(str(path), "commit", "-q", "--allow-empty", "-m", "mine")
    assert {"reference-transaction", "pre-commit", "post-commit"} <= marks(ran)


def test_what_is_accepted_is_that_content_alone(project, far, ran):
    git("config", "core.hooksPath", ".husky", cwd=project)
    hook(far, ran, "post-merge")
    commit(far, "hook")
    collect(project, far)
    accept(project)
    hook(far, ran, "post-merge", more="echo changed")
    commit(far, "changed")
    collect(project, far)
    merge(str(project), "agent", "main")
    assert marks(ran) == set()


def test_the_user_s_own_run(project, far, ran, place):
    """In the tree, and changed by the user; also while an agent has a hook of its own on a branch, and after."""
    own = place.top / "own"
    git("config", "core.hooksPath", ".husky", cwd=project)
    hook(project, own, "post-merge")
    commit(project, "mine")
    git("pull", "-q", "--rebase", "origin", "main", cwd=far)
    hook(far, ran, "pre-push")
    commit(far, "hook")
    collect(project, far)
    side = add(project, "mine", new=True)
    commit(side, "other", b_txt="b\n")
    marks(own)
    merge(str(project), "mine", "main")
    assert marks(own) == {"post-merge"}
    merge(str(project), "agent", "main")
    assert marks(own) == set()
    git("rm", "-q", ".husky/pre-push", cwd=project)
    hook(project, own, "post-merge", more="echo changed")
    commit(project, "mine again")
    commit(side, "more", c_txt="c\n")
    marks(own)
    merge(str(project), "mine", "main")
    assert marks(own) == {"post-merge"}
    assert marks(ran) == set()


@pytest.mark.parametrize("outside", ["default", "absolute"])
def test_hooks_outside_of_the_tree_run(project, far, ran, place, outside):
    folder = place.top / "hooks" if outside == "absolute" else project / ".git/hooks"
    if outside == "absolute":
        git("config", "core.hooksPath", folder, cwd=project)
    hook(folder.parent, place.top / "own", "post-merge", folder.name)
    hooks(far, ran)
    commit(far, "hooks")
    collect(project, far)
    merge(str(project), "agent", "main")
    assert marks(place.top / "own") == {"post-merge"}


def test_a_hook_manager_s_settings(project, far, place):
    """The hook is the user's; what it runs is what the agent wrote."""
    own = place.top / "own"
    hook(project / ".git", own, "post-merge", "hooks")
    commit(far, "settings", lefthook_yml="post-merge: {}\n")
    collect(project, far)
    merge(str(project), "agent", "main")
    assert marks(own) == set()


def change(far: Path, ran: Path, how: str) -> None:
    """How an agent might get round it."""
    if how == "attributes":  # what lies there is not what git has
        hook(far, ran, "post-merge", more="# $Id$")
        (far / ".gitattributes").write_text(".husky/* ident\n")
    elif how == "link to a file":
        hook(far, ran, "x", "lib")
        (far / ".husky").mkdir(exist_ok=True)
        (far / ".husky/post-merge").symlink_to("../lib/x")
    elif how == "link to a folder":
        hook(far, ran, "post-merge", "lib")
        shutil.rmtree(far / ".husky", ignore_errors=True)
        (far / ".husky").symlink_to("lib")
    elif how == "link above":
        hook(far, ran, "post-merge", "lib/hooks")
        shutil.rmtree(far / "tools")
        (far / "tools").symlink_to("lib")
    elif how == "behind the user's link":
        hook(far, ran, "post-merge", "tools/hooks")
    elif how.startswith(("git's", "husky's")):
        hook(far, ran, "post-merge", "tools")
    elif how == "back and forth":
        hook(far, ran, "post-merge")
        commit(far, "there")
        shutil.rmtree(far / ".husky")
        commit(far, "gone")
        hook(far, ran, "post-merge")
    elif how == "in a merge":
        git("checkout", "-q", "-b", "side", cwd=far)
        commit(far, "side", side_txt="x\n")
        git("checkout", "-q", "agent", cwd=far)
        commit(far, "ours", ours_txt="x\n")
        git("merge", "-q", "--no-commit", "--no-ff", "side", cwd=far)
        hook(far, ran, "post-merge")
    elif how == "many commits":
        hook(far, ran, "post-merge")
        for number in range(24):
            commit(far, "again", _husky__other=f"{number % 2}\n")
    elif how == "many":
        for number in range(30):
            hook(far, ran, f"x{number}", more=f"# {number}")
        hook(far, ran, "post-merge")
    commit(far, how)


def configure(project: Path, far: Path, how: str) -> None:
    """The user's folder of hooks: `.husky`, or one deeper, or `.husky` as a link there, or links in git's own."""
    if how == "husky's hook is a link":
        git("config", "core.hooksPath", ".husky/_", cwd=project)
        hook(project, project.parent / "none", "post-merge", ".husky/_", more='sh "$(dirname "$0")/../post-merge"')
        (project / ".husky/_/.gitignore").write_text("*\n")
        (project / ".husky/post-merge").symlink_to("../tools/post-merge")
        commit(project, "mine")
        git("pull", "-q", "--rebase", "origin", "main", cwd=far)
        return
    if how.startswith("git's"):
        shutil.rmtree(project / ".git/hooks", ignore_errors=True)
        if how == "git's folder is a link":
            (project / ".git/hooks").symlink_to("../tools")
        else:
            (project / ".git/hooks").mkdir()
            (project / ".git/hooks/post-merge").symlink_to("../../tools/post-merge")
        return
    git("config", "core.hooksPath", "tools/hooks" if how == "link above" else ".husky", cwd=project)
    if how in ("link above", "behind the user's link"):
        (project / "tools/hooks").mkdir(parents=True)
        (project / "tools/hooks/README").write_text("none yet\n")
        (project / ".husky").symlink_to("tools/hooks")
        commit(project, "mine")
        git("pull", "-q", "--rebase", "origin", "main", cwd=far)


WAYS = (
    "link above",
    "behind the user's link",
    "attributes",
    "link to a file",
    "link to a folder",
    "git's folder is a link",
    "git's hook is a link",
    "husky's hook is a link",
    "back and forth",
    "in a merge",
    "many",
)


@pytest.mark.parametrize("how", WAYS)
def test_ways_round(project, far, ran, how, monkeypatch):
    monkeypatch.setattr(brought, "MAX_FILES", 20 if "many" in how else brought.MAX_FILES)
    configure(project, far, how)
    change(far, ran, how)
    collect(project, far)
    add(project)
    merge(str(project), "agent", "main")
    side = add(project, "mine", new=True)
    commit(side, "more", z_txt="z\n")
    marks(ran)
    merge(str(project), "mine", "main")
    assert marks(ran) == set()


@pytest.mark.parametrize("how", WAYS)
def test_the_ways_round_would_work(project, far, ran, how):
    """Without the record git does run it: else these tests prove nothing."""
    configure(project, far, how)
    change(far, ran, how)
    git("fetch", "-q", far, "agent:agent", cwd=project)
    merge(str(project), "agent", "main")
    assert marks(ran)


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_is_configured_later(project, far, ran, again):
    hook(far, ran, "post-merge", "build/githooks")
    commit(far, "hook")
    collect(project, far)
    git("config", "core.hooksPath", "build/githooks", cwd=project)
    commit(far, "more", b_txt="b\n")
    asked_hooks._asked.clear()  # another command, later
    if again:
        collect(project, far)
    merge(str(project), "agent", "main")
    assert marks(ran) == set()


def test_a_history_of_its_own(project, far, ran):
    """Also where the user's git shows no files of a first commit."""
    git("config", "core.hooksPath", ".husky", cwd=project)
    git("config", "log.showRoot", "false", cwd=project)
    git("config", "log.showSignature", "true", cwd=project)
    git("checkout", "-q", "--orphan", "apart", cwd=far)
    hooks(far, ran)
    commit(far, "first")
    collect(project, far, "apart")
    add(project, "apart")
    assert marks(ran) == set()


def test_what_a_merge_makes_of_both_sides(project, far, ran):
    """The merged hook is neither the agent's file nor the user's."""
    git("config", "core.hooksPath", ".husky", cwd=project)
    hook(project, ran, "post-merge", more="\n".join("# line" for _ in range(9)))
    git("-c", "core.hooksPath=/dev/null", "add", "-A", cwd=project)
    commit(project, "mine")
    git("pull", "-q", "--rebase", "origin", "main", cwd=far)
    text = (far / ".husky/post-merge").read_text()
    (far / ".husky/post-merge").write_text(text.replace("#!/bin/sh\n", f"#!/bin/sh\necho theirs >>{ran}\n"))
    commit(far, "theirs")
    (project / ".husky/post-merge").write_text(text + "# mine\n")
    commit(project, "mine again")
    since = git("rev-parse", "main", cwd=project)
    collect(project, far)
    made = git("merge-tree", "--write-tree", "main", "agent", cwd=project)
    after = git("commit-tree", "-p", "main", "-p", "agent", "-m", "both", made, cwd=project)
    brought.arrive(str(project), Arrival("", after, (since,), "x", time.time()))
    marks(ran)
    merge(str(project), "agent", "main")
    side = add(project, "side", new=True)
    commit(side, "more", z_txt="z\n")
    marks(ran)
    merge(str(project), "side", "main")
    assert marks(ran) == set()


def test_what_comes_with_a_pin(project, far, ran):
    """Its uncommitted hooks, laid into a workspace on this side."""
    git("config", "core.hooksPath", ".husky", cwd=project)
    git("fetch", "-q", far, "agent:agent", cwd=project)
    hook(far, ran, "post-commit")
    ref, *_ = write.take(str(far), str(far), "x")
    git("fetch", "-q", far, f"{ref}:{ref}", cwd=project)
    brought.arrive_pin(str(project), ref, "x", "agent")
    path = add(project)
    assert read.bring_over(str(project), ref, str(path), foreign=True)
    assert (path / ".husky/post-commit").exists()
    ours(str(path), "commit", "-q", "--allow-empty", "-m", "mine")
    assert marks(ran) == set()


def test_a_record_that_cannot_be_read(project, far, ran):
    """No hook runs then, and it is said what to do."""
    git("config", "core.hooksPath", ".husky", cwd=project)
    hooks(far, ran)
    commit(far, "hooks")
    collect(project, far)
    (project / ".git/magents/brought.json").write_text("{")
    merge(str(project), "agent", "main")
    assert marks(ran) == set()
    some = brought.Brought("x", "0" * 40, "x", "", 0.0)
    for ask in (trust.waiting, lambda path: brought.accept(path, [some], [])):
        with pytest.raises(MagentsError, match="cannot be read"):
            ask(str(project))


# --- .worktreeinclude


def secrets(project: Path) -> None:
    """Ignored files, of which the user lets one come along."""
    (project / ".gitignore").write_text("*.secret\n*.local\n")
    (project / ".worktreeinclude").write_text("*.local\n")
    commit(project, "mine")
    (project / "my.secret").write_text("secret\n")
    (project / "my.local").write_text("local\n")


def comes(project: Path, *, links: bool = False) -> list[str]:
    target = project.parent / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    include.copy(str(project), str(target), links=links)
    return sorted(files(str(target)))


@pytest.mark.parametrize("squash", [False, True])
def test_what_comes_along_is_the_user_s_word(project, far, squash):
    secrets(project)
    git("pull", "-q", "--rebase", "origin", "main", cwd=far)
    (far / ".worktreeinclude").write_text("*.local\n*.secret\n")
    commit(far, "more")
    collect(project, far)
    assert comes(project) == ["my.local"]
    merge(str(project), "agent", "main", squash=squash)
    assert (project / ".worktreeinclude").read_text() == "*.local\n*.secret\n"
    said: list[str] = []
    assert include.own_files(str(project), str(project), said.append) == ["my.local"]
    assert ".worktreeinclude is used as it was before x changed it" in said[0]
    accept(project)
    assert comes(project) == ["my.local", "my.secret"]


def test_a_first_one_that_an_agent_brings(project, far):
    (project / ".gitignore").write_text("*.secret\n")
    commit(project, "mine")
    (project / "my.secret").write_text("secret\n")
    git("pull", "-q", "--rebase", "origin", "main", cwd=far)
    commit(far, "include", _worktreeinclude="*.secret\n")
    collect(project, far)
    merge(str(project), "agent", "main")
    assert comes(project) == []
    (project / ".worktreeinclude").write_text("my.secret\n")  # the user's own word, not committed
    assert comes(project) == ["my.secret"]


@pytest.mark.parametrize("attribute", ["ident", "text"])
def test_one_that_attributes_change(project, far, attribute):
    """Git would keep another content than the one that it wrote."""
    secrets(project)
    git("pull", "-q", "--rebase", "origin", "main", cwd=far)
    commit(far, "patterns", _worktreeinclude="# $Id: x $\r\n*.secret\n")
    (far / ".gitattributes").write_text(f".worktreeinclude {attribute}\n")
    git("add", ".gitattributes", cwd=far)  # and not what git would keep of the other by now
    git("commit", "-q", "-m", "attributes", cwd=far)
    collect(project, far)
    merge(str(project), "agent", "main")
    assert "changed it" in include.chosen(str(project)).remark
    assert comes(project) == ["my.local"]
    (project / ".worktreeinclude").write_text("my.secret\n")  # the user's own word
    assert comes(project) == ["my.secret"]


def test_one_that_is_a_link(project, far, place):
    """Neither is what it leads to read, nor does anything come along."""
    secrets(project)
    outside = place.top / "patterns"
    outside.write_text("*.secret\n")
    git("pull", "-q", "--rebase", "origin", "main", cwd=far)
    (far / ".worktreeinclude").unlink()
    (far / ".worktreeinclude").symlink_to(outside)
    commit(far, "link")
    collect(project, far)
    merge(str(project), "agent", "main")
    assert include.chosen(str(project)).patterns == ""
    assert comes(project) == []


def test_links_do_not_come_to_containers(project, place):
    secrets(project)
    (project / "far.local").symlink_to(place.top)
    assert comes(project) == ["my.local"]
    assert comes(project, links=True) == ["far.local", "my.local"]


# --- whose a branch is


def test_whose_a_branch_is(project, far):
    commit(far, "work", a_txt="a\n")
    commit(far, "work", b_txt="b\n")
    tip = collect(project, far)
    first = git("rev-parse", f"{tip}~1", cwd=project)
    main = git("rev-parse", "main", cwd=project)
    top = str(project)
    assert brought.came(top, tip, "agent")
    assert brought.came(top, first, "other"), "a branch that begins in the midst of it"
    assert brought.came(top, main, "new") is None
    git("branch", "mine", "agent", cwd=project)
    assert brought.came(top, tip, "mine"), "another name for it"
    accept(project)
    assert brought.came(top, tip, "agent") is None
    commit(far, "more", c_txt="c\n")
    assert brought.came(top, collect(project, far), "agent"), "what came after that"
    merge(top, "agent", "main")
    assert brought.came(top, git("rev-parse", "main", cwd=project), "new") is None, "merged, it is the user's"


def test_nothing_is_asked_where_no_agent_ever_was(project, monkeypatch):
    """Not even git: the way of every command stays as short as it was."""
    monkeypatch.setattr(brought, "ask", lambda *_: pytest.fail("asked"))
    assert list(brought.hooks(str(project))) == []
    assert brought.came(str(project), "HEAD") is None
    assert not os.path.exists(project / ".git/magents")


def looked_up(common: Path, rows: int) -> float:
    """Seconds of the processor's that it takes to look for 600 hooks in a record of so many contents."""
    record = Record(str(common))
    for number in range(rows):
        path, blob = f".husky/{number % 600}", f"{number:040}"
        record.files[path, blob] = brought.Brought(path, blob, "x", "agent", 0.0)
    assert record.concerns([".HUSKY"]) and not record.concerns(["hooks"])
    began = time.thread_time()
    for number in range(600):
        assert [row.blob for row in record.waiting(f".husky/{number}", f"{number:040}")] == [f"{number:040}"]
    return time.thread_time() - began


def test_a_full_record_costs_little(project):
    few = min(looked_up(project / ".git", 600) for _ in range(5))
    assert looked_up(project / ".git", 20_000) < 100 * few, "it is looked through for each hook"


def test_a_record_that_cannot_be_read_takes_all_for_brought(project):
    path = project / ".git/magents/brought.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{")
    assert [row.path for row in brought.kept(project).waiting("tools/clean", "0" * 40)] == [str(path)]
