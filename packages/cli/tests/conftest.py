"""What tests share: a home, a tmux server, a project and a state of their own; real programs throughout.

A test that asks for `place`, or for anything made of it, runs isolated: nothing of the developer's own
home, agents or tmux is seen or touched, and a process of an agent that outlives the test fails it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import hypothesis
import pytest

import standin as model
from magents import Fleet
from magents.core.agent import Agent
from magents.core.errors import MagentsError
from magents.runtimes.docker import image as images
from standin import homes

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


@pytest.fixture(scope="session", autouse=True)
def _unmake() -> Iterator[None]:
    """Leave none of them, and take none that a killed run has left."""
    shutil.rmtree(made_here(), ignore_errors=True)
    yield
    shutil.rmtree(made_here(), ignore_errors=True)


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


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An isolated environment. Its path is short, because a socket's may have about 100 characters."""
    top = Path(os.path.realpath(tempfile.mkdtemp(prefix="m.")))
    home, state = top / "home", top / "state"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("MAGENTS_", "GIT_", "XDG_", "TMUX", "CLAUDE", "ANTHROPIC_")) or name == "NO_COLOR":
            monkeypatch.delenv(name)
    for name, value in {
        "HOME": home, "XDG_STATE_HOME": state, "XDG_CONFIG_HOME": home / ".config", "TMUX_TMPDIR": top,
        "XDG_CACHE_HOME": home / ".cache", "XDG_DATA_HOME": home / ".local/share", "SHELL": "/bin/sh",
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org", "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        # No engine, and so no container of somebody else's, unless a test asks for `docker_mode`.
        "DOCKER_HOST": f"unix://{top}/no-engine",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(top)
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


@pytest.fixture
def project(place: Place) -> Path:
    """A git repository on `main` with one commit."""
    return make_project(place.top / "project")


@pytest.fixture
def fleet(place: Place) -> Fleet:
    """The library, on the same private state as `magents`."""
    return Fleet()


class Magents(Protocol):
    """What the fixture `magents` returns."""

    def __call__(
        self, *args: str | Path, cwd: str | Path | None = None, code: int | None = 0, stdin: str = "", **env: str
    ) -> Done: ...


@pytest.fixture
def magents(place: Place) -> Magents:
    """The real command line. Runs in the project where there is one; fails on another exit code."""

    def call(
        *args: str | Path, cwd: str | Path | None = None, code: int | None = 0, stdin: str = "", **env: str
    ) -> Done:
        here = place.top / "project"
        where = cwd or (here if here.is_dir() else place.top)
        return run(sys.executable, "-m", "magents", *args, cwd=where, code=code, stdin=stdin, **env)

    return call


@pytest.fixture
def tmux(place: Place) -> Callable[..., str]:
    """Ask the test's tmux server, which is the one that `magents` uses."""

    def call(*words: str, code: int | None = 0) -> str:
        return run("tmux", "-u", *words, code=code).out

    return call


@pytest.fixture(name="until")
def _until() -> Callable[..., Any]:
    """`until(condition, seconds)`: poll until it is true, return what it was; fail after that time."""
    return until


class Standin(NamedTuple):
    """The stand-in for a model: its address, and what it was asked."""

    url: str
    log: Path

    def requests(self) -> list[dict[str, Any]]:
        """The bodies of the requests so far, oldest first."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line)["body"] for line in lines if line.endswith("}")]


@pytest.fixture(scope="session", name="standin")
def _standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    """One stand-in for all tests of this session."""
    log = tmp_path_factory.mktemp("standin") / "requests.jsonl"
    with model.serve(log=log) as url:
        yield Standin(url, log)


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
        tag = f"magents/agent:test-{images.digest()[:12]}"
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


def work_of(agent: Agent) -> dict[str, bytes]:
    """Every file in an agent's workspace but git's own, by its path there."""
    top = Path(agent.workspace)
    return {
        str(path.relative_to(top)): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() and not path.is_symlink() and ".git" not in path.relative_to(top).parts
    }
