"""What agents in containers share, as each real harness sees it: MCP servers and CLAUDE.md of /shared."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from conftest import until
from magents.fleet import shared
from magents.taskmaster import file
from magents.testing import standin
from magents.testing.standin import homes
from mcp_client import Client
from taskmaster.lab import put, tagged, task

from .conftest import bridge, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow]

HARNESSES = ("claude", "codex", "gemini", "opencode")
LIBRARY = "/usr/local/lib/magents"


def there(name: str) -> tuple[list[str], str]:
    """The options that show a container a harness of this machine, and its path there. The image has one of them;
    to build the others in would take minutes."""
    found = shutil.which(name)
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    path = Path(os.path.realpath(found))
    top = next((folder for folder in path.parents if folder.name == "node_modules"), None)
    if top is None:
        pytest.skip(f"{name} was not installed by npm")
    place = f"/opt/host/{name}/node_modules"
    return ["-v", f"{top}:{place}:ro"], f"{place}/{path.relative_to(top)}"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A shared folder with a task, in which everybody may write."""
    made = tmp_path / "shared"
    made.mkdir()
    shared.fill(str(made), str(tmp_path / "none"))
    put(made, tagged(task(1, "Write the page", description="x")))
    for where, folders, files in os.walk(made):
        for name in [".", *folders, *files]:
            os.chmod(os.path.join(where, name), 0o777)
    return made


@pytest.fixture
def start(box, folder):
    """Start a container that has the shared folder."""
    return lambda *options: box("-v", f"{folder}:/shared", *options)


@pytest.mark.parametrize("name", HARNESSES)
def test_each_harness_reaches_the_servers(start, name):
    options, program = there(name)
    running = start(*options)
    said = running.sh(f"{program} mcp list 2>&1", seconds=300)
    assert "task-master-ai" in said
    assert {"codex": "enabled", "claude": "Connected", "gemini": "Connected"}.get(name, "connected") in said


def asked(name: str, url: str) -> tuple[list[str], str]:
    """The environment and the words with which a harness puts one prompt to the stand-in."""
    if name == "claude":
        return [
            f"ANTHROPIC_BASE_URL={url}",
            f"ANTHROPIC_API_KEY={homes.KEY}",
        ], "--permission-mode bypassPermissions -p"
    if name == "gemini":
        return [f"GOOGLE_GEMINI_BASE_URL={url}", f"GEMINI_API_KEY={homes.KEY}"], "--approval-mode=yolo -p"
    if name == "codex":
        provider = f'{{name="standin",base_url="{url}/v1",wire_api="responses",env_key="STANDIN_KEY"}}'
        words = f"-c model_provider=standin -c 'model_providers.standin={provider}' -m gpt-5"
        return [f"STANDIN_KEY={homes.KEY}"], (
            f"exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox {words}"
        )
    settings = {
        "provider": {"standin": {
            "npm": "@ai-sdk/openai-compatible", "name": "standin", "models": {"standin": {"name": "standin"}},
            "options": {"baseURL": f"{url}/v1", "apiKey": homes.KEY},
        }},
        "model": "standin/standin",
    }  # fmt: skip
    return [
        f"OPENCODE_CONFIG_CONTENT={json.dumps(settings)}", "OPENCODE_DISABLE_MODELS_FETCH=1",
        "OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_LSP_DOWNLOAD=1",
    ], "run"  # fmt: skip


@pytest.mark.parametrize("name", HARNESSES)
def test_each_harness_tells_its_model(start, name, tmp_path, folder):
    """The guide is in what the model is told, and so are the tools. Where the stand-in can call one, it changes the
    list that all share."""
    options, program = there(name)
    log = tmp_path / "requests.jsonl"
    calls = name in ("claude", "gemini")
    prompt = 'call set_task_status: {"id": "1", "status": "review"}' if calls else "say hello"
    with standin.serve(host=bridge(), log=log) as url:
        env, words = asked(name, url)
        running = start(*options, *(word for line in env for word in ("-e", line)))
        said = running.sh(f"timeout 240 {program} {words} '{prompt}' </dev/null 2>&1", code=None, seconds=300)
    told = log.read_text() if log.exists() else ""
    assert "What the agents of this project share" in told, said
    assert "set_task_status" in told.replace("set_task_status:", ""), said
    assert [t.status for t in file.read(str(folder)).tasks] == ["review" if calls else "pending"], said


