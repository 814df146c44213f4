"""What Magents asks of every runtime, over the mode of this package. Run with `pytest -p magents.testing.plugin`."""

import os
import subprocess

import pytest
from magents_sample.aside import folder

from magents import runtimes
from magents.testing.contract import Bench, RuntimeContract


class TestAside(RuntimeContract):
    """The suite."""

    @pytest.fixture
    def bench(self, place):
        """The mode, found by its entry point. Its server ends with the test."""
        yield Bench(runtimes.runtime("aside"), place.top)
        subprocess.run(["tmux", "kill-server"], env={**os.environ, "TMUX_TMPDIR": folder()}, capture_output=True)
