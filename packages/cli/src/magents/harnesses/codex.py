"""Codex, OpenAI's coding agent. Facts below were seen with codex 0.169."""

from __future__ import annotations

import hashlib
import json
import re
import shlex

from magents.core.event import Signal
from magents.core.program import Program, Start
from magents.harnesses.fields import end, line, shown
from magents.harnesses.hooks import HookedHarness

EVENTS = {
    "SessionStart": "session_start",
    "UserPromptSubmit": "user_prompt_submit",
    "PreToolUse": "pre_tool_use",
    "PermissionRequest": "permission_request",
    "PostToolUse": "post_tool_use",
    "Stop": "stop",
    "Interrupt": "interrupt",
    "SessionEnd": "session_end",
}
"""What it is asked to report, and how it spells that in a hook's key.

SessionStart comes with the first prompt, not with the start. PermissionRequest comes 10 ms after
PreToolUse, as the dialog opens. An answer to it makes no event: yes is followed by PostToolUse once the
command has ended, no by Interrupt, and so is Esc at any time.
"""

_ASKS = re.compile(r"^  (Would you like to .+\?)$", re.MULTILINE)
_COMMAND = re.compile(r"^  \$ (.+)$", re.MULTILINE)
_NESTED = ("CODEX_CI", "CODEX_SESSION_ID", "CODEX_THREAD_ID", "CODEX_TOOL_CALL_ID", "CODEX_VERSION")
# What a codex gives the commands it runs; one of them may be `magents`.

_DIM = re.compile(r"\x1b\[(?:[0-9;]*;)?2m[^\x1b]*")
_FIRST_QUESTIONS = {
    "Hooks need review": "whether its hooks are trusted",
    "Trust this folder?": "whether this folder is trusted",
    "Sign in with ChatGPT": "to be signed in",
}


class Codex(HookedHarness):
    """`codex`, told what to report by its command line alone: `~/.codex` and the project stay as they are."""

    name = "codex"
    takes_prompt = frozenset({"UserPromptSubmit"})
    working = frozenset({"UserPromptSubmit", "PreToolUse", "PostToolUse"})
    waiting = frozenset({"PermissionRequest"})
    done = frozenset({"Stop", "Interrupt"})
    question_tool = ("PreToolUse", "request_user_input")
    named_by = frozenset(EVENTS)

    def start(self, start: Start) -> Program:
        """`codex` or `codex resume`, with its hooks as options."""
        # Any `-c` also keeps it from moving into codex's background server, out of the agent's terminal.
        argv = ["codex"]
        for event in EVENTS:
            argv += ["-c", f"hooks.{event}={_hook(start, event)}"]
        argv += ["-c", f"hooks.state={{{', '.join(_trust(start, event) for event in EVENTS)}}}"]
        if start.unattended:
            argv += ["--dangerously-bypass-approvals-and-sandbox"]
        words = [start.prompt] if start.prompt else []
        if start.resume and start.session:
            argv += ["resume"]
            words.insert(0, start.session)
        elif start.resume:
            argv += ["resume", "--last"]  # the last one of this folder
        return Program((*argv, "--", *words) if words else tuple(argv), unset=_NESTED)

    def look(self, screen: str) -> Signal | None:
        """What it asks stands below all else; the line above its input box tells whether it works."""
        screen = shown(screen)
        if asked := _ASKS.search(screen):
            command = _COMMAND.search(screen, asked.end())
            return Signal("waiting", line(command[1] if command else asked[1]))
        for words, meaning in _FIRST_QUESTIONS.items():
            if words in screen:
                return Signal("waiting", meaning)
        if any(map(_works, screen.splitlines())):
            return Signal("working")
        return Signal("done") if re.search(r"^› (?!\d\. )", screen, re.MULTILINE) else None

    def draft(self, screen: str) -> str:
        """What stands unsent in its input box. The words of an empty one are dim."""
        last = [row for row in end(screen).splitlines() if shown(row).startswith("› ")][-1:]
        return shown(_DIM.sub("", last[0]))[2:] if last else ""


def _works(row: str) -> bool:
    """Whether a row tells that it works: `• Working (12s • esc to interrupt)`."""
    before, found, _ = row.rpartition(" esc to interrupt)")
    return bool(found) and row.startswith(("• ", "◦ ")) and "(" in before


def _command(start: Start, event: str) -> str:
    """What a hook runs: a line of shell."""
    return shlex.join((f"{start.share}/magents-event", start.folder, "codex", event))


def _seconds(event: str) -> int:
    """The longest a hook may take. For the last two one second is codex's own choice."""
    return 1 if event in ("Interrupt", "SessionEnd") else 10


def _hook(start: Start, event: str) -> str:
    """One hook, as TOML. A JSON string without escaped letters is a TOML string."""
    command = json.dumps(_command(start, event), ensure_ascii=False)
    return f'[{{hooks=[{{type="command", timeout={_seconds(event)}, command={command}}}]}}]'


def _trust(start: Start, event: str) -> str:
    """The user's trust in that very hook, as TOML: without it codex asks at every start.

    Codex keeps that trust as a digest of the hook's definition. `--dangerously-bypass-hook-trust` would
    do too, but it would also let loose whatever hooks the project has. Should another version of codex
    make its digest in another way, it asks, which `look` tells the user.
    """
    hook = {"type": "command", "command": _command(start, event), "timeout": _seconds(event), "async": False}
    definition = {"event_name": EVENTS[event], "hooks": [hook]}
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return f'"/<session-flags>/config.toml:{EVENTS[event]}:0:0"={{trusted_hash="sha256:{digest}"}}'
