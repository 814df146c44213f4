"""What an agent in a container brings acts on this side only after the user's yes: hooks, set-up, what comes along."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import commit, git

from .conftest import Box

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("agents")]

BRANCH = "feature/x"


@pytest.fixture
def canary(place) -> Path:
    """Where a planted command leaves its mark; no container has this folder."""
    return place.top / "canary"


@pytest.fixture
def agent(docker_mode, project, magents, unique, fleet):
    """An agent in a container, in a project that keeps its hooks in the tree and has a secret of its own."""
    (project / ".gitignore").write_text("*.secret\n*.local\n")
    (project / ".worktreeinclude").write_text("*.local\n")
    (project / "scripts").mkdir()
    (project / "scripts/setup.sh").write_text("echo set up >set-up.local\n")
    commit(project, "mine")
    git("config", "core.hooksPath", ".husky", cwd=project)
    git("config", "magents.setup", "sh scripts/setup.sh", cwd=project)
    (project / "my.secret").write_text("secret\n")
    (project / "my.local").write_text("local\n")
    magents("create", BRANCH, f"brought{unique}", "--docker", "--", "sleep", "1000")
    return fleet.find(f"brought{unique}")


@pytest.fixture
def box(agent) -> Box:
    return Box(f"magents-{agent.id}")


def plant(box: Box, canary: Path) -> None:
    """Hooks, a set-up script and patterns of the agent's own, committed; a hook more that is not."""
    mark = f"printf '#!/bin/sh\\ntouch {canary} 2>/dev/null || :\\n'"
    box.sh(
        "mkdir -p .husky; for name in post-checkout post-merge post-index-change reference-transaction; "
        f"do {mark} >.husky/$name; chmod +x .husky/$name; done; {mark} >scripts/setup.sh;"
        "echo '*.secret' >>.worktreeinclude; git add -A; git -c core.hooksPath=/dev/null commit -qm Planted;"
        f"{mark} >.husky/post-commit; chmod +x .husky/post-commit"
    )


def test_nothing_of_it_acts_until_it_is_accepted(agent, box, canary, magents, project, place, unique):
    assert box.sh("ls *.local").split() == ["my.local", "set-up.local"]
    plant(box, canary)
    # Another on its branch on this side, while nothing is merged.
    magents("stop", agent.id)
    moved = magents("create", BRANCH, f"moved{unique}", "--tmux", "--", "sleep", "1000")
    assert f"set-up command was not run: {BRANCH} came from {agent.id}" in moved.err
    assert "no git hook is run" in moved.err
    workspace = place.top / "project-agents" / f"moved{unique}"
    assert (workspace / ".husky/post-commit").exists(), "its uncommitted work came along"
    assert not (workspace / "my.secret").exists()
    done = magents("merge", f"moved{unique}", "--commit", "The rest")
    assert "changes what runs by itself on your side: .husky/post-checkout" in done.err
    assert "and 1 more" in done.err
    assert "(moved" not in done.err, "whose they are does not change with who merges them"
    assert not canary.exists()
    # Merged: the next agents get what the user's own list names.
    for mode in ("--docker", "--tmux"):
        made = magents("create", f"next{mode}", f"next{mode[1:]}{unique}", mode, "--", "sleep", "1000")
        assert f".worktreeinclude is used as it was before {agent.id} changed it" in made.err
        folder = place.top / "project-agents" / f"next{mode[1:]}{unique}"
        assert (folder / "my.local").exists()
        assert not (folder / "my.secret").exists()
        assert ("no git hook is run" in made.err) == (mode == "--tmux")
        assert ("set-up command was not run" in made.err) == (mode == "--tmux")
    assert not canary.exists()
    # What waits is listed, shown, and accepted one by one.
    listed = magents("trust").out
    rows = {row["path"]: row for row in magents("trust", "--json").json()["files"]}
    assert {".husky/post-checkout", ".husky/post-commit", ".worktreeinclude", "scripts/setup.sh"} <= rows.keys()
    assert all(path in listed for path in rows)
    assert "+*.secret" in magents("trust", "--diff", ".worktreeinclude").out
    magents("trust", f".worktreeinclude@{rows['.worktreeinclude']['content'][:10]}")
    made = magents("create", "last", f"last{unique}", "--docker", "--", "sleep", "1000")
    assert "worktreeinclude" not in made.err
    assert (place.top / "project-agents" / f"last{unique}" / "my.secret").exists()
    assert not canary.exists()
    magents("trust", "--all")
    assert magents("trust").out == "Nothing waits for your yes.\n"
    magents("create", "end", f"end{unique}", "--tmux", "--", "sleep", "1000")
    assert canary.exists(), "accepted, it runs: the traps work"


def test_a_clone_is_made_without_hooks(agent, box, canary, magents, project, place, unique):
    """The user's own relative folder of hooks would be the branch's."""
    git("config", "--unset", "core.hooksPath", cwd=project)
    git("config", "--global", "core.hooksPath", ".husky", cwd=project)
    plant(box, canary)
    magents("stop", agent.id, "--remove-worktree")
    magents("create", BRANCH, f"again{unique}", "--docker", "--", "sleep", "1000")
    assert not canary.exists()


def test_patterns_that_are_a_link(agent, box, magents, project, place, unique):
    outside = place.top / "outside.txt"
    outside.write_text("*.secret\n")
    box.sh(f"ln -sf {outside} .worktreeinclude; git add -A; git commit -qm Link")
    magents("merge", agent.id)
    assert (project / ".worktreeinclude").is_symlink()
    made = magents("create", "next", f"next{unique}", "--docker", "--", "sleep", "1000")
    assert ".worktreeinclude is no plain file" in made.err
    assert not (place.top / "project-agents" / f"next{unique}" / "my.secret").exists()
    magents("stop", f"next{unique}", "--remove-worktree")
