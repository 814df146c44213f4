"""The settings' file: what people write by hand is understood, and survives a rewrite byte for byte."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from conftest import git, unprivileged
from magents import config, runtimes
from magents.config import Config, assign
from magents.config.file import quote, unquote
from magents.core.errors import MagentsError, UsageError

VALUES = st.text(st.characters(exclude_categories=[])) | st.text("a '\"#=\\\t$\r\n\x0b\u2028", max_size=12)


@pytest.fixture
def file(place) -> Path:
    return place.home / ".magents-config"


@given(VALUES)
@example("a # b")
@example("'")
@example("'a' #")
@example('"a"')
def test_quote_and_unquote(value):
    assume("\n" not in value)
    value = value.strip()
    try:
        quoted = quote(value)
    except UsageError:
        assert "'" in value
        assert '"' in value
    else:
        assert unquote(quoted) == value
        assert unquote(f"  {quoted}  # a comment") == value or quoted == value


@given(VALUES)
def test_what_is_set_is_read_back(value):
    try:
        lines = assign(["# mine\n"], "SETUP", value)
    except UsageError:
        return
    again = Config(io.StringIO("".join(lines), newline=""))  # as a file would be read
    assert again["SETUP"] == value.strip()
    assert again.problems == []


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("SETUP=make", "make"), ("  SETUP = make  ", "make"), ("export SETUP=make", "make"), ("SETUP='a # b'", "a # b"),
        ('SETUP="make" # why', "make"), ("SETUP=make # why", "make"), ("SETUP=a#b", "a#b"), ("SETUP=", ""), ("SETUP=''", ""),
        ("SETUP=a=b", "a=b"), ("SETUP=echo 'x' 'y'", "echo 'x' 'y'"), ("SETUP='x' 'y'", "'x' 'y'"), ("SETUP=make\r", "make"),
    ],
)  # fmt: skip
def test_what_people_write(line, value):
    found = Config([line + "\n"])
    assert found["SETUP"] == value
    assert found.problems == []


def test_where_a_value_came_from():
    lines = ["AGENT=codex\n", "# no\n", "BASE=dev\n", "AGENT=aider\n", "DOCKER_ENABLED=Yes\n"]
    env = {"MAGENTS_BASE": "release", "AGENT": "no"}
    found = Config(lines, env, {"setup": "make", "agent": "gemini", "docker_enabled": "true", "other": "x"})
    shown = {key: (value.value, value.source) for key, value in found.values.items()}
    assert shown == {
        "AGENT": ("gemini", "git config"),  # between the file, whose last line counts, and the environment
        "AUTO_ACCEPT": ("docker", "default"),
        "BASE": ("release", "environment"),
        "WORKSPACES": ("", "default"),
        "SETUP": ("make", "git config"),
        "MODE": ("", "default"),
        "DOCKER_ENABLED": ("true", "~/.magents-config:5"),
        "DOCKER_IMAGE": ("magents/agent:latest", "default"),
        "DOCKER_NETWORK": ("", "default"),
        "DOCKER_MEMORY": ("4g", "default"),
        "DOCKER_CPUS": ("", "default"),
        "DOCKER_PIDS_LIMIT": ("2048", "default"),
        "DOCKER_OPTIONS": ("", "default"),
        "SHARED_TRUST": ("ask", "default"),
        "API_KEYS": ("", "default"),
        "COLLECT_LIMIT": ("2g", "default"),
        "MAX_AGENTS": ("4", "default"),
        "CHECK_TIMEOUT": ("3600", "default"),
        "SILENCE_TIMEOUT": ("900", "default"),
    }
    assert found.flag("DOCKER_ENABLED")
    assert found.problems == []


def test_the_last_line_wins_and_the_environment_over_all():
    lines = ["AGENT=codex\n", "AGENT=aider\n"]
    assert Config(lines).values["AGENT"][1:] == ("aider", "~/.magents-config:2")
    assert Config(lines, {"MAGENTS_AGENT": "gemini"}, {"agent": "x"}).values["AGENT"][1:] == (
        "gemini",
        "environment",
    )


def test_problems_are_named_with_their_line():
    lines = [
        "\n",
        "nonsense\n",
        "COLOUR=red\n",
        "AGENT=codex\n",
        "AGENT=\n",
        "AUTO_ACCEPT=maybe\n",
        "DOCKER_IMAGE=a b\n",
    ]
    found = Config(lines, {"MAGENTS_DOCKER_ENABLED": "perhaps"}, {"agent": " "})
    assert [problem.split(": ", 1)[0] for problem in found.problems] == [
        "~/.magents-config:2", "~/.magents-config:3", "~/.magents-config:5", "~/.magents-config:6", "~/.magents-config:7",
        "git config", "environment",
    ]  # fmt: skip
    assert "unknown key `COLOUR`" in found.problems[1]
    assert "one of never, docker, always, not `maybe`" in found.problems[3]
    assert found["AGENT"] == "codex"
    assert found["AUTO_ACCEPT"] == "docker"


ALIEN = st.sampled_from(
    [
        "# a comment\n",
        "\n",
        "  \t\n",
        "FUTURE=1 # mine\n",
        "nonsense\n",
        "BASE = x  \n",
        "BASE=last\r\n",
        "\udcff\udcfe=\n",
        "export X=1\n",
    ]
)


@given(
    st.lists(ALIEN, max_size=8),
    st.sampled_from(["SETUP", "BASE", "AGENT"]),
    st.sampled_from(["x", "a # b"]),
    st.booleans(),
)
def test_a_change_leaves_every_other_line_as_it_is(lines, key, value, ended):
    if lines and not ended:
        lines[-1] = lines[-1].rstrip("\r\n") or " "
    after = assign(lines, key, value)
    assert Config(after)[key] == value
    places = [i for i, line in enumerate(lines) if line.lstrip().startswith(key)]
    if places:
        assert len(after) == len(lines)
        assert [i for i in range(len(lines)) if after[i] != lines[i]] in ([places[-1]], [])
    else:
        old = "".join(lines)
        assert "".join(after[:-1]) == (old if not old or old.endswith("\n") else old + "\n")


def test_a_new_file_begins_with_what_everyone_needs(file):
    assert config.save({"AGENT": "codex"}) == str(file)
    assert file.read_text().splitlines()[1:] == [
        "DOCKER_ENABLED=false",
        "DOCKER_IMAGE=magents/agent:latest",
        "AGENT=codex",
    ]
    assert file.stat().st_mode & 0o777 == 0o600
    assert config.load().problems == []


def test_a_rewrite_keeps_all_other_bytes(file):
    before = b"# \xff mine\r\n\r\nFUTURE = 'x' \r\nAGENT=codex\r\nBASE=old\n\tSETUP=y\x0b\n\x85 no line end"
    file.write_bytes(before)
    config.save({"BASE": "new"})
    assert file.read_bytes() == before.replace(b"BASE=old", b"BASE=new")
    config.save({"DOCKER_ENABLED": "on"})
    assert file.read_bytes() == before.replace(b"BASE=old", b"BASE=new") + b"\nDOCKER_ENABLED=true\n"


def test_all_changes_or_none(file):
    file.write_text("AGENT=codex\n")
    for bad in (
        {"AUTO_ACCEPT": "maybe"},
        {"COLOUR": "red"},
        {"BASE": "a\nb"},
        {"BASE": "a\rAGENT=evil"},
        {"AGENT": " "},
    ):
        with pytest.raises(UsageError):
            config.save({"SETUP": "make", **bad})
        assert file.read_text() == "AGENT=codex\n"
    assert os.listdir(file.parent) == [file.name]


def test_permissions_and_a_link_stay(file, place):
    real = place.top / "dotfiles" / "config"
    real.parent.mkdir()
    real.write_text("AGENT=codex\n")
    real.chmod(0o640)
    file.symlink_to("../dotfiles/config")
    config.save({"AGENT": "aider"})
    assert file.is_symlink()
    assert real.read_text() == "AGENT=aider\n"
    assert real.stat().st_mode & 0o777 == 0o640
    assert os.listdir(real.parent) == ["config"]


def test_a_file_that_cannot_be_written_stays(file):
    file.write_text("AGENT=codex\n")
    file.parent.chmod(0o555)
    script = "from magents import config; config.save({'AGENT': 'aider'})"
    argv = unprivileged(sys.executable, "-c", script)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    file.parent.chmod(0o755)
    assert done.returncode == 1
    assert "MagentsError: " in done.stderr
    assert "cannot be written" in done.stderr
    assert file.read_text() == "AGENT=codex\n"
    assert os.listdir(file.parent) == [file.name]


def test_a_file_that_cannot_be_read_is_an_error(file):
    file.mkdir()
    with pytest.raises(MagentsError, match="cannot be read"):
        config.load()


def test_load(file, project, monkeypatch):
    file.write_text("AGENT=codex\nBASE=dev\nSETUP=x\n")
    git("config", "magents.base", "release", cwd=project)
    monkeypatch.setenv("MAGENTS_SETUP", "make")
    monkeypatch.chdir(project)
    found = config.load({"base": git("config", "magents.base", cwd=project)})
    assert [found.values[key][1:] for key in ("AGENT", "BASE", "SETUP")] == [
        ("codex", "~/.magents-config:1"), ("release", "git config"), ("make", "environment"),
    ]  # fmt: skip


@pytest.mark.parametrize(("image", "good"), [
    ("magents/agent:latest", True), ("ghcr.io/o/a_b@sha256:0123", True), ("localhost:5000/x", True),
    ("", False), ("--privileged", False), ("a b", False), ("A", False), ("a$(x)", False), ("a\n", True), ("a/", False),
])  # fmt: skip
def test_images(image, good):
    try:
        assert config.check("DOCKER_IMAGE", image.strip()) == image.strip()
    except UsageError:
        assert not good
    else:
        assert good


def test_the_defaults_are_valid():
    for key, setting in config.known().items():
        assert config.check(key, setting.default) == setting.default


@pytest.mark.parametrize(("lines", "env", "mode"), [
    ([], {}, "tmux"),
    (["DOCKER_ENABLED=true\n"], {}, "docker"),
    (["MODE=docker\n"], {}, "docker"),
    (["MODE=tmux\n", "DOCKER_ENABLED=true\n"], {}, "tmux"),
    (["MODE=cluster\n"], {}, "cluster"),
    (["MODE=tmux\n"], {"MAGENTS_DOCKER_ENABLED": "true"}, "docker"),  # meant for this one command
    (["MODE=docker\n"], {"MAGENTS_DOCKER_ENABLED": "false"}, "tmux"),
    ([], {"MAGENTS_MODE": "docker", "MAGENTS_DOCKER_ENABLED": "false"}, "docker"),
    (["DOCKER_ENABLED=true\n"], {"MAGENTS_MODE": "tmux"}, "tmux"),
])  # fmt: skip
def test_the_mode_of_new_agents(lines, env, mode):
    assert runtimes.mode(Config(lines, env)) == mode
