"""What Magents makes of aider: pure. The events and screens are real ones of aider 0.86."""

from __future__ import annotations

import pytest

from harnesses.screens import screen
from magents.core.event import Event, Signal
from magents.core.program import Start
from magents.harnesses.aider import Aider

ASKS = "¶Tokens: 2.5k sent, 12 received. ¶touch f.txt ¶Run shell command? (Y)es/(N)o/(D)on't ask again [Yes]: "
READY = f"¶slept ¶Tokens: 2.5k sent, 3 received. ¶{'─' * 80} ¶diff> "


def start(**options):
    return Aider().start(Start("/a b/it's", "/sh are", **options)).argv


def test_start():
    plain = start()
    assert plain[0] == "aider"
    assert "--no-gitignore" in plain
    assert "--chat-history-file=/a b/it's/aider.history.md" in plain
    notify = next(word for word in plain if word.startswith("--notifications-command="))
    assert "'/sh are/magents-event' '/a b/it'\"'\"'s' aider Notify" in notify
    assert set(start(unattended=True)) - set(plain) == {"--yes-always"}
    assert set(start(resume=True)) - set(plain) == {"--restore-chat-history"}


def test_a_first_prompt_is_a_run_of_its_own():
    argv = start(prompt="-x")
    assert argv[:2] == ("sh", "-c")
    assert argv[3:7] == ("aider", "/sh are/magents-event", "/a b/it's", "-x")
    assert argv[7:] == start()[1:]


@pytest.mark.parametrize(
    ("name", "data", "signal"),
    [
        ("Prompt", "say hello", Signal("working")),
        ("Done", "", Signal("done")),
        ("Notify", ASKS, Signal("waiting", "Run shell command? touch f.txt")),
        ("Notify", READY, Signal("done")),
        ("Notify", "", Signal("done")),
        ("Else", "", None),
    ],
)
def test_read(name, data, signal):
    assert Aider().read(Event(0, "aider", name, data)) == signal


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("aider-ready", Signal("done")),
        ("aider-done", Signal("done")),
        ("aider-busy", Signal("working")),
        ("aider-permission", Signal("waiting", "Run shell command? touch f.txt")),
        ("aider-create", Signal("waiting", "Create new file? g2.txt")),
    ],
)
def test_look(name, signal):
    assert Aider().look(screen(name)) == signal
