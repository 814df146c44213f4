"""The real image in a real engine: what it holds, what its user may do, how it starts, tells and ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from magents.core.errors import MagentsError, Missing, UsageError
from magents.guest import events
from magents.guest.files import Folder
from magents.runtimes.docker import image as images
from magents.runtimes.docker import sources
from magents.testing import standin
from magents.testing.standin import homes

from .conftest import Box, bridge, docker

ROOT = Path(__file__).parents[4]

pytestmark = [pytest.mark.engine, pytest.mark.slow]

# Saves when it is told to end, as a harness does; says which signal told it.
SAVES = """\
import signal, time
def save(number, _):
    time.sleep(0.3)
    open("/workspace/saved", "a").write(signal.Signals(number).name)
    raise SystemExit
signal.signal(signal.SIGHUP, save)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(600)
"""
DEAF = "trap '' HUP TERM; echo ready; while :; do sleep 600; done"


def open_terminal(box, id, line):
    """As Magents on the host opens an agent's terminal."""
    box.sh(f"cat >/agent/program <<'END'\n{line}\nEND")
    box.sh(
        f"tmux -u new-session -d -e MAGENTS_FOLDER=/agent -s magents-{id} -n shell -c /workspace ';'"
        f" set-option -t =magents-{id}: @magents '{{}}' ';'"
        f" new-window -b -t =magents-{id}:shell -n agent /usr/local/lib/magents/agent-run /agent ';'"
        f" set-option -w -t =magents-{id}:agent remain-on-exit on ';'"
        f" set-option -p -t =magents-{id}:agent @magents_agent 1"
    )


SOON = 15
"""Seconds within which a container ends by itself; at most 2 on a quiet machine. Docker would kill it after 60."""


def stop(box):
    """Stop it; how long that took, and its exit code."""
    began = time.monotonic()
    docker("stop", "-t", "60", box.name)
    took = time.monotonic() - began
    return took, int(docker("inspect", "-f", "{{.State.ExitCode}}", box.name))


def of_agent(box, name):
    """A file in /agent, also of a container that has ended."""
    done = subprocess.run(["docker", "cp", f"{box.name}:/agent/{name}", "-"], capture_output=True, check=True)
    return subprocess.run(["tar", "-xO"], input=done.stdout, capture_output=True, check=True).stdout.decode()


def test_labels_and_user(image):
    told = json.loads(docker("image", "inspect", image))[0]
    assert told["Config"]["Labels"]["magents.image"] == "1"
    assert told["Config"]["Labels"]["magents.digest"] == sources.digest()
    assert told["Config"]["User"] == "magents"
    assert told["Config"]["WorkingDir"] == "/workspace"
    assert told["Size"] < 1.0e9


def test_what_it_holds(box):
    running = box()
    programs = "git tmux node npm python3 rg jq curl tini sudo less ps flock task-master claude"
    assert running.sh(f"for p in {programs}; do command -v $p >/dev/null || echo $p; done") == ""
    assert running.sh("id -u; id -g; pwd; echo $HOME").split() == ["1000", "1000", "/workspace", "/home/magents"]
    assert running.sh("touch /workspace/a /shared/a /agent/a /home/magents/a; git config --global user.name")
    assert sources.versions()["CLAUDE_CODE"] in running.sh("claude --version")


def test_sudo_gives_the_workspace_back_and_no_more(box):
    running = box()
    running.sh("mkdir -p /workspace/a && touch /workspace/a/b && chown -R root:root /workspace/a", user="root")
    running.sh("ln -s /etc/passwd /workspace/link && ln -s /etc /workspace/folder", user="root")
    running.sh("sudo -n chown -R magents:magents /workspace")
    assert running.sh("stat -c %U /workspace/a/b /etc/passwd /etc").split() == ["magents", "root", "root"]
    for words in (
        "id", "-s", "sh", "-i", "chown magents /etc", "chown -R magents:magents /etc",
        "chown -R magents:magents /workspace /etc", "chown -R -L magents:magents /workspace",
        "chown -RH magents:magents /workspace", "chown -R magents:magents /workspace/../etc",
        "chown -R magents:magents /workspace/", "-u nobody chown -R magents:magents /workspace",
    ):  # fmt: skip
        assert running.sh(f"sudo -n {words} 2>/dev/null", code=1) == "", words


