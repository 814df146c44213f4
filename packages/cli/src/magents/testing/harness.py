"""A harness in a real terminal, against the stand-in: what the tests of real programs need."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from magents.core.event import Event, Signal
from magents.core.program import Start
from magents.harnesses.base import Harness
from magents.system import paths

SHARE = Path(paths.share())


class Lab:
    """One harness, in one tmux server of its own. Its folders have a space and a quote in their names."""

    def __init__(self, harness: Harness, home: dict[str, str], workspace: Path, top: Path) -> None:
        self.harness, self.home, self.workspace = harness, home, workspace
        self.folder = top / "the agent's"
        self.folder.mkdir()
        self.socket = top / "tmux"
        self.seen = 0

    def start(self, **options: object) -> None:
        program = self.harness.start(Start(str(self.folder), str(SHARE), **options))  # type: ignore[arg-type]
        for name, text in program.files.items():
            (self.folder / name).write_text(text)
        env = [word for pair in (self.home | program.env).items() for word in ("-e", "=".join(pair))]
        self.tmux("new-session", "-d", "-s", "agent", "-x", "120", "-y", "40",
                  "-c", str(self.workspace), *env, "--", *program.argv)  # fmt: skip

    def end(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            pid = int(self.tmux("list-panes", "-t", "agent", "-F", "#{pane_pid}"))
            self.tmux("kill-server")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)  # gemini outlives its terminal
        self.wait_for(lambda: not self.alive(), "its end")

    def alive(self) -> bool:
        argv = ["tmux", "-S", str(self.socket), "list-sessions"]
        return subprocess.run(argv, capture_output=True).returncode == 0

    def tmux(self, *words: str, input: str | None = None) -> str:
        kept = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": self.home["HOME"]}
        kept["TERM"] = "xterm-256color"
        argv = ["tmux", "-u", "-f", os.devnull, "-S", str(self.socket), *words]
        return subprocess.run(argv, env=kept, check=True, text=True, capture_output=True, input=input).stdout

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-J", "-e", "-t", "agent")

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", "agent", *keys)

    def say(self, prompt: str) -> None:
        """Paste a prompt, and press Enter once it shows: sooner, Gemini takes it for a line's end."""
        self.wait_for(lambda: not self.harness.draft(self.screen()), "an empty input")
        self.tmux("load-buffer", "-b", "prompt", "-", input=prompt)
        self.tmux("paste-buffer", "-p", "-r", "-d", "-b", "prompt", "-t", "agent")
        self.wait_for(lambda: self.harness.draft(self.screen()) == prompt, f"the words {prompt!r}")
        time.sleep(0.2)
        self.press("Enter")

    def events(self) -> list[Event]:
        log = self.folder / "events.jsonl"
        if not log.exists():
            return []
        return [Event(**json.loads(line)) for line in log.read_text(errors="replace").splitlines()]

    def told(self, state: str, detail: str = "") -> Signal:
        """Wait until an event not yet waited for says that; what it says."""

        def found() -> Signal | None:
            for number, event in enumerate(self.events()[self.seen :], self.seen + 1):
                signal = self.harness.read(event)
                if signal and signal.state == state and detail in signal.detail:
                    self.seen = number
                    return signal
            return None

        signal: Signal = self.wait_for(found, f"{state} {detail}")
        return signal

    def took(self, prompt: str) -> None:
        """Wait until it says that it took that prompt."""

        def taken() -> bool:
            fresh = self.events()[self.seen :]
            return any(self.harness.takes(event) and prompt in event.data for event in fresh)

        self.wait_for(taken, f"that it took {prompt!r}")

    def session(self) -> str:
        names = [name for event in self.events() if (name := self.harness.session(event))]
        return names[-1]

    def shows(self, state: str) -> Signal:
        """Wait until its screen says that; what it says."""

        def seen() -> Signal | None:
            signal = self.harness.look(self.screen())
            return signal if signal and signal.state == state else None

        signal: Signal = self.wait_for(seen, f"a screen that shows {state}")
        return signal

    def wait_for(self, true: Callable[[], Any], what: str, seconds: float = 180) -> Any:
        end = time.monotonic() + seconds
        while not (value := true()):
            if time.monotonic() > end:
                said = "\n".join(f"{event.name} {event.data[:200]}" for event in self.events())
                shown = self.screen() if self.alive() else "(it has ended)"
                raise AssertionError(f"never came: {what}\n{said}\n{shown}")
            time.sleep(0.05)
        return value


@contextlib.contextmanager
def lab(harness: Harness, prepare: Callable[..., dict[str, str]], url: str, top: Path) -> Iterator[Lab]:
    """A fresh home, a fresh repository and a terminal; ended when the block is left."""
    workspace = top / "project"
    subprocess.run(["git", "init", "-q", str(workspace)], check=True)
    made = Lab(harness, prepare(top / "home", url, workspace), workspace, top)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(top, ignore_errors=True)
