"""Merging: all or nothing, and nobody's working tree is surprised."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import commit, git, run
from git.lab import files
from magents.core.errors import Conflict, MagentsError, NotFound
from magents.git.merge import MAX_TITLE_COLUMNS, MAX_TITLES, Merged, merge

ODD = "ünï 'q\" \n\t$x.txt"


@pytest.fixture
def work(project) -> Path:
    """The project, with one commit on the branch `agent` in a worktree beside it."""
    side = project.parent / "side"
    git("worktree", "add", "-q", "-b", "agent", side, cwd=project)
    Path(side, "src", ODD).write_text("new\n")
    commit(side, "work", src__app_py="print('changed')\n")
    return side


def tips(project: Path) -> str:
    return git("for-each-ref", "--format=%(refname) %(objectname)", cwd=project)


def everything(project: Path) -> tuple[object, ...]:
    """All that a merge which did not happen must not have changed."""
    tree = {name: what for name, what in files(str(project)).items() if not name.startswith(".git/")}
    return tips(project), git("status", "--porcelain=v2", "--branch", cwd=project), tree


def content(project: Path, name: str) -> str:
    return git("show", f"main:{name}", cwd=project)


def test_forward_where_it_is_checked_out(project, work):
    before, after = git("rev-parse", "main", "agent", cwd=project).split()
    assert merge(str(project), "agent", "main") == Merged("main", before, after, str(project))
    assert git("rev-parse", "main", cwd=project) == after
    assert (project / "src/app.py").read_text() == "print('changed')\n"
    assert (project / "src" / ODD).read_text() == "new\n"
    assert git("status", "--porcelain", cwd=project) == ""


def test_forward_where_it_is_not(project, work):
    git("checkout", "-q", "--detach", cwd=project)
    before, after = git("rev-parse", "main", "agent", cwd=project).split()
    tree = files(str(project / "src"))
    assert merge(str(project), "agent", "main") == Merged("main", before, after, "")
    assert git("rev-parse", "main", cwd=project) == after
    assert files(str(project / "src")) == tree
    assert git("reflog", "-1", "--format=%gs", "main", cwd=project) == "magents: merge agent"


@pytest.mark.parametrize("detached", [False, True])
def test_a_real_merge(project, work, detached):
    commit(project, "meanwhile", README_md="# Changed\n")
    if detached:
        git("checkout", "-q", "--detach", cwd=project)
    before, tip = git("rev-parse", "main", "agent", cwd=project).split()
    done = merge(str(project), "agent", "main")
    assert git("rev-parse", "main^1", "main^2", cwd=project).split() == [before, tip]
    assert (done.before, done.after) == (before, git("rev-parse", "main", cwd=project))
    assert content(project, "README.md") == "# Changed"
    assert content(project, "src/app.py") == "print('changed')"
    assert git("log", "-1", "--format=%B", "main", cwd=project).strip() == "Merge branch 'agent' into main"
    assert git("status", "--porcelain", cwd=project) == ""


def test_squashed(project, work):
    commit(work, "more 'work'", b_txt="b\n")
    before = git("rev-parse", "main", cwd=project)
    done = merge(str(project), "agent", "main", squash=True)
    assert git("rev-list", "--parents", "-1", "main", cwd=project).split() == [done.after, before]
    assert git("diff", "main", "agent", cwd=project) == ""
    assert git("log", "-1", "--format=%B", "main", cwd=project).strip() == "agent\n\n* work\n* more 'work'"
    assert (project / "b.txt").read_text() == "b\n"


def test_squashed_from_a_huge_history(project):
    """The message names what fits, whatever an agent has written."""
    lines = ["feature done"]
    for number in range(MAX_TITLES + 200):
        title = f"Commit {number} {'x' * (100_000 if number == MAX_TITLES else 1)}\n"
        parent = "from refs/heads/main^0\n" if number == 0 else ""
        lines.append(f"commit refs/heads/agent\ncommitter A <a@b> 1 +0000\ndata {len(title)}\n{title}{parent}")
    run("git", "fast-import", "--quiet", cwd=project, stdin="\n".join([*lines, "done", ""]))
    git("update-ref", "refs/heads/agent", git("commit-tree", "-m", "Last", "-p", "agent", f"{work_of(project)}^{{tree}}",
                                              cwd=project), cwd=project)  # fmt: skip
    merge(str(project), "agent", "main", squash=True)
    message = git("log", "-1", "--format=%B", "main", cwd=project).strip().splitlines()
    assert message[:3] == ["agent", "", "… and 201 earlier ones"]
    assert message[3] == "* Commit 201 x" and message[-1] == "* Last"
    assert len(message) == 3 + MAX_TITLES
    assert max(map(len, message)) <= MAX_TITLE_COLUMNS + 2


def work_of(project: Path) -> str:
    """A commit with other files than the project's."""
    blob = git("hash-object", "-w", "README.md", cwd=project)
    tree = run("git", "mktree", cwd=project, stdin=f"100644 blob {blob}\tother\n").out.strip()
    return git("commit-tree", "-m", "x", tree, cwd=project)


def test_squashed_again_there_is_nothing_to_merge(project, work):
    merge(str(project), "agent", "main", squash=True)
    before = everything(project)
    done = merge(str(project), "agent", "main", squash=True)
    assert done.before == done.after
    assert everything(project) == before


def test_a_message_of_one_s_own(project, work):
    commit(project, "meanwhile", README_md="# Changed\n")
    merge(str(project), "agent", "main", message="-m # 'mine'\n\nbody")
    assert git("log", "-1", "--format=%s", "main", cwd=project) == "-m # 'mine'"