def test_the_home_is_prepared_once(box, until):
    running = box("-e", "MAGENTS_GIT_NAME=Ada L", "-e", "MAGENTS_GIT_EMAIL=ada@example.org",
                  "-e", "ANTHROPIC_API_KEY=sk-123456789012345678901234")  # fmt: skip
    until(lambda: running.sh("readlink ~/.gemini/GEMINI.md", code=None), 30, "the last of it")
    assert running.sh("git config user.name; git config user.email") == "Ada L\nada@example.org\n"
    assert running.sh("readlink ~/.taskmaster").strip() == "/shared/.taskmaster"
    state = json.loads(running.sh("cat ~/.claude.json"))
    assert state["customApiKeyResponses"]["approved"] == ["56789012345678901234"]
    assert running.sh("git config --system safe.directory").strip() == "/workspace"
    running.sh("echo mine >~/.claude.json")
    docker("restart", running.name)
    assert running.sh("cat ~/.claude.json") == "mine\n"


def test_health_of_a_living_agent_costs_little(box, until):
    running = box("-e", "MAGENTS_ID=web", "-e", "MAGENTS_HOSTED=1", "-e", "MAGENTS_TASK=7",
                  "-e", "MAGENTS_HARNESS=command")  # fmt: skip
    open_terminal(running, "web", "sleep 600")
    until(lambda: running.health()["status"] == "running", 30, "running")
    said = running.health()
    assert (said["agent"], said["task"], said["healthy"], said["start_sh"]) == ("web", "7", True, None)
    assert said["uptime"] > 0
    assert "404" in running.sh("curl -sS -o /dev/null -w '%{http_code}' localhost:3000/other")
    assert docker("port", running.name) == ""
    rss = running.sh("ps -o rss= -p $(pgrep -f guest/health.py | head -n 1)")
    assert int(rss) < 15 * 1024
    # curl -f is the image's own check
    running.sh("curl -fsS http://localhost:3000/health")


@pytest.mark.parametrize("address", ["", "0.0.0.0"])
def test_health_answers_inside_only_unless_it_is_told_otherwise(box, address):
    running = box("-e", f"HEALTH_ADDRESS={address}")
    running.health()
    place = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", running.name).strip()
    # 7: it could not connect
    box().sh(f"curl -sS -o /dev/null http://{place}:3000/health", code=0 if address else 7)


def test_health_misses_a_terminal(box, until):
    running = box("-e", "MAGENTS_ID=web", "-e", "MAGENTS_HOSTED=1", "-e", "MAGENTS_HARNESS=command")
    open_terminal(running, "web", "exit 3")
    until(lambda: running.health()["status"] == "failed", 30, "failed")
    assert running.health()["detail"] == "exit code 3"
    assert running.health()["healthy"] is True  # it has told its end
    open_terminal_again = "rm /agent/events.jsonl; tmux kill-server"
    running.sh(open_terminal_again)
    until(lambda: not running.health()["healthy"], 30, "unhealthy")
    running.sh("curl -fsS http://localhost:3000/health", code=22)


@pytest.mark.parametrize("trap", ["mkfifo events.jsonl", "mkdir events.jsonl", "ln -s /dev/zero events.jsonl",
                                  "head -c 30000000 /dev/urandom >events.jsonl"])  # fmt: skip
