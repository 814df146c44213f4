"""The Docker engine, asked through the command `docker`: whatever that talks to."""

from __future__ import annotations

import os

from magents.core.errors import CommandFailed, MagentsError, Missing
from magents.core.tuples import NamedTuple
from magents.runtimes.base import parse
from magents.system import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from magents.core.errors import MagentsError

ANY = "magents.image"
"""The label of every container whose image is, or is made from, ours."""
ANSWER_TIMEOUT_S = 20
"""Seconds that the engine gets to answer a question."""
DEAD = (
    "Cannot connect to the Docker daemon", "error during connect", "Is the docker daemon running",
    "unexpected EOF", "connection reset by peer", "daemon is shutting down",
)  # fmt: skip
"""What `docker` says when there is no engine, or it went away meanwhile."""
START = "Start it (Linux: systemctl start docker), then try again."
REMEDIES = {
    "no space left on device": "The engine's disk is full. What fills it: docker system df",
    "is not running": "A container that has ended tells why: docker logs magents-ID",
    "containerd.sock": "A part of the engine has ended. Restart it (Linux: systemctl restart docker).",
    "denied while trying to connect": "Join the group of its users: sudo usermod -aG docker $USER; log in again.",
}
"""What to do about what the engine says, by words that are in it."""
MAX_SHOWN_WORDS = 12
"""Words of a command that an error shows."""
LOOK = "See how the engine is: magents doctor"
DOCKERS = (
    "{{.ID}}", "{{.Names}}", "{{.Image}}", "{{.State}}", "{{.Status}}", "{{.CreatedAt}}",
    '{{.Label "magents.helper"}}', '{{.Label "magents"}}',
)  # fmt: skip
PODMANS = (
    *DOCKERS[:3], "{{.ListContainer.State}}", *DOCKERS[4:6],
    '{{index .Labels "magents.helper"}}', '{{index .Labels "magents"}}',
)  # fmt: skip
"""What `docker ps` is asked for, in the words of Docker and of Podman; neither knows the other's."""


class Silent(Missing):
    """The engine has not answered in time."""


class Container(NamedTuple):
    """A container as `docker ps` tells of it."""

    container: str
    """The engine's name of it."""
    name: str
    image: str
    """What it is made from, by name or number."""
    state: str
    """`running`, `exited`, `created`, `paused`, `restarting`, `dead`."""
    status: str
    """The same for people: `Up 3 minutes (unhealthy)`, `Exited (137) 2 hours ago`."""
    made: str
    """When it was made: `2026-01-31 12:00:00 +0100 CET`."""
    helper: str
    label: dict[str, str]


def read(row: str) -> Container | None:
    """A container from its line."""
    cells = row.split("\t", 7)
    if len(cells) != 8:
        return None
    container, name, image, state, status, made, helper, text = cells
    return Container(container, name, image, state, status, made, helper, parse(text))


def docker(
    *words: str,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float = ANSWER_TIMEOUT_S,
    keep: Sequence[int] = (),
) -> process.Result:
    """Run docker. Raises Missing without a client, or an engine that answers in time, and CommandFailed, with what
    to do, for anything else."""
    try:
        return process.run(["docker", *words], env=env, stdin=stdin, timeout=timeout, keep=keep)
    except CommandFailed as error:
        raise explained(error, timeout) from error


def execute(container: str, argv: Sequence[str], *, tty: bool = False) -> list[str]:
    """The command that runs `argv` in a container. With a terminal, the client keeps none of the user's keys for
    detaching."""
    words = ["docker", "exec", "--interactive"]
    if tty:
        words += ["--tty", "--detach-keys", "ctrl-@,ctrl-_", "--env", f"TERM={term()}"]
    return [*words, container, *argv]


def term() -> str:
    """The user's kind of terminal if the image knows it."""
    known = {"xterm", "xterm-256color", "screen", "screen-256color", "tmux", "tmux-256color", "linux", "vt100"}
    asked = os.environ.get("TERM", "")
    return asked if asked in known else "xterm-256color"


def explained(error: CommandFailed, timeout: float = ANSWER_TIMEOUT_S) -> MagentsError:
    """What a failure of docker means, and what to do: Missing without an engine that answers; else the failure."""
    if any(said in error.stderr for said in DEAD):
        return Missing("The Docker engine does not answer.", START)
    if error.code is None:
        return Silent(
            f"The Docker engine did not answer `docker {error.argv[1]}` within {timeout:.0f} s.",
            "See what keeps it: docker info. It may have to be restarted (Linux: systemctl restart docker).",
        )
    # All the options that a container is made with would hide what was said.
    argv = error.argv if len(error.argv) <= MAX_SHOWN_WORDS + 1 else (*error.argv[:2], "…")
    return CommandFailed(argv, error.code, error.output, error.stderr, remedy(error.stderr))


def remedy(said: str) -> str:
    """What to do about an error of the engine's."""
    return next((what for words, what in REMEDIES.items() if words in said), LOOK)


def containers(filter: str) -> list[Container]:
    """All that match, running or not, in one call. Raises as `docker` does."""
    words = ("ps", "--all", "--no-trunc", "--filter", filter, "--format")
    try:
        listed = docker(*words, "\t".join(DOCKERS)).text
    except CommandFailed as error:
        if "can't evaluate field Label" not in error.stderr:
            raise
        listed = docker(*words, "\t".join(PODMANS)).text
    return [found for found in map(read, listed.splitlines()) if found]


def unix_time(text: str) -> float:
    """The time that `docker ps` tells, `2026-01-31 12:00:00 +0100 CET`; 0 where it cannot be read."""
    from datetime import datetime

    day, clock, zone, *_ = f"{text} ? ? ?".split(" ")
    try:
        return datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp()
    except (ValueError, OverflowError):
        return 0.0
