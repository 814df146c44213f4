"""Fixtures of the tests of the use cases."""

from __future__ import annotations

import pytest


@pytest.fixture
def make(fleet, project):
    """Make an agent that runs a shell script."""

    def call(script: str, id: str = "one"):
        return fleet.create(id, folder=str(project), command=["sh", "-c", script])

    return call