def test_a_hostile_log_stops_nobody(box, trap):
    running = box("-e", "MAGENTS_ID=web", "-e", "MAGENTS_HOSTED=1", "-e", "MAGENTS_HARNESS=command")
    open_terminal(running, "web", "sleep 600")
    running.sh(f"cd /agent && rm -rf events.jsonl && {trap}")
    began = time.monotonic()
    assert running.health()["agent"] == "web"
    assert time.monotonic() - began < SOON
    docker("restart", running.name)
    assert running.health()["agent"] == "web"
    took, _ = stop(running)
    assert took < SOON


def test_a_slow_caller_keeps_nobody_waiting(box):
    running = box()
    running.sh("for i in 1 2 3; do (sleep 30 | curl -sS telnet://localhost:3000 >/dev/null 2>&1 &) ; done")
    assert running.health()["healthy"] is True


def test_an_idle_container_stops_at_once(box):
    running = box("-e", "MAGENTS_ID=web", "-e", "MAGENTS_HOSTED=1")
    open_terminal(running, "web", "cat")
    took, code = stop(running)
    assert code in (0, 143)
    assert took < SOON
    assert '"name":"stopping"' in of_agent(running, "events.jsonl")


def test_the_agent_saves_when_it_is_stopped(box, until):
    running = box("-e", "MAGENTS_ID=web", "-e", "MAGENTS_HOSTED=1")
    running.sh(f"cat >/workspace/saves.py <<'END'\n{SAVES}END")
    open_terminal(running, "web", "python3 /workspace/saves.py")
    until(lambda: "ready" in running.screen("web"), 30, "ready")
    took, code = stop(running)
    assert code in (0, 143)
    assert took < SOON
    assert "ready" in of_agent(running, "terminal.txt")
    docker("start", running.name)
    assert running.sh("cat /workspace/saved") == "SIGHUP"


def test_who_does_not_want_to_end_is_ended(box, until):
    running = box("-e", "MAGENTS_ID=web", "-e", "MAGENTS_HOSTED=1")
    open_terminal(running, "web", f"sh -c '{DEAF.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'")
    until(lambda: "ready" in running.screen("web"), 30, "ready")
    took, _ = stop(running)
    assert took < SOON
    assert docker("inspect", "-f", "{{.State.Running}}", running.name).strip() == "false"


def test_a_tmux_that_does_not_answer_delays_nobody(box):
    running = box("-e", "MAGENTS_ID=web", "-e", "MAGENTS_HOSTED=1")
    open_terminal(running, "web", "cat")
    running.sh("pkill -STOP -x 'tmux: server'")
    took, _ = stop(running)
    assert took < SOON


def test_events_are_in_the_log(box, until):
    running = box("-e", "MAGENTS_ID=web", "-e", "MAGENTS_HOSTED=1")
    until(lambda: "the container of web is up" in running.logs(), 30, "its start", shown=running.logs)
    open_terminal(running, "web", "exit 5")
    until(lambda: '"name":"exit"' in running.logs(), 30, "the event", shown=running.logs)


def test_a_launch_that_was_told_before_it_looked_is_in_the_log(box, until, tmp_path):
    """The host tells of it as soon as the container runs; what was told of earlier ones is not told again."""
    tmp_path.chmod(0o777)
    events.write(Folder(str(tmp_path)), "launch", "an earlier one")
    events.write(Folder(str(tmp_path)), "launch", "this one")
    (tmp_path / "events.jsonl").chmod(0o666)
    running = box("-e", "MAGENTS_ID=web", "-e", "MAGENTS_HOSTED=1", "-v", f"{tmp_path}:/agent")
    until(lambda: "this one" in running.logs(), 30, "the launch", shown=running.logs)
    assert "earlier" not in running.logs()


