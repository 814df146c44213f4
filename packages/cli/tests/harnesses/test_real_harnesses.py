"""Each harness's real program, in a real terminal, against the stand-in for its model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from magents.harnesses import record
from magents.harnesses.aider import Aider
from magents.harnesses.base import Harness
from magents.harnesses.codex import Codex
from magents.harnesses.gemini import Gemini
from magents.harnesses.opencode import OpenCode
from magents.harnesses.qwen import Qwen
from magents.testing import standin
from magents.testing.harness import Lab, lab
from magents.testing.standin import homes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with standin.serve() as address:
        yield address


@pytest.fixture
def top() -> Iterator[Path]:
    """Not pytest's own: Gemini refuses settings below a folder that others may write to, as /tmp is."""
    cache = Path.home() / ".cache"
    cache.mkdir(exist_ok=True)
    where = next((place for place in (cache, Path("/run")) if mine_alone(place)), cache)
    with tempfile.TemporaryDirectory(prefix="magents-test-", dir=where, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def mine_alone(place: Path) -> bool:
    """Whether nobody else may write to this folder or to one above it."""
    return all(not path.stat().st_mode & 0o022 and os.access(place, os.W_OK) for path in (place, *place.parents))


def needs(harness: Harness) -> None:
    for problem in record(harness.name).check():
        if os.environ.get("CI") == "true" and harness.name != "aider":
            pytest.fail(problem.what)
        pytest.skip(f"{problem.what}: {problem.remedy}")


CASES = {
    # harness: how to say yes and no to a permission, and how to interrupt
    "codex": (Codex(), homes.codex, ["y"], ["Escape"], ["Escape"]),
    "gemini": (Gemini(), homes.gemini, ["Enter"], ["Escape"], ["Escape"]),
    "qwen": (Qwen(), homes.qwen, ["Enter"], ["Escape"], ["Escape"]),
    "opencode": (OpenCode(), homes.opencode, ["Enter"], ["Escape"], ["Escape", "Escape"]),
}


@pytest.mark.parametrize("name", CASES)
def test_life(name, url, top):
    harness, home, yes, no, stop = CASES[name]
    needs(harness)
    if name == "gemini" and os.geteuid() != 0:
        pytest.skip("gemini takes settings from root only")
    with lab(harness, home, url, top) as it:
        # opencode alone takes seconds to come up, so that its first prompt is tested here too.
        first = "-say first" if name == "opencode" else None
        it.start(prompt=first)
        if first:
            it.took(first)
            it.told("done")
        it.shows("done")
        prompted(it)
        permitted(it, yes, no)
        interrupted(it, stop)
        if name == "qwen":  # it puts the prompt back, and joins one without an answer to the next
            it.press("C-u")
            prompted(it)
        session = it.session()
        it.end()

        it.start(resume=True, session=session, prompt="run: touch 'its back'", unattended=True)
        it.took("run: touch")
        it.told("working")
        it.told("done")
        assert (it.workspace / "its back").exists()
        assert it.session() == session
        assert "ran it" in it.tmux("capture-pane", "-p", "-S", "-200", "-t", "agent")


def prompted(it: Lab) -> None:
    it.say("say hello")
    it.took("say hello")
    it.told("working")
    it.told("done")


def permitted(it: Lab, yes: list[str], no: list[str]) -> None:
    it.say("ask: touch allowed")
    it.told("waiting", "touch allowed")
    assert "touch allowed" in it.shows("waiting").detail
    it.press(*yes)
    it.told("working")
    it.told("done")
    assert (it.workspace / "allowed").exists()
    it.say("ask: touch denied")
    it.told("waiting", "touch denied")
    it.shows("waiting")
    it.press(*no)
    it.shows("done")
    if it.harness.name != "gemini":  # which reports nothing about a no
        it.told("done")
    assert not (it.workspace / "denied").exists()


def interrupted(it: Lab, stop: list[str]) -> None:
    it.say("sleep 30")
    it.told("working")
    it.shows("working")
    it.press(stop[0])
    for key in stop[1:]:
        it.wait_for(lambda: "esc again" in it.screen(), "its second thoughts")
        it.press(key)
    it.told("done")
    it.shows("done")


@pytest.mark.parametrize("name", ["codex", "gemini", "qwen"])
def test_unattended_with_a_first_prompt(name, url, top):
    harness, home, *_ = CASES[name]
    needs(harness)
    if name == "gemini" and os.geteuid() != 0:
        pytest.skip("gemini takes settings from root only")
    with lab(harness, home, url, top) as it:
        it.start(prompt="run: touch 'its done'", unattended=True)
        it.took("run: touch")
        it.told("done")
        assert (it.workspace / "its done").exists()


def test_aider(url, top):
    needs(Aider())
    with lab(Aider(), homes.aider, url, top) as it:
        it.start(prompt="-say first")
        it.told("working")
        it.told("done")
        it.shows("done")
        it.say("run: touch allowed")
        it.told("waiting", "Run shell command? touch allowed")
        it.press("y", "Enter")
        it.shows("done")
        assert (it.workspace / "allowed").exists()
        it.say("say hello")
        it.told("done")
