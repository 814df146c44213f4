"""Whatever agents choose, nothing that a terminal obeys is printed: not by any command, error or question."""

from __future__ import annotations

import ast
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

import magents as package
from conftest import commit, git, run, until
from magents.cli import main
from magents.cli.parser import COMMANDS
from magents.core.text import one_line
from magents.guest import events
from taskmaster.lab import put, tagged, task

# Commands run here, in one process, that are made to end with it: what they leave open is closed then.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

EVIL = "\x1b]0;owned\x07\x1b]52;c;cm0=\x07\x1b[31mred\x1b[0m\x1b[2J\x9b5mblink\x90q\x9c\x1b]8;;http://x\x1b\\\u202eend\U000e0041\r\x08\x7f"
BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]")
OURS = re.compile(r"\x1b\[[0-9;]*m")
SPOKEN = "evil"
"""The agent's id, which alone has to be one."""
TABLE = (
    "list", "list --long", "list --removed", "list --json", "logs evil", "logs", "logs evil --json", "diff evil", "diff evil --stat",
    "diff evil --json", "wait evil --for done --timeout 0.1", "send evil hello --timeout 0.2", "merge evil", "merge evil --json",
    "merge evil --commit EVIL", "conflicts", "conflicts --json", "collect", "tasks", "tasks --graph", "tasks --json",
    "task-create 1", "task-create EVIL", "task-agents --dry-run", "task-agents --dry-run --json", "tasks --tag EVIL",
    "attach evil", "attach EVIL", "send EVIL x", "create EVIL", "create new EVIL", "create new --from EVIL", "create new --env EVIL",
    "create new --prompt-file EVIL", "create new --agent EVIL", "create new --dry-run -- sh EVIL", "create odd -- sh -c EVIL",
    "diff EVIL", "merge evil --into EVIL", "restore EVIL --pin EVIL", "wait evil --timeout EVIL", "EVIL", "list EVIL",
    "config", "config --get EVIL", "config --set EVIL", "config --set BASE=EVIL", "image build --agents EVIL", "image --json",
    "shared", "shared diff --json", "shared accept", "shared accept EVIL --yes", "shared accept --yes", "trust", "trust --diff",
    "trust EVIL", "trust --all", "trust --json", "doctor", "doctor --json", "doctor --fix", "completion bash", "task-agents --yes", "start evil", "stop evil", "logs evil",
    "stop evil --remove-worktree", "list --removed", "restore evil --pin EVIL", "restore evil", "stop EVIL --forget",
    "stop ev --remove-worktree", "cleanup", "cleanup --yes",
)  # fmt: skip
"""Every command, in an order in which each has something to tell; EVIL stands for the text."""


@pytest.fixture
def world(project, place, fleet, tmux):
    """An agent whose every word is hostile, an orphan's label, a list of tasks."""
    program = ("sh", "-c", 'printf "%s\\n" "$0"; exec sleep 300', EVIL)
    agent = fleet.create("evil", SPOKEN, folder=str(project), command=program)
    with open(os.path.join(fleet.context.place(agent).root, events.LOG), "a", encoding="utf-8") as log:
        log.write(json.dumps({"at": time.time(), "by": "command", "name": "waiting", "data": EVIL}) + "\n")
    work = Path(agent.workspace)
    (work / f"na{EVIL}me".replace("/", "")).write_text(f"text {EVIL}\n")
    (work / "README.md").write_text(f"{EVIL}\n")
    commit(work, f"a message {EVIL}")
    (work / f"un{EVIL}tracked".replace("/", "")).write_text(EVIL)
    commit(project, "conflicts", README_md="ours\n")
    label = {
        "id": "orphan",
        "project": f"/{EVIL}",
        "branch": EVIL,
        "folder": f"/nowhere/{EVIL}",
        "workspace": f"/{EVIL}",
        "harness": EVIL,
    }
    tmux("new-session", "-d", "-s", "magents-orphan", "sleep", "300")
    tmux("set-option", "-t", "=magents-orphan:", "@magents", json.dumps(label))
    tmux("set-option", "-p", "-t", "=magents-orphan:", "@magents_agent", "1")
    put(project, {**tagged(task(1, f"One {EVIL}", status=EVIL, priority=EVIL, details=EVIL), task(f"2{EVIL}", f"Two {EVIL}", 1)),
                  f"tag{EVIL}": {"tasks": []}})  # fmt: skip
    shared = Path(fleet.context.shared(str(project)))
    shared.mkdir(parents=True)
    (shared / "CLAUDE.md").write_text(f"{EVIL}\n")
    (shared / ".mcp.json").write_text(json.dumps({"mcpServers": {EVIL: {"command": EVIL}}}, ensure_ascii=False))
    until(lambda: any("blink" in line for line in fleet.logs(agent)))
    return fleet, agent


def words_of(line: str) -> list[str]:
    return [EVIL if word == "EVIL" else word.replace("EVIL", EVIL) for word in line.split(" ")]


def check(text: str, *, colours: bool, line: str) -> None:
    left = OURS.sub("", text) if colours else text
    assert not BAD.findall(left), (line, left)


@pytest.mark.parametrize("colours", [False, True])
def test_no_command_lets_anything_through(world, capsys, monkeypatch, colours):
    _, agent = world
    if colours:
        monkeypatch.setenv("FORCE_COLOR", "1")
    said = ""
    monkeypatch.chdir(agent.project)
    for line in TABLE:
        try:
            main(words_of(line))
        except SystemExit:
            pass
        done = capsys.readouterr()
        check(done.out + done.err, colours=colours, line=line)
        said += done.out + done.err
    assert "red" in said and "Two red" in said.replace("\x1b[0m", "")
    assert colours == ("\x1b[31;1m" in said)


