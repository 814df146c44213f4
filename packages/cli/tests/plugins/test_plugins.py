"""A package of somebody else's, installed with pip, brings a harness and a mode; what is wrong with it is its own
trouble."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from conftest import Done, run, until

SAMPLE = Path(__file__).with_name("sample")

pytestmark = pytest.mark.slow


def pip(python: Path, *words: str) -> Done:
    return run(python, "-m", "pip", "--disable-pip-version-check", "-q", *words)


def install(python: Path, copy: Path) -> None:
    subprocess.run(["cp", "-r", str(SAMPLE), str(copy)], check=True)  # pip leaves things behind where it builds
    pip(python, "install", "--no-index", "--no-deps", "--no-build-isolation", str(copy))


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """An environment with Magents as it is here, and the package."""
    pytest.importorskip("ensurepip")
    folder = tmp_path_factory.mktemp("plugins")
    run(sys.executable, "-m", "venv", folder / "venv")
    made = folder / "venv/bin/python"
    site = run(made, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").out.strip()
    Path(site, "here.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    install(made, folder / "sample")
    return made


@pytest.fixture
def magents(python, place, project, monkeypatch):
    """The command line in that environment."""
    monkeypatch.setenv("PATH", f"{python.parent}:{os.environ['PATH']}")

    def call(*words: str, code: int | None = 0, **env: str) -> Done:
        return run(python, "-m", "magents", *words, cwd=project, code=code, **env)

    yield call
    run("tmux", "kill-server", code=None, TMUX_TMPDIR=f"{place.top}/aside")


def sessions(place, folder: str) -> str:
    """The agents in the mode's own tmux server."""
    return run("tmux", "list-sessions", TMUX_TMPDIR=f"{place.top}/{folder}").out


def row(magents, code: int | None = 0) -> dict[str, object]:
    [found] = magents("list", "--json", code=code).json()
    return found


def test_the_life_of_an_agent(magents, place):
    magents("create", "one", "--agent", "echo", "--mode", "aside", "--prompt", "first")
    magents("wait", "one")
    found = row(magents)
    assert (found["mode"], found["harness"], found["status"], found["detail"]) == (
        "aside",
        "echo",
        "done",
        "said first",
    )
    assert "magents-one" in sessions(place, "aside")
    magents("send", "one", "second")
    until(lambda: row(magents)["detail"] == "said second")
    assert "echo: second" in magents("logs", "one").out
    magents("stop", "one")
    assert row(magents)["status"] == "stopped"
    magents("start", "one", "--prompt", "third")
    until(lambda: row(magents)["detail"] == "said third")
    magents("stop", "one", "--remove-worktree")
    magents("restore", "one")
    assert row(magents)["status"] == "stopped"


def test_settings(magents, place):
    assert magents("config", "--get", "ASIDE_FOLDER", "--json").json()["value"] == "aside"
    magents("config", "--set", "AGENT=echo", "--set", "MODE=aside", "--set", "ASIDE_FOLDER=elsewhere")
    assert magents("config", "--get", "ASIDE_FOLDER").out == "elsewhere\n"
    assert magents("config", "--get", "ASIDE_FOLDER", MAGENTS_ASIDE_FOLDER="third").out == "third\n"
    assert "a name of small letters" in magents("config", "--set", "ASIDE_FOLDER=2", code=2).err
    assert "there is no setting `ASIDE`" in magents("config", "--set", "ASIDE=x", code=2).err
    try:
        magents("create", "one")
        assert "magents-one" in sessions(place, "elsewhere")
        assert row(magents)["mode"] == "aside"
        magents("stop", "one")
    finally:
        run("tmux", "kill-server", code=None, TMUX_TMPDIR=f"{place.top}/elsewhere")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--agent", "broken"), "`broken` of magents-sample cannot be loaded: RuntimeError: no luck today"),
        (("--agent", "wrong"), "`wrong` of magents-sample is no magents.harnesses.Record"),
        (("--agent", "misnamed"), "`misnamed` cannot be made: ValueError: its class is called `echo`"),
        (("--agent", "none"), "There is no harness `none`."),
        (("--mode", "none"), "There is no mode `none`."),
        (("--mode", "defective", "--agent", "echo"), "the mode `defective`: KeyError: 'a defect'"),
    ],
)
def test_what_is_wrong_is_named_and_leaves_nothing(magents, words, said):
    error = magents("create", "one", *words, code=1).err
    assert said in error
    assert "Traceback" not in error
    assert magents("list", "--json").json() == []
    if words[1] == "none":
        assert "echo" in error or "aside" in error  # what there is instead
    magents("create", "two", "--agent", "echo", "--mode", "aside")
    magents("stop", "two")


def test_doctor_names_what_is_installed(magents):
    said = magents("doctor", code=None).out
    assert "ok  harness: `echo` of magents-sample" in said
    assert "ok  mode: `aside` of magents-sample" in said
    assert "harness: `claude` of magents-sample: Magents has a harness of that name itself" in said
    assert re.search(r"harness: `broken` of magents-sample: .*RuntimeError: no luck today", said)


def test_an_agent_outlives_the_package_that_brought_its_parts(magents, python, tmp_path):
    magents("create", "one", "--agent", "echo", "--mode", "aside", "--prompt", "first")
    magents("wait", "one")
    magents("create", "two", "--", "sleep", "300")
    pip(python, "uninstall", "-y", "magents-sample")
    try:
        rows = {found["id"]: found for found in magents("list", "--json", code=1).json()}
        assert (rows["one"]["status"], rows["two"]["status"]) == ("lost", "running")
        for words in (("stop", "one"), ("send", "one", "hello"), ("start", "one")):
            assert "There is no mode `aside`" in magents(*words, code=1).err
        magents("stop", "two")
    finally:
        install(python, tmp_path / "sample")
    assert magents("list", "--json").json()[0]["status"] == "done"
    magents("stop", "one", "two", "--remove-worktree")


def test_the_contract_of_runtimes(magents, python, tmp_path):
    words = ("-q", "-p", "magents.testing.plugin", "-p", "no:cacheprovider", "-c", os.devnull)
    done = run(python, "-m", "pytest", *words, SAMPLE / "contract.py", cwd=tmp_path, code=None)
    assert done.code == 0, done.out
    assert int(re.search(r"(\d+) passed", done.out)[1]) > 15
