"""Full disks: of the engine, of the workspaces, of Magents' own records. A clear word, and nothing lost or half-made."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import Magents, Place, containers, git, until, work_of
from magents import Fleet

from . import engines
from .conftest import Box, nothing_made, state

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("own")]

SLEEP = ("--", "sh", "-c", "echo shown on its screen; exec sleep 300")
MODES = ("tmux", "docker")


def fill(disk: Path) -> Path:
    """Leave no byte free there."""
    filler = disk / ".filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert os.statvfs(disk).f_bavail == 0
    return filler


@pytest.mark.parametrize("mode", MODES)
def test_no_room_for_workspaces(
    docker_mode: str, magents: Magents, fleet: Fleet, project: Path, place: Place, mode: str
):
    with engines.disk(place.top / "project-agents", "4m") as disk:
        magents("create", "feature/x", "one", f"--{mode}", *SLEEP)
        workspace = Path(fleet.find("one").workspace)
        (workspace / "unsaved.txt").write_text("unsaved\n")
        before = work_of(fleet.find("one"))
        filler = fill(disk)

        said = magents("create", "feature/y", "two", f"--{mode}", *SLEEP, code=1)
        assert "No space left on device" in said.err
        assert "Nothing was left behind." in said.err
        assert "magents doctor" in said.err
        assert "Traceback" not in said.err
        nothing_made(place, project, "one")
        assert len(containers(place)) == (mode == "docker")

        magents("stop", "one")
        magents("start", "one")
        assert work_of(fleet.find("one")) == before
        if mode == "docker":  # its pin is first written in the clone
            said = magents("stop", "one", "--remove-worktree", code=1)
            assert "nothing was removed" in said.err
            assert "magents doctor" in said.err
            assert work_of(fleet.find("one")) == before
            filler.unlink()
        magents("stop", "one", "--remove-worktree")
        until(lambda: not list(disk.glob(".magents-trash-*")))  # a process of its own deletes it
        filler = fill(disk)
        said = magents("restore", "one", code=1)
        assert "No space left on device" in said.err
        assert "Traceback" not in said.err
        assert not workspace.exists()
        filler.unlink()
        magents("restore", "one")
        assert work_of(fleet.find("one")) == before


@pytest.mark.parametrize("mode", MODES)
def test_no_room_for_magents_own(
    docker_mode: str, magents: Magents, fleet: Fleet, project: Path, place: Place, mode: str
):
    with engines.disk(place.state, "4m") as disk:
        magents("create", "feature/x", "one", f"--{mode}", *SLEEP)
        until(lambda: "shown on its screen" in magents("logs", "one").out)
        before = work_of(fleet.find("one"))
        filler = fill(disk)
        for words in (
            ("create", "feature/y", "two", f"--{mode}", *SLEEP), ("stop", "one"), ("start", "one"),
            ("stop", "one", "--remove-worktree"),
        ):  # fmt: skip
            done = magents(*words, code=None)
            assert "Traceback" not in done.err, words
            if done.code:
                assert "space" in done.err, words
        assert "one" in magents("list").out + magents("list", "--removed").out
        filler.unlink()
        magents("doctor", "--fix", code=None)
        if "one" not in magents("list").out:
            magents("restore", "one")
        magents("start", "one")
        assert work_of(fleet.find("one")) == before
        nothing_made(place, project, "one")


def test_no_room_for_events(magents: Magents, project: Path, place: Place):
    """A piece of a line garbles nothing."""
    with engines.disk(place.top / "files", "64k") as disk:
        event = Path(__file__).parents[2] / "src/magents/guest/magents-event"
        log = disk / "events.jsonl"
        subprocess.run([event, disk, "x", "first", "y" * 3000], check=True)
        filler = fill(disk)
        for _ in range(5):
            subprocess.run([event, disk, "x", "lost", "y" * 1900], check=True)
        filler.unlink()
        subprocess.run([event, disk, "x", "last", "y"], check=True)
        from magents.guest import events
        from magents.guest.files import Folder

        names = [found.name for found in events.read(Folder(str(disk)))]
        assert (names[0], names[-1]) == ("first", "last")
        assert log.read_bytes().endswith(b"\n")


def test_no_room_for_the_engine(slim: Path, magents: Magents, project: Path, place: Place, monkeypatch):
    size = slim.stat().st_size * 3 // 2 + (24 << 20)
    folder = Path(tempfile.mkdtemp(prefix="md."))
    with engines.disk(folder, str(size)) as disk, engines.engine(slim, disk) as full:
        monkeypatch.setenv("DOCKER_HOST", full.host)
        monkeypatch.setenv("MAGENTS_DOCKER_IMAGE", engines.SLIM)
        magents("create", "feature/x", "one", "--docker", *SLEEP)
        Box("magents-one").sh("echo unsaved >unsaved.txt")
        filler = fill(disk)
        said = magents("create", "feature/y", "two", "--docker", *SLEEP, code=1)
        assert "no space left on device" in said.err
        assert "The engine's disk is full" in said.err
        assert "docker system df" in said.err
        nothing_made(place, project, "one")
        checked = magents("doctor", code=None).out
        assert f"are free at {disk}/docker, where docker keeps images and containers" in checked
        assert "docker system prune" in checked
        # It ends, and the engine, which could not write that down, says for ever that it runs.
        magents("stop", "one")
        assert state(Fleet(), Fleet().find("one"))[0] == "stopped"
        filler.unlink()
        magents("start", "one")
        assert state(Fleet(), Fleet().find("one"))[0] == "running"
        assert (Path(Fleet().find("one").workspace) / "unsaved.txt").read_text() == "unsaved\n"
        assert "feature/y" not in git("branch", cwd=project)
    folder.rmdir()
