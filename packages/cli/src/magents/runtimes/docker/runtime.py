"""Docker mode: a container for each agent. The engine is whatever the command `docker` talks to.

A container sees of this machine only what is mounted in it: its workspace, the folder that the agents of its
project share, its own files, and, read-only, the objects that its clone borrows. It is found again by its
labels, so one `docker ps` tells of all agents.
"""

from __future__ import annotations

import contextlib
import os

from magents.core.errors import CommandFailed, Conflict, MagentsError, Missing, Problem
from magents.core.names import session
from magents.guest import events
from magents.guest.files import Folder
from magents.guest.terminal import Terminal
from magents.runtimes.base import Launch, Observation, Traits
from magents.runtimes.docker import still
from magents.runtimes.docker.engine import ANY, containers, docker, explained
from magents.runtimes.docker.observation import observation
from magents.runtimes.docker.place import Mounted
from magents.system import paths, programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from magents.core.agent import Agent
    from magents.runtimes.docker.engine import Container
    from magents.system.there import Command

GRACE_S = 5
"""Seconds that a container gets to end; its harness gets two of them, the rest is for a busy machine."""
SCREEN = "terminal.txt"
"""Where a container that is stopped leaves what its terminal showed."""
MAX_LAST_SCREEN_BYTES = 16 * 1024 * 1024


