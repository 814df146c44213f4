"""`bin/magents` sets itself up once, and again when it has to. A stand-in for uv makes the environment."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# What `uv sync` would do, without the network. It waits while the file `hold` is there.
UV = f"""#!/bin/sh
echo "$@" >>"$CALLS"
"{sys.executable}" -m venv --without-pip "$UV_PROJECT_ENVIRONMENT"
while [ -e "$HOLD" ]; do sleep 0.01; done
root=${{UV_PROJECT_ENVIRONMENT%/.venv}}
for site in "$UV_PROJECT_ENVIRONMENT"/lib/python3*/site-packages; do
    echo "$root/packages/cli/src" >"$site/magents.pth"
done
echo 'import os, sys, magents; print(magents.__file__, os.getcwd(), sys.argv[1:], sep="|")' \\
    >"$UV_PROJECT_ENVIRONMENT/bin/magents"
"""


class Checkout:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "the check'out"
        self.cwd = folder / "elsewhere"
        self.calls = folder / "calls"
        self.hold = folder / "hold"
        programs = folder / "programs"
        package = self.root / "packages/cli/src/magents"
        for new in (self.cwd, programs, package):
            new.mkdir(parents=True)
        package.joinpath("__init__.py").touch()
        for name in ("bin", "requirements.lock", "requirements-dev.lock", "packages/cli/pyproject.toml"):
            (shutil.copytree if name == "bin" else shutil.copy)(ROOT / name, self.root / name)
        programs.joinpath("uv").write_text(UV)
        programs.joinpath("uv").chmod(0o755)
        self.env = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "HOLD": str(self.hold),
        }

    def start(self, *words: str, command: Path | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [command or self.root / "bin/magents", *words],
            cwd=self.cwd,
            env=self.env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *words: str, command: Path | None = None) -> str:
        """What it printed, after a set-up or not."""
        with self.start(*words, command=command) as child:
            out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        assert "uv could not" not in err
        return out

    @property
    def set_ups(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0

    def await_set_up(self, number: int) -> None:
        end = time.monotonic() + 30
        while self.set_ups < number or not (self.root / ".venv").exists():
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_it_sets_up_once_and_runs_in_the_users_folder(checkout: Checkout) -> None:
    expected = f"{checkout.root}/packages/cli/src/magents/__init__.py|{checkout.cwd}|['list', 'a  b']\n"
    assert checkout.run("list", "a  b") == expected
    assert checkout.run("list", "a  b") == expected
    assert checkout.set_ups == 1


def test_it_may_be_linked(checkout: Checkout, tmp_path: Path) -> None:
    first, second = tmp_path / "first", checkout.cwd / "second"
    first.symlink_to(checkout.root / "bin/magents")
    second.symlink_to("../first")
    assert checkout.run("x", command=second).endswith("['x']\n")


@pytest.mark.parametrize("file", ["requirements.lock", "packages/cli/pyproject.toml"])
def test_a_change_sets_up_again(checkout: Checkout, file: str) -> None:
    checkout.run()
    with (checkout.root / file).open("a") as changed:
        changed.write("# a change\n")
    checkout.run()
    assert checkout.set_ups == 2


def test_a_moved_checkout_sets_up_again(checkout: Checkout) -> None:
    checkout.run()
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    assert checkout.run().startswith(f"{checkout.root}/packages/")
    assert checkout.set_ups == 2


def test_a_lost_python_sets_up_again(checkout: Checkout) -> None:
    checkout.run()
    python = checkout.root / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    checkout.run()
    assert checkout.set_ups == 2


def test_two_at_once_set_up_once(checkout: Checkout) -> None:
    checkout.hold.touch()
    children = [checkout.start(str(number)) for number in range(3)]
    checkout.await_set_up(1)
    checkout.hold.unlink()
    outputs = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], outputs
    assert checkout.set_ups == 1


def test_a_killed_set_up_is_done_again(checkout: Checkout) -> None:
    checkout.hold.touch()
    child = checkout.start()
    checkout.await_set_up(1)
    rest = checkout.root / ".venv/half-made"
    rest.touch()
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    checkout.hold.unlink()
    checkout.run()
    assert checkout.set_ups == 2
    assert not rest.exists()


def test_missing_programs_are_named_with_the_command(checkout: Checkout, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for name in ("sh", "cat", "id", "uname", "sed", "mkdir", "flock", "perl", "readlink", "dirname", "tail"):
        if found := shutil.which(name):
            few.joinpath(name).symlink_to(found)
    dnf = few / "dnf"
    dnf.touch()
    dnf.chmod(stat.S_IRWXU)
    few.joinpath("uname").unlink()
    few.joinpath("uname").write_text("#!/bin/sh\necho Linux\n")
    few.joinpath("uname").chmod(0o755)
    checkout.env["PATH"] = str(few)
    child = checkout.start()
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "needs git and tmux" in err
    assert "dnf install -y git tmux" in err


def test_the_lock_files_agree_and_name_no_other_place() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    packages = {package["name"]: package for package in lock["package"]}
    project = packages.pop("magents")
    assert project["source"] == {"editable": "packages/cli"}
    assert {package["source"]["registry"] for package in packages.values()} == {"https://pypi.org/simple"}

    def pinned(file: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text(), re.MULTILINE))

    locked = {name: package["version"] for name, package in packages.items()}
    everything, runtime = pinned("requirements-dev.lock"), pinned("requirements.lock")
    assert everything == locked
    assert runtime.items() <= locked.items()
    assert {wanted["name"] for wanted in project["dependencies"]} <= runtime.keys()
