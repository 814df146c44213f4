"""What Magents makes of Gemini CLI: pure. The events and screens are real ones of gemini 0.61."""

from __future__ import annotations

import json
import os

import pytest

from harnesses.screens import screen
from magents.core.event import Event, Signal
from magents.core.program import Start
from magents.harnesses.gemini import Gemini

ID = "0d7c5ab1-5b37-4a55-8c0f-0a6a2a1f9f11"
HEAD = f'{{"session_id":"{ID}","cwd":"/w","timestamp":"2026-11-23T09:08:15Z",'
TOOL = '"tool_name":"run_shell_command","tool_input":{"command":"touch f.txt","description":"x"}}'
QUESTION = '"tool_name":"ask_user","tool_input":{"questions":[{"question":"which colour?","header":"Choice"}]}}'
ASKS = (
    '"notification_type":"ToolPermission","message":"Tool Confirm Shell Command requires execution",'
    '"details":{"type":"exec","title":"Confirm Shell Command","command":"touch f.txt","rootCommand":"touch"}}'
)
ASKS_USER = '"notification_type":"ToolPermission","message":"x","details":{"type":"ask_user","title":"Ask User"}}'


def start(**options):
    return Gemini().start(Start("/a b/it's", "/sh are", **options))


@pytest.mark.parametrize(
    ("options", "argv"),
    [
        ({}, ()),
        ({"prompt": "-x"}, ("--prompt-interactive=-x",)),
        ({"unattended": True}, ("--approval-mode=yolo", "--skip-trust")),
        ({"resume": True}, ("--resume=latest",)),
        ({"resume": True, "session": ID, "prompt": "y"}, (f"--resume={ID}", "--prompt-interactive=y")),
    ],
)
def test_start(options, argv):
    assert start(**options).argv == ("gemini", *argv)


def test_it_is_told_where_to_report_by_its_environment(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told = {"MAGENTS_EVENT": "/sh are/magents-event", "MAGENTS_FOLDER": "/a b/it's"}
    assert start().env == told
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program = start()
    assert program.env == told | {"GEMINI_CLI_SYSTEM_DEFAULTS_PATH": "/a b/it's/gemini.json"}
    assert "AfterAgent" in json.loads(program.files["gemini.json"])["hooks"]


@pytest.mark.parametrize(
    ("name", "data", "signal"),
    [
        ("SessionStart", HEAD + '"source":"startup"}', None),
        ("BeforeAgent", HEAD + '"prompt":"say hello"}', Signal("working")),
        ("BeforeTool", HEAD + TOOL, Signal("working")),
        ("Notification", HEAD + ASKS, Signal("waiting", "Confirm Shell Command: touch f.txt")),
        ("Notification", "", Signal("waiting", "permission")),
        ("BeforeTool", HEAD + QUESTION, Signal("waiting", "which colour?")),
        ("Notification", HEAD + ASKS_USER, None),
        ("AfterTool", HEAD + TOOL, Signal("working")),
        ("AfterAgent", HEAD + '"prompt":"x","prompt_response":"hello"}', Signal("done")),
    ],
)
def test_read(name, data, signal):
    assert Gemini().read(Event(0, "gemini", name, data)) == signal


def test_only_a_conversation_with_a_turn_can_be_resumed():
    assert Gemini().session(Event(0, "gemini", "SessionStart", HEAD)) is None
    assert Gemini().session(Event(0, "gemini", "AfterAgent", HEAD)) == ID


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("gemini-ready", Signal("done")),
        ("gemini-done", Signal("done")),
        ("gemini-denied", Signal("done")),
        ("gemini-busy", Signal("working")),
        ("gemini-permission", Signal("waiting", "Shell touch f.txt")),
        ("gemini-question", Signal("waiting", "which colour?")),
        ("gemini-trust", Signal("waiting", "Do you trust the files in this folder?")),
        ("gemini-login", Signal("waiting", "to be signed in")),
        ("codex-ready", None),
    ],
)
def test_look(name, signal):
    assert Gemini().look(screen(name)) == signal


def test_draft():
    assert Gemini().draft(screen("gemini-ready")) == ""
    assert Gemini().draft(screen("gemini-ready").replace("  Type your message or @path/to/file", "a b")) == "a b"
