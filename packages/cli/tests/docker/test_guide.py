"""Every line of shell in docs/docker.md, as it stands there and in its order, against a real engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import containers, run, until
from magents.testing import standin

from .conftest import Box, bridge, docker, drop_image

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("agents")]

GUIDE = Path(__file__).parents[4] / "docs/docker.md"
LATEST = "magents/agent:latest"
"""What the guide calls the image; the test has one of its own, so as not to replace the developer's."""
SHOWS = {
    "magents list": r"^feature-login .*feature/login +docker +claude",
    "magents diff feature-login": r"\+<form>",
    "magents logs feature-login": r"login.html",
    "magents restore feature-login": r"Restored feature-login .* 1 uncommitted file",
    "magents config --get DOCKER_MEMORY": r"^6g$",
    "magents config": r"DOCKER_PIDS_LIMIT +1000",
    "docker exec magents-keys env | grep API_KEY": r"^ANTHROPIC_API_KEY=sk-ant-\.\.\.$",
    "docker exec magents-custom ls /opt/our-tools": r"^/opt/our-tools$",
    "docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}' magents-no-internet":
        r"^magents-inside$",
    "docker exec magents-inside ps -eo pid,args": r"tini -- [^\n]*\n(.*\n)*.* tail -f /dev/null\n(.*\n)*.* claude ",
    "docker logs magents-inside": r"the container of inside is up",
    "docker exec magents-inside curl -s http://localhost:3000/health": r'"agent": "inside".*"healthy": true',
    "docker exec magents-inside tmux list-windows -a": r"^magents-inside:0: agent",
    "docker exec magents-inside task-master --version": r"^\d+\.\d+\.\d+$",
    "docker exec magents-move-me cat unsaved.txt": r"^work$",
    "cat ../project-agents/move-me/unsaved.txt": r"^work$",
    "magents doctor || true": r"docker: works",
    "docker ps --all --filter label=magents.image": r"NAMES",
    "docker exec magents-scripted ls /agent/start.sh": r"^/agent/start.sh$",
}  # fmt: skip
"""What the output of some of them shows."""


def commands() -> Iterator[str]:
    """The guide's commands, a here-document as one; comments are the shell's own."""
    for block in re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL):
        lines = iter(block.splitlines())
        for line in lines:
            text = line
            while "<<'END'" in text and not text.endswith("\nEND"):
                text += "\n" + next(lines)
            if text.strip():
                yield text


class Shell:
    """One shell for all of them, as far as the environment goes."""

    def __init__(self, folder: Path, kept: Path) -> None:
        self.folder, self.kept = folder, kept

    def run(self, command: str) -> str:
        """Run it; what it printed. Fails unless it succeeds."""
        script = f"[ ! -e {self.kept} ] || . {self.kept}\n{command}\ncode=$?; export -p >{self.kept}; exit $code"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, capture_output=True, text=True, timeout=300, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            pytest.fail(f"{command}\nexited {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout


def attach(line: str, tmux, project: Path) -> None:
    """What needs a terminal: in one, until it is inside, and back with the keys that the guide names."""
    box = Box(f"magents-{line.split()[2]}")
    tmux("new-session", "-d", "-s", "user", "-x", "110", "-y", "30", "-c", str(project), "env -u TMUX sh")
    tmux("send-keys", "-t", "user", f"{line}; echo le''ft $?", "Enter")

    def shown() -> str:
        return str(tmux("capture-pane", "-p", "-t", "user"))

    until(lambda: "bypass permissions on" in shown(), 30, "claude's screen", shown=shown)
    assert "magents-" in box.sh("tmux list-clients -F '#{client_session}'")
    tmux("send-keys", "-t", "user", "C-b", "d")
    until(lambda: "left 0" in shown(), what="the end of attach", shown=shown)
    tmux("kill-session", "-t", "user")


@pytest.fixture
def shell(docker_mode, place, project, monkeypatch) -> Iterator[Shell]:
    """A user's shell: `magents` on its PATH, and the stand-in where the guide's model would be."""
    programs = place.top / "bin"
    programs.mkdir()
    (programs / "magents").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m magents "$@"\n')
    (programs / "magents").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.delenv("MAGENTS_DOCKER_IMAGE")
    (place.home / ".magents-config").write_text(f"DOCKER_IMAGE={docker_mode}\nAPI_KEYS=ANTHROPIC_BASE_URL\n")
    try:
        with standin.serve(host=bridge()) as url:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
            yield Shell(project, place.top / "exported")
    finally:
        for container in containers(place):
            docker("rm", "--force", "--volumes", container, code=None)
        docker("network", "rm", "magents-inside", code=None)
        drop_image("myorg/magents:custom")


def test_every_line_of_the_guide_runs(shell, docker_mode, project, place, tmux):
    ca = os.environ.get("NODE_EXTRA_CA_CERTS") or os.environ.get("SSL_CERT_FILE")
    said = set()
    for line in commands():
        command = line.partition("  #")[0].strip() if "\n" not in line else line
        if command == "magents image build":  # of everything as it is, so it takes seconds
            done = shell.run(command + (f" --ca-cert '{ca}'" if ca else ""))
            assert re.search(r"\d MB", done), done
            continue
        if command.startswith("magents attach"):
            attach(command, tmux, project)
            continue
        if "--prompt 'Write the login page'" in command:  # in the words that the stand-in understands
            command = command.replace("Write the login page", "write login.html: <form>")
        shown = shell.run(command.replace(LATEST, docker_mode))
        if command in SHOWS:
            assert re.search(SHOWS[command], shown, re.MULTILINE), f"{command}\n{shown}"
            said.add(command)
    assert said == set(SHOWS)
    assert containers(place) == []


def test_build_sh_makes_the_same_image(docker_mode, place, unique):
    assert "`cd packages/cli/docker && ./build.sh`" in GUIDE.read_text()
    name = f"magents/agent:{unique}"
    ca = os.environ.get("NODE_EXTRA_CA_CERTS") or os.environ.get("SSL_CERT_FILE")
    options = ["--tag", name, *(["--ca-cert", ca] if ca else [])]
    try:
        done = run("./build.sh", *options, cwd=GUIDE.parents[1] / "packages/cli/docker")
        assert re.search(rf"{name}\b.*: \d+ MB, with claude ", done.out, re.MULTILINE), done.out
        told = "{{json .Config.Labels}} {{.Config.Entrypoint}} {{.Size}}"
        assert docker("inspect", "-f", told, name) == docker("inspect", "-f", told, docker_mode)
    finally:
        docker("image", "rm", name, code=None)
