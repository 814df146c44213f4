"""Gemini CLI, Google's coding agent. Facts below were seen with gemini 0.61."""

from __future__ import annotations

import json
import os
import re

from magents.core.event import Signal
from magents.core.program import Program, Start
from magents.harnesses.fields import field, line, shown
from magents.harnesses.hooks import HookedHarness, hooks

EVENTS = ("SessionStart", "BeforeAgent", "BeforeTool", "Notification", "AfterTool", "AfterAgent")
"""What it is asked to report.

SessionStart comes with the start. Notification comes within 0.1 s of BeforeTool, as the dialog opens. Yes
is followed by AfterTool once the command has ended; no, which is Esc, by nothing at all, so that the screen
must be asked. Esc while it thinks is followed by AfterAgent.
"""


def settings() -> str:
    """The settings that make it report, the same for every agent: its environment says where to.

    Gemini reads them as its system-wide defaults, below the user's and the project's, whose hooks they
    leave in force. But it does so only if the file and every folder above it belong to root.
    """
    report = 'if [ -n "$MAGENTS_EVENT" ]; then "$MAGENTS_EVENT" "$MAGENTS_FOLDER" gemini %s; fi'
    wanted = {"hooks": hooks(EVENTS, lambda event: report % event), "hooksConfig": {"notifications": False}}
    return json.dumps(wanted, indent=2)


_SETTINGS = "gemini.json"
_NESTED = ("GEMINI_CLI", "GEMINI_CLI_NO_RELAUNCH", "GEMINI_SESSION_ID")
# What a gemini gives the commands it runs; one of them may be `magents`.

_INPUT = re.compile(r"^─+\n(?: \S.*\n)?\n? [>*!] (.*)$", re.MULTILINE)
_ASKS = re.compile(r"^(Allow execution of .*\?|Apply this change\?|Do you trust .*\?)$", re.MULTILINE)


class Gemini(HookedHarness):
    """`gemini`, told by a file of settings what to report: `~/.gemini` and the project stay as they are.

    For root that file is in the agent's folder. For anyone else `settings()` has to be in
    `/etc/gemini-cli/system-defaults.json`, as in our image; where it is not, only its screen tells.
    """

    name = "gemini"
    working = frozenset({"BeforeAgent", "BeforeTool", "AfterTool"})
    waiting = frozenset({"Notification"})
    done = frozenset({"AfterAgent"})
    question_tool = ("BeforeTool", "ask_user")
    named_by = done  # once a turn is over there is something to resume

    def __init__(self, home: str = "user", where: str = "here") -> None:
        super().__init__(home, where)
        self.brings_settings = (home, where) == ("user", "here") and os.geteuid() == 0
        """Whether its file of settings is in the agent's folder."""
        self.takes_prompt = frozenset({"BeforeAgent"} if home == "image" or self.brings_settings else ())

    def start(self, start: Start) -> Program:
        """`gemini`, its settings in the agent's folder if they can be."""
        argv = ["gemini"]
        if start.unattended:
            argv += ["--approval-mode=yolo", "--skip-trust"]  # nobody is there to answer the question of trust
        if start.resume:
            argv += [f"--resume={start.session or 'latest'}"]
        if start.prompt:
            argv += [f"--prompt-interactive={start.prompt}"]
        env = {"MAGENTS_EVENT": f"{start.share}/magents-event", "MAGENTS_FOLDER": start.folder}
        if not self.brings_settings:
            return Program(tuple(argv), env=env, unset=_NESTED)
        env["GEMINI_CLI_SYSTEM_DEFAULTS_PATH"] = f"{start.folder}/{_SETTINGS}"
        return Program(tuple(argv), env=env, unset=_NESTED, files={_SETTINGS: settings()})

    def system_files(self) -> dict[str, str]:
        """The settings that make it report, where it takes them for anyone."""
        return {"/etc/gemini-cli/system-defaults.json": settings()}

    def question(self, data: str) -> Signal | None:
        """What a Notification asks for; None for a question, whose words came with BeforeTool."""
        if field(data, "type") == "ask_user":
            return None
        what = field(data, "command") or field(data, "filePath") or field(data, "message") or "permission"
        title = field(data, "title")
        return Signal("waiting", line(f"{title}: {what}" if title else what))

    def look(self, screen: str) -> Signal | None:
        """A box that asks, the spinner's footer, or the empty input."""
        screen = shown(screen)
        text = "\n".join(row.lstrip("│╭╰ ").rstrip("│╮╯ ") for row in screen.splitlines())
        if asked := _ASKS.search(text):
            command = re.search(r"^\? (.+)$", text, re.MULTILINE)
            return Signal("waiting", line(command[1] if command else asked[1]))
        if asked := re.search(r"^Answer Questions\n+(.+)$", text, re.MULTILINE):
            return Signal("waiting", line(asked[1]))
        if "How would you like to authenticate" in text:
            return Signal("waiting", "to be signed in")
        if re.search(r"\(esc to cancel", text):
            return Signal("working")
        return Signal("done") if _INPUT.search(screen) else None

    def draft(self, screen: str) -> str:
        """What stands unsent in its input box."""
        found = _INPUT.findall(shown(screen))[-1:]
        return "" if not found or "Type your message or @" in found[0] else str(found[0]).strip()

    def queued(self, screen: str) -> bool:
        """It keeps a prompt until its turn is over, and shows it."""
        return "Queued (press" in screen