def test_every_command_is_in_the_table():
    assert {line.split(" ")[0] for line in TABLE} >= set(COMMANDS) - {"demo"}


def test_what_the_store_holds(world, capsys):
    """Paths and branches come from the user's project; but the file could be anybody's."""
    fleet, agent = world
    for name in ("branch", "base", "base_commit", "project", "workspace", "pin"):
        fleet.context.store.update(agent, **{name: EVIL})
        for line in (
            "list",
            "list --long",
            "list --json",
            "diff evil",
            "merge evil",
            "conflicts",
            "doctor",
            "stop evil --remove-worktree",
        ):
            main(line.split(" "))
            done = capsys.readouterr()
            check(done.out + done.err, colours=False, line=f"{name}: {line}")
        fleet.context.store.update(agent, **{name: getattr(agent, name), "phase": "active"})


def in_pty(line: str, cwd: str, answer: bytes = b"", **env: str) -> str:
    """What a terminal gets from a command, and its exit code in the last line."""
    top, below = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "magents", *words_of(line)], cwd=cwd, stdin=below, stdout=below, stderr=below,
        env={**os.environ, **env},
    )  # fmt: skip
    os.close(below)
    said, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([top], [], [], 0.1)[0]:
            try:
                more = os.read(top, 65536)
            except OSError:  # nobody has it open any more
                break
            said += more
            if answer and b"[y/N]" in said:
                os.write(top, answer)
                answer = b""
    code = child.wait(timeout=60)
    os.close(top)
    return said.decode("utf-8", "surrogateescape").replace("\r\n", "\n") + f"\nexit code {code}"


def test_at_a_terminal_with_its_questions(world):
    _, agent = world
    for line, answer in (
        ("list", b""), ("tasks", b""), ("cleanup", b"n\n"), ("task-agents", b"n\n"), ("stop ev --remove-worktree", b"n\n"),
        ("logs evil --raw", b""),
    ):  # fmt: skip
        said = in_pty(line, agent.project, answer)
        check(said, colours=True, line=line)
        assert "Traceback" not in said, said
    assert "\x1b[31mred" in said and said.rstrip().endswith("\x1b[0m\nexit code 0")  # colours, and then none


def test_the_exact_bytes_go_to_a_terminal_by_its_pager_alone(world):
    _, agent = world
    said = in_pty("diff evil --raw", agent.project, PAGER="sed 's/^/paged: /' | tr -d '\\000-\\010\\013-\\037'")
    rows = [row for row in said.splitlines() if row and not row.startswith("exit code")]
    assert rows and all(row.startswith("paged: ") for row in rows)
    assert not BAD.search(in_pty("diff evil", agent.project, PAGER="cat", NO_COLOR="1"))


def test_a_defect_of_ours_prints_nothing_of_an_agents(place):
    script = "import sys, magents.cli as cli\ndef main(): raise ValueError(sys.argv[1])\ncli.main = main; cli.run()"
    said = run(sys.executable, "-c", script, EVIL, code=1).err
    assert "Traceback" not in said and "ValueError: redblinkend" in said
    check(said, colours=False, line="a defect")
    said = run(sys.executable, "-c", script, EVIL, code=1, MAGENTS_VERBOSE="1").err
    assert "Traceback" in said and "ValueError: redblinkend" in said
    check(said, colours=False, line="a defect")


def test_only_one_module_prints():
    top = Path(package.__file__).parent
    prints = {"print", "input"}
    for path in (top / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and path.name != "console.py":
                name = ast.unparse(node.func)
                assert name not in prints and not re.search(r"(stdout|stderr)(\.buffer)?\.write", name), (
                    path.name,
                    name,
                )


def test_a_name_hides_nothing():
    hidden = "ad\u200bmin\u200d\ufe0f\u2060\ufeff\u00ad\u3164\U000e0061\U000e0100\u034f"
    assert one_line(hidden) == "admin"
    assert one_line("👩\u200d💻 ❤\ufe0f") == "👩💻 ❤"  # emoji made of several show as these


def test_what_removes_takes_a_whole_id(project, fleet, magents):
    agent = fleet.create("feature/xy", folder=str(project), command=("sleep", "300"))
    for words in (("--remove-worktree",), ("--remove-worktree", "--json"), ("--forget",)):
        done = magents("stop", "feature", *words, code=1)
        assert "No agent has the id `feature`; what begins so is feature-xy." in done.err
        assert "--prefix" in done.err
    assert fleet.status(agent).state == "running"
    said = in_pty("stop feature --remove-worktree", str(project), b"n\n")
    assert "Remove feature-xy? [y/N]" in said and "Nothing was removed" in said and said.endswith("exit code 1")
    assert fleet.status(agent).state == "running"
    said = in_pty("stop feature --remove-worktree", str(project), b"y\n")
    assert "Removed feature-xy" in said and said.endswith("exit code 0")
    magents("restore", "feature")
    assert "Removed feature-xy" in magents("stop", "feature", "--remove-worktree", "--prefix").out
    magents("restore", "feature-xy")
    assert "Removed feature-xy" in magents("stop", "feature-xy", "--remove-worktree").out
    assert git("branch", "--list", "feature/xy", cwd=project)
