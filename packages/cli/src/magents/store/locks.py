"""The lock of each agent: who holds it is at work on the agent."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

from magents.core.errors import Conflict, MagentsError
from magents.store.file import File
from magents.system import guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Locks(File):
    """One file for each id, in the store's folder."""

    @contextlib.contextmanager
    def lock(self, id: str, wait: float = 30) -> Iterator[int]:
        """Hold an agent's lock; yields a file descriptor.

        A child that inherits the descriptor holds the lock too, so a git that outlives a killed command
        is still seen as at work; on leaving, the lock ends for all of them. Raises Conflict when another
        command keeps it for longer than `wait` seconds.
        """
        handle = self._lock_file(id)
        try:
            until = time.monotonic() + wait
            while not guarded.grab(handle):
                if time.monotonic() > until:
                    raise Conflict(
                        f"Another command is at work on the agent `{id}`.",
                        "Wait for it to end and try again.",
                    )
                time.sleep(0.02)
            try:
                yield handle
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)
        finally:
            os.close(handle)

    def busy(self, id: str) -> bool:
        """Whether a command is at work on the agent right now."""
        handle = self._lock_file(id)
        try:
            return not guarded.grab(handle)
        finally:
            os.close(handle)

    def _lock_file(self, id: str) -> int:
        folder = os.path.join(self.folder, "locks")
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            return os.open(os.path.join(folder, id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise MagentsError(f"{folder} cannot be written: {error.strerror}.") from error
