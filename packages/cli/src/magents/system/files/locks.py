"""Locks between processes: `flock` on a file or a folder."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_S = 0.02
"""Between two tries for a lock."""


def take(handle: int, seconds: float = 0) -> bool:
    """Take the lock of an opened file or folder as soon as nobody has it, within so many seconds; whether it was
    taken. It ends when each process that has the handle, by inheritance too, has closed it."""
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(POLL_S)
        else:
            return True


def opened(path: str) -> int:
    """The file of a lock, opened, and made where there is none. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextlib.contextmanager
def held(path: str, seconds: float = math.inf) -> Iterator[int]:
    """Hold the lock of a file; its handle. A child that inherits this holds the lock, too; when the block is left,
    the lock ends for all of them. Raises TimeoutError when another keeps it for longer than that, and OSError."""
    handle = opened(path)
    try:
        if not take(handle, seconds):
            raise TimeoutError
        try:
            yield handle
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)
