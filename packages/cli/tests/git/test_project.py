"""Which project a folder lies in, whatever layout it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import commit, git, make_project
from magents.core.errors import Conflict, NotFound
from magents.git import project as projects
from magents.git.plumbing import refs
from magents.git.project import Branch, locate
from magents.git.workspaces import borrow


def look_up(found: projects.Project, branch: str) -> Branch:
    with projects.Asked(found.here, branch) as asked:
        same, known = asked.result()
    assert same.path == found.path
    return known


@pytest.fixture
def top(place) -> Path:
    return place.top


def test_main_tree(project):
    found = locate(str(project))
    assert found == projects.Project(
        str(project),
        str(project / ".git"),
        False,
        str(project),
        "main",
        git("rev-parse", "HEAD", cwd=project),
        {},
        "",
    )
    assert (found.name, found.beside) == ("project", str(project.parent))


def test_subfolder_is_the_same_project(project):
    assert locate(str(project / "src")) == locate(str(project))


def test_inside_git_is_the_same_project(project):
    assert locate(str(project / ".git" / "refs")) == locate(str(project))


def test_linked_worktree(project, top):
    git("worktree", "add", "-q", "-b", "side", top / "linked", cwd=project)
    tip = commit(top / "linked", "more", new="x")
    (top / "linked" / "deep").mkdir()
    for folder in (top / "linked", top / "linked" / "deep"):
        found = locate(str(folder))
        assert found == locate(str(project))._replace(here=str(top / "linked"), head="side", commit=tip)


def test_from_git_s_own_folder_of_a_linked_worktree(project, top):
    git("worktree", "add", "-q", "-b", "side", top / "linked", cwd=project)
    assert locate(str(project / ".git" / "worktrees" / "linked")).path == str(project)


def test_bare_repository(project, top):
    git("clone", "-q", "--bare", project, top / "store.git", cwd=top)
    found = locate(str(top / "store.git"))
    assert (found.path, found.common, found.bare) == (str(top / "store.git"), str(top / "store.git"), True)
    assert (found.name, found.beside, found.head) == ("store", str(top), "main")
    git("worktree", "add", "-q", top / "tree", "main", cwd=top / "store.git")
    assert locate(str(top / "tree")) == found._replace(here=str(top / "tree"))


def test_bare_folder_with_worktrees_beside(project, top):
    hub = top / "hub"
    git("clone", "-q", "--bare", project, hub / ".bare", cwd=top)
    (hub / ".git").write_text("gitdir: ./.bare\n")
    git("worktree", "add", "-q", "main", cwd=hub)
    for folder in (hub, hub / ".bare"):
        found = locate(str(folder))
        assert (found.path, found.bare, found.here) == (str(hub / ".bare"), True, str(hub / ".bare"))
        assert (found.name, found.beside) == ("hub", str(top))
    inner = locate(str(hub / "main"))
    assert (inner.path, inner.bare, inner.here) == (str(hub / ".bare"), True, str(hub / "main"))


def test_bare_dot_git_with_worktrees_inside(project, top):
    hub = top / "hub"
    git("clone", "-q", "--bare", project, hub / ".git", cwd=top)
    git("worktree", "add", "-q", "main", cwd=hub)
    found = locate(str(hub / "main"))
    assert (found.path, found.bare, found.name, found.beside) == (str(hub / ".git"), True, "hub", str(top))


def test_git_folder_elsewhere(project, top):
    git("init", "-q", "-b", "main", "--separate-git-dir", top / "far.git", top / "near", cwd=top)
    commit(top / "near", a="1")
    found = locate(str(top / "near"))
    assert (found.path, found.common, found.bare) == (str(top / "near"), str(top / "far.git"), False)


def test_submodule_is_a_project_of_its_own(project, top):
    make_project(top / "lib")
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", top / "lib", "sub", cwd=project)
    found = locate(str(project / "sub"))
    assert (found.path, found.common) == (str(project / "sub"), str(project / ".git/modules/sub"))
    assert (found.name, found.bare) == ("sub", False)
    # A container has the objects at this path, and nothing else on the way: `sub/../.git` would lead nowhere there.
    assert borrow.borrowed(found.path) == [str(project / ".git/modules/sub/objects")]


def test_empty_repository(top):
    git("init", "-q", "-b", "trunk", "empty", cwd=top)
    found = locate(str(top / "empty"))
    assert (found.path, found.head, found.commit, found.bare) == (str(top / "empty"), "trunk", "", False)


def test_empty_bare_repository(top):
    git("init", "-q", "--bare", "-b", "trunk", "empty.git", cwd=top)
    found = locate(str(top / "empty.git"))
    assert (found.path, found.head, found.commit, found.bare) == (str(top / "empty.git"), "trunk", "", True)


def test_detached_head(project):
    git("checkout", "-q", "--detach", cwd=project)
    found = locate(str(project))
    assert (found.head, found.commit) == ("", git("rev-parse", "main", cwd=project))


@pytest.mark.parametrize(
    "name", ["with space", "ünï", "quo'te\"", "-dash", "tab\tand\x0bmore", "next\u2028line", "$HOME `x`"]
)
def test_odd_paths(top, name):
    made = make_project(top / "in" / name)
    assert locate(str(made / "src")).path == str(made)
    git("worktree", "add", "-q", "-b", "side", top / "side" / name, cwd=made)
    found = locate(str(top / "side" / name))
    assert (found.path, found.here, found.head) == (str(made), str(top / "side" / name), "side")
    assert look_up(found, "side").checked_out == str(top / "side" / name)


def test_a_link_leads_to_the_same_project(project, top):
    (top / "link").symlink_to(project)
    assert locate(str(top / "link")) == locate(str(project))


def test_outside_of_any(top):
    with pytest.raises(NotFound, match="not in a git repository"):
        locate(str(top))


def test_folder_that_is_not_there(top):
    with pytest.raises(NotFound):
        locate(str(top / "none"))


def test_settings(project):
    git("config", "magents.setup", "make it\nall", cwd=project)
    git("config", "magents.AGENT", "codex", cwd=project)
    git("config", "other.agent", "no", cwd=project)
    assert locate(str(project)).settings == {"setup": "make it\nall", "agent": "codex"}


def test_look_up(project, top):
    git("clone", "-q", project, "copy", cwd=top)
    tip = git("rev-parse", "HEAD", cwd=project)
    for name in ("near", "far", "near/not", "x-near"):
        git("branch", name if name != "near/not" else "nearer", cwd=project)
    git("fetch", "-q", cwd=top / "copy")
    git("remote", "rename", "origin", "one", cwd=top / "copy")
    git("branch", "near", cwd=top / "copy")
    found = locate(str(top / "copy"))
    assert look_up(found, "near") == Branch(tip, "", {"one/near": tip})
    assert look_up(found, "far") == Branch("", "", {"one/far": tip})
    assert look_up(found, "main") == Branch(tip, str(top / "copy"), {"one/main": tip})
    assert look_up(found, "none") == Branch("", "", {})


def test_a_branch_below_the_name_is_another(project):
    git("branch", "feature/deep", cwd=project)
    found = locate(str(project))
    assert look_up(found, "feature") == Branch("", "", {})


def test_names_of_commits(project):
    found = locate(str(project))
    assert projects.commit_of(found, "main") == found.commit
    assert projects.commit_of(found, found.commit[:8]) == found.commit
    for name in ("none", "--all", "main:README.md", "", "main..main"):
        with pytest.raises(NotFound):
            projects.commit_of(found, name)


def test_names_of_bases(project):
    git("update-ref", "refs/remotes/origin/far", "main", cwd=project)
    git("tag", "v1", cwd=project)
    found = locate(str(project))
    named = {
        name: projects.base_name(found, name) for name in ("main", "origin/far", "v1", found.commit, "HEAD", "none")
    }
    assert named == {
        "main": "main",
        "origin/far": "origin/far",
        "v1": "",
        found.commit: "",
        "HEAD": "main",
        "none": "",
    }


def test_check_free(project):
    found = locate(str(project))
    with pytest.raises(Conflict, match="checked out at"):
        projects.check_free("main", look_up(found, "main"))
    projects.check_free("new", look_up(found, "new"))


def test_a_name_of_several_lines_for_python(project):
    git("branch", "a\u2028b", cwd=project)
    assert list(refs(str(project), "refs/heads")) == ["refs/heads/a\u2028b", "refs/heads/main"]
