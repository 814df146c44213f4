"""Google's generateContent, as Gemini CLI uses it: streaming and not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from magents.testing.standin.script import Answer, Asked, dumps

_CONTEXT = re.compile(r"^\s*<session_context>")


def asked(body: dict[str, Any]) -> Asked:
    """What the request asks for."""
    prompt, answered = "", False
    for content in body.get("contents", []):
        for part in content.get("parts", []):
            text = part.get("text", "").strip()
            if content.get("role") != "user":
                continue
            if "functionResponse" in part:
                answered = True
            elif text and not _CONTEXT.match(text):
                prompt, answered = text, False
    tools = tuple(each["name"] for tool in body.get("tools") or [] for each in tool.get("functionDeclarations", []))
    return Asked(prompt, answered, tools)


def whole(body: dict[str, Any], said: Answer) -> dict[str, Any]:
    """The answer, in one piece."""
    schema = body.get("generationConfig", {}).get("responseJsonSchema")
    if schema:  # a side job that must be answered in JSON: which model suits the prompt, and the like
        said = Answer(dumps(_example(schema)))
    parts: list[dict[str, Any]] = [{"text": said.text}] if said.text else []
    if said.call:
        parts.append({"functionCall": {"name": said.call.tool, "args": said.call.arguments}})
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "standin"}


def stream(body: dict[str, Any], said: Answer) -> Iterator[str]:
    """The answer, as server-sent events."""
    yield f"data: {dumps(whole(body, said))}\r\n\r\n"


def _example(schema: dict[str, Any]) -> object:
    """Some value of that shape."""
    kind = str(schema.get("type", "")).lower()
    if kind == "object":
        return {name: _example(of) for name, of in schema.get("properties", {}).items()}
    if schema.get("enum"):
        return schema["enum"][0]
    return {"integer": 1, "number": 1, "boolean": False, "array": []}.get(kind, "x")
