"""What a container is made with: who it is, what it sees, what it may."""

from __future__ import annotations

import json
import os
import shlex

from magents.core.names import session
from magents.runtimes.base import label
from magents.system import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from magents import config
    from magents.runtimes.base import Launch

CAPABILITIES = {
    "CHOWN": "`sudo chown -R magents:magents /workspace`",
    "DAC_OVERRIDE": "the same, in folders that another user has closed",
    "SETUID": "sudo becomes root for that",
    "SETGID": "sudo becomes root for that",
    "AUDIT_WRITE": "sudo notes it in the kernel's audit log, and complains where it may not",
}
"""What a container may beyond an ordinary user, and what for. The default seccomp profile holds as well."""
KEYS = (
    "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "PERPLEXITY_API_KEY",
    "MISTRAL_API_KEY", "OPENROUTER_API_KEY",
)  # fmt: skip
"""Variables of the environment that a container is given. The setting API_KEYS adds to them."""
LABEL = "magents"
"""The label that tells of an agent; see `base.label`."""


def options(launch: Launch, settings: config.Config, folder: str) -> list[str]:
    """The options of a container: who it is, what it sees, what it may."""
    agent = launch.agent
    told = label(agent, launch.folder)
    told |= {"uid": str(os.geteuid()), "cpus": cpus(settings), "pids": settings["DOCKER_PIDS_LIMIT"]}
    words = ["--name", session(agent.id), "--hostname", session(agent.id)]
    words += ["--label", f"{LABEL}={json.dumps(told)}"]
    words += [f"--label=magents.{name}={told[name]}" for name in ("id", "project", "branch")]
    words += mounts(
        {paths.WORKSPACE: agent.workspace, paths.SHARED: launch.shared, paths.AGENT: folder},
        launch.borrowed,
        launch.accepted,
    )
    words += ["--cap-drop", "ALL", *(word for name in CAPABILITIES for word in ("--cap-add", name))]
    # A log that is full of an agent's output must not fill the disk.
    words += ["--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=2"]
    words += limits(settings)
    if settings["DOCKER_NETWORK"]:
        words += ["--network", settings["DOCKER_NETWORK"]]
    return [*words, *shlex.split(settings["DOCKER_OPTIONS"])]


def cpus(settings: config.Config) -> str:
    """How many processors a container may use."""
    return settings["DOCKER_CPUS"] or str(max(1, (os.cpu_count() or 1) - 1))


def limits(settings: config.Config) -> list[str]:
    """The options that limit what a container uses."""
    words = ["--pids-limit", settings["DOCKER_PIDS_LIMIT"], "--cpus", cpus(settings)]
    return [*words, "--memory", settings["DOCKER_MEMORY"]] if settings["DOCKER_MEMORY"] else words


def walls(settings: config.Config) -> list[str]:
    """The options that wall in a container which is not an agent's own, as an agent's is: with its limits, and with
    those of DOCKER_OPTIONS that are about confinement. The other options are for what agents do: names, ports,
    mounts."""
    given = iter(shlex.split(settings["DOCKER_OPTIONS"]))
    words = limits(settings)
    for word in given:
        name, assigned, _ = word.partition("=")
        if name in CONFINING:
            words += [word] if assigned else [word, *(value for value in [next(given, "")] if value)]
    return words


CONFINING = frozenset({
    "--runtime", "--security-opt", "--cap-drop", "--userns", "--user", "-u", "--group-add", "--isolation",
    "--cgroup-parent", "--cgroupns", "--ulimit", "--pids-limit", "--cpus", "--cpu-shares", "-c", "--cpu-period",
    "--cpu-quota", "--cpu-rt-period", "--cpu-rt-runtime", "--cpuset-cpus", "--cpuset-mems", "--memory", "-m",
    "--memory-swap", "--memory-reservation", "--memory-swappiness", "--kernel-memory", "--blkio-weight",
    "--blkio-weight-device", "--device-read-bps", "--device-read-iops", "--device-write-bps", "--device-write-iops",
    "--storage-opt", "--shm-size", "--oom-score-adj", "--platform",
})  # fmt: skip
"""Options of `docker run`, each with a value, that say how a container is walled in."""


def mounts(writable: Mapping[str, str], borrowed: Sequence[str], accepted: str = "") -> list[str]:
    """The options that mount folders: inner path → path here. Some are read-only: those that objects are `borrowed`
    from, and the `accepted` one, where `home` looks for it."""
    pairs = [(there, here, "") for there, here in writable.items()]
    pairs += [(paths.borrowed(path), path, ",readonly") for path in borrowed]
    pairs += [(paths.ACCEPTED, accepted, ",readonly")] if accepted else []
    # The value is a line of CSV: a field with a comma or a quote in it is quoted.
    return [
        word
        for there, here, mode in pairs
        for word in ("--mount", f"type=bind,{field(f'source={here}')},{field(f'target={there}')}{mode}")
    ]


def field(text: str) -> str:
    """A field of CSV."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


def environment(launch: Launch, settings: config.Config) -> dict[str, str]:
    """What the container's environment gets: keys from ours, what the user set, and who it is."""
    names = [*KEYS, *launch.keys, *settings["API_KEYS"].replace(",", " ").split()]
    passed = {name: launch.env[name] for name in names if launch.env.get(name)}
    who = {
        "MAGENTS_GIT_NAME": launch.env.get("MAGENTS_GIT_NAME", ""),
        "MAGENTS_GIT_EMAIL": launch.env.get("MAGENTS_GIT_EMAIL", ""),
    }
    return passed | who | dict(launch.own) | {
        "MAGENTS_HOSTED": "1", "MAGENTS_ID": launch.agent.id, "MAGENTS_HARNESS": launch.agent.harness,
        "MAGENTS_BRANCH": launch.agent.branch, "MAGENTS_FOLDER": paths.AGENT,
        "MAGENTS_EVENT": f"{paths.LIBRARY}/magents-event",
    }  # fmt: skip


def by_file(env: Mapping[str, str]) -> tuple[list[str], bytes, dict[str, str]]:
    """How to hand an environment to docker so that no value stands on a command line.

    Returns options, what to type into the client, and what to put into its environment: a file of lines
    cannot hold a value of several, and the client's own environment must not take `PATH` or `DOCKER_HOST`.
    """
    lines = {name: value for name, value in env.items() if "\n" not in value}
    others = {name: value for name, value in env.items() if "\n" in value}
    typed = "".join(f"{name}={value}\n" for name, value in lines.items())
    options = ["--env-file", "/dev/stdin", *(word for name in others for word in ("--env", name))]
    return options, os.fsencode(typed), others
