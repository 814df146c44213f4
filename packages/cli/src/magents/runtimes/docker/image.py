"""The image that containers are made from: building it, finding it, and its layer for each user."""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from magents.core.errors import CommandFailed, MagentsError, Missing, NotFound, UsageError
from magents.core.text import one_line
from magents.harnesses import TABLE
from magents.runtimes.docker import sources
from magents.system import process
from magents.system.process import following

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from magents.harnesses import Record

BASE = "debian:trixie-slim"

BUILD_HINT = "Build it: magents image build"
UID = 1000
"""Who an agent is in the image, and where the host's user is root."""

HEALTH = {"BUILDAH_FORMAT": "docker"}
"""Without it Podman leaves health checks out of what it builds."""
ANSWER_TIMEOUT_S = 20
"""Seconds that the engine gets to answer a question."""
BUILD_TIMEOUT_S = 3600.0
"""Seconds that a build may take."""


class Image(NamedTuple):
    """An image of ours, as the engine tells of it."""

    id: str
    tags: tuple[str, ...]
    size: int
    """Bytes, what it shares with other images included."""
    created: str
    """RFC 3339."""
    version: str
    """Of Magents, when it was built."""
    holds: str
    """The harnesses in it, with their versions."""
    current: bool
    """Whether it was built from what would be built now."""

    @property
    def built(self) -> float:
        """When it was made: Unix time, seconds."""
        from datetime import datetime

        return datetime.fromisoformat(self.created[:19] + "+00:00").timestamp()