class Docker:
    """A container per agent."""

    name = "docker"
    traits = Traits("clone", "image", "there", "still", trusted=False, keeps="container")

    def __init__(self) -> None:
        self._made: set[str] = set()
        """The folders of agents whose containers this process has just made, and not yet started the agent in."""
        self._ids: dict[str, str] = {}
        """The engine's numbers of images, by name, as last seen by `require`."""

    def disks(self) -> list[str]:
        """Where the engine keeps images and containers, if that is on this machine."""
        try:
            folder = docker("info", "--format", "{{.DockerRootDir}}", timeout=5).line if self.plausible() else ""
        except MagentsError:
            return []
        return [folder] if os.path.isabs(folder) and os.path.isdir(folder) else []

    def check(self) -> list[Problem]:
        """The client, the engine, and the image are there."""
        from magents import config

        if not programs.find("docker"):
            return [Problem("docker is not installed", INSTALL, needed=False)]
        try:
            docker("version", "--format", "{{.Server.Version}}", timeout=10)
        except MagentsError as error:
            return [Problem(error.message, error.hint or INSTALL, needed=False)]
        return checked(config.load()["DOCKER_IMAGE"])

    def require(self, harness: str, program: str) -> None:
        """Client, engine and image are there, and the program is in the image: it may tell so by its label."""
        from magents import config
        from magents.runtimes.docker import image

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
        return (ORDINARY_ID, ORDINARY_ID) if os.geteuid() == 0 else (os.geteuid(), os.getegid())

    def place(self, agent: Agent, folder: str) -> Mounted:
        """Its container."""
        return Mounted(agent.id, folder, self.owner())

    def prepare(self, launch: Launch) -> None:
        """Make sure that the container runs: start the one that is there, or make it."""
        self._bring_up(launch)

    def _bring_up(self, launch: Launch) -> bool:
        """Do what `prepare` does; returns whether the container did not run before."""
        if launch.folder in self._made:
            return False
        found = None if launch.agent.phase == "creating" else self.find(launch.agent, launch.folder)
        if found is None:
            self._run(launch)
        elif found.state == "paused":
            docker("unpause", found.container)
        else:
            # Also one that is said to run: where the engine's disk was full, it may not know of its end.
            docker("start", found.container, timeout=120)
        return found is None or found.state not in ("running", "paused")

    def _run(self, launch: Launch) -> None:
        """Make and start the container. On failure nothing is left of it."""
        from magents import config
        from magents.runtimes.docker import container

        place = self.place(launch.agent, launch.folder)
        for files in (place, Folder(launch.shared, self.owner())):
            files.make()
        if not place.exists(events.LOG):
            # So that the container can wait for what comes, and need not look for the file.
            place.write({events.LOG: ""})
        settings = config.load()
        words, typed, env = container.by_file(container.environment(launch, settings))
        options = ["run", "--detach", "--pull", "never", *container.options(launch, settings, place.root), *words]
        try:
            self._run_for_user(options, settings["DOCKER_IMAGE"], env, typed, launch.keep)
        except BaseException as error:
            if isinstance(error, CommandFailed) and "is already in use by container" in error.stderr:
                raise self._taken(launch) from error
            with contextlib.suppress(MagentsError):  # whoever undoes a creation tries again, and tells of it
                self.remove(launch.agent, launch.folder)
            raise
        self._made.add(launch.folder)

    def _run_for_user(
        self, options: Sequence[str], name: str, env: Mapping[str, str], typed: bytes, keep: Sequence[int]
    ) -> None:
        """`docker run` of the image's layer for this user. That it is there is the usual case, so it is not asked
        for before, but made when it turns out not to be."""
        from magents.runtimes.docker import image

        who = self.owner_inside()
        tag = image.name_for_user(self._ids[name], *who) if name in self._ids else image.for_user(name, *who)
        try:
            docker(*options, tag, env=env, stdin=typed, timeout=300, keep=keep)
        except CommandFailed as error:
            if not image.absent(error.stderr):
                raise
            docker(*options, image.for_user(name, *who), env=env, stdin=typed, timeout=300, keep=keep)

    def _taken(self, launch: Launch) -> Conflict:
        name = session(launch.agent.id)
        told = [row.label.get("folder", "") for row in containers(f"name=^/?{name}$")]
        if "".join(told):
            return Conflict(
                f"Another agent has the container `{name}`: one of {os.path.dirname(os.path.dirname(told[0]))}.",
                "Choose another id: magents create BRANCH ID",
            )
        return Conflict(
            f"There is a container `{name}` already, which is not this agent's.",
            f"Choose another id, or remove it: docker rm --force {name}",
        )

    def start(self, launch: Launch) -> None:
        """Write what the wrapper needs, then open the terminal, or use the ended one that is there."""
        from magents.guest import wrapper

        agent = launch.agent
        begun = self._bring_up(launch)
        self._made.discard(launch.folder)  # by the next start it can have ended
        place = self.place(agent, launch.folder)
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(place.root, still.STILL))
        argv = [f"{place.share}/agent-run", place.folder]
        terminal = Terminal(place.command)
        try:
            place.write(wrapper.files(launch.program, {}))
            if agent.phase != "creating":
                mine = next((pane for pane in terminal.panes() if pane.id == agent.id), None)
                if mine and mine.pane:
                    terminal.reopen(agent.id, argv, paths.WORKSPACE)
                    return
                terminal.close(agent.id, place.folder)
            terminal.open(agent.id, argv, paths.WORKSPACE, place.folder, agent.id, still.hooks(agent.id))
        except BaseException as error:
            with contextlib.suppress(MagentsError):
                if agent.phase == "creating":
                    self.remove(agent, launch.folder)
                elif begun:
                    self.stop(agent, launch.folder)
            if isinstance(error, CommandFailed):
                raise explained(error) from error
            raise

    def stop(self, agent: Agent, folder: str) -> str:
        """Stop the container: its init ends the agent, and leaves its screen among its files."""
        from magents.runtimes.docker.ending import end

        found = self.find(agent, folder)
        if found is None or found.state not in ("running", "paused", "restarting"):
            return ""
        if found.state == "paused":
            docker("unpause", found.container)
        end("stop", "--time", str(GRACE_S), container=found.container)
        return os.fsdecode(self.place(agent, folder).read(SCREEN, MAX_LAST_SCREEN_BYTES))

    def remove(self, agent: Agent, folder: str) -> str:
        """Stop the container and delete it."""
        from magents.runtimes.docker.ending import end

        self._made.discard(folder)
        shown = self.stop(agent, folder)
        if found := self.find(agent, folder):
            end("rm", "--force", "--volumes", container=found.container)
        return shown

    def plausible(self) -> bool:
        """Where there is a client, and an engine's socket or a word of where one is."""
        if not programs.find("docker"):
            return False
        places = ("/var/run/docker.sock", f"{os.environ.get('XDG_RUNTIME_DIR', '/nowhere')}/docker.sock")
        elsewhere = os.path.expanduser("~/.docker/contexts")
        named = "DOCKER_HOST" in os.environ or "DOCKER_CONTEXT" in os.environ
        return named or any(map(os.path.exists, (*places, elsewhere)))

    def observe(self) -> list[Observation]:
        """All containers with our label, in one call."""
        return [observation(row) for row in self._ours()]

    def _ours(self) -> list[Container]:
        """The containers of this user's agents, and those that no user's name is on."""
        me = str(os.geteuid())  # others may use the same engine
        rows = containers(f"label={ANY}")
        return [row for row in rows if not row.helper and row.label.get("uid", me) == me]

    def screens(self, folders: Mapping[str, str]) -> dict[str, str]:
        """Those that are still, from their files."""
        shown = {
            id: os.fsdecode(Mounted(id, folder, None).read(still.STILL, still.MAX_SCREEN_BYTES))
            for id, folder in folders.items()
        }
        return {id: text for id, text in shown.items() if text}

    def find(self, agent: Agent, folder: str) -> Container | None:
        """The agent's own container. One of that name that is somebody else's is left alone."""
        name = session(agent.id)
        return next((row for row in containers(f"name=^/?{name}$") if row.label.get("folder") == folder), None)

    @contextlib.contextmanager
    def reach(self, agent: Agent, folder: str, borrowed: Sequence[str]) -> Iterator[Command]:
        """`docker exec` while its container runs; else in one that is made for it, and ends with this process."""
        from magents import config
        from magents.runtimes.docker import container, image
        from magents.runtimes.docker.helper import helper

        found = self.find(agent, folder)
        if found and found.state == "running":
            yield self.place(agent, folder).command
            return
        tag = found.image if found else image.for_user(config.load()["DOCKER_IMAGE"], *self.owner_inside())
        mounts = container.mounts({paths.WORKSPACE: agent.workspace}, borrowed)
        with helper(tag, mounts, container.walls(config.load())) as command:
            yield command

    def usage(self) -> dict[str, str]:
        """Memory, processor and processes of each running container."""
        from magents.runtimes.docker.usage import usage

        running = [row for row in self._ours() if row.state == "running" and row.label.get("id")]
        told = usage(running)
        return {row.label["id"]: told[row.name] for row in running if row.name in told}


ORDINARY_ID = 1000
"""The user and group in the image, and of the agents of a host's root."""
INSTALL = "apt-get install docker.io   (macOS: Docker Desktop, or brew install colima docker)"


def checked(name: str) -> list[Problem]:
    """What is wrong with the image."""
    from magents.runtimes.docker import image

    try:
        found = image.find(name)
    except MagentsError as error:
        return [Problem(error.message.rstrip("."), error.hint, needed=False)]
    if not found.current:
        return [Problem(f"the image {name} is older than its Dockerfile", "magents image build", needed=False)]
    return []
