"""A container that is made for one command, in which it works on a workspace whose agent does not run.

It ends with the command, however that ends: it reads what the command would type, and that is over once the
command is gone. Nothing of the agent's runs in it, and it has no network.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from magents import process
from magents.errors import CommandFailed
from magents.runtimes import engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LABEL = "magents.helper"
"""The label that tells it from an agent's."""
PATIENCE = 120
"""Seconds that it gets to come up."""
LIFE = "cat /proc/sys/kernel/hostname; exec cat >/dev/null"
"""What runs in it: tells that it is up, and by which name, then waits for the end of its input."""


@contextlib.contextmanager
def helper(image: str, mounts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The words that run a command in one, from this image and with these mounts. Raises as `engine.docker`."""
    words = (
        "docker", "run", "--rm", "--interactive", "--pull", "never", "--label", f"{LABEL}=1", "--network", "none",
        "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "512", "--no-healthcheck",
        *mounts, "--entrypoint", "sh", image, "-c", LIFE,
    )  # fmt: skip
    with process.Attended(words) as running:
        try:
            name = running.first_line(PATIENCE)
        except CommandFailed as error:
            raise engine.explained(error, PATIENCE) from error
        yield ("docker", "exec", "--interactive", name)
