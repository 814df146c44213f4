"""Where Magents keeps its own things, on this machine and in a container. Nothing is created here.

The paths in a container are the image's: `docker/Dockerfile` makes them, `guest/container/paths` tells scripts.
"""

from __future__ import annotations

import os


def state() -> str:
    """The folder of the store, the agents' folders and the locks.

    `$MAGENTS_STATE`, else `magents` in `$XDG_STATE_HOME`, which is `~/.local/state` by default (XDG Base
    Directory Specification 0.8).
    """
    given = os.environ.get("MAGENTS_STATE")
    if given:
        return os.path.abspath(os.path.expanduser(given))
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(base, "magents")


def config() -> str:
    """The user's configuration file."""
    return os.environ.get("MAGENTS_CONFIG") or os.path.expanduser("~/.magents-config")


def share() -> str:
    """The folder of the programs that run beside an agent: `agent-run`, `magents-event`, `bin`."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guest")


WORKSPACE = "/workspace"
SHARED = "/shared"
"""What the agents of a project share."""
AGENT = "/agent"
"""The agent's own folder: its log, and what its harness is started with."""
ACCEPTED = "/accepted"
"""What of the shared folder counts for the agent's start."""
RUN = "/run/magents"
"""What lasts until the container ends."""
LIBRARY = "/usr/local/lib/magents"
"""The guest's programs, as `share` has them here."""
CONTAINED = (WORKSPACE, SHARED, AGENT, ACCEPTED)
"""The folders of a container that are mounted for its agent."""


def borrowed(path: str) -> str:
    """Where a container finds a folder of this machine that its clone borrows objects from: at the same path,
    unless the agent has a folder of its own there."""
    return f"/borrowed{path}" if path.startswith(tuple(f"{folder}/" for folder in CONTAINED)) else path
