"""The command line as users and scripts meet it: help, exit codes, JSON, completion, what reaches a terminal."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import commit, git, until
from magents.cli.parser import COMMANDS

SLEEP = ("--", "sleep", "300")
SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture
def agents(project, magents):
    """Two agents that sleep."""
    magents("create", "feature/one", *SLEEP)
    magents("create", "feature/two", *SLEEP)


def normal(text: str, place) -> str:
    """Output without what differs from run to run."""
    text = text.replace(str(place.top), "TOP").replace(sys.executable, "PYTHON")
    text = re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", text)
    text = re.sub(r"\b\d{8}T\d{6}\.\d{3}Z\b", "TIME", text)
    return re.sub(r"\b\d{10}\.\d+\b", "0.0", text)


def compare(name: str, text: str) -> None:
    """With what was kept; `rm` the file to keep anew."""
    path = SNAPSHOTS / name
    if not path.exists():
        SNAPSHOTS.mkdir(exist_ok=True)
        path.write_text(text)
        pytest.fail(f"{path} was not there and has been written: read it, then commit it")
    assert text == path.read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name, magents):
    said = magents(name, "--help").out
    assert said.startswith(f"usage: magents {name}")


def test_help_of_a_command(magents):
    assert magents("help", "create").out == magents("create", "--help").out


def test_nothing_typed_is_help_with_examples(magents):
    said = magents().out
    assert said == magents("--help").out
    assert "Examples:" in said
    assert all(name in said for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["nope"], 2, "no command `nope`"),
        (["create"], 2, "BRANCH"),
        (["create", "a..b"], 2, "cannot be a branch"),
        (["create", "-x"], 2, "BRANCH"),
        (["create", "a", "../b"], 2, "cannot be an id"),
        (["create", "a", "--agent", "nope"], 1, "no harness `nope`"),
        (["create", "a", "--env", "1x"], 2, "K=V"),
        (["attach", "x"], 1, "no agent `x`"),
        (["send", "x", "hi"], 1, "no agent `x`"),
        (["cleanup", "--nope"], 2, "--nope"),
        (["wait", "x", "--timeout", "soon"], 2, "--timeout"),
        (["list", "--watch", "--json"], 2, "--watch"),
        (["restore", "x"], 1, "no removed agent `x`"),
        (["merge", "x", "--check", ""], 2, "--check"),
        (["task-agents", "--watch", "--auto-merge", "--check", " "], 2, "--check"),
        (["config", "--get", "NOPE"], 2, "NOPE"),
        (["config", "--set", "AUTO_ACCEPT=maybe"], 2, "must be one of"),
    ],
)
def test_exit_codes_and_errors(words, code, error, project, magents):
    done = magents(*words, code=code)
    assert error in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


def test_outside_of_a_project(place, magents):
    done = magents("create", "a", *SLEEP, code=1)
    assert "not in a git repository" in done.err
    assert "git init" in done.err


def test_ids_by_prefix(agents, magents):
    assert "fits several" in magents("stop", "feature", code=1).err
    assert "Stopped feature-two" in magents("stop", "feature-t").out
    assert magents("stop", "feature-two").code == 0


def test_json_is_stable(agents, project, place, magents):
    work = place.top / "project-agents" / "feature-one"
    commit(work, "done", new_txt="new\n")
    said = {
        "create": magents("create", "three", "--json", *SLEEP).out,
        "create --dry-run": magents("create", "four", "--dry-run", "--json", *SLEEP).out,
        "list": magents("list", "--json").out,
        "list --long": magents("list", "--long", "--json").out,
        "send": magents("send", "three", "hello", "--json").out,
        "logs": magents("logs", "feature-two", "--json").out,
        "wait": magents("wait", "three", "--timeout", "0.1", "--json", code=124).out,
        "diff": magents("diff", "feature-one", "--json").out,
        "conflicts": magents("conflicts", "--json").out,
        "merge": magents("merge", "feature-one", "--json").out,
        "stop": magents("stop", "three", "--json").out,
        "stop --remove-worktree": magents("stop", "feature-one", "--remove-worktree", "--json").out,
        "list --removed": magents("list", "--removed", "--json").out,
        "restore": magents("restore", "feature-one", "--json").out,
        "start": magents("start", "feature-one", "--json").out,
        "cleanup": magents("cleanup", "--yes", "--json").out,
        "config": magents("config", "--json").out,
        "config --get": magents("config", "--get", "AGENT", "--json").out,
        "config --set": magents("config", "--set", "BASE=main", "--json").out,
    }
    texts = [
        f"$ magents {name}\n{normal(json.dumps(json.loads(text), indent=2), place)}\n"
        for name, text in said.items()
    ]
    compare("json.txt", "\n".join(texts))


def test_doctor_tells_by_its_exit_code(place, magents, monkeypatch):
    found = json.loads(magents("doctor", "--json", code=None).out)["findings"]
    assert {"git", "tmux", "store", "configuration", "disk"} <= {f["about"] for f in found}
    needed = [f for f in found if not f["ok"] and f["needed"]]
    assert magents("doctor", code=None).code == (1 if needed else 0)
    magents("config", "--set", "AGENT=command")
    assert magents("doctor", code=None).code in (0, 1)
    programs = place.top / "few"
    programs.mkdir()
    for name in ("git", "sh"):
        (programs / name).symlink_to(Path(subprocess.check_output(["which", name], text=True).strip()))
    without = magents("doctor", code=1, PATH=str(programs)).out
    assert "tmux is not installed" in without
    assert "apt-get install tmux" in without


def test_doctor_of_a_store_that_cannot_be_read(place, magents):
    place.state.mkdir(parents=True)
    (place.state / "magents.db").write_text("not a database" * 1000)
    told = magents("doctor", code=1)
    assert "!!  store: " in told.out and "disk: " in told.out
    assert told.err == ""


def test_wait_tells_by_its_exit_code(project, magents):
    magents("create", "quick", "--", "true")
    magents("create", "bad", "--", "false")
    magents("create", "long", *SLEEP)
    assert magents("wait", "quick").code == 0
    assert "exit code 1" in magents("wait", "bad", code=1).out
    assert "not all were done" in magents("wait", "long", "--timeout", "0.3s", code=124).err
    assert magents("wait", "quick", "bad", "--for", "stopped").code == 0


def test_cleanup_asks(agents, magents):
    assert "--yes" in magents("cleanup", code=2).err
    assert magents("cleanup", "--yes").out.count("Stopped") == 2
    assert "No agent to stop" in magents("cleanup", "--yes").out


def test_settings_from_file_and_environment(place, project, magents):
    file = place.home / ".magents-config"
    file.write_text("# mine\nAGENT=codex\nNOPE=1\nAGENT=gemini\nAUTO_ACCEPT=sometimes\n")
    assert magents("config", "--get", "AGENT").out == "gemini\n"
    assert magents("config", "--get", "AGENT", MAGENTS_AGENT="aider").out == "aider\n"
    done = magents("config", code=1)
    assert "~/.magents-config:3: unknown key `NOPE`" in done.err
    assert "~/.magents-config:5" in done.err
    magents("config", "--docker")
    # Of this test no engine can be reached; where Docker is not installed, its program is what is missed.
    missed = "The program `docker` was not found" if shutil.which("docker") is None else "engine does not answer"
    assert missed in magents("create", "a", *SLEEP, code=1).err
    magents("config", "--no-docker", "--json")
    assert file.read_text().startswith("# mine\nAGENT=codex\nNOPE=1\nAGENT=gemini\nAUTO_ACCEPT=sometimes\n")


def test_a_harness_there_is_not(place, project, magents):
    assert "not `clod`" in magents("config", "--set", "AGENT=clod", code=2).err
    file = place.home / ".magents-config"
    assert not file.exists()
    file.write_text("\nAGENT=clod\n")
    assert "AGENT=clod (~/.magents-config:2) is no harness" in magents("create", "new", code=1).err
    assert magents("config", "--json", MAGENTS_AGENT="gemini").code == 0


EVIL = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\x9b5mblink\x90q\x9c\u202eend"


def test_control_sequences_stay_with_the_agent(project, place, magents):
    magents("create", "evil", "--", "sh", "-c", 'printf "%s\\n" "$0"; "$MAGENTS_EVENT" "$MAGENTS_FOLDER" command waiting "$0"; '
            "sleep 300", EVIL)  # fmt: skip
    work = place.top / "project-agents" / "evil"
    (work / f"na{EVIL}me").write_text(f"text {EVIL}\n")
    (work / "README.md").write_text(f"{EVIL}\n")
    until(lambda: "blink" in magents("list").out)
    said = [
        magents(*words, code=None)
        for words in (
            ["list"], ["list", "--long"], ["logs", "evil"], ["logs"], ["diff", "evil"], ["diff", "evil", "--stat"],
            ["merge", "evil"], ["list", "--json"], ["stop", "evil", "--remove-worktree"],
        )
    ]  # fmt: skip
    for done in said:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.out + done.err), done
    assert any("red" in done.out for done in said)


def test_the_exact_bytes_of_a_diff(project, place, magents):
    magents("create", "bytes", *SLEEP)
    work = place.top / "project-agents" / "bytes"
    (work / "new.bin").write_bytes(b"\x1b[31m\r\nline\r\n")
    patch = place.top / "patch"
    patch.write_bytes(
        subprocess.check_output([sys.executable, "-m", "magents", "diff", "bytes", "--raw"], cwd=project)
    )
    git("apply", str(patch), cwd=project)
    assert (project / "new.bin").read_bytes() == b"\x1b[31m\r\nline\r\n"
    git("add", "--intent-to-add", "new.bin", cwd=work)
    assert patch.read_bytes() == subprocess.check_output(["git", "diff", "main"], cwd=work), "as git itself has it"


def complete(line: str, cwd: Path) -> list[str]:
    """What bash is offered for a command line, by argcomplete's protocol."""
    script = (
        f"export _ARGCOMPLETE=1 _ARGCOMPLETE_IFS=$'\\n' COMP_TYPE=9 COMP_LINE=\"{line}\" COMP_POINT={len(line)}\n"
        f'"{sys.executable}" -m magents 8>&1 9>/dev/null 1>/dev/null 2>/dev/null'
    )
    done = subprocess.run(["bash", "-c", script], cwd=cwd, capture_output=True, text=True, check=False)
    return [word.strip() for word in done.stdout.split("\n") if word.strip()]


