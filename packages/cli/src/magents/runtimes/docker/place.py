"""A container as an agent's place: its files are mounted from this machine, its commands are run by the engine."""

from __future__ import annotations

import os

from magents.core.names import session
from magents.guest.files import Folder
from magents.runtimes.docker.engine import execute
from magents.system import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Mounted(Folder):
    """The folder `agent` in the agent's own: what else is there, the agent does not get to see."""

    folder = paths.AGENT
    share = paths.LIBRARY

    def __init__(self, id: str, folder: str, owner: tuple[int, int] | None) -> None:
        """`folder`: the own folder of the agent `id`."""
        super().__init__(os.path.join(folder, "agent"), owner)
        self._container = session(id)

    def command(self, argv: Sequence[str], *, tty: bool = False) -> list[str]:
        """By `docker exec`."""
        return execute(self._container, argv, tty=tty)