def test_a_conflict_changes_nothing(project, work):
    commit(work, "theirs", README_md="# Theirs\n")
    commit(project, "mine", src__app_py="print('mine')\n", README_md="# Mine\n")
    before = everything(project)
    with pytest.raises(Conflict) as caught:
        merge(str(project), "agent", "main")
    assert "  README.md\n  src/app.py" in caught.value.message
    assert everything(project) == before


def test_names_in_conflict_cannot_play_tricks(project, work):
    Path(project, "src", ODD).write_text("mine\n")
    commit(project, "mine")
    with pytest.raises(Conflict) as caught:
        merge(str(project), "agent", "main")
    line = caught.value.message.splitlines()[-1]
    assert line.startswith("  src/")
    assert line.isprintable()


def test_nothing_in_common(project, work):
    git("checkout", "-q", "--orphan", "alone", cwd=work)
    commit(work, "alone")
    before = everything(project)
    with pytest.raises(MagentsError):
        merge(str(project), "alone", "main")
    assert everything(project) == before


@pytest.mark.parametrize("staged", [False, True])
def test_uncommitted_changes_are_in_the_way(project, work, staged):
    (project / "README.md").write_text("mine\n")
    if staged:
        git("add", "-A", cwd=project)
    before = everything(project)
    with pytest.raises(Conflict, match=r"README\.md"):
        merge(str(project), "agent", "main")
    assert everything(project) == before


def test_untracked_files_are_not_in_the_way(project, work):
    (project / "mine.txt").write_text("mine\n")
    merge(str(project), "agent", "main")
    assert git("status", "--porcelain", cwd=project) == "?? mine.txt"


@pytest.mark.parametrize("ignored", [False, True])
def test_untracked_files_that_the_merge_brings_are_kept(project, work, ignored):
    commit(work, "one of yours", mine_txt="theirs\n")
    (project / "mine.txt").write_text("mine\n")
    if ignored:
        (project / ".git/info/exclude").write_text("mine.txt\n")
    before = everything(project)
    with pytest.raises(Conflict, match=r"mine\.txt"):
        merge(str(project), "agent", "main")
    assert everything(project) == before
    assert (project / "mine.txt").read_text() == "mine\n"


def test_in_the_middle_of_something(project, work):
    git("branch", "other", cwd=project)
    commit(project, "mine", a_txt="a\n")
    git("checkout", "-q", "other", cwd=project)
    commit(project, "other", b_txt="b\n")
    git("checkout", "-q", "main", cwd=project)
    git("merge", "-q", "--no-commit", "-s", "ours", "other", cwd=project)
    before = everything(project)
    with pytest.raises(Conflict):
        merge(str(project), "agent", "main")
    assert everything(project) == before
    assert (project / ".git/MERGE_HEAD").exists()


def test_already_merged(project, work):
    merge(str(project), "agent", "main")
    (project / "README.md").write_text("mine, uncommitted\n")
    before = everything(project)
    done = merge(str(project), "agent", "main")
    assert done.before == done.after == git("rev-parse", "agent", cwd=project)
    assert everything(project) == before


def test_someone_moves_the_branch_meanwhile(project, work):
    """A hook that git runs in between makes the race certain."""
    git("checkout", "-q", "--detach", cwd=project)
    hook = project / ".git/hooks/reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n[ $1 = prepared ] && [ ! -e .git/moved ] && : >.git/moved && exit 1\nexit 0\n")
    hook.chmod(0o755)
    before = tips(project)
    with pytest.raises(Conflict, match="meanwhile"):
        merge(str(project), "agent", "main")
    assert (project / ".git/moved").exists()
    assert tips(project) == before
    merge(str(project), "agent", "main")


@pytest.mark.parametrize(
    ("branch", "into"), [("none", "main"), ("agent", "none"), ("age", "main"), ("agent", "ma")]
)
def test_branches_there_are_not(project, work, branch, into):
    before = everything(project)
    with pytest.raises(NotFound, match="no local branch"):
        merge(str(project), branch, into)
    assert everything(project) == before


def test_a_branch_below_the_name_is_another(project, work):
    git("branch", "into/deep", cwd=project)
    git("branch", "from/deep", "agent", cwd=project)
    before = everything(project)
    for branch, into in (("agent", "into"), ("from", "main")):
        with pytest.raises(NotFound):
            merge(str(project), branch, into)
    assert everything(project) == before


@pytest.mark.parametrize("name", ["ünï/x", "it's", 'a"b', "a;b&c", "$(x)", "a'b/c|d", "+a,b=c%d"])
def test_branches_with_odd_names(project, work, name):
    git("branch", "-qm", "agent", name, cwd=work)
    git("checkout", "-q", "-b", f"{name}-into", cwd=project)
    commit(project, "meanwhile", README_md="# Changed\n")
    done = merge(str(project), name, f"{name}-into")
    assert git("rev-parse", "HEAD", cwd=project) == done.after
    assert git("log", "-1", "--format=%s", cwd=project) == f"Merge branch '{name}' into {name}-into"


def test_in_a_bare_repository(project, work):
    bare = project.parent / "bare.git"
    git("clone", "-q", "--bare", project, bare, cwd=project.parent)
    done = merge(str(bare), "agent", "main")
    assert git("rev-parse", "main", cwd=bare) == done.after == git("rev-parse", "agent", cwd=project)


def test_where_it_is_checked_out_in_a_linked_worktree(project, work):
    git("checkout", "-q", "--detach", cwd=project)
    other = project.parent / "ünï other"
    git("worktree", "add", "-q", other, "main", cwd=project)
    assert merge(str(project), "agent", "main").checkout == str(other)
    assert (other / "src/app.py").read_text() == "print('changed')\n"
    assert (project / "src/app.py").read_text() == "print('hello')\n"
