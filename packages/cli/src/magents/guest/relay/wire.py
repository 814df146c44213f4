"""Messages as MCP has them on a pipe: a line of JSON each (JSON-RPC 2.0)."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` would cost a megabyte in each agent
    from typing import Any

    Message = dict[str, Any]
    Error = tuple[Any, Any]
    """A number of JSON-RPC's, and words."""


def encode(message: Message) -> bytes:
    """A message as a line."""
    return json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> Any:
    """What a line says; None where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def answer(id: Any, result: Any = None, error: Error | None = None) -> None:
    """Answer a request of the client."""
    if error:
        write({"id": id, "error": {"code": error[0], "message": error[1]}})
    else:
        write({"id": id, "result": result})


def write(message: Message) -> None:
    """Tell the client."""
    send(1, message)


def send(pipe: int, message: Message) -> None:
    """Send a message whole. That nobody is there any more to take it is noticed where the other side is heard."""
    data = encode(message)
    try:
        while data:
            data = data[os.write(pipe, data) :]
    except BrokenPipeError:
        pass
