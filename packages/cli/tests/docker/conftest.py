"""Containers of the real image that are gone after the test."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest


def docker(
    *words: str | Path, code: int | None = 0, timeout: float = 120, env: dict[str, str] | None = None
) -> str:
    """Run docker; its output. Fails when the exit code is another one (None: any will do)."""
    done = subprocess.run(
        ["docker", *map(os.fspath, words)], capture_output=True, timeout=timeout, check=False,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    said = done.stdout.decode(errors="replace")
    if code is not None and done.returncode != code:
        pytest.fail(f"docker {words} exited {done.returncode}, not {code}:\n{said}\n{done.stderr.decode()}")
    return said


def drop_image(name: str) -> None:
    """Remove an image, and the layers for users that were made over it."""
    id = docker("images", "--quiet", name).strip()
    over = docker(
        "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference=magents/agent-user:{id}-*"
    )
    docker("image", "rm", "--force", *(over.split() if id else ()), name, code=None)


class Box(NamedTuple):
    """A running container."""

    name: str

    def sh(self, line: str, code: int | None = 0, user: str = "") -> str:
        """Run a line of shell in it."""
        return docker("exec", *(["-u", user] if user else []), self.name, "sh", "-c", line, code=code)

    def health(self) -> dict[str, Any]:
        """What /health says, whatever the code."""
        return dict(json.loads(self.sh("curl -sS http://localhost:3000/health")))

    def logs(self) -> str:
        return subprocess.run(
            ["docker", "logs", self.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
        ).stdout.decode(errors="replace")

    def screen(self, id: str) -> str:
        return self.sh(f"tmux -u capture-pane -p -J -t =magents-{id}:agent", code=None)


@pytest.fixture
def box(image: str, tmp_path: Path) -> Iterator[Callable[..., Box]]:
    """Start a container: `box(*options, image=…, command=…)`."""
    made: list[str] = []

    def start(*options: str, of: str = image, command: tuple[str, ...] = ()) -> Box:
        name = f"magents-test-{uuid.uuid4().hex[:12]}"
        made.append(name)
        docker("run", "-d", "--name", name, *options, of, *command)
        return Box(name)

    yield start
    for name in made:
        docker("rm", "-f", "-v", name, code=None)


@pytest.fixture
def unique() -> str:
    """What to end an agent's id with: containers of an engine have one name each, whoever made them."""
    return uuid.uuid4().hex[:6]


def gateway(image: str) -> str:
    """The address of this machine as containers see it. An engine that has found its bridge there does not tell it of
    the network, only of a container."""
    name = docker("run", "--detach", "--rm", "--entrypoint", "sleep", image, "60").strip()
    try:
        return docker("inspect", "-f", "{{.NetworkSettings.Gateway}}", name).strip()
    finally:
        docker("rm", "--force", name, code=None)