def test_what_is_changed_there_counts_from_the_next_start(start, folder):
    """Servers come and go with the file; what somebody put into the home itself stays, and so does what broke."""
    running = start("-e", "TOKEN=s3cret")
    home = "/home/magents"

    def servers() -> dict[str, object]:
        docker("restart", "-t", "3", running.name)
        until(lambda: "up" in running.logs(), 20)
        running.sh(f"{LIBRARY}/home")  # what the start does; now it has surely been done
        found = json.loads(running.sh(f"cat {home}/.claude.json"))["mcpServers"]
        assert set(found) == set(json.loads(running.sh(f"cat {home}/.gemini/settings.json"))["mcpServers"])
        return dict(found)

    assert set(servers()) == {"task-master-ai"}
    running.sh(
        f"for f in {home}/.claude.json {home}/.gemini/settings.json; do"
        """ jq '.mcpServers.mine = {command: "mine"} | .other = 1' $f >/tmp/new && cp /tmp/new $f; done"""
    )
    entry = {"command": "${TOOL:-task-master-ai}", "args": ["a b", "\"'\\"], "env": {"KEY": "$x ${TOKEN}"}}
    text = {
        "mcpServers": {"theirs": entry, "web": {"type": "http", "url": "http://x/", "headers": {"A": "${TOKEN}"}}}
    }
    (folder / ".mcp.json").write_text(json.dumps(text))
    assert set(servers()) == {"theirs", "web", "mine"}
    assert json.loads(running.sh(f"jq .other {home}/.claude.json")) == 1
    gemini = json.loads(running.sh(f"cat {home}/.gemini/settings.json"))["mcpServers"]
    assert gemini["theirs"] == {"command": "task-master-ai", "args": entry["args"], "env": {"KEY": "$x s3cret"}}
    assert gemini["web"] == {"httpUrl": "http://x/", "headers": {"A": "s3cret"}}
    opencode = json.loads(running.sh("cat $OPENCODE_CONFIG"))["mcp"]
    assert opencode["theirs"]["command"] == ["task-master-ai", *entry["args"]]
    codex = running.sh(
        'python3 -c \'import json, tomllib; print(json.dumps(tomllib.load(open("/etc/codex/config.toml", "rb"))))\''
    )
    assert json.loads(codex)["mcp_servers"]["theirs"]["args"] == entry["args"]

    (folder / ".mcp.json").write_text("{broken")
    assert set(servers()) == {"theirs", "web", "mine"}
    assert "/shared/.mcp.json is no JSON" in running.logs()
    before = running.sh(f"stat -c %i.%Y {home}/.claude.json {home}/.gemini/settings.json")
    running.sh(f"{LIBRARY}/home")
    assert running.sh(f"stat -c %i.%Y {home}/.claude.json {home}/.gemini/settings.json") == before
    (folder / ".mcp.json").unlink()
    os.mkfifo(folder / ".mcp.json")  # keeps nobody waiting
    assert set(servers()) == {"mine"}
    assert running.sh("ls -A /workspace") == ""


def test_what_is_accepted_counts_and_not_what_agents_write(start, folder, tmp_path):
    """Also in a home that is older than that."""
    accepted = tmp_path / "accepted"
    accepted.mkdir()
    (accepted / ".mcp.json").write_text('{"mcpServers": {"ours": {"command": "ours"}}}')
    (accepted / "CLAUDE.md").write_text("Ours.")
    (folder / ".mcp.json").write_text('{"mcpServers": {"canary": {"command": "x"}}}')
    (folder / "CLAUDE.md").write_text("Canary.")
    running = start("-v", f"{accepted}:/accepted:ro")
    until(lambda: "up" in running.logs(), 20)
    running.sh(f"cd; ln -sf /shared/CLAUDE.md .codex/AGENTS.md; {LIBRARY}/home")
    told = running.sh("cd; cat .claude/CLAUDE.md .codex/AGENTS.md .gemini/GEMINI.md")
    assert told == "Ours." * 3
    files = running.sh("cd; cat .claude.json .gemini/settings.json $OPENCODE_CONFIG /etc/codex/config.toml")
    assert files.count('"ours"') >= 4 and "canary" not in files and "/accepted/CLAUDE.md" in files


def test_npx_means_the_same_server(start):
    """As a project's own .mcp.json has it that Task Master has written."""
    with Client("docker", "exec", "-i", start().name, "npx", "--offline", "-y", "task-master-ai") as agent:
        assert agent.greeting["serverInfo"]["name"] == "task-master-ai"  # the real one calls itself otherwise


def test_it_serves_at_once_and_many(start, folder):
    """Two containers at the server and at the command, all at the same time. It starts nothing to tell its tools."""
    boxes = [start(), start()]
    agents = [
        Client("docker", "exec", "-i", "-e", "TASK_MASTER_TOOLS=all", running.name, "task-master-ai")
        for running in boxes
    ]
    for running, agent in zip(boxes, agents, strict=True):
        assert "set_task_status" in agent.names()
        assert "node" not in running.sh("ps -eo comm").split()
    calls = [
        (agent, agent.start_call("add_task", title=f"new {n} {turn}", description="x"))
        for turn in range(2)
        for n, agent in enumerate(agents)
    ]
    boxes[0].sh("task-master add-task --title='by command' --description=x", seconds=300)
    for agent, number in calls:
        assert not agent.answer(number)["result"].get("isError")
    for agent in agents:
        with agent:
            pass
    assert sorted(t.title for t in file.read(str(folder)).tasks) == [
        "Write the page", "by command", "new 0 0", "new 0 1", "new 1 0", "new 1 1",
    ]  # fmt: skip
