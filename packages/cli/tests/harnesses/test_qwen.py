"""What Magents makes of Qwen Code: pure. The events and screens are real ones of qwen 0.24.0."""

from __future__ import annotations

import json

import pytest

from harnesses.screens import screen
from magents.core.event import Event, Signal
from magents.core.program import Start
from magents.harnesses.qwen import Qwen

ID = "2b28ecc3-84fb-4b99-84d2-cc0ddb6b34b1"
HEAD = f'{{"session_id":"{ID}","cwd":"/w","permission_mode":"default","prompt_id":"{ID}########0",'
TOOL = '"tool_name":"run_shell_command","tool_input":{"command":"touch f.txt","description":"x"}}'
QUESTION = '"tool_name":"ask_user_question","tool_input":{"questions":[{"question":"which colour?","header":"x"}]}}'
NOTE = '"message":"x","notification_type":"%s","title":"x"}'


def start(**options):
    return Qwen().start(Start("/a b/it's", "/sh are", **options))


@pytest.mark.parametrize(
    ("options", "argv"),
    [
        ({}, ()),
        ({"prompt": "-x"}, ("--prompt-interactive=-x",)),
        ({"unattended": True}, ("--approval-mode=yolo",)),
        ({"resume": True}, ()),  # of a conversation that it has not named
        ({"resume": True, "session": ID, "prompt": "y"}, (f"--resume={ID}", "--prompt-interactive=y")),
    ],
)
def test_start(options, argv):
    assert start(**options).argv == ("qwen", *argv)


def test_it_is_told_where_to_report_by_its_environment():
    program = start()
    assert program.env == {
        "MAGENTS_EVENT": "/sh are/magents-event", "MAGENTS_FOLDER": "/a b/it's",
        "QWEN_CODE_SYSTEM_DEFAULTS_PATH": "/a b/it's/qwen.json",
    }  # fmt: skip
    assert "StopFailure" in json.loads(program.files["qwen.json"])["hooks"]
    assert "QWEN_CODE_SESSION_ID" in program.unset


@pytest.mark.parametrize(
    ("name", "data", "signal"),
    [
        ("SessionStart", HEAD + '"source":"startup"}', None),
        ("UserPromptSubmit", HEAD + '"prompt":"say hello"}', Signal("working")),
        (
            "PermissionRequest",
            HEAD + TOOL,
            Signal("waiting", "run_shell_command: touch f.txt", end_is_reported=True),
        ),
        ("PermissionRequest", HEAD + QUESTION, Signal("waiting", "which colour?", end_is_reported=True)),
        ("Notification", HEAD + NOTE % "permission_prompt", None),
        ("PreToolUse", HEAD + TOOL, Signal("working")),
        ("PostToolUse", HEAD + TOOL, Signal("working")),
        ("Stop", HEAD + '"last_assistant_message":"ran it"}', Signal("done")),
        ("Notification", HEAD + NOTE % "idle_prompt", Signal("done")),
        (
            "StopFailure",
            HEAD + '"error":"overloaded"}',
            Signal("waiting", "its turn failed: overloaded", failed=True),
        ),
        ("SessionEnd", HEAD + '"reason":"exit"}', None),
    ],
)
def test_read(name, data, signal):
    assert Qwen().read(Event(1, "qwen", name, data)) == signal


def test_a_prompt_is_taken_once():
    """After each tool it submits an empty prompt."""
    assert Qwen().takes(Event(1, "qwen", "UserPromptSubmit", HEAD + '"prompt":"say hello"}'))
    assert not Qwen().takes(Event(1, "qwen", "UserPromptSubmit", HEAD + '"prompt":""}'))
    assert not Qwen().takes(Event(1, "qwen", "Stop", HEAD + '"prompt":"say hello"}'))


def test_session():
    assert Qwen().session(Event(1, "qwen", "Stop", HEAD + "}")) == ID
    assert Qwen().session(Event(1, "qwen", "SessionStart", HEAD + "}")) is None  # nothing is said yet
    assert Qwen().session(Event(1, "qwen", "Stop", '{"session_id":"../x"}')) is None


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("ready", Signal("done")),
        ("busy", Signal("working")),
        ("permission", Signal("waiting", "Shell touch allowed (What the test asked for)")),
        ("question", Signal("waiting", "which colour?")),
        ("stopped", Signal("done")),
    ],
)
def test_look(name, signal):
    assert Qwen().look(screen(f"qwen-{name}")) == signal


def test_draft():
    assert Qwen().draft(screen("qwen-ready")) == ""
    assert Qwen().draft(screen("qwen-stopped")) == "sleep 30"  # Esc puts the prompt back
    assert not Qwen().queued(screen("qwen-busy"))
    busy = screen("qwen-busy")
    assert Qwen().queued(busy.rstrip() + " ⏳ 1 queued\n")
