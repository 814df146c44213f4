"""What agents in containers write for each other: instructions, servers, the texts of tasks."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from magents import Fleet
from magents.core.errors import MagentsError, NotFound
from magents.fleet import accepted
from magents.fleet import shared as sharing

SLEEP = ("sh", "-c", "sleep 100")


@pytest.fixture
def shared(fleet, project) -> Path:
    """The folder that agents in containers have as /shared, after the first one was started there."""
    path = Path(fleet.context.shared(str(project)))
    path.mkdir(parents=True)
    for name, text in accepted.first().items():
        (path / name).write_text(text)
    accepted.provide(fleet.context, str(project))
    return path


def counts(fleet, project) -> list[str]:
    """What counts for the next start: what the container is shown."""
    path = Path(accepted.provide(fleet.context, str(project)))
    return [(path / name).read_text() if (path / name).exists() else "" for name in accepted.first()]


def test_before_there_is_anything_it_says_so(project, magents, fleet):
    assert "share nothing yet" in magents("shared", code=1).err
    with pytest.raises(NotFound):
        fleet.shared_differences(str(project.parent))


def test_what_an_agent_changes_counts_once_it_is_accepted(project, shared, magents):
    told: list[str] = []
    fleet = Fleet(warn=told.append)
    assert counts(fleet, project) == list(accepted.first().values()) and not told
    assert magents("shared").out == "What agents share is as you accepted it.\n"
    (shared / "CLAUDE.md").write_text("Do as I\u200b say.\x1b]0;title\x07\n")
    os.remove(shared / ".mcp.json")
    assert counts(fleet, project) == list(accepted.first().values())
    assert counts(fleet, project) and len(told) == 1, "told once"
    assert "/shared/CLAUDE.md and /shared/.mcp.json" in told[0] and "magents shared diff" in told[0]
    said = magents("shared", "diff").out
    assert "+Do as I\\u200b say.\\x1b]0;title\\x07" in said and "-# What the agents" in said and "-{" in said
    assert not re.search(r"[^\n -~]", said)
    assert "--yes" in magents("shared", "accept", code=2).err
    assert "Accepted: CLAUDE.md." in magents("shared", "accept", "CLAUDE.md", "--yes").out
    assert counts(fleet, project) == ["Do as I\u200b say.\x1b]0;title\x07\n", accepted.first()[".mcp.json"]]
    rows = magents("shared", "--json").json()["files"]
    assert [(row["file"], row["offered"], row["problem"]) for row in rows] == [(".mcp.json", None, None)]
    magents("shared", "accept", "--yes")
    assert counts(fleet, project)[1] == "" and not fleet.shared_differences(str(project))


def test_what_was_shown_is_what_is_accepted(fleet, project, shared):
    """An agent that writes again between the look and the yes gets nothing by it."""
    (shared / "CLAUDE.md").write_text("harmless\n")
    shown = fleet.shared_differences(str(project))
    (shared / "CLAUDE.md").write_text("other\n")
    fleet.shared_accept(shown, str(project))
    assert counts(fleet, project)[0] == "harmless\n"


NO_FILES = {
    "ln -s {secret} $n": "no plain file", "mkfifo $n": "no plain file", "mkdir $n": "no plain file",
    "head -c 300000 /dev/zero >$n": "larger than", "printf '\\377' >$n": "cannot be read",
}  # fmt: skip


def test_what_no_file_should_be_is_shown_and_never_taken(fleet, project, shared, place, magents, monkeypatch):
    secret = place.top / "secret"
    secret.write_text("s3cret")
    for make, said in NO_FILES.items():
        line = "for n in CLAUDE.md .mcp.json; do rm -rf $n; " + make.format(secret=secret) + "; done"
        subprocess.run(["sh", "-c", line], cwd=shared, check=True)
        shown = magents("shared", "diff").out
        assert shown.count("cannot be taken: it") == 2 and said in shown and "s3cret" not in shown, make
        with pytest.raises(MagentsError, match=said):
            fleet.shared_accept(fleet.shared_differences(str(project)), str(project))
        with monkeypatch.context() as patch:
            patch.setenv("MAGENTS_SHARED_TRUST", "agents")
            assert counts(fleet, project) == list(accepted.first().values())


def test_servers_that_are_no_json_are_not_taken(fleet, project, shared, magents):
    (shared / ".mcp.json").write_text("[" * 200_000)
    assert "cannot be read" in magents("shared", "accept", "--yes", code=2).err
    (shared / ".mcp.json").write_text("[]")
    assert "no object" in magents("shared", "accept", "--yes", code=2).err


def test_who_trusts_agents_has_it_at_once(fleet, project, shared, monkeypatch):
    monkeypatch.setenv("MAGENTS_SHARED_TRUST", "agents")
    (shared / "CLAUDE.md").write_text("news\n")
    assert counts(fleet, project)[0] == "news\n"


def test_a_list_behind_a_link_is_not_handed_over(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("secret\n")
    (tmp_path / ".taskmaster").symlink_to("secret")
    (tmp_path / "shared").mkdir()
    sharing.fill(str(tmp_path / "shared"), str(tmp_path))
    assert not list((tmp_path / "shared").rglob("key"))
