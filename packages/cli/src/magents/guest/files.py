"""The few files through which an agent and Magents talk: its log, what it is started with, its still screen.

Whoever runs as the agent can put anything in their place. So no link is followed, no fifo is waited for, and no
more is read of a file than was asked for.
"""

from __future__ import annotations

import errno
import os
import stat

from magents.core.errors import MagentsError, remedy
from magents.system.files import guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol
else:
    Protocol = object


class Files(Protocol):
    """The files of one agent, wherever they lie, by their names below the agent's folder."""

    def read(self, name: str, limit: int, after: int = 0) -> bytes:
        """The last `limit` bytes of what lies behind the byte `after` of a plain file; b'' of anything else."""

    def size(self, name: str) -> int:
        """How many bytes a file has; 0 if there is no such file."""

    def exists(self, name: str) -> bool:
        """Whether anything has this name."""

    def write(self, files: Mapping[str, str]) -> None:
        """Replace whatever has the name by the text, for the agent's eyes only: whole, or not at all. Raises
        MagentsError."""

    def append(self, name: str, line: bytes) -> None:
        """Add a line to a plain file by one write, so that it is not mixed with others'. Raises MagentsError."""


class Folder:
    """The files of an agent that lie in a folder on this disk."""

    def __init__(self, root: str, owner: tuple[int, int] | None = None) -> None:
        """`owner`: the user and the group that new files are given to; None: the user who calls."""
        self.root = root
        self.owner = owner

    def read(self, name: str, limit: int, after: int = 0) -> bytes:
        """One `open`, and one `pread`."""
        return guarded.read(os.path.join(self.root, name), limit, after)

    def size(self, name: str) -> int:
        """One `lstat`."""
        try:
            return os.lstat(os.path.join(self.root, name)).st_size
        except OSError:
            return 0

    def exists(self, name: str) -> bool:
        """True for a link that leads nowhere, too."""
        return os.path.lexists(os.path.join(self.root, name))

    def write(self, files: Mapping[str, str]) -> None:
        """Each by a rename."""
        from magents.system.files import atomic

        try:
            for name, text in files.items():
                atomic.write(self.root, name, text, self.owner)
        except OSError as error:
            raise MagentsError(f"{self.root} cannot be written: {error.strerror}.", remedy(error)) from error

    def make(self) -> None:
        """Make the folder, if it is not there, and give it to the owner. Raises MagentsError."""
        try:
            os.makedirs(self.root, mode=0o700, exist_ok=True)
            if self.owner:
                os.chown(self.root, *self.owner)
        except OSError as error:
            raise MagentsError(f"{self.root} cannot be made: {error.strerror}.", remedy(error)) from error

    def append(self, name: str, line: bytes) -> None:
        """By one `write`. A line that a full disk has cut short has no newline at its end."""
        path = os.path.join(self.root, name)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            handle = os.open(path, flags, 0o600)
            try:
                about = os.fstat(handle)
                if not stat.S_ISREG(about.st_mode):
                    raise MagentsError(f"{path} is not a plain file.", "Remove it and try again.")
                if self.owner and not about.st_size:
                    os.fchown(handle, *self.owner)
                if os.write(handle, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(handle)
        except OSError as error:
            message = f"{path} cannot be written: {error.strerror}."
            raise MagentsError(message, remedy(error, "Remove it and try again.")) from error
