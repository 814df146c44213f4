"""What the stand-in does: the words of the last prompt are its script. Pure but for the count of failures.

say WORDS           answers WORDS
run: COMMAND        calls the harness's shell tool, and answers "ran it" once it has the result
ask: COMMAND        the same, so that the harness asks for permission (codex would not by itself)
write FILE: TEXT    writes TEXT to FILE
call TOOL: JSON     calls the tool whose name ends in TOOL, with these arguments
question: WORDS     asks the user, where the harness has a tool for that
sleep N             waits N seconds, then answers "slept"
fail [N]            fails the first N requests (one, if not said) that come with this very prompt
anything else       answers "ok: " and the prompt
"""

from __future__ import annotations

import json
import re
import shlex
import threading
from typing import NamedTuple


class Asked(NamedTuple):
    """A request, in no language in particular."""

    prompt: str
    """What the user said last."""
    answered: bool
    """Whether the results of tools came after that."""
    tools: tuple[str, ...]
    """Names of the tools on offer. None means a side job: a title, a summary."""
    folder: str = ""
    """Where the harness runs, if it says so."""


class Call(NamedTuple):
    """A call of one of the harness's tools."""

    tool: str
    arguments: dict[str, object]


class Answer(NamedTuple):
    """What to send back; `call` goes after `text`."""

    text: str
    call: Call | None = None
    wait: float = 0
    """Seconds to let pass first."""
    failed: bool = False


SHELLS = ("Bash", "exec_command", "shell_command", "shell", "run_shell_command", "bash")
TEXT = "text"
"""Stands for the one tool of a harness whose model acts by what it writes (aider)."""
QUESTIONS = ("AskUserQuestion", "ask_user_question", "request_user_input", "ask_user", "question")

_failures: dict[str, int] = {}
_lock = threading.Lock()


def answer(asked: Asked) -> Answer:
    """What the stand-in says to that."""
    verb, _, rest = re.sub(r"^(\w+):", r"\1 :", asked.prompt.strip()).partition(" ")
    rest = rest.removeprefix(":").strip()
    if not asked.tools:
        return Answer("a title")
    if asked.answered:
        return Answer("ran it")
    if verb == "say":
        return Answer(rest)
    if verb == "sleep":
        return Answer("slept", wait=float(rest or 1))
    if verb == "fail":
        return Answer("no longer fails", failed=_fails(asked.prompt, int(rest or 1)))
    if TEXT in asked.tools and verb in ("run", "ask", "write"):
        return Answer(in_text(verb, rest))
    if verb in ("run", "ask"):
        return Answer("", shell(asked.tools, rest or "touch asked", outside=verb == "ask"))
    if verb == "write":
        name, _, text = rest.partition(":")
        return Answer("", write(asked, name.strip(), text.strip()))
    if verb == "call":
        name, _, arguments = rest.partition(":")
        tool = next((tool for tool in asked.tools if tool.endswith(name)), name)
        return Answer("", Call(tool, json.loads(arguments)))
    if verb == "question":
        return Answer("", question(asked.tools, rest))
    return Answer(f"ok: {asked.prompt}")


def _fails(prompt: str, times: int) -> bool:
    with _lock:
        _failures[prompt] = _failures.get(prompt, 0) + 1
        return _failures[prompt] <= times


def shell(tools: tuple[str, ...], command: str, outside: bool) -> Call | None:
    """A call of whichever shell tool there is; `outside` the sandbox, for those that have one."""
    name = next((tool for tool in SHELLS if tool in tools), None)
    if name is None:
        return None
    arguments: dict[str, object] = {"command": command}
    if name in ("Bash", "bash", "run_shell_command"):
        arguments["description"] = "What the test asked for"
    if name == "exec_command":
        arguments = {"cmd": command}
    if name == "shell":
        arguments = {"command": ["bash", "-c", command]}
    if outside and name in ("exec_command", "shell_command", "shell"):
        arguments |= {"sandbox_permissions": "require_escalated", "justification": "May I?"}
    return Call(name, arguments)


def write(asked: Asked, name: str, text: str) -> Call | None:
    """Claude's own tool where it is on offer, or else the shell."""
    if "Write" in asked.tools and asked.folder:
        return Call("Write", {"file_path": f"{asked.folder}/{name}", "content": text + "\n"})
    return shell(asked.tools, f"printf '%s\\n' {shlex.quote(text)} > {shlex.quote(name)}", False)


def in_text(verb: str, rest: str) -> str:
    """The same in aider's own language: a block of shell, or an edit."""
    if verb != "write":
        return f"Run this:\n\n```bash\n{rest or 'touch asked'}\n```\n"
    name, _, text = rest.partition(":")
    return f"{name.strip()}\n```\n<<<<<<< SEARCH\n=======\n{text.strip()}\n>>>>>>> REPLACE\n```\n"


def question(tools: tuple[str, ...], words: str) -> Call | None:
    """A call of the tool that asks the user, where there is one."""
    name = next((tool for tool in QUESTIONS if tool in tools), None)
    options = [{"label": one, "description": f"The {one} one"} for one in ("red", "blue")]
    ask: dict[str, object] = {"question": words, "header": "Choice", "options": options}
    if name in ("AskUserQuestion", "ask_user_question"):
        ask["multiSelect"] = False
    if name == "ask_user":
        ask["type"] = "choice"
    if name == "request_user_input":
        ask["id"] = "choice"
    return Call(name, {"questions": [ask]}) if name else None


def dumps(value: object) -> str:
    """JSON on one line."""
    return json.dumps(value, separators=(",", ":"))
