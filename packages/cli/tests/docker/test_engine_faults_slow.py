"""An engine that takes seconds for each answer, and one that never answers: patience with bounds, and a true word."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import Magents, Place, git
from magents import Fleet

from .conftest import nothing_made
from .engines import Engine

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("own")]

SLEEP = ("--", "sleep", "300")
DELAY = 1.0


def converse(client: socket.socket, path: str) -> None:
    """What one client says to the engine, and its answers, each of which comes late."""
    asked = threading.Event()

    def late() -> None:
        if asked.is_set():
            asked.clear()
            time.sleep(DELAY)

    with client, socket.socket(socket.AF_UNIX) as engine:
        engine.connect(path)
        answering = threading.Thread(target=pour, args=(engine, client, late), daemon=True)
        answering.start()
        pour(client, engine, asked.set)
        answering.join()


def pour(source: socket.socket, target: socket.socket, each: Callable[[], None]) -> None:
    """Pass on what comes, and its end."""
    with contextlib.suppress(OSError):  # one side is gone
        while data := source.recv(1 << 16):
            each()
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def slow(own: Engine, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The engine's answers come late from now on."""
    path = place.top / "slow.sock"
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen(64)

    def serve() -> None:
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return  # closed
            threading.Thread(target=converse, args=(client, str(own.socket)), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    yield
    door.shutdown(socket.SHUT_RDWR)
    door.close()
    monkeypatch.setenv("DOCKER_HOST", own.host)


def test_a_slow_engine_is_waited_for(slow: None, magents: Magents, fleet: Fleet, project: Path):
    magents("create", "feature/x", "one", "--docker", *SLEEP)
    Path(fleet.find("one").workspace, "work.txt").write_text("work\n")
    row = next(line for line in magents("list").out.splitlines() if line.startswith("one"))
    assert "running" in row
    magents("stop", "one")


def test_a_silent_engine_is_given_up(own: Engine, magents: Magents, fleet: Fleet, project: Path, place: Place):
    magents("create", "here", "here", "--tmux", *SLEEP)
    for id in ("runs", "gone", "still"):
        magents("create", id, id, "--docker", *SLEEP)
    magents("stop", "still")
    own.freeze()
    began = time.monotonic()
    commands = [
        ("list",), ("stop", "runs"), ("stop", "gone", "--remove-worktree"), ("start", "still"),
        ("create", "new", "new", "--docker", *SLEEP), ("doctor",),
    ]  # fmt: skip
    try:
        with ThreadPoolExecutor(len(commands)) as pool:
            listed, *refused, doctor = pool.map(lambda words: magents(*words, code=None), commands)
    finally:
        own.freeze(signal.SIGCONT)
    assert time.monotonic() - began < 120
    rows = {line.split()[0]: line for line in listed.out.splitlines() if line.strip()}
    assert "running" in rows["here"]
    for id in ("runs", "gone", "still"):
        assert "docker cannot be asked" in rows[id]
        assert "stopped" not in rows[id]
    assert listed.code == 1
    assert "did not answer `docker ps` within 20 s" in listed.err
    for done in refused:
        assert done.code == 1
        assert "The Docker engine did not answer" in done.err
        assert "docker info" in done.err
        assert "Traceback" not in done.err
    assert "did not answer" in doctor.out
    states = {view.agent.id: view.status.state for view in fleet.list().views}
    assert states == {"here": "running", "runs": "running", "gone": "running", "still": "stopped"}
    nothing_made(place, project, *states)
    assert "new" not in git("branch", "--format=%(refname:short)", cwd=project).split()
