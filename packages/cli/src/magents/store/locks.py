"""The lock of each agent: who holds it is at work on the agent."""

from __future__ import annotations

import contextlib
import os

from magents.core.errors import Conflict, MagentsError
from magents.store.file import File
from magents.system.files import locks

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
        with contextlib.ExitStack() as stack:
            try:
                handle = stack.enter_context(locks.held(self._lock_file(id), wait))
            except TimeoutError as error:
                raise Conflict(
                    f"Another command is at work on the agent `{id}`.", "Wait for it to end and try again."
                ) from error
            except OSError as error:
                raise self._unwritable(error) from error
            yield handle

    def busy(self, id: str) -> bool:
        """Whether a command is at work on the agent right now."""
        try:
            handle = locks.opened(self._lock_file(id))
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            return not locks.take(handle)
        finally:
            os.close(handle)

    def _lock_file(self, id: str) -> str:
        folder = os.path.join(self.folder, "locks")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return os.path.join(folder, id)

    def _unwritable(self, error: OSError) -> MagentsError:
        folder = os.path.join(self.folder, "locks")
        return MagentsError(f"{folder} cannot be written: {error.strerror}.")
