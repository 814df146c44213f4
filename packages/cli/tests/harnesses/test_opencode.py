"""What Magents makes of opencode: pure. The events and screens are real ones of opencode 1.18."""

from __future__ import annotations

import json

import pytest

from harnesses.screens import screen
from magents.core.event import Event, Signal
from magents.core.program import Start
from magents.harnesses.opencode import OpenCode

ID = "ses_df853aaf4ffepi9sFixYDWWUz7"
HEAD = f'{{"sessionID":"{ID}",'
ASKS = (
    f'{{"id":"per_1","sessionID":"{ID}","permission":"bash","patterns":["touch f.txt"],'
    '"metadata":{"command":"touch f.txt"},"always":["touch *"],"tool":{"messageID":"msg_1"}}'
)
OUTSIDE = '{"id":"per_1","permission":"external_directory","patterns":["/etc/*"],"metadata":{}}'
QUESTION = f'{{"id":"que_1","sessionID":"{ID}","questions":[{{"question":"which colour?","header":"Choice"}}]}}'


def start(**options):
    return OpenCode().start(Start("/a b/it's", "/sh are", **options))


@pytest.mark.parametrize(
    ("options", "argv", "prompt"),
    [
        ({}, (), None),
        ({"prompt": "-x"}, ("--prompt=-x",), None),
        ({"unattended": True}, ("--auto",), None),
        ({"resume": True}, ("--continue",), None),
        ({"resume": True, "prompt": "-x"}, ("--prompt=-x",), None),
        ({"resume": True, "session": ID}, (f"--session={ID}",), None),
        ({"resume": True, "session": ID, "prompt": "-x"}, (f"--session={ID}",), "-x"),
        ({"session": ID}, (), None),
    ],
)
def test_start(options, argv, prompt):
    program = start(**options)
    assert program.argv == ("opencode", *argv)
    assert program.files.get("opencode-prompt.txt") == prompt


def test_its_plugin_is_found_in_a_folder_with_blanks_and_quotes():
    program = start()
    settings = json.loads(program.env["OPENCODE_CONFIG_CONTENT"])
    assert settings == {"plugin": ["file:///a%20b/it%27s/opencode-plugin.js"]}
    assert '"/sh are/magents-event", "/a b/it\'s"' in program.files["opencode-plugin.js"]


@pytest.mark.parametrize(
    ("name", "data", "signal"),
    [
        ("chat.message", HEAD + '"text":"say hello"}', Signal("working")),
        ("session.status", HEAD + '"status":{"type":"busy"}}', Signal("working")),
        ("session.status", HEAD + '"status":{"type":"retry","attempt":1,"message":"x"}}', Signal("working")),
        ("session.status", HEAD + '"status":{"type":"idle"}}', Signal("done")),
        ("session.idle", HEAD + '"x":1}', Signal("done")),
        ("permission.asked", ASKS, Signal("waiting", "bash: touch f.txt")),
        ("permission.asked", OUTSIDE, Signal("waiting", "external_directory: /etc/*")),
        ("permission.asked", "", Signal("waiting", "permission: permission")),
        ("permission.replied", HEAD + '"requestID":"per_1","reply":"once"}', Signal("working")),
        ("question.asked", QUESTION, Signal("waiting", "which colour?")),
        ("question.replied", HEAD + '"answers":[["red"]]}', Signal("working")),
        ("session.error", HEAD + '"error":{"name":"MessageAbortedError"}}', None),
    ],
)
def test_read(name, data, signal):
    assert OpenCode().read(Event(0, "opencode", name, data)) == signal


def test_session():
    assert OpenCode().session(Event(0, "opencode", "session.idle", HEAD + '"x":1}')) == ID
    assert OpenCode().session(Event(0, "opencode", "permission.asked", ASKS)) is None
    assert OpenCode().session(Event(0, "opencode", "session.idle", '{"sessionID":"../x"}')) is None


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("opencode-ready", Signal("done")),
        ("opencode-done", Signal("done")),
        ("opencode-busy", Signal("working")),
        ("opencode-permission", Signal("waiting", "touch f.txt")),
        ("opencode-question", Signal("waiting", "which colour?")),
        ("codex-ready", None),
    ],
)
def test_look(name, signal):
    assert OpenCode().look(screen(name)) == signal


def test_draft():
    ready = screen("opencode-ready")
    assert OpenCode().draft(ready) == OpenCode().draft(screen("opencode-done")) == ""
    assert OpenCode().draft(ready.replace('Ask anything… "', 'a b "')).startswith("a b")
