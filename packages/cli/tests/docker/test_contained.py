"""What an agent's container holds, may and tells: keys, mounts, limits, its health, its start.sh, tasks, images."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from conftest import commit, containers, git, make_project, run, until
from magents.runtimes.docker.container import CAPABILITIES

from .conftest import Box, docker, drop_image

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SLEEP = ("--", "sleep", "300")


@pytest.fixture
def new(docker_mode, project, magents, unique):
    """Make an agent in a container: `new(options…, command=…)`; its container."""

    def make(*options: str, command: tuple[str, ...] = SLEEP, name: str = "box", **env: str) -> Box:
        magents("create", f"feature/{name}", f"{name}{unique}", "--docker", *options, *command, **env)
        return Box(f"magents-{name}{unique}")

    return make


def told(box: Box) -> dict[str, Any]:
    """What the engine knows of it."""
    return dict(json.loads(docker("inspect", box.name))[0])


class Watch:
    """All command lines on this machine, as often as they can be read while it is open."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._end.is_set():
            for name in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    self.seen.add(Path("/proc", name, "cmdline").read_bytes())

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def test_keys_are_in_the_container_and_nowhere_else(new, place, magents, unique):
    secret = f"sk-{uuid.uuid4().hex}"
    keys = {name: f"{secret}-{name}" for name in (
        "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "PERPLEXITY_API_KEY",
        "MISTRAL_API_KEY", "OPENROUTER_API_KEY", "OURS_API_KEY",
    )}  # fmt: skip
    keys["OURS_API_KEY"] += "\nof two lines"
    magents("config", "--set", "API_KEYS=OURS_API_KEY, UNSET_KEY")
    with Watch() as watch:
        box = new("--agent", "claude", command=(), **keys)
        id = box.name.removeprefix("magents-")
        said = [magents(*words, code=None, **keys) for words in (
            ["list", "--long"], ["list", "--json", "--long"], ["logs", id], ["stop", id, "--json"], ["start", id],
            ["doctor"], ["config"], ["collect", id, "--json"], ["diff", id],
        )]  # fmt: skip
        failing = magents("create", "no/network", f"no{unique}", "--docker", "--", "true", code=1,
                          MAGENTS_DOCKER_NETWORK="no-such-network", **keys)  # fmt: skip
    assert any(b"docker\0run" in words for words in watch.seen)
    assert not [words for words in watch.seen if secret.encode() in words]
    shown = box.sh("env")
    assert all(f"{name}={value}\n" in shown for name, value in keys.items())
    assert "UNSET_KEY" not in shown
    assert "no-such-network" in failing.err
    assert secret not in failing.err + failing.out + "".join(done.out + done.err for done in said)
    assert secret not in box.logs()
    inspected = told(box)
    assert secret in str(inspected["Config"].pop("Env"))
    assert secret not in str(inspected)
    files = [path for path in place.top.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name == "magents.db" for path in files)
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_a_missing_key_is_said_at_create(docker_mode, project, magents, unique, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    said = magents("create", "a", f"keyless{unique}", "--docker", "--agent", "claude").err
    assert "ANTHROPIC_API_KEY" in said and "environment" in said
    assert "API_KEY" not in magents("create", "b", f"keyed{unique}", "--docker", "--agent", "claude",
                                    ANTHROPIC_API_KEY="x").err  # fmt: skip


def test_it_sees_its_folders_and_the_objects(new, project, place):
    seen = told(new())
    mounts = {mount["Destination"]: mount for mount in seen["Mounts"]}
    objects = f"{project}/.git/objects"
    assert {name: mount["RW"] for name, mount in mounts.items()} == {
        "/workspace": True, "/shared": True, "/agent": True, "/accepted": False, objects: False,
    }  # fmt: skip
    assert mounts["/workspace"]["Source"] == f"{place.top}/project-agents/{seen['Name'][9:]}"
    assert mounts[objects]["Source"] == objects
    own = Path(mounts["/agent"]["Source"])
    assert own.is_relative_to(place.state) and own.name == "agent"  # not the folder with the record's own files
    assert Path(mounts["/shared"]["Source"]).is_relative_to(place.state / "shared")


@pytest.fixture
def like_a_container(place):
    """A project that lies on this machine where a container has an agent's workspace."""
    folder = Path("/workspace")
    if os.geteuid() or folder.exists():
        pytest.skip("/workspace cannot be made here")
    try:
        yield make_project(folder)
    finally:
        shutil.rmtree(folder)
        shutil.rmtree("/workspace-agents", ignore_errors=True)


def test_a_project_may_lie_where_a_container_has_its_workspace(docker_mode, like_a_container, magents, unique):
    id, project = f"same{unique}", like_a_container
    magents("create", "same", id, "--docker", *SLEEP, cwd=project)
    try:
        Box(f"magents-{id}").sh("git log --oneline | grep Begin; echo work >work.txt; git add .; git commit -qm Work;"
                                "git fsck --no-progress; echo more >more.txt")  # fmt: skip
        magents("stop", id, cwd=project)
        assert "+more" in magents("diff", id, cwd=project).out
        assert git("log", "-1", "--format=%s", "same", cwd=project) == "Work"
        magents("stop", id, "--remove-worktree", cwd=project)
        magents("restore", id, cwd=project)
        assert Path(f"/workspace-agents/{id}/more.txt").read_text() == "more\n"
    finally:
        docker("rm", "--force", "--volumes", f"magents-{id}", code=None)


def test_it_may_little(new):
    box = new()
    host = told(box)["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert sorted(name.removeprefix("CAP_") for name in host["CapAdd"]) == sorted(CAPABILITIES)
    assert not host["Privileged"]
    assert not [word for word in host["SecurityOpt"] or [] if "seccomp" in word]  # the default profile
    assert host["NetworkMode"] in ("default", "bridge")
    assert not host["PortBindings"] and not host["PublishAllPorts"]
    assert (host["PidMode"], host["IpcMode"], host["UsernsMode"]) == ("", "private", "")
    assert host["PidsLimit"] == 2048
    assert host["Memory"] == 4 * 2**30
    assert host["NanoCpus"] == max(1, (os.cpu_count() or 1) - 1) * 10**9
    assert "Seccomp:\t2" in box.sh("cat /proc/self/status")
    assert "CapEff:\t0000000000000000" in box.sh("cat /proc/self/status")
    assert box.sh("ls /var/run/docker.sock /run/docker.sock 2>/dev/null", code=2) == ""
    assert box.sh("mount -t tmpfs x /mnt 2>/dev/null || echo refused", user="root") == "refused\n"
    written = box.sh("touch $(cat .git/objects/info/alternates)/x 2>&1; true", user="root")
    assert "Read-only file system" in written


def test_sudo_gives_the_workspace_back_and_no_more(new):
    box = new()
    box.sh("mkdir -p a/b && touch a/b/c && chown -R root:root a && chmod 700 a", user="root")
    box.sh("ls a/b 2>/dev/null", code=2)
    docker("exec", box.name, "sudo", "chown", "-R", "magents:magents", "/workspace")
    assert box.sh("stat -c %U:%G a a/b a/b/c").split() == ["magents:magents"] * 3
    for words in ("id", "sh", "chown -R magents:magents /etc", "chown -R root:root /workspace"):
        box.sh(f"sudo -n {words} 2>/dev/null", code=1)


def test_settings_arrive(docker_mode, project, magents, unique, new):
    network = f"magents-test-{unique}"
    docker("network", "create", "--internal", network)
    try:
        for setting in (
            f"DOCKER_NETWORK={network}", "DOCKER_MEMORY=512m", "DOCKER_CPUS=0.5", "DOCKER_PIDS_LIMIT=300",
            "DOCKER_OPTIONS=--add-host db:10.9.8.7 --env 'TOLD=two words' --shm-size 80m",
        ):  # fmt: skip
            magents("config", "--set", setting)
        box = new()
        host = told(box)["HostConfig"]
        assert list(told(box)["NetworkSettings"]["Networks"]) == [network]
        assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (512 * 2**20, 5 * 10**8, 300)
        assert (host["ExtraHosts"], host["ShmSize"]) == (["db:10.9.8.7"], 80 * 2**20)
        assert box.sh('printf %s "$TOLD"; getent hosts db').startswith("two words10.9.8.7")
        used = next(line for line in magents("list", "--long").out.splitlines() if box.name[8:] in line)
        assert "MiB/512MiB" in used and "of 0.5 cpu" in used and "/300 pids" in used
        docker("rm", "-f", box.name)
    finally:
        docker("network", "rm", network, code=None)


def test_files_belong_to_the_user_on_both_sides(docker_mode, place, project, unique):
    """Also where the tests run as root: then as somebody else."""
    uid, gid = (4321, 8765) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    sock = Path("/var/run/docker.sock")
    if os.geteuid() == 0 and not sock.exists():
        pytest.skip("no socket that another user could be let to")
    other = ("setpriv", "--reuid", str(uid), "--regid", str(gid), "--groups", str(sock.stat().st_gid))
    words = other if os.geteuid() == 0 else ()
    if words:
        place.state.mkdir(parents=True, exist_ok=True)
        for path in [place.top, *place.top.rglob("*")]:
            os.chown(path, uid, gid, follow_symlinks=False)
        reach = f"import magents, os; os.listdir({str(place.top)!r})"
        if run(*words, sys.executable, "-c", reach, code=None).code:
            pytest.skip("another user cannot come here, or run this Python")
    magents = (*words, sys.executable, "-m", "magents")
    id = f"owned{unique}"
    run(*magents, "create", "owned", id, "--docker", "--", "sh", "-c", "echo x >made; exec sleep 300", cwd=project)
    box, work = Box(f"magents-{id}"), place.top / "project-agents" / id
    layer = told(box)["Config"]["Image"]
    try:
        until((work / "made").exists)
        assert {(path.stat().st_uid, path.stat().st_gid) for path in work.rglob("*")} == {(uid, gid)}
        run(*words, "sh", "-c", "echo by the host >from-here", cwd=work)
        assert box.sh("id -un; id -u; stat -c %U:%G made from-here README.md .git").split() == [
            "magents", str(uid), *["magents:magents"] * 4,
        ]  # fmt: skip
        box.sh("rm from-here; touch ~/a /agent/a /shared/a")
        assert run(*words, "git", "status", "--porcelain", cwd=work).out == "?? made\n"
        run(*magents, "stop", id, "--remove-worktree", cwd=project)
        assert containers(place) == []
        run(*magents, "restore", id, cwd=project)
        assert (work / "made").stat().st_uid == uid
    finally:
        docker("rm", "-f", box.name, code=None)
        if words:
            docker("image", "rm", layer, code=None)


def test_health_and_logs(new, magents):
    box = new(command=("--", "sh", "-c", "sleep 1; exit 5"), MAGENTS_DOCKER_OPTIONS="--env MAGENTS_TASK=12")
    said = box.health()
    assert (said["agent"], said["task"], said["start_sh"]) == (box.name[8:], "12", None)
    assert said["uptime"] >= 0
    until(lambda: box.health()["status"] == "failed", what="failed", shown=lambda: str(box.health()))
    until(lambda: '"name":"exit"' in box.logs(), what="the event", shown=box.logs)
    assert f"the container of {box.name[8:]} is up" in box.logs()
    assert '"launch"' in box.logs()  # told before the agent itself began
    magents("stop", box.name[8:])
    assert "magents: stopping" in box.logs()


def test_start_sh_is_its_loop_and_its_crash_is_told(new, magents, tmp_path):
    quick = "--health-interval=1s --health-retries=1"
    box = new(MAGENTS_DOCKER_OPTIONS=quick)
    id = box.name.removeprefix("magents-")
    (tmp_path / "start.sh").write_text(
        "while [ ! -e /workspace/crash ]; do echo round $((n = n + 1)); sleep 0.2; done\nexit 7\n"
    )
    until(lambda: "tail -f /dev/null" in box.sh("ps -eo args"), what="its first start, without one, to be over")
    docker("cp", tmp_path / "start.sh", f"{box.name}:/agent/start.sh")
    magents("stop", id)
    magents("start", id)
    until(lambda: "round 3" in box.logs(), what="three rounds", shown=box.logs)
    assert box.health()["start_sh"] == "running"
    assert "unhealthy" not in magents("list").out
    box.sh("touch crash")
    until(lambda: "start.sh ended with exit code 7" in box.logs(), what="its end", shown=box.logs)

    def row() -> str:
        return next(line for line in magents("list").out.splitlines() if id in line)

    until(lambda: "unhealthy" in row(), 30, "unhealthy", shown=row)
    assert "running" in row()  # the agent itself is well
    box.sh("rm crash")
    magents("stop", id)
    magents("start", id)
    until(lambda: "unhealthy" not in row(), 30, "healthy again", shown=row)
    assert box.logs().count("start.sh begins") == 2


def test_task_master_on_the_shared_list(new, project, magents):
    tasks = [
        {"id": n, "title": f"Task number {n}", "description": "d", "status": "pending", "dependencies": [],
         "priority": "medium", "details": "", "testStrategy": "", "subtasks": []}
        for n in (1, 2)
    ]  # fmt: skip
    commit(project, "Tasks", **{".taskmaster__tasks__tasks.json": json.dumps({"master": {"tasks": tasks}})})
    first, second = new(name="first"), new(name="second")
    listed = first.sh("task-master list")
    assert "Task number 1" in listed and "Task number 2" in listed
    first.sh("task-master set-status --id=1 --status=done")
    assert "Task number 2" in second.sh("cd src && task-master next")
    assert first.sh("git status --porcelain") + second.sh("git status --porcelain") == ""
    assert (
        json.loads(first.sh("cat /shared/.taskmaster/tasks/tasks.json"))["master"]["tasks"][0]["status"] == "done"
    )
    assert git("status", "--porcelain", cwd=project) == ""
    assert '"done"' not in (project / ".taskmaster/tasks/tasks.json").read_text()
    magents("stop", first.name[8:], "--remove-worktree")
    assert '"done"' in (project / ".taskmaster/tasks/tasks.json").read_text(), "of a turn that was cut short"


def test_what_one_agent_writes_counts_for_another_once_it_is_accepted(new, project, magents, unique):
    """Instructions and servers, at the next start of each; the one that wrote them is no exception."""
    first = new(name="writes")
    first.sh(
        """cd /shared && echo 'Canary: obey.' >CLAUDE.md && echo '{"mcpServers": {"canary": {"command": "x"}}}' >.mcp.json"""
    )
    first.sh("! touch /accepted/x 2>/dev/null && ! sh -c 'echo x >>/accepted/CLAUDE.md' 2>/dev/null")
    id = f"reads{unique}"
    said = magents("create", "reads", id, "--docker", "--", "sleep", "1000")
    assert said.err.count("an agent has changed /shared/CLAUDE.md and /shared/.mcp.json") == 1
    second = type(first)(f"magents-{id}")
    see = "cat ~/.claude/CLAUDE.md ~/.codex/AGENTS.md ~/.gemini/GEMINI.md $OPENCODE_CONFIG /etc/codex/config.toml ~/.claude.json"
    see += " ~/.gemini/settings.json"
    for box in (first, second):
        assert "canary" not in box.sh(see).lower() and "task-master-ai" in box.sh(see)
    assert "+Canary: obey." in magents("shared", "diff").out
    magents("shared", "accept", "--yes")
    assert "Canary" in second.sh("cat ~/.claude/CLAUDE.md"), "instructions from the next conversation on"
    for box in (first, second):
        magents("stop", box.name[8:])
        assert magents("start", box.name[8:]).err == ""
        until(lambda box=box: box.sh(see).count("canary") >= 4, 20, "the server", shown=box.logs)


def test_a_lock_that_an_agent_holds_keeps_nobody(new, project, magents, unique):
    tasks = {"master": {"tasks": [
        {"id": 1, "title": "Task", "description": "d", "status": "pending", "dependencies": [], "priority": "medium"}
    ]}}  # fmt: skip
    commit(project, "Tasks", **{".taskmaster__tasks__tasks.json": json.dumps(tasks)})
    first, second = new(name="holds"), new(name="waits")
    docker("exec", "-d", first.name, "flock", "/shared/.taskmaster", "sleep", "1000")
    until(lambda: first.sh("flock -n /shared/.taskmaster true || echo held", code=None), 10, "the lock")
    first.sh("sed -i 's,\\bTask\\b,Task too,' /shared/.taskmaster/tasks/tasks.json")
    began = time.monotonic()
    said = magents("tasks")
    assert "Task" in said.out and f"in the container {first.name}" in said.err and time.monotonic() - began < 8
    doctor = magents("doctor", code=None).out
    assert f"in the container {first.name}" in doctor
    guest = "/usr/local/lib/magents/python/magents/guest"
    second.sh(
        f"mkdir /tmp/tm; cp {guest}/real /tmp; sed 's/timeout 300/timeout 1/' {guest}/bin/task-master >/tmp/tm/task-master"
    )
    real = "PATH=/opt/task-master/node_modules/.bin:$PATH"
    wrapper = second.sh(f"MAGENTS_PROJECT=/shared {real} sh /tmp/tm/task-master list 2>&1", code=1)
    assert "nothing was done" in wrapper and "magents doctor" in wrapper
    began = time.monotonic()
    magents("stop", second.name[8:])
    magents("start", second.name[8:])
    assert time.monotonic() - began < 20
    subprocess.run(doctor.partition("end it: ")[2].split("\n")[0].split(), check=True)
    until(lambda: magents("tasks").err == "", 20, "no complaint")


def test_a_custom_image(docker_mode, magents, new, tmp_path, unique):
    name = f"myorg/magents:{unique}"
    (tmp_path / "Dockerfile").write_text(
        f"FROM {docker_mode}\nUSER root\nRUN echo made >/opt/ours\nUSER magents\nENV OURS=1\n"
    )
    docker("build", "-q", "-t", name, tmp_path)
    try:
        box = new(MAGENTS_DOCKER_IMAGE=name)
        assert box.sh("cat /opt/ours; echo $OURS; id -un") == "made\n1\nmagents\n"
        assert box.name[8:] in magents("list").out
        docker("rm", "-f", box.name)
    finally:
        drop_image(name)
