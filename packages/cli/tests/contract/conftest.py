"""Another machine, as it were."""

from __future__ import annotations

import pytest

from conftest import leaked, run, until

from .far import Far


@pytest.fixture
def far(place):
    """Another machine, as it were; nothing of it is left."""
    place.socket.parent.mkdir(mode=0o700, exist_ok=True)  # `leaked` looks only where there can be agents
    runtime = Far(place.top / "far home")
    yield runtime
    run(*runtime.command(["tmux", "kill-server"]), code=None)
    until(lambda: not leaked(place))
