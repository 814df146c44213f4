"""A client of an MCP server on a pipe, as a coding agent is one."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest


class Client:
    """Start a server and greet it; `with` ends it as a client does, by closing its input."""

    def __init__(self, *argv: str | Path, cwd: str | Path | None = None, env: dict[str, str] | None = None) -> None:
        self.child = subprocess.Popen(
            [os.fspath(word) for word in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, cwd=cwd, env={**os.environ, **(env or {})},
        )  # fmt: skip
        self.heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self.count = 0
        threading.Thread(target=self.hear, daemon=True).start()
        me = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        self.greeting = self.ask("initialize", me)["result"]
        self.say({"method": "notifications/initialized"})

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.stdin.close()
        try:
            self.child.wait(60)
        finally:
            self.child.kill()
            self.child.wait()

    def hear(self) -> None:
        with self.child.stdout as lines:
            for line in lines:
                self.heard.put(json.loads(line))
        self.heard.put({"gone": True})

    def say(self, message: dict[str, Any]) -> None:
        self.child.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.child.stdin.flush()

    def begin(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Ask without waiting; the request's number."""
        self.count += 1
        self.say({"id": self.count, "method": method, "params": params or {}})
        return self.count

    def answer(self, number: int | None, seconds: float = 240) -> dict[str, Any]:
        """The next message, which must be the answer to that request."""
        try:
            said = self.heard.get(timeout=seconds)
        except queue.Empty:
            pytest.fail(f"no answer to request {number} within {seconds} s")
        assert said.get("id", "none") == number, said
        return said

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.answer(self.begin(method, params))

    def names(self) -> list[str]:
        """The tools that it offers."""
        return [tool["name"] for tool in self.ask("tools/list")["result"]["tools"]]

    def start_call(self, name: str, **arguments: Any) -> int:
        return self.begin("tools/call", {"name": name, "arguments": arguments})

    def call(self, name: str, **arguments: Any) -> str:
        """Call a tool; what it says. Fails when that is an error."""
        said = self.answer(self.start_call(name, **arguments))
        result = said.get("result") or pytest.fail(f"{name}: {said}")
        text = str(result["content"][0]["text"])
        assert not result.get("isError"), text
        return text
