"""What the tests of Magents share, beside the fixtures of `magents.testing.plugin`."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from magents import Fleet
from magents.core.errors import MagentsError
from magents.runtimes.docker import image as images
from magents.runtimes.docker import sources
from magents.testing.lab import Done as Done
from magents.testing.lab import Place, run
from magents.testing.lab import commit as commit
from magents.testing.lab import copy_of as copy_of
from magents.testing.lab import git as git
from magents.testing.lab import leaked as leaked
from magents.testing.lab import make_project as make_project
from magents.testing.lab import unprivileged as unprivileged
from magents.testing.lab import until as until
from magents.testing.lab import work_of as work_of
from magents.testing.plugin import Magents as Magents
from magents.testing.plugin import Standin
from magents.testing.standin import homes

ENGINE = os.environ.get("DOCKER_HOST", "")
"""Where the engine is that tests may use; `place` hides it from those that do not ask for it."""


hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow],
    max_examples=100 if os.environ.get("CI") == "true" else 25,
)  # fmt: skip
hypothesis.settings.load_profile("patient")  # a machine that is busy is no defect

SHARED = "engine"
"""Tests with this marker share one engine."""
GROUP = re.compile("@[a-z]+$")
"""What pytest-xdist puts behind the name of a test that is in a group."""


def group_of(item: pytest.Item) -> str:
    """Tests of one group run one after the other in one process; "" for a test of none. Those of an engine are in
    one group unless they name another: `agents`, which make agents and nothing else there, or `own`, which have
    an engine of their own.
    """
    named = item.get_closest_marker("xdist_group")
    return named.args[0] if named else SHARED if item.get_closest_marker(SHARED) else ""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many as there are processors; twice that with slow tests, which for half of their time wait for what they
    have started, and three of which have an engine's groups to themselves."""
    return (1 if "not slow" in config.option.markexpr else 2) * (os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let groups be known, also to --last-failed, for which a worker has other names; slow tests begin first."""
    if not config.getoption("loadgroup", False):
        return
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    last = config.pluginmanager.get_plugin("lfplugin")
    for item in items:
        if group := group_of(item):
            item.add_marker(pytest.mark.xdist_group(group))
            if last and item.nodeid in last.lastfailed:
                last.lastfailed[f"{item.nodeid}@{group}"] = True


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail if they are not kept together: with pytest 9.2, pytest-xdist 3.8 cannot give them their other name."""
    if session.config.getoption("loadgroup", False):
        for item in session.items:
            if not item.nodeid.endswith(f"@{group}" if (group := group_of(item)) else ""):
                raise RuntimeError(f"pytest-xdist would not keep the tests of {group} together")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell a test by its own name, once it has come back from its worker."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        report.nodeid = GROUP.sub("", report.nodeid)


@pytest.fixture
def claude_env(
    place: Place, project: Path, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """The real Claude Code against the stand-in: onboarding done, the project's agents' folders trusted.

    Its agents are stopped as users stop them. Claude Code does not always end with its terminal: of 80
    whose tmux server was killed, some worked on for 5 s and more.
    """
    if not shutil.which("claude"):
        if os.environ.get("CI") == "true":
            pytest.fail("claude is not installed")
        pytest.skip("claude is not installed: npm install -g @anthropic-ai/claude-code")
    env = homes.claude(place.home, standin.url, project, place.top / "project-agents")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    yield env
    fleet = Fleet()
    for agent in fleet.context.store.live():
        fleet.stop(agent)


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine. Without one the tests are skipped, but in CI they fail."""
    with pytest.MonkeyPatch.context() as patch:
        use_engine(patch)
        try:
            images.check_engine()
        except MagentsError as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{error}; bin/engine starts one")


@pytest.fixture(scope="session")
def image(engine: None) -> str:
    """The real image, built from this very checkout; once, as long as its sources stay the same."""
    with pytest.MonkeyPatch.context() as patch, open(__file__, "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may need it as well
        use_engine(patch)
        for found in images.images():
            if found.current and "claude" in found.holds and found.tags and "agent-user" not in found.tags[0]:
                return found.tags[0]
        tag = f"magents/agent:test-{sources.digest()[:12]}"
        # The certificates that this network needs beside the usual ones, if it says so.
        ca = os.environ.get("NODE_EXTRA_CA_CERTS") or os.environ.get("SSL_CERT_FILE")
        images.build(tag, ca_cert=ca, progress=print)
        return tag


def use_engine(patch: pytest.MonkeyPatch) -> None:
    """Let docker talk to the developer's engine again."""
    patch.setenv("DOCKER_HOST", ENGINE) if ENGINE else patch.delenv("DOCKER_HOST", raising=False)


@pytest.fixture
def docker_mode(place: Place, image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real engine for the isolated Magents, and the image that its agents are made from."""
    use_engine(monkeypatch)
    monkeypatch.setenv("MAGENTS_DOCKER_IMAGE", image)
    try:
        yield image
    finally:
        for container in containers(place):
            run("docker", "rm", "--force", "--volumes", container, code=None)


def containers(place: Place, mounted: str = "") -> list[str]:
    """The containers that have something below this place mounted, or just that folder."""
    rows = run("docker", "ps", "--all", "--no-trunc", "--filter", "label=magents.image", "--format",
               "{{.ID}}\t{{.Mounts}}").out.splitlines()  # fmt: skip
    cells = [row.split("\t") for row in rows]
    if mounted:
        return [id for id, mounts in cells if mounted in mounts.split(",")]
    return [id for id, mounts in cells if any(mount.startswith(f"{place.top}/") for mount in mounts.split(","))]
