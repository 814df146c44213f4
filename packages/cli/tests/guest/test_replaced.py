"""An installation that another takes the place of: its agents hold paths of it until they are started again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import magents as package
from conftest import until
from magents.guest import events
from magents.guest.files import Folder
from magents.system import paths

TELLS = ("sh", "-c", '"$MAGENTS_EVENT" "$MAGENTS_FOLDER" command waiting "$MAGENTS_EVENT"; exec sleep 300')


def test_a_start_writes_the_paths_of_this_installation(fleet, project, place, magents):
    older = place.top / "older"
    shutil.copytree(Path(package.__file__).parent, older / "magents", ignore=shutil.ignore_patterns("__pycache__"))
    magents("create", "x", "one", "--", *TELLS, PYTHONPATH=str(older))

    def tells() -> str:
        status = fleet.status(fleet.find("one"))
        return status.detail if status.state == "waiting" else ""

    assert until(tells).startswith(str(older))
    # Its wrapper goes on without the files it came from, and what it can't report any more keeps nobody from ending it.
    shutil.rmtree(older)
    magents("stop", "one")
    assert fleet.status(fleet.find("one")).state == "stopped"
    magents("start", "one")
    until(lambda: tells() == os.path.join(paths.share(), "magents-event"))


def test_agents_that_know_earlier_paths_report_on(tmp_path):
    """What was started before `guest` was called so: its wrapper reads the script, its hooks run it."""
    share = Path(package.__file__).parent / "share"
    wrapper = """(set -- "$1" wrapper exit '{"code":3}' && . "${0%/*}/magents-event")"""
    subprocess.run(["sh", "-c", wrapper, share / "agent-run", tmp_path], check=True)
    subprocess.run([share / "magents-event", tmp_path, "claude", "Stop", "{}"], check=True)
    assert [event.name for event in events.read(Folder(str(tmp_path)))] == ["exit", "Stop"]
    assert (share / "bin").resolve() == Path(paths.share(), "bin"), "else it would find itself on their PATH"
