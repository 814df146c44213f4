"""A lab for tests of agents: a home, a tmux server, a project and a state of their own; real programs throughout.

The fixtures that hand these out are in `plugin.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from magents.core.agent import Agent


class Place(NamedTuple):
    """Where a test lives."""

    top: Path
    home: Path
    state: Path
    """The state folder, which `Fleet()` and the command line both use."""
    socket: Path
    """The tmux server's, once there is one."""


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def until(
    true: Callable[[], Any], seconds: float = 30, what: str = "", pause: float = 0.02,
    shown: Callable[[], str] = str,
) -> Any:  # fmt: skip
    """Poll until it is true; what it returned then. Fails after `seconds`, with what is `shown` then."""
    end = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what or getattr(true, '__name__', 'it')}\n{shown()}")
        time.sleep(pause)
    return value


def run(
    *argv: str | Path, cwd: str | Path | None = None, code: int | None = 0, stdin: str = "", **env: str
) -> Done:
    """Run a program to its end; fails when its exit code is another than `code` (None: any will do)."""
    done = subprocess.run(
        [os.fspath(word) for word in argv], cwd=cwd, env={**os.environ, **env}, input=os.fsencode(stdin),
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    ended = Done(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))
    if code is not None and ended.code != code:
        pytest.fail(f"{argv} exited {ended.code}, not {code}:\n{ended.out}\n{ended.err}")
    return ended


def unprivileged(*argv: str) -> list[str]:
    """The words that run a program as someone who may not read and write everything: also where the tests run as
    root."""
    if os.geteuid() != 0:
        return list(argv)
    if not shutil.which("setpriv"):
        pytest.skip("root may read and write everything, and there is no setpriv")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *argv]


def git(*words: str, cwd: str | Path, code: int | None = 0) -> str:
    """Run git; its output without the newline at the end."""
    return run("git", *words, cwd=cwd, code=code).out.rstrip("\n")


def commit(folder: str | Path, message: str = "a commit", **files: str) -> str:
    """Write files and commit everything; the commit. `a__b` stands for `a/b`, `a_txt` for `a.txt`."""
    for name, text in files.items():
        path = Path(folder, name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git("add", "-A", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", message, cwd=folder)
    return git("rev-parse", "HEAD", cwd=folder)


def made_here() -> Path:
    """Where this process keeps the repositories of which it makes copies."""
    return Path(tempfile.gettempdir(), f"m.{os.getpid()}.made")


def copy_of(make: Callable[[Path], object], folder: Path) -> Path:
    """A copy of the repository that `make` makes: making one takes many processes, copying it one."""
    made = made_here() / make.__module__
    if not made.exists():
        half = made.with_name(f"{made.name}.half")
        half.parent.mkdir(exist_ok=True)
        make(half)
        half.rename(made)
    shutil.copytree(made, folder, symlinks=True)
    git("update-index", "-q", "--refresh", cwd=folder)  # git notes the inodes of what it has checked out
    return folder


def _project(folder: Path) -> None:
    git("init", "-q", "-b", "main", str(folder), cwd="/")
    shutil.rmtree(folder / ".git/hooks")  # of git's own samples nothing is needed
    (folder / ".git/hooks").mkdir()
    commit(folder, "Begin", README_md="# Sample\n", src__app_py="print('hello')\n")


def make_project(folder: Path) -> Path:
    """A repository on `main` with two files and one commit."""
    return copy_of(_project, folder)


@contextmanager
def isolated(patch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An isolated environment. Its path is short, because a socket's may have about 100 characters."""
    top = Path(os.path.realpath(tempfile.mkdtemp(prefix="m.")))
    home, state = top / "home", top / "state"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("MAGENTS_", "GIT_", "XDG_", "TMUX", "CLAUDE", "ANTHROPIC_")) or name == "NO_COLOR":
            patch.delenv(name)
    for name, value in {
        "HOME": home, "XDG_STATE_HOME": state, "XDG_CONFIG_HOME": home / ".config", "TMUX_TMPDIR": top,
        "XDG_CACHE_HOME": home / ".cache", "XDG_DATA_HOME": home / ".local/share", "SHELL": "/bin/sh",
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org", "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        # No engine, and so no container of somebody else's, unless a test asks for `docker_mode`.
        "DOCKER_HOST": f"unix://{top}/no-engine",
    }.items():  # fmt: skip
        patch.setenv(name, str(value))
    patch.chdir(top)
    top.chmod(0o755)  # a container's user goes through it
    made = Place(top, home, state / "magents", top / f"tmux-{os.geteuid()}" / "default")
    try:
        yield made
        end_server(made)
        assert leaked(made) == [], "these outlived the tmux server"
    finally:
        end_server(made)
        for pid, _ in leaked(made):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(top, ignore_errors=True)


def end_server(place: Place) -> None:
    """End the test's own tmux server, if it has one, and wait for what it ran: Claude Code takes its time."""
    if not place.socket.exists():
        return
    # The server's own socket only, so no other server can be meant.
    words = ["tmux", "-S", str(place.socket)]
    subprocess.run([*words, "kill-server"], capture_output=True, timeout=60, check=False)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        gone = subprocess.run([*words, "list-sessions"], capture_output=True, timeout=60, check=False).returncode
        if gone and not leaked(place):
            return
        time.sleep(0.02)


def leaked(place: Place) -> list[tuple[int, str]]:
    """Processes that an agent below this place has started: number and command. Only where /proc is."""
    if not place.socket.parent.exists() or not os.path.isdir("/proc/self"):
        return []  # there never was a tmux server
    found = []
    mark = os.fsencode(f"MAGENTS_FOLDER={place.top}/")
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb", buffering=0) as file:
                    lines = file.read()
                if mark in lines and any(line.startswith(mark) for line in lines.split(b"\0")):
                    command = Path("/proc", name, "cmdline").read_bytes()
                    found.append((int(name), command.replace(b"\0", b" ").decode(errors="replace")))
            except OSError:
                continue
    return found


def work_of(agent: Agent) -> dict[str, bytes]:
    """Every file in an agent's workspace but git's own, by its path there."""
    top = Path(agent.workspace)
    return {
        str(path.relative_to(top)): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() and not path.is_symlink() and ".git" not in path.relative_to(top).parts
    }
