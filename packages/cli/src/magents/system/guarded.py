"""Files below a folder that an agent can write to, from outside of where it runs.

The folder itself is ours, for a container only sees what is mounted there. But anything in it can be a link
to elsewhere, a fifo that blocks, or endless: no link is followed, nothing is waited for, and the size of what
is read is bounded.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def write(root: str, name: str, text: str | bytes, owner: tuple[int, int] | None = None, mode: int = 0o600) -> None:
    """Put a file in the place of whatever is called `name` below `root`, with these permissions: whole, or not at
    all.

    `owner`: the user and group to give it, and the folders made above it, to. Raises OSError.
    """
    above, _, last = name.rpartition("/")
    with made(root, above, owner) as folder:
        beside = f".{last}.{os.getpid()}-{time.time_ns()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(beside, flags, 0o600, dir_fd=folder)
        try:
            with open(handle, "wb") as file:
                if owner:
                    os.fchown(file.fileno(), *owner)
                if mode != 0o600:
                    os.fchmod(file.fileno(), mode)
                file.write(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
            os.rename(beside, last, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside, dir_fd=folder)
            raise


@contextlib.contextmanager
def opened(name: str, above: int | None = None) -> Iterator[int]:
    """A folder, opened without following a link there."""
    handle = os.open(name, FOLDER, dir_fd=above)
    try:
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def below(root: str, name: str) -> Iterator[int]:
    """The folder called `name` below `root`, such as `a/b`, opened without following a link on the way. Raises
    OSError where there is none."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(opened(root))
        for part in filter(None, name.split("/")):
            folder = stack.enter_context(opened(part, folder))
        yield folder


@contextlib.contextmanager
def made(root: str, name: str, owner: tuple[int, int] | None = None) -> Iterator[int]:
    """As `below`, and what is missing on the way is made, for the user and the group `owner`. Raises OSError."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(opened(root))
        for part in filter(None, name.split("/")):
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=folder)
                if owner:
                    os.chown(part, *owner, dir_fd=folder, follow_symlinks=False)
            folder = stack.enter_context(opened(part, folder))
        yield folder


def look(root: str, name: str) -> os.stat_result | None:
    """What stands at `name` below `root`, itself and not what it may lead to; None where nothing does, or a link on
    the way."""
    above, _, last = name.rpartition("/")
    try:
        with below(root, above) as folder:
            return os.stat(last, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def read_below(root: str, name: str, limit: int) -> bytes:
    """As `read`, of the file called `name` below `root`, with no link followed on the way either."""
    above, _, last = name.rpartition("/")
    try:
        with below(root, above) as folder:
            return read(last, limit, above=folder)
    except OSError:
        return b""


def grab(handle: int) -> bool:
    """Take the lock of an opened file or folder if nobody has it; whether it was taken."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read(path: str, limit: int, after: int = 0, above: int | None = None) -> bytes:
    """The last `limit` bytes of a plain file, of what lies behind the byte `after`; b'' of anything else.

    Only the last part of `path` is kept from being a link; `above` is the opened folder that it begins at.
    """
    try:
        handle = os.open(path, READ, dir_fd=above)
    except OSError:
        return b""
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            return b""
        return os.pread(handle, limit, max(after, about.st_size - limit))
    except OSError:
        return b""
    finally:
        os.close(handle)
