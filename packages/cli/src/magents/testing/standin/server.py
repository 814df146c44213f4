"""The stand-in's HTTP server: finds out the language, asks the script, and sends its answer."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from magents.testing.standin import anthropic, gemini, openai
from magents.testing.standin.script import Answer, Asked, answer, dumps


@contextlib.contextmanager
def serve(
    port: int = 0, log: Path | None = None, host: str = "127.0.0.1", says: Callable[[str], str] = str
) -> Iterator[str]:
    """Serve while the block runs, on loopback or on another address of this machine; yields
    `http://HOST:PORT`. `says`: what a prompt means, in the language of the script."""
    handler = type("Handler", (_Handler,), {"log": log, "says": staticmethod(says)})
    server = ThreadingHTTPServer((host, port), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    log: Path | None = None
    says: Callable[[str], str] = str

    def do_HEAD(self) -> None:
        self._json({})

    def do_GET(self) -> None:
        models = [{"id": "standin", "object": "model"}] if "/models" in self.path else []
        self._json({"object": "list", "data": models, "models": []})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw or b"{}")
        except ValueError:  # telemetry
            body = {}
        if self.log:
            with self.log.open("a") as lines:
                lines.write(dumps({"path": self.path, "body": body}) + "\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the harness was ended
            self._answer(self.path.partition("?")[0], body)

    def _answer(self, path: str, body: dict[str, Any]) -> None:
        streams = bool(body.get("stream"))
        if path.endswith("/messages/count_tokens"):
            self._json({"input_tokens": 10})
        elif path.endswith("/messages"):
            if said := self._said(anthropic.asked(body)):
                self._send(anthropic.stream(body, said) if streams else anthropic.whole(body, said))
        elif path.endswith("/responses"):
            if said := self._said(openai.responses_asked(body)):
                self._send(openai.responses_stream(body, said))
        elif path.endswith("/chat/completions"):
            if said := self._said(openai.chat_asked(body)):
                self._send(openai.chat_stream(body, said) if streams else openai.chat_whole(body, said))
        elif path.endswith(":streamGenerateContent"):
            if said := self._said(gemini.asked(body)):
                self._send(gemini.stream(body, said))
        elif path.endswith(":generateContent"):
            if said := self._said(gemini.asked(body)):
                self._send(gemini.whole(body, said))
        else:
            self._json({})

    def _said(self, asked: Asked) -> Answer | None:
        """The script's answer, in its time; None once it has been told to fail."""
        said = answer(asked._replace(prompt=self.says(asked.prompt)))
        time.sleep(said.wait)
        if not said.failed:
            return said
        self._json({"type": "error", "error": {"type": "api_error", "message": "overloaded"}}, 500)
        return None

    def _send(self, content: Iterable[str] | dict[str, Any]) -> None:
        if isinstance(content, dict):
            self._json(content)
            return
        self._head(200, "text/event-stream")
        for event in content:
            self.wfile.write(event.encode())
            self.wfile.flush()

    def _json(self, value: dict[str, Any], code: int = 200) -> None:
        self._head(code, "application/json")
        if self.command != "HEAD":
            self.wfile.write(dumps(value).encode())

    def _head(self, code: int, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the harness under test owns the terminal."""
