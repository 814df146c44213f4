"""Agents at Task Master's MCP server: the relay before the real one, and others who write at the same time."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import commit, git, until
from magents.system import paths
from magents.taskmaster import file
from mcp_client import Client
from taskmaster.lab import put, set_status, tagged, task

BIN = Path(paths.share(), "bin")
RELAY = Path(paths.share(), "relay")
PYTHON = (sys.executable, "-I", "-S")
TOOLS = "get_tasks,get_task,set_task_status,add_task,add_subtask,parse_prd,autopilot_start"


@pytest.fixture(scope="module")
def listing(tmp_path_factory) -> str:
    """What the real server says of its tools, as the relay keeps it."""
    if not shutil.which("task-master-ai"):
        if os.environ.get("CI") == "true":
            pytest.fail("Task Master is not installed")
        pytest.skip("Task Master is not installed: npm install -g task-master-ai")
    home = tmp_path_factory.mktemp("home")
    real = shutil.which("task-master-ai")
    done = subprocess.run(
        [*PYTHON, RELAY, "--list", home / "list", real], capture_output=True, timeout=300, check=True,
        env={**os.environ, "HOME": str(home), "TASK_MASTER_TOOLS": "all"},
    )  # fmt: skip
    return done.stdout.decode()


@pytest.fixture
def env(listing, place, project) -> dict[str, str]:
    """An agent's environment. What the tools are is known already."""
    kept = place.home / ".cache" / "magents" / "tools-all.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(listing)
    put(project, tagged(*(task(n, description="d") for n in (1, 2))))
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}", "MAGENTS_PROJECT": str(project), "TASK_MASTER_TOOLS": TOOLS,
    }  # fmt: skip


def children(pid: int, of: str = "") -> list[int]:
    """The processes that a process has started and that live, those of a program."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            whole = Path("/proc", name, "stat").read_text()
            about = whole.rpartition(")")[2].split()
        except OSError:
            continue
        if int(about[1]) == pid and about[0] != "Z" and f"({of}" in whole:
            found.append(int(name))
    return found


def lives(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def own(project: Path) -> int:
    """The lock, held; close it to give it back."""
    handle = os.open(project / ".taskmaster", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


pytestmark = pytest.mark.slow


def test_it_answers_by_itself_until_a_tool_is_called(env, project):
    with Client("task-master-ai", cwd=project, env=env) as agent:
        assert agent.greeting["serverInfo"]["name"] == "task-master-ai"
        assert re.fullmatch(r"\d+\.\d+\.\d+", agent.greeting["serverInfo"]["version"])
        assert agent.names() == [
            "parse_prd", "get_tasks", "get_task", "set_task_status", "add_task", "add_subtask",
        ]  # fmt: skip
        told = {tool["name"]: tool["inputSchema"] for tool in agent.ask("tools/list")["result"]["tools"]}
        assert set(told["set_task_status"]["properties"]) == {"id", "status", "tag"}
        assert told["set_task_status"]["required"] == ["id", "status"]
        assert agent.ask("ping")["result"] == {}
        assert agent.ask("resources/list")["error"]["code"] == -32601
        assert agent.ask("tools/call", {"name": "autopilot_start"})["error"]["code"] == -32602
        agent.child.stdin.write(b"no json\n")
        agent.child.stdin.flush()
        assert agent.answer(None)["error"]["code"] == -32700
        assert children(agent.child.pid) == []
        rss = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{agent.child.pid}/status").read_text())
        assert int(rss[1]) < 20_000


def test_a_call_works_on_the_projects_list_and_shows_at_once(env, project, place, magents):
    """Called from a worktree, as agents do; the environment is kept from it, as Codex does."""
    commit(project, "Plan")
    work = place.top / "work"
    git("worktree", "add", "-q", str(work), cwd=project)
    env["MAGENTS_PROJECT"] = ""
    with Client("task-master-mcp", cwd=work, env=env) as agent:
        agent.call("set_task_status", id="2", status="review", projectRoot=str(work), file="/nowhere.json")
        agent.call("add_task", title="Three", description="new", projectRoot="/")
        agent.call("add_subtask", id="1", title="A note", description="for those to come")
        assert "Three" in agent.call("get_tasks")
        shown = {one["id"]: one for one in magents("tasks", "--json").json()["tasks"]}
        assert shown["2"]["status"] == "review" and shown["3"]["title"] == "Three"
        assert "A note" in Path(file.path_of(str(project))).read_text()
        set_status(project, "1", "blocked")
        assert "blocked" in agent.call("get_task", id="1")  # it keeps no copy
        assert git("status", "--porcelain", cwd=work) == ""
        os.remove(file.path_of(str(project)))
        agent.call("add_task", title="First", description="of a new list")
    assert [t.title for t in file.read(str(project)).tasks] == ["First"]


def test_a_server_that_dies_is_told_of_and_started_anew(env, project):
    with Client("task-master-ai", cwd=project, env=env) as agent:
        lock = own(project)
        number = agent.start_call("set_task_status", id="1", status="done")
        [server] = until(lambda: children(agent.child.pid, "node"), 60)
        os.kill(server, signal.SIGKILL)
        said = agent.answer(number)["error"]
        assert said["code"] == -32603 and "exit code -9" in said["message"] and "Call again" in said["message"]
        os.close(lock)
        agent.call("set_task_status", id="1", status="done")
        [server] = children(agent.child.pid, "node")
        os.kill(server, signal.SIGKILL)  # this one with nothing to do
        until(lambda: not Path("/proc", str(server)).exists(), 10, "the relay to know that")
        agent.call("set_task_status", id="2", status="done")
    assert [t.status for t in file.read(str(project)).tasks] == ["done", "done"]


def test_what_cannot_start_is_told(env, project, place):
    folder = place.top / "broken"
    folder.mkdir()
    (folder / "task-master-ai").write_text("#!/bin/sh\necho 'this Node is too old' >&2\nexit 3\n")
    (folder / "task-master-ai").chmod(0o755)
    env["PATH"] = f"{BIN}:{folder}:{os.environ['PATH']}"
    with Client("task-master-ai", cwd=project, env=env) as agent:
        for _ in range(2):
            said = agent.ask("tools/call", {"name": "get_tasks"})["error"]["message"]
            assert "exit code 3" in said and "this Node is too old" in said
        assert "too old" in agent.ask("tools/list")["error"]["message"]


def test_a_lock_that_nobody_gives_back_is_told_of(env, project):
    """With a shorter patience than its own."""
    line = (
        f"import sys, runpy; sys.path.insert(0, {str(RELAY)!r}); import relay; relay.LOCK_TIMEOUT_S = 1.0\n"
        f"sys.argv[0] = 'relay'; runpy.run_path({str(RELAY / '__main__.py')!r}, run_name='__main__')"
    )
    real = shutil.which("task-master-ai")
    with Client(*PYTHON, "-c", line, project, real, env=env) as agent:
        lock = own(project)
        first, second = agent.start_call("get_tasks"), agent.start_call("get_tasks")
        said = agent.answer(first)["result"]
        assert said["isError"] and "more than 1 s" in said["content"][0]["text"]
        agent.say({"method": "notifications/cancelled", "params": {"requestId": second}})
        third = agent.begin("ping")
        assert agent.answer(third)["result"] == {}  # and nothing for the second
        os.close(lock)
        assert "Task 1" in agent.call("get_tasks")


def test_it_dies_with_its_client(env, project):
    """Its client killed, itself killed in the middle of a call, itself told to end."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(['task-master-ai'], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "child.stdin.write(sys.argv[1].encode() + b'\\n'); child.stdin.flush(); time.sleep(600)"
    )
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_tasks", "arguments": {}}}
    for victim, number in (("client", signal.SIGKILL), ("relay", signal.SIGKILL), ("relay", signal.SIGTERM)):
        client = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(call)], cwd=project, env={**os.environ, **env},
            stdout=subprocess.PIPE,
        )  # fmt: skip
        relay = int(client.stdout.readline())
        [server] = until(lambda relay=relay: children(relay, "node"), 60)
        os.kill(client.pid if victim == "client" else relay, number)
        until(lambda relay=relay, server=server: not lives(relay) and not lives(server), 60, f"{victim} {number}")
        client.kill()
        client.wait()
        client.stdout.close()
    os.close(own(project))  # and none of them has kept the lock


