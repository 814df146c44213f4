"""Qwen Code, a coding agent that grew out of Gemini CLI. Facts below were seen with qwen 0.24.0."""

from __future__ import annotations

import json
import re

from magents.core.event import Event, Signal
from magents.core.program import Program, Start
from magents.harnesses.fields import field, line, shown
from magents.harnesses.hooks import HookedHarness, hooks

SETTINGS = "qwen.json"
FRESH = {
    "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": False}},
    "general": {"enableAutoUpdate": False},
    "tools": {"approvalMode": "default"},
}
"""What holds in a fresh home, so that its first start asks nothing, and a tool that may do harm does."""
NESTED = (
    "QWEN_CODE", "QWEN_CODE_AGENT_ID", "QWEN_CODE_CLI", "QWEN_CODE_LAUNCHER_PID", "QWEN_CODE_MESSAGING_SOCKET",
    "QWEN_CODE_MESSAGING_TOKEN", "QWEN_CODE_MODEL", "QWEN_CODE_MODEL_IDENTITY", "QWEN_CODE_NO_RELAUNCH",
    "QWEN_CODE_PROJECT_DIR", "QWEN_CODE_PROMPT_ID", "QWEN_CODE_SESSION_ID", "QWEN_CODE_STARTUP_VERSION",
)  # fmt: skip
"""What a qwen gives the commands it runs; one of them may be `magents`."""
INPUT = re.compile(r"^─+\n[>*!] (.*)\n─+$", re.MULTILINE)
CHOICE = re.compile(r"^ *(\S[^\n]*)\n\s*(?:[❯›] )?1\. ", re.MULTILINE)
"""The line above numbered answers."""
CALL = re.compile(r"^\s*\? (Shell .+?)(?: ←)?$", re.MULTILINE)
"""The command that it asks about, which the line above the answers cuts short."""


class Qwen(HookedHarness):
    """`qwen`, told by a file of settings what to report: `~/.qwen` and the project stay as they are.

    The file holds its system-wide defaults, below the user's and the project's settings; it leaves their hooks in
    force. It takes whichever file its environment names, of any owner.
    """

    name = "qwen"
    takes_prompt = frozenset({"UserPromptSubmit"})
    erase = ("C-u",)
    working = frozenset({"UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure"})
    waiting = frozenset({"PermissionRequest"})
    done = frozenset({"Stop"})
    named_by = working | waiting | done

    def start(self, start: Start) -> Program:
        """`qwen`, its settings in the agent's folder."""
        argv = ["qwen"]
        if start.unattended:
            argv += ["--approval-mode=yolo"]
        if start.resume and start.session:
            argv += [f"--resume={start.session}"]
        if start.prompt:
            argv += [f"--prompt-interactive={start.prompt}"]
        told = '"$MAGENTS_EVENT" "$MAGENTS_FOLDER" qwen %s'
        events = sorted({*self.named_by, "SessionStart", "StopFailure", "Notification"})
        env = {
            "MAGENTS_EVENT": f"{start.share}/magents-event", "MAGENTS_FOLDER": start.folder,
            "QWEN_CODE_SYSTEM_DEFAULTS_PATH": f"{start.folder}/{SETTINGS}",
        }  # fmt: skip
        settings = {"hooks": hooks(events, lambda event: told % event)} | (FRESH if self.home == "image" else {})
        return Program(tuple(argv), env=env, unset=NESTED, files={SETTINGS: json.dumps(settings)})

    def read(self, event: Event) -> Signal | None:
        """What a hook says. It tells by a notification that it is idle, also after Esc and after a no."""
        if event.name == "StopFailure":
            return Signal(
                "waiting", f"its turn failed: {field(event.data, 'error') or 'unknown error'}", failed=True
            )
        if event.name == "Notification":
            return Signal("done") if field(event.data, "notification_type") == "idle_prompt" else None
        return super().read(event)

    def question(self, data: str) -> Signal | None:
        """What it asks; its own questions come as requests to use a tool, too. The event comes before the dialog is
        drawn, on a busy machine seconds before."""
        words = field(data, "question") if field(data, "tool_name") == "ask_user_question" else None
        signal = Signal("waiting", words) if words else super().question(data)
        return signal._replace(end_is_reported=True) if signal else None

    def takes(self, event: Event) -> bool:
        """With an empty prompt it goes on after a tool."""
        return super().takes(event) and bool(field(event.data, "prompt"))

    def look(self, screen: str) -> Signal | None:
        """A question above numbered answers, the spinner's line, or the empty input."""
        text = shown(screen)
        if (choice := CHOICE.search(text)) and re.search("Waiting for user confirmation|Esc: Cancel", text):
            call = CALL.search(text)
            return Signal("waiting", line(call[1] if call else choice[1]))
        if "Select Authentication Method" in text or "How would you like to authenticate" in text:
            return Signal("waiting", "to be signed in")
        if re.search(r"^\s*\S+ .*\(\d+[^)]* esc to cancel\)$", text, re.MULTILINE):
            return Signal("working")
        return Signal("done") if INPUT.search(text) else None

    def draft(self, screen: str) -> str:
        """What stands unsent in its input box."""
        rows = INPUT.findall(shown(screen))[-1:]
        return "" if not rows or "Type your message or @" in rows[0] else str(rows[0]).strip(" \u200b")

    def queued(self, screen: str) -> bool:
        """It keeps a prompt until its turn is over, and shows it."""
        return bool(re.search(r"\d+ queued$", shown(screen), re.MULTILINE))
