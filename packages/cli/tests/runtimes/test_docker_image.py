"""What goes into the image, without an engine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from magents import harnesses
from magents.core.errors import CommandFailed, Missing, UsageError
from magents.runtimes.docker import image
from magents.system import process
from magents.system.process import following

CERTIFICATE = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


def test_it_holds_what_the_containers_need():
    found = {file.name: file for file in image.files()}
    for name in ("init", "health", "home", "inside", "service", "agent-run", "magents-event"):
        assert found[f"{image.LIBRARY}/{name}"].mode == 0o755
    assert f"{image.LIBRARY}/python/magents/core/status.py" in found
    assert not [name for name in found if "__pycache__" in name or "/magents/cli/" in name]
    share = Path(image.PACKAGE) / "share"
    assert found[f"{image.LIBRARY}/agent-run"].data == (share / "agent-run").read_bytes()


def test_every_harness_can_be_built_in():
    assert set(image.AGENTS) == set(harnesses.TABLE) - {"command"}
    assert set(image.AGENTS.values()) <= set(image.versions())
    assert image.check_agents(["codex", "claude", "codex"]) == ("claude", "codex")


def test_the_digest_tells_a_change(monkeypatch, tmp_path):
    before = image.digest()
    assert before == image.digest()
    copy = tmp_path / "docker"
    shutil.copytree(image.source(), copy)
    monkeypatch.setattr(image, "source", lambda: str(copy))
    assert image.digest() == before
    with (copy / "Dockerfile").open("a") as file:
        file.write("# changed\n")
    assert image.digest() != before


def test_a_bundle_is_parted_into_certificates(tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("# one\n" + CERTIFICATE.format("AAAA") + CERTIFICATE.format("BBBB") * 2)
    found = image.certificates(str(bundle))
    assert len(found) == 2
    assert all(file.name.startswith("ca/") and file.name.endswith(".crt") for file in found)
    bundle.write_text("nothing")
    with pytest.raises(UsageError):
        image.certificates(str(bundle))


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
        ["sh", os.path.join(image.source(), "user/check")], env={"PATH": str(tmp_path)}, ok=(1,)
    )  # fmt: skip
    assert "magents-missing: the program git" in done.text
    assert "magents-missing: /usr/local/lib/magents/init" in done.text