def test_many_writers_lose_nothing(env, project):
    """Agents at MCP servers, an agent at `task-master`, and Magents itself. Each adds tasks, the servers together."""
    put(project, tagged(task(1, description="d")))
    warm = threading.Barrier(2)
    done: list[str] = []

    def by_mcp(who: str) -> None:
        with Client("task-master-ai", cwd=project, env=env) as agent:
            agent.call("get_tasks")
            warm.wait(300)
            for n in range(6):
                agent.call("add_task", title=f"{who}-{n}", description="x")
        done.append(who)

    def by_command(who: str) -> None:
        subprocess.run(
            ["task-master", "add-task", f"--title={who}-0", "--description=x"], cwd=project,
            env={**os.environ, **env}, check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        done.append(who)

    writers = [
        threading.Thread(target=write, args=(who,))
        for who, write in (("one", by_mcp), ("other", by_mcp), ("command", by_command))
    ]
    for writer in writers:
        writer.start()
    own = 0
    while any(writer.is_alive() for writer in writers):
        with file.locked(str(project), 300):
            data = file.load(str(project))
            tasks = data["master"]["tasks"]
            tasks.append(task(max(int(t["id"]) for t in tasks) + 1, f"own-{own}", description="x"))
            file.save(str(project), data)
        own += 1
        time.sleep(0.1)
    assert sorted(done) == ["command", "one", "other"]
    found = file.read(str(project)).tasks
    wanted = [f"{who}-{n}" for who in ("one", "other") for n in range(6)]
    wanted += ["command-0", "Task 1", *(f"own-{n}" for n in range(own))]
    assert sorted(t.title for t in found) == sorted(wanted)
    assert len({t.id for t in found}) == len(found)
