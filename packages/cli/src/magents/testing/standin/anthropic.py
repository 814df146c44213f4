"""Anthropic's Messages API, as Claude Code uses it: streaming and not, and the count of tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from magents.testing.standin.script import Answer, Asked, dumps

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_FOLDER = re.compile(r"(?:Primary w|W)orking directory: *([^\n<]+)")


def asked(body: dict[str, Any]) -> Asked:
    """What the request asks for."""
    prompt, answered = "", False
    for message in body.get("messages", []):
        if message["role"] != "user":
            continue
        for block in _blocks(message["content"]):
            text = _REMINDER.sub("", block.get("text", "")).strip()
            if block["type"] == "tool_result":
                answered = True
            elif text and not text.startswith("[Request interrupted"):
                prompt, answered = text, False
    tools = tuple(tool["name"] for tool in body.get("tools", []))
    found = _FOLDER.search(dumps([body.get("system"), body.get("messages")]).replace("\\n", "\n"))
    return Asked(prompt, answered, tools, found[1].strip() if found else "")


def _blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def whole(body: dict[str, Any], said: Answer) -> dict[str, Any]:
    """The answer to a request that did not ask for a stream."""
    content = [block for block, _ in _content(said)]
    return _message(body, content, "tool_use" if said.call else "end_turn")


def stream(body: dict[str, Any], said: Answer) -> Iterator[str]:
    """The answer as server-sent events."""
    yield _event("message_start", message=_message(body, [], None))
    for index, (block, delta) in enumerate(_content(said)):
        rest: dict[str, Any] = {"text": ""} if block["type"] == "text" else {"input": {}}
        empty = {**block, **rest}
        yield _event("content_block_start", index=index, content_block=empty)
        yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    stop = {"stop_reason": "tool_use" if said.call else "end_turn", "stop_sequence": None}
    yield _event("message_delta", delta=stop, usage={"output_tokens": 5})
    yield _event("message_stop")


def _content(said: Answer) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each block of the answer, and the delta that fills it."""
    if said.text:
        yield {"type": "text", "text": said.text}, {"type": "text_delta", "text": said.text}
    if said.call:
        block = {"type": "tool_use", "id": f"toolu_{uuid4().hex}", "name": said.call.tool}
        delta = {"type": "input_json_delta", "partial_json": dumps(said.call.arguments)}
        yield block | {"input": said.call.arguments}, delta


def _message(body: dict[str, Any], content: list[dict[str, Any]], stop: str | None) -> dict[str, Any]:
    """Each has an id of its own: Claude Code takes those with one id for parts of one message."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    return {
        "id": f"msg_{uuid4().hex}", "type": "message", "role": "assistant", "model": body.get("model", "x"),
        "content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage,
    }  # fmt: skip


def _event(kind: str, **fields: object) -> str:
    return f"event: {kind}\ndata: {dumps({'type': kind, **fields})}\n\n"