def test_start_sh_runs_and_its_crash_is_told(box, until, tmp_path):
    tmp_path.chmod(0o777)
    (tmp_path / "start.sh").write_text("echo hello from start.sh\npwd\nsleep 1\nexit 7\n")
    running = box("-e", "MAGENTS_ID=web", "-e", "MAGENTS_HOSTED=1", "-v", f"{tmp_path}:/agent")
    until(lambda: "hello from start.sh\n/workspace" in running.logs(), 30, "its output", shown=running.logs)
    assert running.health()["start_sh"] == "running"
    until(lambda: "start.sh ended with exit code 7" in running.logs(), 30, "its end", shown=running.logs)
    said = running.health()
    assert (said["start_sh"], said["healthy"]) == ("exit code 7", False)
    assert '"by":"start.sh","name":"exit","data":"{\\"code\\":7}"' in (tmp_path / "events.jsonl").read_text()


def test_task_master_serves_all_agents(image, box):
    shared = f"magents-test-{uuid.uuid4().hex[:12]}"
    try:
        first, second = box("-v", f"{shared}:/shared"), box("-v", f"{shared}:/shared")
        first.sh("git init -q /workspace")

        def add(running, title):
            running.sh(f"task-master add-task --title={title} --description=x")

        adding = [threading.Thread(target=add, args=(running, running.name[-4:])) for running in (first, second)]
        for thread in adding:
            thread.start()
        for thread in adding:
            thread.join()
        listed = first.sh("task-master list")
        assert all(running.name[-4:] in listed for running in (first, second))
        second.sh("task-master set-status --id=1 --status=done")
        assert "#2" in first.sh("task-master next")
        assert first.sh("git -C /workspace status --porcelain") == ""
    finally:
        docker("rm", "-f", first.name, second.name, code=None)
        docker("volume", "rm", shared, code=None)


def test_claude_asks_nothing(box, until):
    with standin.serve(host=bridge()) as url:
        running = box("-e", "AGENT_ID=web", "-e", f"ANTHROPIC_BASE_URL={url}",
                      "-e", f"ANTHROPIC_API_KEY={homes.KEY}")  # fmt: skip
        until(lambda: "bypass permissions on" in running.screen("web"), 30, "claude's input",
              shown=lambda: running.screen("web"))  # fmt: skip
        until(lambda: running.health()["status"] == "done", 30, "done")
        running.sh("tmux send-keys -l -t =magents-web:agent 'write hello.txt: from claude'; sleep 0.3;"
                   " tmux send-keys -t =magents-web:agent Enter")  # fmt: skip
        until(lambda: "from claude" in running.sh("cat /workspace/hello.txt", code=None), 30, "its file",
              shown=lambda: running.screen("web"))  # fmt: skip
        took, code = stop(running)
        assert took < SOON
        assert code in (0, 143)
        assert homes.KEY not in running.logs()


def test_the_users_layer(image, box):
    uid, gid = 4321, 8765
    name = images.for_user(image, uid, gid)
    try:
        assert images.for_user(image, uid, gid) == name
        running = box(of=name)
        assert running.sh("id -u; id -g; id -un").split() == [str(uid), str(gid), "magents"]
        running.sh("touch /workspace/a /shared/a /agent/a ~/a; git config --global user.name")
        assert running.sh("stat -c %u ~/a /workspace").split() == [str(uid), str(uid)]
        assert json.loads(docker("image", "inspect", name))[0]["Config"]["Labels"]["magents.image"] == "1"
    finally:
        docker("rm", "-f", running.name)
        docker("image", "rm", name, code=None)
    assert images.for_user(image, 0, 0).endswith("-1000-1000")


def test_a_foreign_image_is_refused_with_what_it_lacks(engine):
    ended = ("ps", "--all", "--no-trunc", "--filter", "status=exited", "--format", "{{.ID}} {{.Command}}")
    before = set(docker(*ended).splitlines())
    with pytest.raises(MagentsError) as refused:
        images.for_user(images.BASE, 1000, 1000)
    for word in ("the program git", "the program task-master", "lib/magents/init", "the user magents"):
        assert word in refused.value.message
    assert not [row for row in set(docker(*ended).splitlines()) - before if "lib/magents/check" in row]
    with pytest.raises(Missing) as missing:
        images.for_user("magents/no-such-image", 1000, 1000)
    assert "magents image build" in missing.value.hint


