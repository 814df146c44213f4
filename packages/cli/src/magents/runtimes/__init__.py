"""The runtimes by name. A new one is a folder and its record in `TABLE`; its code is imported at its first use."""

from __future__ import annotations

from magents.core.errors import MagentsError, NotFound
from magents.core.setting import Setting
from magents.core.tuples import NamedTuple
from magents.runtimes.base import Traits
from magents.system import extensions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from magents.config import Config
    from magents.runtimes.base import Runtime


class Record(NamedTuple):
    """What is known of a runtime without its code."""

    name: str
    """What the command line calls it: the mode."""
    code: str
    """The class that is it: `module:name`."""
    about: str = ""
    """What happens to an agent that is made in it: a line for the help."""
    settings: tuple[Setting, ...] = ()
    """What the user may set of it."""


def complaint_of_words(value: str) -> str:
    """What is wrong with a list of words in shell's quoting; '' for nothing."""
    import shlex

    try:
        shlex.split(value)
    except ValueError as error:
        return f"is no list of words: {str(error).lower()}"
    return ""


OF_DOCKER = (
    Setting("DOCKER_ENABLED", "false", "Docker mode", "Whether new agents run in containers, where MODE is empty.",
            choices=("true", "false"), in_new_file=True),
    Setting("DOCKER_IMAGE", "magents/agent:latest", "Docker image for agents",
            "The image that containers are made from.", in_new_file=True,
            form=r"[a-z0-9]+([._/:@-]+[A-Za-z0-9_]+)*", called="the name of an image"),
    Setting("DOCKER_NETWORK", "", "Docker network", "The network of containers; empty: the engine's default.",
            form=r"([A-Za-z0-9][A-Za-z0-9_.:-]*)?", called="a network's name, or empty"),
    Setting("DOCKER_MEMORY", "4g", "Memory of a container", "The most memory that a container gets: 512m, 4g.",
            form=r"(\d+[bkmg]?)?", called="a size like 512m or 4g, or empty for no limit"),
    Setting("DOCKER_CPUS", "", "Processors of a container",
            "How many processors a container gets at most; empty: all but one, at least one.",
            form=r"(\d+(\.\d+)?)?", called="a number like 2 or 0.5, or empty"),
    Setting("DOCKER_PIDS_LIMIT", "2048", "Processes of a container", "How many processes a container may have.",
            form=r"-1|[1-9]\d*", called="a number, or -1 for no limit"),
    Setting("DOCKER_OPTIONS", "", "More options for containers", "Added to `docker run`, in shell's quoting.",
            complaint=complaint_of_words),
    Setting("API_KEYS", "", "More keys for containers",
            "Names of variables that containers get from the environment, beside the usual API keys.",
            form=r"([A-Za-z_][A-Za-z0-9_]*([ ,]+|$))*", called="names of variables, parted by commas"),
)  # fmt: skip

TABLE = {
    record.name: record
    for record in (
        Record("tmux", "magents.runtimes.local.runtime:Tmux", "run in tmux on this machine"),
        Record("docker", "magents.runtimes.docker.runtime:Docker", "run in a container", OF_DOCKER),
    )
}
SETTINGS = (
    Setting("MODE", "", "Mode", "Where new agents run: tmux, docker, …; empty: as DOCKER_ENABLED says.",
            form=r"([a-z0-9][a-z0-9-]*)?", called="the name of a mode, or empty"),
    *(setting for record in TABLE.values() for setting in record.settings),
)  # fmt: skip
GIVE_UP = "Meanwhile, read it: magents logs ID; or give up its record: magents stop ID --forget"
_made: dict[str, Runtime] = {}


class Unknown:
    """The runtime of an agent whose row names one that this machine does not have. Every method raises the error
    that says so."""

    def __init__(self, name: str, error: MagentsError) -> None:
        self.name = name
        self.why = error
        self.traits = Traits("remote", "image", "there", "still", trusted=False, keeps="")

    def __getattr__(self, name: str) -> NoReturn:
        raise type(self.why)(self.why.message, self.why.hint)


def record(name: str) -> Record:
    """What is known of the runtime of that name. Raises NotFound, or MagentsError for a broken plugin."""
    return extensions.record_of("mode", TABLE, name, tuple(TABLE))


def mode(settings: Config) -> str:
    """The mode of new agents: MODE, or if that is empty what DOCKER_ENABLED says. A DOCKER_ENABLED in the
    environment is meant for one command, and wins over a MODE that stands elsewhere."""
    named, docker = settings.values["MODE"], settings.values["DOCKER_ENABLED"]
    if named.value and not (docker.source == "environment" != named.source):
        return named.value
    return "docker" if settings.flag("DOCKER_ENABLED") else "tmux"


def brought() -> Iterator[Record]:
    """The records of runtimes that installed packages bring and that can be used."""
    return extensions.brought("mode", TABLE)


def plugins() -> Iterator[extensions.Plugin]:
    """The runtimes that installed packages bring."""
    return extensions.plugins("mode", TABLE)


def runtime(name: str) -> Runtime:
    """The runtime of that name. Raises as `record` does."""
    record(name)
    found = recorded(name)
    if isinstance(found, Unknown):
        raise type(found.why)(found.why.message, found.why.hint)
    return found


def recorded(name: str) -> Runtime:
    """The runtime that an agent's record names; `Unknown` where this machine does not have it."""
    if name not in _made:
        try:
            _made[name] = extensions.make("mode", record(name))
        except NotFound as error:
            _made[name] = Unknown(name, NotFound(error.message, f"{extensions.ABSENT} {GIVE_UP}"))
        except MagentsError as error:
            _made[name] = Unknown(name, error)
    return _made[name]
