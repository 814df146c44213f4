"""What Magents makes of codex: pure. The events and screens are real ones of codex 0.169."""

from __future__ import annotations

import tomllib

import pytest

from harnesses.screens import screen
from magents.core.event import Event, Signal
from magents.core.program import Start
from magents.harnesses.codex import Codex

ID = "01a207a3-a067-71b1-93d0-ffc6d6c54059"
HEAD = f'{{"session_id":"{ID}","turn_id":"01a2","cwd":"/w","model":"gpt-5","permission_mode":"default",'
TOOL = '"tool_name":"Bash","tool_input":{"command":"touch asked","description":"May I?"}}'


def start(**options):
    return Codex().start(Start("/a b/it's", "/sh are", **options)).argv


def told(name, data=""):
    return Codex().read(Event(0, "codex", name, data))


@pytest.mark.parametrize(
    ("options", "end"),
    [
        ({}, ()),
        ({"prompt": "-x"}, ("--", "-x")),
        ({"unattended": True}, ("--dangerously-bypass-approvals-and-sandbox",)),
        ({"resume": True}, ("resume", "--last")),
        ({"resume": True, "prompt": "-x"}, ("resume", "--last", "--", "-x")),
        ({"resume": True, "session": ID}, ("resume", "--", ID)),
        ({"resume": True, "session": ID, "prompt": "-x"}, ("resume", "--", ID, "-x")),
        ({"session": ID}, ()),
    ],
)
def test_start(options, end):
    argv = start(**options)
    assert argv[0] == "codex"
    assert argv[1 + 2 * 9 :] == end


def test_its_hooks_are_toml_that_names_paths_with_blanks_and_quotes():
    values = dict(word.split("=", 1) for word in start()[2 : 1 + 2 * 9 : 2])
    hooks = tomllib.loads(f"it={values['hooks.Stop']}")["it"]
    assert hooks == [
        {
            "hooks": [
                {
                    "type": "command",
                    "timeout": 10,
                    "command": "'/sh are/magents-event' '/a b/it'\"'\"'s' codex Stop",
                }
            ]
        }
    ]
    state = tomllib.loads(f"it={values['hooks.state']}")["it"]
    assert len(state) == 8


def test_the_digest_of_a_hook_is_the_one_codex_makes():
    # As `codex app-server` answered to hooks/list for these very paths.
    argv = Codex().start(Start("/tmp/harness-lab/codex/f a'b", "/tmp/harness-lab/codex/sh are")).argv
    assert "sha256:14ac1ad362dd1db127402711d4307db1aec5e2c2595ccc12d8c0b8cd670b1297" in argv[-1]


@pytest.mark.parametrize(
    ("name", "data", "signal"),
    [
        ("SessionStart", HEAD + '"source":"startup"}', None),
        ("UserPromptSubmit", HEAD + '"prompt":"say hello"}', Signal("working")),
        ("PreToolUse", HEAD + TOOL, Signal("working")),
        ("PermissionRequest", HEAD + TOOL, Signal("waiting", "Bash: touch asked")),
        ("PermissionRequest", "", Signal("waiting", "permission")),
        ("PreToolUse", HEAD + '"tool_name":"request_user_input","tool_input":{"questions":[{"question":"which?"'
         , Signal("waiting", "which?")),
        ("PostToolUse", HEAD + TOOL, Signal("working")),
        ("Stop", HEAD + '"stop_hook_active":false,"last_assistant_message":"hello"}', Signal("done")),
        ("Interrupt", HEAD + '"x":1}', Signal("done")),
        ("SessionEnd", HEAD + '"reason":"other"}', None),
        ("Else", "\x00[{", None),
    ],
)  # fmt: skip
def test_read(name, data, signal):
    assert told(name, data) == signal


def test_session():
    assert Codex().session(Event(0, "codex", "Stop", HEAD)) == ID
    assert Codex().session(Event(0, "codex", "Stop", '{"session_id":"--all"}')) is None


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("codex-ready", Signal("done")),
        ("codex-done", Signal("done")),
        ("codex-busy", Signal("working")),
        ("codex-permission", Signal("waiting", "touch asked")),
        ("codex-hooks", Signal("waiting", "whether its hooks are trusted")),
        ("codex-trust", Signal("waiting", "whether this folder is trusted")),
        ("codex-login", Signal("waiting", "to be signed in")),
        ("gemini-ready", None),
    ],
)
def test_look(name, signal):
    assert Codex().look(screen(name)) == signal
