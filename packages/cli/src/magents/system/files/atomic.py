"""Files and folders that appear in one step: whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import time

from magents.system.files import guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def write(
    root: str, name: str, text: str | bytes, owner: tuple[int, int] | None = None, mode: int = 0o600, *,
    sync: bool = False,
) -> None:  # fmt: skip
    """Put a file in the place of whatever is called `name` below `root`, with these permissions.

    `owner`: the user and group to give it, and the folders made above it, to. `sync`: it is on the disk before it
    takes the place. Raises OSError.
    """
    above, _, last = name.rpartition("/")
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    with guarded.made(root, above, owner) as folder, new(folder, last, sync=sync) as handle:
        if owner:
            os.fchown(handle, *owner)
        fill(handle, data, mode)


def replace(folder: int, name: str, data: bytes, like: os.stat_result) -> None:
    """Put a file in the place of the one called `name` in an opened folder, with permissions, and as far as we may
    give it away with user and group, `like` these. It is on the disk before it takes the place. Raises OSError."""
    with new(folder, name, sync=True) as handle:
        with contextlib.suppress(PermissionError):
            os.fchown(handle, like.st_uid, like.st_gid)
        fill(handle, data, like.st_mode & 0o666 | 0o600)


def fill(handle: int, data: bytes, mode: int) -> None:
    """Give a new file its permissions and its content."""
    if mode != 0o600:
        os.fchmod(handle, mode)
    with open(handle, "wb", closefd=False) as file:
        file.write(data)


@contextlib.contextmanager
def new(folder: int, name: str, *, sync: bool) -> Iterator[int]:
    """A new file in an opened folder, which takes the place of the one called `name` when the block ends; an error
    in the block leaves nothing of it. No link is followed."""
    beside = f".{name}.{os.getpid()}-{time.time_ns()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(beside, flags, 0o600, dir_fd=folder)
    try:
        try:
            yield handle
            if sync:
                os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside, dir_fd=folder)
        raise


@contextlib.contextmanager
def folder(path: str) -> Iterator[str]:
    """A new folder that appears at `path` when the block ends, unless another command was first; the path by which
    it is filled. Raises OSError."""
    import shutil
    import tempfile

    above = os.path.dirname(path)
    os.makedirs(above, mode=0o700, exist_ok=True)
    made = tempfile.mkdtemp(prefix=".new-", dir=above)
    try:
        yield made
        with contextlib.suppress(OSError):  # another command was first
            os.rename(made, path)
    finally:
        shutil.rmtree(made, ignore_errors=True)
