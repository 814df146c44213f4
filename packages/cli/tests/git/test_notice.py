"""What runs by itself on the side of whoever takes a change over, and the one line that says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import commit, git, run
from magents.git.trust import notice

SLEEP = ("sleep", "300")


@pytest.mark.parametrize(
    "path",
    [
        ".gitattributes", "deep/.gitattributes", ".gitmodules", ".husky/pre-commit", ".HUSKY/pre-commit",
        ".githooks/x", ".envrc", "a/.envrc", ".mise.toml", ".tool-versions", ".vscode/tasks.json",
        "a/.vscode/settings.json", ".idea/runConfigurations/x.xml", ".devcontainer/devcontainer.json",
        ".devcontainer", ".github/workflows/ci.yml", ".gitlab-ci.yml", ".circleci/config.yml", "Jenkinsfile",
        ".pre-commit-config.yaml", "lefthook.yml", ".claude/settings.json", ".mcp.json", "CLAUDE.md",
        "sub/AGENTS.md", ".cursor/rules/x.mdc", ".worktreeinclude", ".npmrc", ".yarnrc.yml", ".gitconfig",
        ".taskmaster/tasks/tasks.json", ".taskmaster/templates/magents-prompt.md",
    ],
)  # fmt: skip
def test_what_runs(path):
    assert notice.runs(path)


@pytest.mark.parametrize(
    "path",
    [
        "src/app.py", "Makefile", "setup.py", "conftest.py", "vscode/x", ".github/ISSUE_TEMPLATE/x.md", "husky/x",
        "docs/CLAUDE.md.txt", "src/.husky.py", "a/Jenkinsfile.txt", "package.json", ".huskyx/a",
    ],
)  # fmt: skip
def test_what_does_not(path):
    assert not notice.runs(path)


def blob(project: Path, text: str) -> str:
    return run("git", "hash-object", "-w", "--stdin", cwd=project, stdin=text).out.strip()


def test_a_package_json_counts_when_its_commands_change(project):
    old = blob(project, json.dumps({"name": "a", "scripts": {"test": "x"}}))
    version = blob(project, json.dumps({"scripts": {"test": "x"}, "name": "b"}))
    scripts = blob(project, json.dumps({"name": "a", "scripts": {"test": "x", "postinstall": "y"}}))
    bare, strange, deep = (blob(project, text) for text in ("{}", "[", "[" * 100_000))
    none = "0" * 40

    def told(old: str, new: str) -> bool:
        return bool(notice.of(str(project), [("web/package.json", old, new)]))

    assert not told(old, version)
    assert not told(none, bare)
    assert told(old, scripts)
    assert told(none, scripts)
    assert told(old, none)
    assert told(old, strange)
    assert told(old, deep)


def test_configured_folders_count(project):
    rows = [("tools/hooks/pre-push", "", ""), ("tools/x", "", "")]
    assert notice.of(str(project), rows, ["tools/hooks"]) == ["tools/hooks/pre-push"]


def test_the_line():
    names = [f".husky/{number}\x1b[2J\n" for number in range(8)]
    line = notice.line("x", names)
    assert line.isprintable()
    assert line.endswith(".husky/4 and 3 more")


@pytest.fixture
def agent(fleet, project):
    """An agent that changes such files, one of them not committed."""
    made = fleet.create("feature/x", "one", folder=str(project), command=SLEEP)
    (Path(made.workspace) / ".vscode").mkdir()
    (Path(made.workspace) / ".vscode/tä sks.json").write_text("{}\n")
    (Path(made.workspace) / "package.json").write_text('{"scripts": {"postinstall": "x"}}\n')
    (Path(made.workspace) / "fake.diff").write_text(
        ":000000 100644 0000000 1234567 A\t.envrc\ndiff --git a/.envrc b/.envrc\n"
    )
    commit(made.workspace, "work")
    (Path(made.workspace) / ".envrc").write_text("x\n")
    return made


def test_diff_says_so(agent, magents):
    for words in ((), ("--stat",), ("--raw",)):
        done = magents("diff", "one", *words)
        said = [line for line in done.err.splitlines() if "by itself" in line]
        assert said == [
            "warning: one changes what runs by itself on your side: .envrc, .vscode/tä sks.json, package.json"
        ]
        assert not done.out.startswith(":")
    assert magents("diff", "one", "--json").json()["runs_by_itself"] == [
        ".envrc",
        ".vscode/tä sks.json",
        "package.json",
    ]


def test_a_raw_diff_is_still_a_patch(agent, magents, project, place):
    patch = place.top / "patch"
    patch.write_text(magents("diff", "one", "--raw").out)
    git("apply", patch, cwd=project)
    assert (project / ".envrc").read_text() == "x\n"
    assert (project / "package.json").exists()


def test_a_merge_says_so_before_it_lands(agent, magents, project):
    done = magents("merge", "one", "--committed-only", "--check", "echo nothing >&2; exit 1", code=1)
    said = "one changes what runs by itself on your side: .vscode/tä sks.json, package.json"
    assert said in done.err
    assert not (project / "package.json").exists()
    done = magents("merge", "one", "--committed-only", "--json")
    assert said in done.err
    assert done.json()["runs_by_itself"] == [".vscode/tä sks.json", "package.json"]


def test_nothing_is_said_of_what_does_not(fleet, project, magents):
    made = fleet.create("feature/x", "one", folder=str(project), command=SLEEP)
    commit(made.workspace, "work", src__app_py="changed\n")
    assert magents("diff", "one").err == ""
    assert "by itself" not in magents("merge", "one").err
