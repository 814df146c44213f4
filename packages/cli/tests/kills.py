"""`kill -9` of our commands, at random moments or later and later."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MAGENTS = [sys.executable, "-m", "magents"]


class Killer:
    """Starts commands that begin with these words, and kills them.

    The moments are spread over the command's measured duration, however fast the machine is. `KILL_SEED=N`
    repeats a run, as far as the machine allows.
    """

    def __init__(self, project: Path, *words: str) -> None:
        self.project, self.words = project, words
        self.seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
        self.random = random.Random(self.seed)
        self.kills = 0
        """How many hit a running command."""
        self.duration = 0.0
        self.moments: list[float] = []

    def measure(self, *words: str) -> None:
        """Run a command to its end, to know how long it takes."""
        start = time.monotonic()
        subprocess.run([*MAGENTS, *self.words, *words], cwd=self.project, check=True, capture_output=True)
        self.duration = max(self.duration, time.monotonic() - start)

    def __call__(self, *words: str) -> None:
        """Run a command and kill it at some moment, if it still runs then. Its children live on."""
        running = subprocess.Popen(
            [*MAGENTS, *self.words, *words], cwd=self.project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        moment = self.random.uniform(0.02, 1.05 * self.duration)
        time.sleep(moment)
        running.kill()
        if running.wait(60) == -9:
            self.kills += 1
            self.moments.append(moment)

    def story(self) -> str:
        """What to print."""
        return f"seed {self.seed}: {self.kills} kills within {self.duration:.2f} s, the last at {self.moments[-1:]}"


def later_and_later(start: Callable[[], subprocess.Popen[Any]], step: float, times: int) -> None:
    """Start a command and kill it, each time `step` seconds later, until it ends sooner; the last one is let be."""
    for number in range(times):
        child = start()
        try:
            child.wait(step * (3 + number))
            return
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    start().wait(120)
