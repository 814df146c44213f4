"""The modes."""

import os

from magents import config
from magents.core.errors import MagentsError
from magents.guest.terminal import Terminal
from magents.runtimes.local.place import Here
from magents.runtimes.local.runtime import Tmux


def folder():
    """Where the server's socket is."""
    return os.path.join(os.environ.get("TMUX_TMPDIR") or "/tmp", config.load()["ASIDE_FOLDER"])


def command(argv, *, tty=False):
    """A command on this machine, for which tmux is the other server."""
    return ["env", f"TMUX_TMPDIR={folder()}", *argv]


class Elsewhere(Here):
    """This machine, but another tmux server."""

    def command(self, argv, *, tty=False):
        """See `command`."""
        return command(argv, tty=tty)


class Aside(Tmux):
    """As tmux, in a server of its own."""

    name = "aside"

    def __init__(self):
        self.terminal = Terminal(command)

    def place(self, agent, folder):
        """The other server."""
        return Elsewhere(folder)

    def start(self, launch):
        """The same there."""
        os.makedirs(folder(), mode=0o700, exist_ok=True)
        super().start(launch)

    def observe(self):
        """The same there; an error says that it is this mode's."""
        try:
            return super().observe()
        except MagentsError as error:
            raise MagentsError(f"aside: {error.message}", error.hint) from error


class Defective(Tmux):
    """A mode with a defect."""

    name = "defective"

    def start(self, launch):
        """Fails as no part of Magents expects."""
        raise KeyError("a defect")