def test_completion(agents, project, magents):
    git("branch", "old-branch", cwd=project)
    assert "create" in complete("magents cr", project)
    assert complete("magents attach feature-t", project) == ["feature-two"]
    assert complete("magents conflicts feature-t", project) == ["feature-two"]
    assert "old-branch" in complete("magents create old", project)
    assert "gemini" in complete("magents create x --agent gem", project)
    magents("stop", "feature-one", "--remove-worktree")
    assert complete("magents restore ", project) == ["feature-one"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell, place, magents):
    assert "magents" in magents("completion", shell).out


def in_terminal(tmux, project, text: str) -> None:
    """Type into a terminal of its own."""
    if not tmux("list-sessions", code=None).count("user:"):
        tmux("new-session", "-d", "-s", "user", "-x", "110", "-y", "30", "-c", str(project), "/bin/sh")
    tmux("send-keys", "-t", "user", text, "Enter")


def shown(tmux) -> str:
    return tmux("capture-pane", "-p", "-e", "-t", "user")


def test_colour_only_on_a_terminal(agents, project, tmux, magents):
    assert "\x1b" not in magents("list").out
    assert "\x1b[36mrunning" in magents("list", FORCE_COLOR="1").out
    in_terminal(tmux, project, f"{sys.executable} -m magents list")
    until(lambda: re.search(r"\x1b\[[0-9;]*36m[^\n]*running", shown(tmux)))
    in_terminal(tmux, project, f"clear; NO_COLOR=1 {sys.executable} -m magents list; echo en''d")
    until(lambda: "end" in shown(tmux) and "running" in shown(tmux))
    assert not re.search(r"36m[^\n]*running", shown(tmux))


