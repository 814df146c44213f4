"""A screen that an agent has filled to cost time: it costs none."""

from __future__ import annotations

import time

import pytest

from magents.harnesses import TABLE, harness
from magents.harnesses.fields import MAX_SCREEN

UNITS = (
    "│", " ", "─", "\n", "x│", "> ", "• ( esc ", "a-", " (Y)es/(N)o", "Waiting for ", "\x1b[0;", "\x1b[2m", "\x1b]", "❯ 1. ",
    "─\n \n", "△ Permission required\n", "esc dismiss x\n", "Allow execution of ?", "? Shell ", "x\n1. ", "  Would you like to ", "\xa0", "❯\xa0",
)  # fmt: skip


def cost(name: str, screen: str) -> float:
    """Seconds of the processor's time, the shorter of two tries."""
    kind, took = harness(name), []
    for _ in range(2):
        began = time.thread_time()
        kind.look(screen), kind.draft(screen), kind.queued(screen)
        took.append(time.thread_time() - began)
    return min(took)


@pytest.mark.parametrize("name", TABLE)
def test_time_is_in_proportion_to_the_screen_and_then_bounded(name):
    for unit in UNITS:
        small, full, huge = (unit * (size // len(unit)) for size in (MAX_SCREEN // 8, MAX_SCREEN, 2_000_000))
        took = cost(name, full)
        assert took < 24 * max(cost(name, small), 0.001), unit
        assert cost(name, huge) < 3 * max(took, 0.005), unit


@pytest.mark.parametrize("name", TABLE)
def test_what_is_at_its_end_is_still_seen(name):
    ends = {
        "claude": "─" * 60 + "\n❯\xa0hello\n" + "─" * 60, "codex": "› hello", "gemini": "─────\n > hello",
        "aider": "> hello", "opencode": "┃ hello\n┃ model\n╹▀▀", "command": "",
        "qwen": "─────\n> hello\n─────",
    }  # fmt: skip
    for unit in UNITS:
        screen = unit * (2_000_000 // len(unit)) + "\x1b[m\n\n" + ends[name] + "\n"
        if not (unit == "\x1b]" and name != "claude"):  # a sequence that has not ended takes all with it
            assert harness(name).draft(screen) == ("hello" if ends[name] else ""), unit
