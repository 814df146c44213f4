"""Reading below a folder that an agent can write to, from outside of where it runs.

The folder itself is ours, for a container only sees what is mounted there. But anything in it can be a link
to elsewhere, a fifo that blocks, or endless: no link is followed, nothing is waited for, and the size of what
is read is bounded.
"""

from __future__ import annotations

import contextlib
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


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
