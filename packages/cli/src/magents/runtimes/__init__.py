"""The runtimes by name. A new one is a folder and its record in `TABLE`; its code is imported at its first use."""

from __future__ import annotations

from magents.core.errors import MagentsError, NotFound
from magents.core.tuples import NamedTuple
from magents.runtimes.base import Traits
from magents.system import extensions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from magents.runtimes.base import Runtime


class Record(NamedTuple):
    """What is known of a runtime without its code."""

    name: str
    """What the command line calls it: the mode."""
    code: str
    """The class that is it: `module:name`."""
    about: str = ""
    """What an agent does that is made in it: a line for the help."""


TABLE = {
    record.name: record
    for record in (
        Record("tmux", "magents.runtimes.local.runtime:Tmux", "run in tmux on this machine"),
        Record("docker", "magents.runtimes.docker.runtime:Docker", "run in a container"),
    )
}
_made: dict[str, Runtime] = {}


class Unknown:
    """The runtime of an agent whose record names one that this machine does not have. Whatever it is asked for, it
    raises the error that says so."""

    def __init__(self, name: str, error: MagentsError) -> None:
        self.name = name
        self.why = error
        self.traits = Traits("remote", "image", "there", "still", trusted=False, keeps="")

    def __getattr__(self, name: str) -> NoReturn:
        raise type(self.why)(self.why.message, self.why.hint)


def record(name: str) -> Record:
    """What is known of the runtime of that name. Raises NotFound, or MagentsError for a broken plugin."""
    return extensions.record_of("mode", TABLE, name, tuple(TABLE))


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
            _made[name] = Unknown(name, NotFound(error.message, extensions.ABSENT))
        except MagentsError as error:
            _made[name] = Unknown(name, error)
    return _made[name]
