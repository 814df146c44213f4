"""Files below a folder that an agent can write to, from outside of where it runs.

The folder itself is ours, for a container only sees what is mounted there. But anything in it can be a link
to elsewhere, a fifo that blocks, or endless: no link is followed, nothing is waited for, and the size of what
is read is bounded.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def write(root: str, name: str, text: str, owner: tuple[int, int] | None = None) -> None:
    """Put a file in the place of whatever is called `name` below `root`, readable by its owner alone: whole, or
    not at all.

    `owner`: the user and group to give it, and the folders made above it, to. Raises OSError.
    """
    *above, last = name.split("/")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(opened(root))
        for part in above:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=folder)
                if owner:
                    os.chown(part, *owner, dir_fd=folder, follow_symlinks=False)
            folder = stack.enter_context(opened(part, folder))
        beside = f".{last}.{os.getpid()}-{time.time_ns()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(beside, flags, 0o600, dir_fd=folder)
        try:
            with open(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
                if owner:
                    os.fchown(file.fileno(), *owner)
                file.write(text)
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


def read(path: str, limit: int, after: int = 0) -> bytes:
    """The last `limit` bytes of a plain file, of what lies behind the byte `after`; b'' of anything else."""
    try:
        handle = os.open(path, READ)
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
