"""A stand-in for the model behind Claude Code: it answers every prompt with "ok".

`python3 model.py FOLDER` listens on a free port of loopback. It writes the port to FOLDER/port, and appends
every request that asks for an answer to FOLDER/requests, a line of JSON each. A last prompt with the words
`wait N` is answered after N seconds.
"""

from __future__ import annotations

import json
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
BLOCK = {"type": "text", "text": "ok"}


def message(body: dict[str, Any]) -> dict[str, Any]:
    """The answer, whole."""
    return {
        "id": f"msg_{time.time_ns()}", "type": "message", "role": "assistant", "model": body.get("model", "model"),
        "content": [BLOCK], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    }  # fmt: skip


def stream(body: dict[str, Any]) -> str:
    """The answer, as server-sent events."""
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message(body) | {"content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": BLOCK | {"text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": BLOCK["text"]}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_HEAD(self) -> None:
        """Claude Code asks whether the server is there."""
        self._answer("")

    def do_POST(self) -> None:
        """A prompt, or the count of its tokens."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if not self.path.partition("?")[0].endswith("/messages"):
            self._answer('{"input_tokens": 9}')
            return
        with (FOLDER / "requests").open("a") as log:
            log.write(json.dumps(body) + "\n")
        last = [each for each in body["messages"] if each["role"] == "user"][-1:]
        if wait := re.search(r"\bwait (\d+)", json.dumps(last)):
            time.sleep(int(wait[1]))
        self._answer(stream(body) if body.get("stream") else json.dumps(message(body)))

    def _answer(self, text: str) -> None:
        self.send_response(200)
        events = text.startswith("event:")
        self.send_header("Content-Type", "text/event-stream" if events else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
(FOLDER / "port.new").write_text(str(server.server_address[1]))
(FOLDER / "port.new").rename(FOLDER / "port")
server.serve_forever()