def test_watch_and_attach(agents, project, tmux, magents):
    in_terminal(tmux, project, f"{sys.executable} -m magents list --watch")
    until(lambda: "Ctrl-C ends" in shown(tmux))
    magents("stop", "feature-two")
    until(lambda: "stopped" in shown(tmux))
    tmux("send-keys", "-t", "user", "C-c")
    until(lambda: "Ctrl-C ends" not in shown(tmux))
    # Attached from inside tmux, the client is switched; a session without one says so.
    in_terminal(tmux, project, f"env -u TMUX {sys.executable} -m magents attach feature-two")
    until(lambda: "magents-feature-two" in tmux("list-clients", "-F", "#{client_session}", code=None))
    assert "running" in magents("list").out.split("feature-two", 1)[1].split("\n")[0]


def test_the_mode_is_an_option_and_a_setting(project, magents):
    assert "There is no mode `cluster`" in magents("create", "new", "--mode", "cluster", code=1).err
    magents("create", "new", "--mode", "tmux", "--tmux", code=2)
    said = magents(
        "create", "new", "--mode", "tmux", "--dry-run", "--json", "--", "true", MAGENTS_DOCKER_ENABLED="true"
    )
    assert said.json()["mode"] == "tmux"
    assert "must be one of tmux, docker" in magents("config", "--set", "MODE=cluster", code=2).err
    magents("config", "--set", "MODE=tmux")
    magents("config", "--docker")
    assert [magents("config", "--get", key).out for key in ("MODE", "DOCKER_ENABLED")] == ["\n", "true\n"]
    said = magents("create", "new", "--dry-run", "--json", "--", "true", MAGENTS_MODE="tmux")
    assert said.json()["mode"] == "tmux"
    assert "is no harness" in magents("create", "new", MAGENTS_MODE="tmux", MAGENTS_AGENT="none", code=1).err


def test_the_menu_of_settings(place, project, tmux, magents):
    in_terminal(tmux, project, f"{sys.executable} -m magents config --edit; echo en''ded $?")
    until(lambda: "Docker image for agents" in shown(tmux))
    for _ in range(9):
        tmux("send-keys", "-t", "user", "Down")
    tmux("send-keys", "-t", "user", "Enter")
    until(lambda: "containers are made from" in shown(tmux))
    tmux("send-keys", "-t", "user", "C-u")
    tmux("send-keys", "-t", "user", "not an image", "Enter")
    until(lambda: "must be the name of an image" in shown(tmux))
    tmux("send-keys", "-t", "user", "C-u")
    tmux("send-keys", "-t", "user", "team/agents:1", "Enter")
    until(lambda: magents("config", "--get", "DOCKER_IMAGE").out == "team/agents:1\n")
    until(lambda: shown(tmux).count("Which setting?") == 2)
    tmux("send-keys", "-t", "user", "Up", "Enter")
    until(lambda: "ended 0" in shown(tmux))
