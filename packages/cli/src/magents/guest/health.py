"""GET /health on port 3000: how the container's agent is, as JSON; 200 when it is well, 503 when not.

It answers inside the container only, because other agents' containers can be on the same network. A container whose
port is published is given the address to answer at, by HEALTH_ADDRESS: `0.0.0.0` for all.

It is there all the time, so it is small: it imports nothing but sockets, and forks for each request a child
that imports the rest, answers and is gone. A request that takes longer than its time is dropped.
"""

from __future__ import annotations

import _socket  # `socket` alone would double what this takes
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

PORT = 3000
REQUEST_TIMEOUT_S = 4
MAX_REQUEST_BYTES = 8192
MAX_CHILDREN = 8
OPENING_S = 10.0
"""Seconds after the start of the container in which the agent's terminal may still be missing."""


def main() -> NoReturn:
    """Answer until ended."""
    started = time.monotonic()
    listening = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listening.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listening.bind((os.environ.get("HEALTH_ADDRESS") or "127.0.0.1", PORT))
    listening.listen(16)
    children = 0
    while True:
        try:
            connection, _ = listening._accept()  # type: ignore[attr-defined]
        except OSError:
            time.sleep(0.1)  # too many files, or the caller has gone
            continue
        children -= reap()
        try:
            child = os.fork() if children < MAX_CHILDREN else -1
        except OSError:
            child = -1  # no process to be had: the container's limit
        if child == 0:
            serve(_socket.socket(fileno=connection), time.monotonic() - started)
        children += child > 0
        os.close(connection)


def reap() -> int:
    """How many children have ended since."""
    ended = 0
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            ended += 1
    except ChildProcessError:
        pass
    return ended


def serve(connection: _socket.socket, uptime: float) -> NoReturn:
    """In the child: answer one request and end."""
    import signal

    sys.path.insert(0, __file__.rpartition("/magents/")[0])
    signal.alarm(REQUEST_TIMEOUT_S)
    try:
        request = b""
        while b"\r\n\r\n" not in request and len(request) < MAX_REQUEST_BYTES:
            data = connection.recv(MAX_REQUEST_BYTES)
            if not data:
                break
            request += data
        connection.sendall(answer(request, uptime))
    finally:
        os._exit(0)


def answer(request: bytes, uptime: float) -> bytes:
    """The response to a request."""
    import json

    words = request.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or words[0] != b"GET":
        code, content = "405 Method Not Allowed", {"error": "only GET"}
    elif words[1] != b"/health":
        code, content = "404 Not Found", {"error": "only /health"}
    else:
        content = health(uptime)
        code = "200 OK" if content["healthy"] else "503 Service Unavailable"
    body = json.dumps(content).encode() + b"\n"
    head = f"HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def health(uptime: float) -> dict[str, Any]:
    """How the agent is."""
    id = os.environ.get("MAGENTS_ID") or os.environ.get("AGENT_ID")
    state, detail, well = agent(id, uptime) if id else ("running", "no agent", True)
    start_sh = of_start_sh()
    return {
        "agent": id,
        "status": state,
        "detail": detail,
        "uptime": round(uptime, 1),
        "task": os.environ.get("MAGENTS_TASK") or None,
        "start_sh": start_sh,
        "healthy": well and start_sh in (None, "running", "ended"),
    }


def agent(id: str, uptime: float) -> tuple[str, str, bool]:
    """Its status with a detail, and whether the agent is well: its terminal is there, or it has reported the end of
    its program."""
    from magents.core.agent import Agent
    from magents.guest import events, status
    from magents.guest.files import Folder
    from magents.guest.terminal import Terminal
    from magents.harnesses import TABLE, harness
    from magents.system.paths import AGENT, WORKSPACE

    named = os.environ.get("MAGENTS_HARNESS") or os.environ.get("AGENT_COMMAND") or "claude"
    kind = harness(named if named in TABLE else "command")
    report = status.read(events.read(Folder(AGENT)), kind)
    pane = next((pane for pane in Terminal().panes() if pane.id == id and pane.pane), None)
    if pane is None and report.exit_code is None and uptime < OPENING_S:
        return "working", "starting", True
    record = Agent(
        0, id, "", "", "", "", False, kind.name, (), "docker", WORKSPACE, 0.0, "active", False, "", ""
    )  # fmt: skip
    now = time.time()
    there = pane is not None or report.exit_code is not None  # it has reported its end, whatever is left of it
    presence = status.presence(there, pane is not None and not pane.dead, report, now)
    facts = status.Facts(
        record, report, kind.reports, bool(kind.takes_prompt), presence, pane.active if pane else 0.0,
        os.path.isdir(WORKSPACE),
    )  # fmt: skip
    if status.doubtful(facts, now):
        facts = status.with_screen(facts, kind.look(Terminal().screen(id, styled=True)), now)
    current = status.status(facts)
    well = presence == "alive" or (presence == "ended" and report.exit_code is not None)
    return current.state, current.detail, well


def of_start_sh() -> str | None:
    """`running`, `ended`, `exit code N`; None where there is no start.sh."""
    from magents.system.paths import RUN

    try:
        with open(os.open(f"{RUN}/start.sh", os.O_RDONLY | os.O_NONBLOCK)) as file:
            code = file.read(20).strip()
    except OSError:
        return None
    return {"running": "running", "0": "ended"}.get(code, f"exit code {code}")


if __name__ == "__main__":
    main()
