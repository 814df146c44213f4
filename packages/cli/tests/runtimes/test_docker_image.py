"""What goes into the image, without an engine."""

from __future__ import annotations

import ast
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import run
from magents import harnesses
from magents.core.errors import CommandFailed, Missing, UsageError
from magents.runtimes.docker import image, sources
from magents.system import paths, process
from magents.system.process import following

CERTIFICATE = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


def test_it_holds_what_the_containers_need():
    found = {file.name: file for file in sources.files()}
    guest = f"{sources.PYTHON}/magents/guest"
    for name in (
        "agent-run",
        "magents-event",
        "bin/task-master",
        *(f"container/{n}" for n in ("init", "home", "inside")),
    ):
        assert found[f"{guest}/{name}"].mode == 0o755
    for name in ("health.py", "service.py", "container/home.jq", "relay/__main__.py"):
        assert f"{guest}/{name}" in found
    assert f"{sources.PYTHON}/magents/core/status.py" in found
    assert not [name for name in found if "__pycache__" in name or "/magents/cli/" in name]
    assert found[f"{guest}/agent-run"].data == (Path(paths.share()) / "agent-run").read_bytes()


def test_what_it_holds_of_the_package_imports_nothing_else(tmp_path):
    modules = {}
    for file in sources.files():
        name = file.name.removeprefix(f"{sources.PYTHON}/")
        if name != file.name:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
            if name.endswith(".py") and "/relay/" not in name:  # the relay is started by itself
                modules[name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")] = file.data
    script = "import sys; sys.path.insert(0, sys.argv[1])\nfor name in sys.argv[2:]: __import__(name)"
    run(sys.executable, "-I", "-S", "-c", script, str(tmp_path), *modules, cwd=tmp_path)
    # What is imported only when it is needed, too; of the package itself that is `Fleet`, for users of the library.
    missing = {
        f"{name} imports {wanted}"
        for name, data in modules.items()
        if name != "magents"
        for wanted in wanted_by(ast.parse(data))
        if wanted.startswith("magents.") and wanted not in modules and wanted.rpartition(".")[0] not in modules
    }
    assert missing == set()


def wanted_by(tree: ast.Module) -> Iterator[str]:
    """What a module imports when it runs, names in modules included."""
    inner = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in inner:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and id(node) not in inner:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_what_it_holds_makes_it_old(monkeypatch, tmp_path):
    before = sources.digest()
    copy = tmp_path / "magents"
    shutil.copytree(sources.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    source = sources.source()
    monkeypatch.setattr(sources, "source", lambda: source)
    monkeypatch.setattr(sources, "PACKAGE", str(copy))
    assert sources.digest() == before
    for name in ("fleet/look.py", "store.py", "runtimes/docker/image.py", "git/workspaces/clone.py", "new/room.py"):
        (copy / name).parent.mkdir(exist_ok=True)
        with (copy / name).open("a") as file:
            file.write("# a comment\n")
    assert sources.digest() == before
    for name in (
        "guest/agent-run",
        "guest/container/init",
        "guest/relay/wire.py",
        "core/text.py",
        "git/pins/pinned.py",
    ):
        with (copy / name).open("a") as file:
            file.write("# a comment\n")
        changed = sources.digest()
        assert changed != before, name
        before = changed


def test_scripts_and_python_name_the_same_paths():
    words = (Path(paths.share()) / "container/paths").read_text().splitlines()
    told = dict(line.split("=") for line in words if not line.startswith("#"))
    assert told == {
        "lib": paths.LIBRARY, "workspace": paths.WORKSPACE, "shared": paths.SHARED, "folder": paths.AGENT,
        "accepted": paths.ACCEPTED, "run": paths.RUN,
    }  # fmt: skip
    made = sources.read(os.path.join(sources.source(), "Dockerfile")).decode()
    assert f"mkdir -p {paths.WORKSPACE} {paths.SHARED} {paths.AGENT} {paths.RUN} " in made


def test_every_harness_can_be_built_in():
    records = image.chosen(harnesses.NAMES)
    assert {record.name for record in records} == set(harnesses.TABLE) - {"command"}
    assert {record.pinned for record in records} <= set(sources.versions())
    given = image.harness_arguments(records)
    assert all(given[record.pinned] for record in records if not record.npm)
    assert len(given["NPM_HARNESSES"].split()) == len(given["NPM_PROGRAMS"].split())
    assert [record.name for record in image.chosen(["codex", "claude", "codex"])] == ["claude", "codex"]


def test_the_digest_tells_a_change(monkeypatch, tmp_path):
    before = sources.digest()
    assert before == sources.digest()
    copy = tmp_path / "docker"
    shutil.copytree(sources.source(), copy)
    monkeypatch.setattr(sources, "source", lambda: str(copy))
    assert sources.digest() == before
    with (copy / "Dockerfile").open("a") as file:
        file.write("# changed\n")
    assert sources.digest() != before


def test_a_bundle_is_parted_into_certificates(tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("# one\n" + CERTIFICATE.format("AAAA") + CERTIFICATE.format("BBBB") * 2)
    found = sources.certificates(str(bundle))
    assert len(found) == 2
    assert all(file.name.startswith("ca/") and file.name.endswith(".crt") for file in found)
    bundle.write_text("nothing")
    with pytest.raises(UsageError):
        sources.certificates(str(bundle))


def test_no_docker_and_no_engine_are_told_with_the_remedy(monkeypatch, tmp_path, magents):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    if shutil.which("docker"):
        said = magents("image", "build", code=1).err
        assert "engine does not answer" in said
        assert "Start it" in said
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    with pytest.raises(Missing) as missing:
        image.images()
    assert "docker.io" in missing.value.hint


@pytest.mark.parametrize("words", [["--agents", "none"], ["--ca-cert", "/nowhere"]])
def test_what_cannot_be_built_is_refused_first(magents, words):
    magents("image", "build", *words, code=2, DOCKER_HOST="unix:///nowhere.sock")
    magents("image", *words, code=2)


def test_follow_gives_lines_as_they_come_and_the_last_ones_in_its_error():
    lines: list[str] = []
    following.follow(["sh", "-c", "echo out; echo err >&2"], lines.append)
    assert sorted(lines) == ["err", "out"]
    with pytest.raises(CommandFailed) as failed:
        following.follow(["sh", "-c", "echo why; exit 3"], lines.append)
    assert (failed.value.code, failed.value.output) == (3, "why")
    with pytest.raises(CommandFailed) as late:
        following.follow(["sleep", "30"], lines.append, timeout=0.2)
    assert late.value.code is None


def test_a_check_of_an_image_names_all_that_is_missing(tmp_path):
    # The check runs in an image that lacks things; here, with a PATH that does.
    os.symlink("/bin/sh", tmp_path / "sh")
    done = process.run(
        ["sh", os.path.join(sources.source(), "user/check")], env={"PATH": str(tmp_path)}, ok=(1,)
    )  # fmt: skip
    assert "magents-missing: the program git" in done.text
    assert "magents-missing: /usr/local/lib/magents/init" in done.text
