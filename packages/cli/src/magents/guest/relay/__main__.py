"""Stand between an agent and Task Master's MCP server, which takes no lock, 3 to 20 s to start and 290 MB.

    python3 -IS relay PROJECT SERVER         serve MCP on stdin and stdout
    python3 -IS relay --list PROJECT SERVER  print the tools that Task Master has, for a file to keep

SERVER is started at the first call of a tool, and ended when none came for five minutes. Each call goes to it
under the lock that all other writers of PROJECT/.taskmaster take, and works on the list there, whatever the call
says. What the tools are is kept for each version of Task Master, so that nobody has to start it to be told.
"""

from __future__ import annotations

import os
import select
import signal
import sys

import tools
from relay import Job, Relay
from server import Failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def listing(relay: Relay) -> str:
    """The document that tells the tools. Raises Failed."""
    relay.work.append(Job(None, "tools/list", {}))
    while relay.work:
        relay.go_on()
        server = relay.server
        if server is not None:
            relay.hear_server(select.select(server.pipes, [], [], relay.patience())[0])
    if not relay.listed:
        raise Failed("Task Master does not tell its tools")
    return tools.document(relay.version, relay.listed)


def leave(number: int, frame: Any) -> None:
    """End as if the client had gone."""
    raise SystemExit(128 + number)


def main() -> None:
    """Serve, or list; end with nothing left behind."""
    words = [word for word in sys.argv[1:] if word != "--list"]
    relay = Relay(os.path.realpath(words[0]), words[1:])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        if "--list" in sys.argv[1:2]:
            sys.stdout.write(listing(relay) + "\n")
        else:
            relay.run()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        relay.end()


main()
