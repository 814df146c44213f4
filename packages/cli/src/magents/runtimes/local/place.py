"""This machine as an agent's place."""

from __future__ import annotations

from magents.guest.files import Folder
from magents.system import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Here(Folder):
    """The agent's own folder, and commands as they are."""

    @property
    def folder(self) -> str:
        """Its own folder, as it is called here."""
        return self.root

    @property
    def share(self) -> str:
        """Those of this installation."""
        return paths.share()

    def command(self, argv: Sequence[str], *, tty: bool = False) -> list[str]:
        """Itself."""
        return list(argv)
