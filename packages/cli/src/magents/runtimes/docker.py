"""Docker mode: a container for each agent. The engine is whatever the command `docker` talks to.

A container sees of this machine only what is mounted in it: its workspace, the folder that the agents of its
project share, its own desk, and, read-only, the objects that its clone borrows. It is found again by its
labels, so one `docker ps` tells of all agents.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import time
from typing import TYPE_CHECKING, NamedTuple

from magents import config, events, guarded, process
from magents.errors import CommandFailed, Conflict, MagentsError, Missing
from magents.model import Problem
from magents.names import session
from magents.runtimes.base import Desk, Launch, Sighting, files, label, parse
from magents.terminal import Terminal, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from magents.model import Agent

SHARE = "/usr/local/lib/magents"
"""Where the image keeps what is ours."""
ANY = "magents.image"
"""The label of every container whose image is, or is made from, ours."""
HELPER = "magents.helper"
"""The label of a container that is made for one command."""
LABEL = "magents"
"""The label that tells of an agent; see `base.label`."""

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

GRACE = 5
"""Seconds that a container gets to end; its harness gets two of them, the rest is for a busy machine."""
STILL = "screen"
"""The file on the desk that shows what the terminal does while nothing happens on it."""
QUIET = 3
"""Seconds without output after which it is still."""
SCREEN = "terminal.txt"
"""Where a container that is stopped leaves, on its desk, what its terminal showed."""
LARGEST_SCREEN = 16 * 1024 * 1024
SLOW = 30
"""Seconds that the engine gets to answer a question."""
DEAD = ("Cannot connect to the Docker daemon", "error during connect", "Is the docker daemon running")


class Docker:
    """A container per agent."""

    name = "docker"
    private = True

    def __init__(self) -> None:
        self._made: set[str] = set()
        """The folders of agents whose containers this process has just made."""
        self._ids: dict[str, str] = {}
        """The engine's numbers of images, by name, as last seen by `require`."""

    def disks(self) -> list[str]:
        """Where the engine keeps images and containers, if that is on this machine."""
        try:
            folder = docker("info", "--format", "{{.DockerRootDir}}", timeout=10).line if self.plausible() else ""
        except MagentsError:
            return []
        return [folder] if os.path.isabs(folder) and os.path.isdir(folder) else []

    def check(self) -> list[Problem]:
        """The client, the engine, and the image are there."""
        if not process.find("docker"):
            return [Problem("docker is not installed", INSTALL, needed=False)]
        try:
            docker("version", "--format", "{{.Server.Version}}", timeout=10)
        except MagentsError as error:
            return [Problem(error.message, error.hint or INSTALL, needed=False)]
        return checked(config.load()["DOCKER_IMAGE"])

    def require(self, harness: str, program: str) -> None:
        """Client, engine and image are there, and the program is in the image: it may tell so by its label."""
        from magents import image

        name = config.load()["DOCKER_IMAGE"]
        found = image.inspect(name)
        if not found:
            raise Missing(f"There is no image {name}.", image.BUILD_HINT)
        self._ids[name] = str(found[0]["Id"])
        holds = str((found[0]["Config"].get("Labels") or {}).get("magents.holds", ""))
        if program and harness not in [words.split(" ")[0] for words in holds.split(", ")]:
            look = ("run", "--rm", "--pull", "never", "--network", "none", "--entrypoint", "which", name, program)
            try:
                docker(*look, timeout=120)
            except CommandFailed as error:
                raise Missing(
                    f"The image {name} has no {program}.",
                    f"Build it in: magents image build --agents claude,{harness}",
                ) from error

    def owner(self) -> tuple[int, int] | None:
        """Root's agents run as an ordinary user all the same; anybody else's run as that user."""
        return self.owner_inside() if os.geteuid() == 0 else None

    def owner_inside(self) -> tuple[int, int]:
        """The user and group that an agent runs as."""
        return (ORDINARY, ORDINARY) if os.geteuid() == 0 else (os.geteuid(), os.getegid())

    def desk(self, folder: str) -> Desk:
        """A folder of its own in the agent's: what else is there, the agent does not get to see."""
        return Desk(os.path.join(folder, "agent"), "/agent", SHARE)

    def prepare(self, launch: Launch) -> None:
        """See to it that the container runs: start the one that is there, or make it."""
        if launch.folder in self._made:
            return
        found = None if launch.agent.phase == "creating" else self.find(launch.agent, launch.folder)
        if found is None:
            self._run(launch)
        elif found.state == "paused":
            docker("unpause", found.container)
        elif found.state != "running":
            docker("start", found.container, timeout=120)

    def _run(self, launch: Launch) -> None:
        """Make and start the container. On failure nothing is left of it."""
        desk = self.desk(launch.folder).here
        for path in (desk, launch.shared):
            os.makedirs(path, mode=0o700, exist_ok=True)
            if owner := self.owner():
                os.chown(path, *owner)
        if not os.path.lexists(os.path.join(desk, events.LOG)):
            # So that the container can wait for what comes, and need not look for the file.
            guarded.write(desk, events.LOG, "", self.owner())
        settings = config.load()
        words, typed, env = by_file(environment(launch, settings))
        options = ["run", "--detach", "--pull", "never", *container(launch, settings, desk), *words]
        try:
            self._run_for_user(options, settings["DOCKER_IMAGE"], env, typed)
        except BaseException as error:
            if isinstance(error, CommandFailed) and "is already in use by container" in error.stderr:
                raise self._taken(launch) from error
            self.remove(launch.agent, launch.folder)
            raise
        self._made.add(launch.folder)

    def _run_for_user(self, options: Sequence[str], name: str, env: Mapping[str, str], typed: bytes) -> None:
        """`docker run` of the image's layer for this user. That it is there is the usual case, so it is not asked
        for before, but made when it turns out not to be."""
        from magents import image

        who = self.owner_inside()
        tag = image.name_for_user(self._ids[name], *who) if name in self._ids else image.for_user(name, *who)
        try:
            docker(*options, tag, env=env, stdin=typed, timeout=300)
        except CommandFailed as error:
            if "No such image" not in error.stderr:
                raise
            docker(*options, image.for_user(name, *who), env=env, stdin=typed, timeout=300)

    def _taken(self, launch: Launch) -> Conflict:
        name = session(launch.agent.id)
        return Conflict(
            f"There is a container `{name}` already, which is not this agent's.",
            f"Choose another id, or remove it: docker rm --force {name}",
        )

    def start(self, launch: Launch) -> None:
        """Write what the wrapper needs, then open the terminal, or use the ended one that is there."""
        agent = launch.agent
        self.prepare(launch)
        desk = self.desk(launch.folder)
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(desk.here, STILL))
        for name, text in files(launch.program, {}).items():
            guarded.write(desk.here, name, text, self.owner())
        argv = [f"{SHARE}/agent-run", desk.there]
        terminal = Terminal(self.inside(agent.id))
        try:
            if agent.phase != "creating":
                mine = next((pane for pane in terminal.panes() if pane.id == agent.id), None)
                if mine and mine.pane:
                    terminal.reopen(agent.id, argv, "/workspace")
                    return
                terminal.close(agent.id, desk.there)
            terminal.open(agent.id, argv, "/workspace", desk.there, agent.id, hooks(agent.id))
        except BaseException:
            if agent.phase == "creating":
                self.remove(agent, launch.folder)
            raise

    def stop(self, agent: Agent, folder: str) -> str:
        """Stop the container: its init ends the agent, and leaves its screen on the desk."""
        found = self.find(agent, folder)
        if found is None or found.state not in ("running", "paused", "restarting"):
            return ""
        if found.state == "paused":
            docker("unpause", found.container)
        docker("stop", "--time", str(GRACE), found.container, timeout=60)
        return os.fsdecode(guarded.read(os.path.join(self.desk(folder).here, SCREEN), LARGEST_SCREEN))

    def remove(self, agent: Agent, folder: str) -> str:
        """Stop the container and delete it."""
        self._made.discard(folder)
        shown = self.stop(agent, folder)
        if found := self.find(agent, folder):
            docker("rm", "--force", "--volumes", found.container, timeout=60)
        return shown

    def plausible(self) -> bool:
        """Where there is a client, and an engine's socket or a word of where one is."""
        if not process.find("docker"):
            return False
        places = ("/var/run/docker.sock", f"{os.environ.get('XDG_RUNTIME_DIR', '/nowhere')}/docker.sock")
        elsewhere = os.path.expanduser("~/.docker/contexts")
        named = "DOCKER_HOST" in os.environ or "DOCKER_CONTEXT" in os.environ
        return named or any(map(os.path.exists, (*places, elsewhere)))

    def observe(self) -> list[Sighting]:
        """All containers with our label, in one call."""
        listed = docker("ps", "--all", "--no-trunc", "--filter", f"label={ANY}", "--format", FORM).text
        rows = [row for row in map(read, listed.splitlines()) if row and not row.helper]
        me = str(os.geteuid())  # others may use the same engine
        return [self._sighting(row) for row in rows if row.label.get("uid", me) == me]

    def _sighting(self, seen: Container) -> Sighting:
        """What is seen of an agent. A container without our label is a service of somebody's compose file."""
        id = seen.label.get("id") or seen.name.removeprefix("magents-")
        if seen.state in ("running", "paused"):
            note = "its container is paused" if seen.state == "paused" else ""
            note = "its container is unhealthy" if "(unhealthy)" in seen.status else note
            folder = seen.label.get("folder", "")
            active = self._active(folder) if folder else unix_time(seen.made)
            return Sighting(id, True, active, seen.label, note=note)
        told = seen.state == "exited" and seen.status.startswith("Exited (")
        how = seen.status.split(" ")[1] if told else seen.state
        return Sighting(
            id, False, unix_time(seen.made), seen.label, there=False, note=f"its container has ended {how}"
        )

    def _active(self, folder: str) -> float:
        """When its terminal last stirred: now, unless it says that it is still."""
        try:
            return os.lstat(os.path.join(self.desk(folder).here, STILL)).st_mtime - QUIET
        except OSError:
            return time.time()

    def screens(self, folders: Mapping[str, str]) -> dict[str, str]:
        """Those that are still, from their desks."""
        shown = {
            id: os.fsdecode(guarded.read(os.path.join(self.desk(folder).here, STILL), LARGEST_SCREEN))
            for id, folder in folders.items()
        }
        return {id: text for id, text in shown.items() if text}

    def find(self, agent: Agent, folder: str) -> Container | None:
        """The agent's own container. One of that name that is somebody else's is left alone."""
        name = session(agent.id)
        listed = docker("ps", "--all", "--no-trunc", "--filter", f"name=^/?{name}$", "--format", FORM).text
        rows = [row for row in map(read, listed.splitlines()) if row]
        return next((row for row in rows if row.label.get("folder") == folder), None)

    def inside(self, id: str, *, tty: bool = False) -> tuple[str, ...]:
        """`docker exec`. With a terminal, no key of the user's is kept by the client to detach with."""
        if not tty:
            return ("docker", "exec", "--interactive", session(id))
        return (
            "docker", "exec", "--interactive", "--tty", "--detach-keys", "ctrl-@,ctrl-_", "--env", f"TERM={term()}",
            session(id),
        )  # fmt: skip

    @contextlib.contextmanager
    def reach(self, agent: Agent, folder: str, borrowed: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """`docker exec` while its container runs; else in a container that is made for it, with no network.

        That one ends by itself after a while, should this process be killed.
        """
        from magents import image

        found = self.find(agent, folder)
        if found and found.state == "running":
            yield self.inside(agent.id)
            return
        tag = found.image if found else image.for_user(config.load()["DOCKER_IMAGE"], *self.owner_inside())
        made = docker(
            "run", "--rm", "--detach", "--pull", "never", "--label", f"{HELPER}=1", "--network", "none",
            "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "512", "--no-healthcheck",
            *mounts({"/workspace": agent.workspace}, borrowed), "--entrypoint", "sleep", tag, "900", timeout=120,
        ).line  # fmt: skip
        try:
            yield ("docker", "exec", "--interactive", made)
        finally:
            docker("rm", "--force", made, timeout=60)

    def usage(self) -> dict[str, str]:
        """Memory, processor and processes of each running container."""
        form = "{{.Name}}\t{{.MemUsage}}\t{{.CPUPerc}}\t{{.PIDs}}"
        seen = {session(seen.id): seen for seen in self.observe() if seen.alive and seen.label}
        if not seen:
            return {}
        rows = docker("stats", "--no-stream", "--format", form, *seen).text.splitlines()
        found = {}
        for name, memory, processors, processes in (row.split("\t") for row in rows):
            most = seen[name].label
            cpus, pids = most.get("cpus", "?"), most.get("pids", "?")
            found[seen[name].id] = f"{memory.replace(' ', '')} {processors} of {cpus} cpu {processes}/{pids} pids"
        return found


ORDINARY = 1000
"""The user and group in the image, and of the agents of a host's root."""
INSTALL = "apt-get install docker.io   (macOS: Docker Desktop, or brew install colima docker)"
FORM = "\t".join((
    "{{.ID}}", "{{.Names}}", "{{.Image}}", "{{.State}}", "{{.Status}}", "{{.CreatedAt}}",
    '{{.Label "magents.helper"}}', '{{.Label "magents"}}',
))  # fmt: skip


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


def checked(name: str) -> list[Problem]:
    """What is wrong with the image."""
    from magents import image

    try:
        found = image.find(name)
    except MagentsError as error:
        return [Problem(error.message.rstrip("."), error.hint, needed=False)]
    if not found.current:
        return [Problem(f"the image {name} is older than its Dockerfile", "magents image build", needed=False)]
    return []


def unix_time(text: str) -> float:
    """The time that `docker ps` tells, `2026-01-31 12:00:00 +0100 CET`; 0 where it cannot be read."""
    from datetime import datetime

    day, clock, zone, *_ = f"{text} ? ? ?".split(" ")
    try:
        return datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp()
    except ValueError:
        return 0.0


def docker(
    *words: str, env: Mapping[str, str] | None = None, stdin: bytes | None = None, timeout: float = SLOW
) -> process.Result:
    """Run docker. Raises Missing without a client or an engine, CommandFailed for anything else."""
    try:
        return process.run(["docker", *words], env=env, stdin=stdin, timeout=timeout)
    except CommandFailed as error:
        if any(said in error.stderr for said in DEAD):
            raise Missing(
                "The Docker engine does not answer.", "Start it (Linux: systemctl start docker), then try again."
            ) from error
        if error.code is None:
            raise MagentsError(
                f"The Docker engine did not answer `docker {words[0]}` within {timeout:.0f} s.",
                "See what it is at: docker info",
            ) from error
        raise


def container(launch: Launch, settings: config.Config, desk: str) -> list[str]:
    """The options of a container: who it is, what it sees, what it may."""
    agent = launch.agent
    cpus = settings["DOCKER_CPUS"] or str(max(1, (os.cpu_count() or 1) - 1))
    told = label(agent, launch.folder)
    told |= {"uid": str(os.geteuid()), "cpus": cpus, "pids": settings["DOCKER_PIDS_LIMIT"]}
    words = ["--name", session(agent.id), "--hostname", session(agent.id)]
    words += ["--label", f"{LABEL}={json.dumps(told)}"]
    words += [f"--label=magents.{name}={told[name]}" for name in ("id", "project", "branch")]
    words += mounts({"/workspace": agent.workspace, "/shared": launch.shared, "/agent": desk}, launch.borrowed)
    words += ["--cap-drop", "ALL", *(word for name in CAPABILITIES for word in ("--cap-add", name))]
    # A log that is full of an agent's output must not fill the disk.
    words += ["--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=2"]
    words += ["--pids-limit", settings["DOCKER_PIDS_LIMIT"]]
    words += ["--cpus", cpus]
    for option, key in (("--network", "DOCKER_NETWORK"), ("--memory", "DOCKER_MEMORY")):
        if settings[key]:
            words += [option, settings[key]]
    return [*words, *shlex.split(settings["DOCKER_OPTIONS"])]


def hooks(id: str) -> list[str]:
    """The commands of tmux that let the desk tell what otherwise each agent would have to be asked for.

    The event `gone` when the wrapper has ended without telling (killed), or the server: nobody opens the gate
    that is waited at, so it goes on then; in a session of its own, or the server would end it first. And what
    the terminal shows once it has been still for a while, in the file `screen`, until it stirs again.
    """
    name = session(id)
    target = f"={name}:agent"
    gone = f"{SHARE}/magents-event /agent wrapper gone '{{}}'"
    gate = f"exec setsid sh -c {quoted(f'tmux wait-for {name}-gate; {gone}')}"
    show = f"cd /agent; tmux -u capture-pane -p -J -e -t {target} >.{STILL} && mv .{STILL} {STILL}"
    known = "#{==:#{@magents_still},#{window_activity}}"  # it fires again and again while nothing happens
    still = (
        f'if-shell -F -t {target} "{known}" "" '
        f'{{ set-option -w -F -t {target} @magents_still "#{{window_activity}}" ; run-shell -b {quoted(show)} }} ; '
        f"kill-session -C -t ={name}"  # ends no session: -C only clears the alert, so that it can come again
    )
    options = {"monitor-silence": str(QUIET), "monitor-activity": "on"}
    actions = {"silence-action": "any", "activity-action": "any", "visual-activity": "off", "visual-silence": "off"}
    words = [";", "set-hook", "-p", "-t", target, "pane-died", f"run-shell -b {quoted(gone)}"]
    words += [";", "run-shell", "-b", gate]
    for option, value in options.items():
        words += [";", "set-option", "-w", "-t", target, option, value]
    for option, value in actions.items():
        words += [";", "set-option", "-t", f"={name}:", option, value]
    words += [";", "set-hook", "-w", "-t", target, "alert-silence", still]
    return [*words, ";", "set-hook", "-w", "-t", target, "alert-activity", f"run-shell -b 'rm -f /agent/{STILL}'"]


def mounts(writable: Mapping[str, str], borrowed: Sequence[str]) -> list[str]:
    """The options that mount folders: inner path → path here, and those that are read at the same path."""
    pairs = [(there, here, "") for there, here in writable.items()]
    pairs += [(path, path, ",readonly") for path in borrowed]
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
        "MAGENTS_BRANCH": launch.agent.branch, "MAGENTS_FOLDER": "/agent",
        "MAGENTS_EVENT": f"{SHARE}/magents-event",
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


def term() -> str:
    """The user's kind of terminal if the image knows it."""
    known = {"xterm", "xterm-256color", "screen", "screen-256color", "tmux", "tmux-256color", "linux", "vt100"}
    asked = os.environ.get("TERM", "")
    return asked if asked in known else "xterm-256color"
