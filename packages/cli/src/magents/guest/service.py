"""Open the agent's terminal in a container that no Magents on a host looks after: a Compose service.

AGENT_ID names the agent. AGENT_COMMAND is its program: the name of a harness, `claude` by default, or any
line of shell. A container that is started again goes on with the conversation of before.
"""

from __future__ import annotations

import os
import sys

from magents.core.errors import MagentsError
from magents.core.names import check_id
from magents.core.program import Start
from magents.guest import events, status, wrapper
from magents.guest.files import Folder
from magents.guest.terminal import Terminal
from magents.harnesses import TABLE, harness
from magents.system import paths
from magents.system.paths import AGENT, WORKSPACE


def start(id: str) -> None:
    """Start the agent. Raises MagentsError."""
    check_workspace()
    line = os.environ.get("AGENT_COMMAND") or "claude"
    kind = harness(line if line in TABLE else "command")
    command = ("sh", "-c", line) if kind.name == "command" else ()
    unattended = os.environ.get("AUTO_ACCEPT") != "never"
    files = Folder(AGENT)
    session = status.read(events.read(files), kind).session
    program = kind.start(Start(AGENT, paths.share(), None, session is not None, session, unattended, command))
    env = {"MAGENTS_ID": id, "MAGENTS_EVENT": f"{paths.share()}/magents-event"}
    with events.launching(files):
        files.write(wrapper.files(program, env))
        Terminal().open(id, [f"{paths.share()}/agent-run", AGENT], WORKSPACE, AGENT, id)


def check_workspace() -> None:
    """Print a warning if the agent may not write to its workspace. Raises MagentsError if it cannot even enter it:
    the agent would begin elsewhere."""
    owner = os.stat(WORKSPACE).st_uid
    message = f"{WORKSPACE} belongs to the user {owner}, and the agent is {os.getuid()}."
    remedy = f"Give it to the agent: docker exec {os.uname().nodename} sudo chown -R magents:magents {WORKSPACE}"
    if not os.access(WORKSPACE, os.X_OK):
        raise MagentsError(message, f"{remedy}, then restart it.")
    if not os.access(WORKSPACE, os.W_OK):
        sys.stderr.write(f"magents: {message} {remedy}\n")


def run() -> None:
    """What `init` runs: start the agent that the environment names; exit with words when that fails."""
    try:
        start(check_id(os.environ["AGENT_ID"]))
    except MagentsError as error:
        sys.exit(f"magents: {error.message} {error.hint}")
