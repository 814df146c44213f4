"""A Docker engine of a test's own, to kill, to starve and to fill: it shares nothing with the one that is there.

`dockerd` and `containerd` run in a network, a tree of processes and of mounts of their own. So all that they have
started ends with the first process there, however they were killed, and nothing of it is left on the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import run, until

SLIM = "magents/slim:test"
"""What agents are made from there: the real image without what is large and no agent of these tests needs."""
LEFT_OUT = (
    "./proc/*", "./sys/*", "./dev/*", "./tmp/*", "./mnt/*", "./usr/share/*", "./opt/task-master/node_modules",
    "./usr/local/lib/node_modules", "./usr/lib/node_modules", "./usr/lib/x86_64-linux-gnu/perl",
    "./var/lib/dpkg", "*/gconv", "./usr/lib/apt", "*/libnode.so.*", "*/libicudata.so.*",
)  # fmt: skip


def needed(*programs: str) -> None:
    """Skip where an engine of one's own cannot be; in CI, where all is installed, that is a failure."""
    lacking = [name for name in programs if not shutil.which(name)]
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk and start an engine")
    if lacking:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"not installed: {', '.join(lacking)}")


class Engine:
    """A Docker engine of one's own, and its `containerd`. `data`: where it keeps images and containers."""

    def __init__(self, top: Path, data: Path) -> None:
        self.top, self.data = top, data
        self.socket = top / "docker.sock"
        (top / "daemon.json").write_text("{}")
        # It would want an address of its own, and the network here has none.
        (top / "containerd.toml").write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        self._first = subprocess.Popen([
            "unshare", "--net", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child",
            "--mount-proc", "cat",
        ], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
        self._inside: int = until(lambda: child(self._first.pid), what="a process in a place of its own")
        until(lambda: Path(f"/proc/{self._inside}/comm").read_text() == "cat\n", what="it to be ready")
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def host(self) -> str:
        """What DOCKER_HOST has to be."""
        return f"unix://{self.socket}"

    def docker(self, *words: str | Path, code: int | None = 0) -> str:
        """Ask it."""
        return run("docker", *words, code=code, DOCKER_HOST=self.host).out

    def start(self, *options: str) -> None:
        """Start what of it does not run, and wait until it answers."""
        supply = self.top / "containerd.sock"
        if "containerd" not in self._running:
            supply.unlink(missing_ok=True)
            self._run("containerd", "--config", self.top / "containerd.toml", "--root", self.data / "containerd",
                      "--state", self.top / "shims", "--address", supply)  # fmt: skip
            until(lambda: self._listens(supply, "containerd"), 60, "containerd to listen", shown=self.log)
        if "dockerd" not in self._running:
            (self.top / "docker.pid").unlink(missing_ok=True)
            self._run(
                "dockerd", "--config-file", self.top / "daemon.json", "--host", self.host, "--containerd", supply,
                "--data-root", self.data / "docker", "--exec-root", self.top / "exec",
                "--pidfile", self.top / "docker.pid", "--exec-opt", "native.cgroupdriver=cgroupfs",
                "--cgroup-parent", f"/{self.top.name}", "--shutdown-timeout", "5", *options,
            )  # fmt: skip
            until(lambda: self.answers(), 90, "the engine to answer", pause=0.1, shown=self.log)

    def _run(self, name: str, *words: str | Path) -> None:
        argv = ["nsenter", "--target", str(self._inside), "--net", "--mount", "--pid", name, *map(str, words)]
        with open(self.top / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _listens(self, socket: Path, name: str) -> bool:
        assert self._running[name].poll() is None, self.log()
        return socket.is_socket()

    def answers(self) -> bool:
        """Whether it does."""
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, check=False, timeout=60,
            env={**os.environ, "DOCKER_HOST": self.host},
        )  # fmt: skip
        return asked.returncode == 0

    def log(self) -> str:
        """The end of what its parts have said."""
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self.top.glob("*.log"))

    def end(self, name: str = "dockerd", number: signal.Signals = signal.SIGKILL) -> None:
        """End one part of it, and wait for that."""
        running = self._running.pop(name, None)
        if running is None:
            return
        pid = until(lambda: child(running.pid) or running.poll() is not None, what=f"the process of {name}")
        if pid is not True:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        running.wait(60)

    def freeze(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """Stop `dockerd` in its tracks: it accepts, and never answers. SIGCONT lets it go on."""
        parent = self._running["dockerd"].pid
        os.kill(child(parent), number)
        if number == signal.SIGCONT:  # nsenter stops with its child
            until(lambda: state(parent) == "T")
            os.kill(parent, number)

    def remove_all(self) -> None:
        """Remove its containers."""
        made = self.docker("ps", "--all", "--quiet").split()
        if made:
            self.docker("rm", "--force", "--volumes", *made)

    def close(self) -> None:
        """End everything that runs there."""
        assert self._first.stdin is not None
        self._first.stdin.close()  # which also happens when this process is killed
        self._first.wait(30)
        for running in self._running.values():
            running.wait(30)
        for folder in Path("/sys/fs/cgroup").glob(f"*/{self.top.name}"), [Path("/sys/fs/cgroup", self.top.name)]:
            for path in folder:
                for below in sorted(path.rglob("*/"), reverse=True) if path.is_dir() else ():
                    with contextlib.suppress(OSError):
                        below.rmdir()
                with contextlib.suppress(OSError):
                    path.rmdir()


def state(pid: int) -> str:
    """What the kernel calls a process's state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]


def child(pid: int) -> int:
    """The first child of a process; 0 where it has none."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    except (OSError, IndexError):
        return 0


@contextlib.contextmanager
def disk(path: Path, size: str) -> Iterator[Path]:
    """A disk of its own at a folder; only root can mount one."""
    needed("mount")
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@contextlib.contextmanager
def engine(archive: Path | None, data: Path | None = None, *options: str) -> Iterator[Engine]:
    """An engine that runs, with the image from `archive`. `data` is another place for what it keeps."""
    needed("dockerd", "containerd", "unshare", "nsenter")
    top = Path(os.path.realpath(tempfile.mkdtemp(prefix="me.")))  # short, for its sockets
    made = Engine(top, data or top)
    try:
        made.start(*options)
        if archive:
            load(made, archive)
        yield made
    finally:
        made.close()
        shutil.rmtree(top, ignore_errors=True)


def slim(image: str, archive: Path) -> None:
    """Write what the slim image is made from: the root folder of the real one, but for what is left out."""
    excluded = [f"--exclude={name}" for name in LEFT_OUT]
    # Through the client's output it would take four times as long.
    out = ("--volume", f"{archive.parent}:/mnt", "--entrypoint", "tar")
    run("docker", "run", "--rm", "--user", "0", "--network", "none", *out, image, *excluded, "-C", "/",
        "-cf", f"/mnt/{archive.name}", ".")  # fmt: skip
    told = json.loads(run("docker", "image", "inspect", "--format", "{{json .Config}}", image).out)
    archive.with_suffix(".json").write_text(json.dumps(told))


def load(own: Engine, archive: Path) -> None:
    """Give an engine the slim image, configured as the real one."""
    own.docker("import", *changes(archive), archive, SLIM)


def changes(archive: Path, *, health: bool = True) -> list[str]:
    """The options of `docker import` that give an image its configuration. Podman's knows no HEALTHCHECK."""
    told = json.loads(archive.with_suffix(".json").read_text())
    lines = [
        f"USER {told['User']}",
        f"WORKDIR {told['WorkingDir']}",
        f"ENTRYPOINT {json.dumps(told['Entrypoint'])}",
        f"CMD {json.dumps(told['Cmd'])}",
        *(f"ENV {line}" for line in told["Env"]),
        *(f"LABEL {name}={json.dumps(value)}" for name, value in told["Labels"].items()),
    ]
    if health:
        every = told["Healthcheck"]["Interval"] // 10**9
        lines.append(f"HEALTHCHECK --interval={every}s CMD {json.dumps(told['Healthcheck']['Test'][1:])}")
    return [word for line in lines for word in ("--change", line)]
