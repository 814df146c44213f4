"""OpenAI's two languages: Responses (codex) and Chat Completions (opencode, aider)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from magents.testing.standin.script import TEXT, Answer, Asked, dumps

# Codex puts what it has to say about the folder before the prompt, as if the user had said it.
_CONTEXT = re.compile(r"^\s*(<(environment_context|user_instructions|permissions)|# AGENTS\.md|<turn_)")

_REMINDERS = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
"""What qwen puts before the prompt, as if the user had said it."""

_REMINDER = "\n\n# *SEARCH/REPLACE"
"""Where aider's own words begin, which it puts after the user's."""


def responses_asked(body: dict[str, Any]) -> Asked:
    """What a Responses request asks for."""
    prompt, answered = "", False
    items = body.get("input", [])
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        if item.get("type", "").endswith("_call_output"):
            answered = True
        if item.get("role") == "user":
            text = _text(item["content"])
            if text and not _CONTEXT.match(text):
                prompt, answered = text, False
    tools = tuple(tool["name"] for tool in body.get("tools", []) if "name" in tool)
    return Asked(prompt, answered, tools)


def responses_stream(body: dict[str, Any], said: Answer) -> Iterator[str]:
    """The answer to a Responses request, as server-sent events."""
    response = {"id": "resp_standin", "object": "response", "model": body.get("model", "x"), "output": []}
    yield _event("response.created", response=response)
    items = list(_items(said))
    for index, item in enumerate(items):
        yield _event("response.output_item.added", output_index=index, item=item)
        if item["type"] == "message":
            yield _event("response.output_text.delta", item_id=item["id"], output_index=index,
                         content_index=0, delta=said.text)  # fmt: skip
        yield _event("response.output_item.done", output_index=index, item=item)
    usage = {
        "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15,
    }  # fmt: skip
    done = {"status": "completed", "output": items, "usage": usage}
    yield _event("response.completed", response=response | done)


def _items(said: Answer) -> Iterator[dict[str, Any]]:
    if said.text:
        content = [{"type": "output_text", "text": said.text, "annotations": []}]
        yield {"type": "message", "id": "msg_standin", "role": "assistant", "content": content}
    if said.call:
        yield {
            "type": "function_call", "id": f"fc_{id(said)}", "call_id": f"call_{id(said)}",
            "name": said.call.tool, "arguments": dumps(said.call.arguments),
        }  # fmt: skip


def chat_asked(body: dict[str, Any]) -> Asked:
    """What a Chat Completions request asks for."""
    prompt, answered, system = "", False, ""
    for message in body.get("messages", []):
        text = _last(message.get("content") or "")
        if message["role"] == "system":
            system += text
        if message["role"] == "tool":
            answered = True
        if message["role"] == "user" and text:
            prompt, answered = text.partition(_REMINDER)[0], False
    tools = tuple(tool["function"]["name"] for tool in body.get("tools", []))
    if not tools and "SEARCH/REPLACE" in system:  # aider: it reads commands and edits out of the text
        tools = (TEXT,)
    return Asked(prompt, answered, tools)


def chat_whole(body: dict[str, Any], said: Answer) -> dict[str, Any]:
    """The answer to a Chat Completions request that did not ask for a stream."""
    message = {"role": "assistant", "content": said.text, "tool_calls": list(_calls(said))}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if said.call else "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {"object": "chat.completion", "choices": [choice], "usage": usage} | _head(body)


def chat_stream(body: dict[str, Any], said: Answer) -> Iterator[str]:
    """The answer to a Chat Completions request, as server-sent events."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text}
    if said.call:
        message["tool_calls"] = list(_calls(said))
    finish = "tool_calls" if said.call else "stop"
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    for choices, more in (
        ([{"index": 0, "delta": message, "finish_reason": None}], {}),
        ([{"index": 0, "delta": {}, "finish_reason": finish}], {}),
        ([], {"usage": usage}),
    ):
        chunk = {"object": "chat.completion.chunk", "choices": choices} | more | _head(body)
        yield f"data: {dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


def _calls(said: Answer) -> Iterator[dict[str, Any]]:
    if said.call:
        function = {"name": said.call.tool, "arguments": dumps(said.call.arguments)}
        yield {"index": 0, "id": f"call_{id(said)}", "type": "function", "function": function}


def _head(body: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chat_standin", "created": 0, "model": body.get("model", "x")}


def _last(content: str | list[dict[str, Any]]) -> str:
    """The last text of a message: qwen puts a prompt that was interrupted before the next one."""
    parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    texts = [text for part in parts if (text := _REMINDERS.sub("", part).strip())]
    return texts[-1] if texts else ""


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content.strip()
    return "\n".join(part.get("text", "") for part in content).strip()


def _event(kind: str, **fields: object) -> str:
    return f"event: {kind}\ndata: {dumps({'type': kind, **fields})}\n\n"