@contextlib.contextmanager
def context(content: Sequence[sources.File]) -> Iterator[str]:
    """A folder with these files while the block runs: not every `docker build` takes an archive."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="magents-image-") as folder:
        os.mkdir(os.path.join(folder, "ca"))
        for file in content:
            path = os.path.join(folder, file.name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as target:
                target.write(file.data)
            os.chmod(path, file.mode)
        for where, _, _ in os.walk(folder):
            os.chmod(where, 0o755)  # whatever the umask is
        yield folder


def npm_package(record: Record) -> str:
    """The npm package of a harness at its pinned version; '' for one that npm does not have."""
    return f"{record.npm}@{sources.versions()[record.pinned]}" if record.npm else ""


def chosen(names: Sequence[str]) -> list[Record]:
    """The harnesses to build in, each once. Raises UsageError for an unknown one."""
    known = {name: record for name, record in TABLE.items() if record.pinned}
    for name in names:
        if name not in known:
            raise UsageError(
                f"There is no harness `{one_line(name)}` for images.", f"There are: {', '.join(known)}"
            )
    return [record for name, record in known.items() if name in names]


def harness_arguments(records: Sequence[Record]) -> dict[str, str]:
    """The build arguments that bring these harnesses in, at their pinned versions."""
    pinned, from_npm = sources.versions(), [record for record in records if record.npm]
    return {
        "NPM_HARNESSES": " ".join(map(npm_package, from_npm)),
        "NPM_PROGRAMS": " ".join(record.program for record in from_npm),
        **{record.pinned: pinned[record.pinned] for record in records if record.pip},
        "HOLDS": ", ".join(f"{record.name} {pinned[record.pinned]}" for record in records),
    }


def build(
    tag: str,
    *,
    base: str = BASE,
    agents: Sequence[str] = ("claude",),
    ca_cert: str | None = None,
    no_cache: bool = False,
    progress: Callable[[str], object] = lambda line: None,
) -> Image:
    """Build the image. `progress` gets what the engine prints, line by line.

    `ca_cert` is a PEM file of certificates that the image shall trust as well. Raises UsageError, Missing
    when there is no engine, and CommandFailed with the build's last words.
    """
    from importlib.metadata import version

    records = chosen(agents)
    pinned = sources.versions()
    content = sources.files()
    given = {
        "BASE": base,
        "NPM": pinned["NPM"],
        "TASK_MASTER": pinned["TASK_MASTER"],
        "VERSION": version("magents"),
    }
    given |= {"DIGEST": sources.digest(), **harness_arguments(records)}
    if ca_cert is not None:
        content += sources.certificates(ca_cert)
    check_engine()
    run_build(tag, content, given, progress, ["--no-cache"] if no_cache else [])
    return find(tag)


def run_build(
    tag: str,
    content: Sequence[sources.File],
    given: dict[str, str],
    progress: Callable[[str], object] = lambda line: None,
    options: Sequence[str] = (),
) -> None:
    """`docker build` of a context with build arguments."""
    words = [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
    with context(content) as folder:
        # The engine would keep the container of a step that failed.
        argv = ["docker", "build", "--force-rm", "--tag", tag, *options, *words, folder]
        following.follow(argv, progress, env=HEALTH, timeout=BUILD_TIMEOUT_S)


def check_engine() -> None:
    """Raises Missing when no engine answers."""
    try:
        process.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20)
    except CommandFailed as error:
        said = one_line(error.stderr or error.output, 200) or "it takes too long"
        raise Missing(
            f"The Docker engine does not answer: {said}", "Start it, for example: sudo systemctl start docker"
        ) from error


def inspect(*names: str) -> list[dict[str, Any]]:
    """What the engine tells of images; of those that it does not have, nothing."""
    try:
        done = process.run(["docker", "image", "inspect", *names], timeout=ANSWER_TIMEOUT_S, ok=None)
    except CommandFailed as error:
        raise Missing(
            f"The Docker engine did not answer `docker image` within {ANSWER_TIMEOUT_S} s.",
            "See what keeps it: docker info. It may have to be restarted (Linux: systemctl restart docker).",
        ) from error
    if done.code and not absent(done.stderr):
        check_engine()
        raise CommandFailed(("docker", "image", "inspect", *names), done.code, done.text, done.stderr)
    found: list[dict[str, Any]] = json.loads(done.text or "[]")
    return found


def absent(said: str) -> bool:
    """Whether an error of `docker` (or Podman's) says that there is no such image."""
    return "no such image" in said.lower() or "image not known" in said


def find(tag: str) -> Image:
    """An image by its name. Raises NotFound, or Missing when no engine answers."""
    found = inspect(tag)
    if not found:
        raise NotFound(f"There is no image {tag}.", BUILD_HINT)
    return describe(found[0], sources.digest())


def images() -> list[Image]:
    """All images of ours that have a name, and their children, the newest first. Raises Missing when no
    engine answers."""
    filters = ["--filter", "label=magents.image", "--filter", "dangling=false"]
    try:
        listed = process.run(["docker", "image", "ls", "--quiet", "--no-trunc", *filters], timeout=30)
    except CommandFailed:
        check_engine()
        raise
    ids = list(dict.fromkeys(listed.text.split()))
    now = sources.digest()
    found = [describe(told, now) for told in (inspect(*ids) if ids else [])]
    return sorted(found, key=lambda image: image.created, reverse=True)


def describe(told: dict[str, Any], now: str) -> Image:
    """An image from what the engine tells; `now` is the digest of what would be built."""
    labels = told["Config"].get("Labels") or {}
    return Image(
        told["Id"], tuple(told.get("RepoTags") or ()), told["Size"], told["Created"],
        labels.get("magents.version", ""), labels.get("magents.holds", ""), labels.get("magents.digest") == now,
    )  # fmt: skip


def name_for_user(id: str, uid: int, gid: int) -> str:
    """What the image is called in which `magents` has these numbers, made from the image with this id.

    Root's files on the host belong to root whatever we do, so for root it is an ordinary user.
    """
    if uid == 0:
        uid = gid = UID
    return f"magents/agent-user:{id.removeprefix('sha256:')[:12]}-{uid}-{gid}"


def for_user(image: str, uid: int, gid: int) -> str:
    """The name of the image in which `magents` has these numbers; made if it is not there yet.

    Raises Missing when `image` is not there, and MagentsError, naming all that it lacks, when it cannot serve.
    Several processes may do this at once.
    """
    for _ in range(3):
        id = id_of(image)
        name = name_for_user(id, uid, gid)
        if inspect(name):
            return name
        build_for_user(image, name, uid or UID, gid if uid else UID)
        if id_of(image) == id:
            return name
        # Somebody has given the name to another image meanwhile: which one this is made of is not known.
        process.run(["docker", "image", "rm", name], ok=None)
    raise MagentsError(f"The image {image} changes all the time.", "Try again when its build is over.")


def id_of(image: str) -> str:
    """The id of an image. Raises Missing when it is not there."""
    found = inspect(image)
    if not found:
        raise Missing(f"There is no image {image}.", BUILD_HINT)
    return str(found[0]["Id"])


def build_for_user(image: str, name: str, uid: int, gid: int) -> None:
    """Build the layer. Raises MagentsError with all that the image lacks."""
    content = sources.below(os.path.join(sources.source(), "user"), ".")
    try:
        run_build(name, content, {"IMAGE": image, "UID": str(uid), "GID": str(gid)})
    except CommandFailed as error:
        lacking = re.findall(r"magents-missing: (.+)", error.output)
        if not lacking:
            raise
        raise MagentsError(
            f"The image {image} lacks what an agent needs: {', '.join(dict.fromkeys(map(one_line, lacking)))}.",
            "Build on the image of Magents (`FROM magents/agent:latest`), or choose another one: "
            "magents config --set DOCKER_IMAGE=…",
        ) from error
