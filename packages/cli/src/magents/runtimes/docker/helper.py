"""A container that is made for one command, in which it works on a workspace whose agent does not run.

It ends with the command, however that ends: it reads what the command would type, and that is over once the
command is gone. It has the walls of an agent's container, and stricter ones: no network, no capability, nothing but
the workspace and `/tmp` that it could write to. Nothing of the agent's runs in it: git is told to run no program
that a repository names.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from magents.core.errors import CommandFailed
from magents.core.names import DIRTY, STILL
from magents.runtimes.docker import engine
from magents.system.process import feeding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from magents.system.there import Command

LABEL = "magents.helper"
"""The label that tells it from an agent's."""
START_TIMEOUT_S = 120
"""Seconds that it gets to come up."""
ENVIRONMENT = {STILL: "", DIRTY: "dirty", "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
"""Git runs nothing (`git/inert.py`), and asks no other repository for objects, by whatever program."""
LIFE = "cat /proc/sys/kernel/hostname; exec cat >/dev/null"
"""What runs in it: tells that it is up, and by which name, then waits for the end of its input."""


@contextlib.contextmanager
def helper(image: str, mounts: Sequence[str], walls: Sequence[str]) -> Iterator[Command]:
    """What runs commands in one, from this image, with these options. Raises as `engine.docker`."""
    words = (
        "docker", "run", "--rm", "--interactive", "--pull", "never", "--label", f"{LABEL}=1", *walls,
        "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--no-healthcheck",
        "--read-only", "--mount", "type=volume,target=/tmp", *mounts,
        *(f"--env={name}={value}" for name, value in ENVIRONMENT.items()),
        "--entrypoint", "sh", image, "-c", LIFE,
    )  # fmt: skip
    with feeding.Attended(words) as running:
        try:
            name = running.first_line(START_TIMEOUT_S)
        except CommandFailed as error:
            raise engine.explained(error, START_TIMEOUT_S) from error
        yield partial(engine.execute, name)
