"""Claude Code (`claude`). Facts are of version 2.1.197, seen with the real program.

Its hooks go in with `--settings`, so neither the user's nor the project's files are touched. It tells no
hook when a permission is granted or denied, nor when the user interrupts a turn with Esc: for these
moments `look` reads the screen.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import time

from magents.core.event import Event, Signal
from magents.core.program import Program, Start
from magents.harnesses.fields import end, field, line
from magents.harnesses.hooks import HookedHarness, hooks
from magents.system.files import guarded

UNSEEN = 0.4
"""Seconds that it gets to write a turn down where that cannot be seen."""
LONGEST_TURN = 4 << 20
"""Bytes of a conversation's end in which its last turn is looked for."""

CHOICE = re.compile(r"\W*❯\s*\d+\. ")
DIM = re.compile(r"\x1b\[(?:0;)?2m")
SGR = re.compile(r"\x1b\[[0-9;:]*m")


class Claude(HookedHarness):
    """Claude Code."""

    name = "claude"
    takes_prompt = frozenset({"UserPromptSubmit"})
    working = frozenset(
        {"UserPromptSubmit", "PostToolUse", "PostToolUseFailure", "PermissionDenied", "ElicitationResult"}
    )
    waiting = frozenset({"PermissionRequest", "Elicitation"})
    done = frozenset({"Stop", "StopFailure"})
    named_by = working | waiting | done
    erase = ("C-u",)
    saves = 3.0  # seen: 0.03 to 0.4, more on a busy machine, and lost when it is ended before

    def start(self, start: Start) -> Program:
        """`claude`, its hooks in a settings file of the agent's own folder."""
        argv = ["claude", "--settings", f"{start.folder}/claude.json"]
        if start.unattended:
            argv += ["--permission-mode", "bypassPermissions"]
        # `--resume` of a conversation in which nothing was said yet fails, and so does `--continue`;
        # `session` reports one only once something was.
        if start.resume and start.session:
            argv += ["--resume", start.session]
        if start.prompt is not None:
            argv += ["--", start.prompt]
        report = shlex.join([f"{start.share}/magents-event", start.folder, self.name])
        names = ["SessionStart", *sorted(self.working), *sorted(self.waiting), *sorted(self.done), "SessionEnd"]
        settings = {"hooks": hooks(names, lambda name: f"{report} {name}", timeout=10)}
        # A Claude Code that runs `magents` must not make its child believe to be nested in it.
        nested = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT", "CLAUDE_CODE_EXECPATH")
        return Program(tuple(argv), unset=nested, files={"claude.json": json.dumps(settings)})

    def read(self, event: Event) -> Signal | None:
        """What a hook says; of a turn's end, also its last words or why it failed."""
        if event.name == "Stop":
            return Signal("done", field(event.data, "last_assistant_message") or "")
        if event.name == "StopFailure":
            why = field(event.data, "error") or "unknown error"
            return Signal("waiting", f"its turn failed: {why}", failed=True)
        return super().read(event)

    def settles(self, asked: Event, later: Event) -> bool:
        """A finished tool settles the question about that tool only: others run beside it."""
        if asked.name != "PermissionRequest" or not later.name.startswith("PostToolUse"):
            return True
        return call(asked.data) == call(later.data)

    def saved(self, event: Event) -> bool:
        """It writes to the conversation's file when its hooks have run, of a first turn first the least part. In a
        container nobody sees that file."""
        if event.name not in self.done:
            return True
        if self.where == "there":
            return time.time() - event.at > UNSEEN
        path = field(event.data, "transcript_path", 4096) or ""
        try:
            if os.stat(path).st_mtime <= event.at:
                return False
        except (OSError, ValueError):
            return False
        prompt = f'"promptId":"{field(event.data, "prompt_id")}"'.encode()
        _, found, after = guarded.read(path, LONGEST_TURN).rpartition(prompt)
        return bool(found) and b'"type":"assistant"' in after

    def forgets(self, event: Event) -> bool:
        """Asked to resume what it has not written down, it ends at once, and that is all it tells."""
        return event.name == "SessionEnd"

    def look(self, screen: str) -> Signal | None:
        """A numbered choice is a question; the footer tells whether a turn is on; an empty box is idle."""
        rows = SGR.sub("", end(screen)).rstrip().splitlines()[-30:]
        text = "\n".join(rows)
        if any(map(CHOICE.match, rows)) and re.search(r"Esc to cancel|Enter to (confirm|select)", text):
            return Signal("waiting", asked_on(text))
        if "esc to interrupt" in text:
            return Signal("working")
        return Signal("done") if box(screen) is not None else None

    def draft(self, screen: str) -> str:
        """What stands unsent in the input box; placeholders, which are dim, do not count."""
        return box(screen) or ""

    def holds(self, draft: str, text: str) -> bool:
        """A paste of several lines, or a long one, shows as a placeholder that tells how many lines came after
        the first."""
        pasted = re.fullmatch(r"\[Pasted text #\d+(?: \+(\d{1,9}) lines?)?\]", draft)
        return int(pasted[1] or 0) == text.count("\n") if pasted else super().holds(draft, text)

    def queued(self, screen: str) -> bool:
        """It shows that a prompt waits for the end of the turn."""
        return "edit queued messages" in SGR.sub("", end(screen))


def call(data: str) -> str:
    """The part of a report that tells one tool call from another."""
    _, _, rest = data.partition('"tool_name":')
    return re.split(r',"(?:permission_suggestions|tool_response|tool_use_id|error)"', rest)[0][:1000]


def asked_on(screen: str) -> str:
    """The question on a dialog: its last line that ends in a question mark; else the dialog's title."""
    if re.search(r"trust this folder|Do you trust the files", screen):
        return "whether to trust this folder"
    if "Bypass Permissions mode" in screen:
        return "whether to accept Bypass Permissions mode"
    lines = [text.strip(" │❯\xa0") for text in screen.splitlines()]
    return line(next((text for text in reversed(lines) if text.endswith("?")), "a choice"))


def box(screen: str) -> str | None:
    """The text in the input box at the screen's end; None where there is none.

    The box stands between two rules, and a no-break space follows its `❯`, which an earlier prompt in the
    history does not have.
    """
    lines = end(screen).splitlines()
    rules = [i for i, text in enumerate(lines) if re.fullmatch(r"─{20,}.*", SGR.sub("", text).strip())]
    if len(rules) < 2:
        return None
    inside = lines[rules[-2] + 1 : rules[-1]]
    if not inside or not SGR.sub("", inside[0]).startswith("❯\xa0"):
        return None
    if DIM.search(inside[0]):
        return ""
    return "\n".join(SGR.sub("", text)[2:].rstrip() for text in inside).strip()