def test_the_compose_example_comes_up_healthy_and_is_one_of_us(docker_mode, project, magents, tmux, until):
    compose = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    if subprocess.run([*compose, "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker-compose is not installed")
    text = (ROOT / "examples/docker-compose.agents.yml").read_text().replace("magents/agent:latest", docker_mode)
    mark = uuid.uuid4().hex[:8]
    text = re.sub(r"(AGENT_ID: |container_name: magents-)(researcher|developer)", rf"\1\2-{mark}", text)
    (project / "compose.yml").write_text(text)
    env = {**os.environ, "ANTHROPIC_API_KEY": homes.KEY}
    words = [*compose, "-p", f"mt{mark}", "-f", str(project / "compose.yml")]
    ids = [f"researcher-{mark}", f"developer-{mark}"]
    try:
        subprocess.run([*words, "up", "-d"], env=env, cwd=project, check=True, capture_output=True, timeout=120)
        for id in ids:
            until(lambda id=id: "bypass permissions on" in magents("logs", id, code=None).out, 30,
                  "claude's screen", shown=lambda id=id: str(magents("logs", id, code=None)))  # fmt: skip
        listed = magents("list").out
        for id in ids:
            assert re.search(rf"{id} .*docker .*running .*a container of your own", listed), listed
        tmux("new-session", "-d", "-s", "user", "-x", "110", "-y", "30")
        tmux("send-keys", "-t", "user", f"env -u TMUX {sys.executable} -m magents attach {ids[0]}", "Enter")
        until(lambda: "bypass permissions on" in tmux("capture-pane", "-p", "-t", "user"), 30, "it, attached")
        assert f"magents-{ids[0]}" in Box(f"magents-{ids[0]}").sh("tmux list-clients -F '#{client_session}'")
        for id in ids:
            until(lambda id=id: docker("inspect", "-f", "{{.State.Health.Status}}", f"magents-{id}") == "healthy\n",
                  60, "healthy", pause=0.5, shown=lambda id=id: docker("logs", f"magents-{id}"))  # fmt: skip
    finally:
        subprocess.run([*words, "down", "-v", "-t", "3"], env=env, cwd=project, check=False, capture_output=True)


def test_a_service_tells_of_a_workspace_that_is_not_its_own(box, until, tmp_path):
    if os.geteuid():
        pytest.skip("only root can make a folder of another user")
    tmp_path.chmod(0o700)
    running = box("-e", "AGENT_ID=web", "-e", "AGENT_COMMAND=pwd; sleep 600", "-v", f"{tmp_path}:/workspace")
    until(lambda: "/workspace belongs to the user 0" in running.logs(), 30, "the reason", shown=running.logs)
    assert "tmux" not in running.sh("ps -eo comm")
    advice = re.search(
        r"docker exec (\S+) (sudo chown -R magents:magents /workspace), then restart", running.logs()
    )
    docker("exec", advice[1], *advice[2].split())
    docker("restart", running.name)
    until(lambda: running.screen("web").startswith("/workspace\n"), 30, "its start", shown=running.logs)
    tmp_path.chmod(0o755)
    os.chown(tmp_path, 0, 0)
    docker("restart", running.name)
    until(lambda: running.logs().count("belongs to the user 0") == 2, 30, "the warning", shown=running.logs)
    until(lambda: running.screen("web").startswith("/workspace\n"), 30, "its start all the same")


def test_options_that_make_no_sense(tmp_path, engine):
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(UsageError):
        images.build("x", ca_cert=str(tmp_path / "empty.pem"))
    with pytest.raises(UsageError):
        images.build("x", agents=["no-such"])
