"""The folder in which a fetch keeps new objects until all of them are known to be good.

It lies in the project's folder of objects, so that good objects are moved there at once. Objects that are refused
or incomplete are deleted with the folder. The next fetch sweeps the folder of a killed one; so does `git gc`,
because of its name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from magents.core.errors import MagentsError
from magents.git.layout import borrow_objects, common_folder
from magents.git.workspaces.disk import discard
from magents.system import fifos, processes
from magents.system.files import locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "tmp_objdir-magents-"
LOCK = "lock"
MARK = "MAGENTS_FETCH"
"""The environment variable that names the folder, in every process of a fetch. So all of them can be found and
ended."""
LOCKED_WITHIN_S = 60
"""A folder that nobody locked within this time is left over."""


class Quarantine:
    """The folder of one fetch."""

    def __init__(self, folder: str, objects: str, id: str, max_bytes: int) -> None:
        self.folder = folder
        self.id = id
        self.objects = os.path.join(folder, "objects")
        self.max_bytes = max_bytes
        """How much the folder may hold, and how much memory git may need to check it."""
        self._home = objects
        self.env = {"GIT_OBJECT_DIRECTORY": self.objects, MARK: folder, "LC_ALL": "C"}
        """The environment for a git that writes to the folder and also reads the project's objects."""

    def check(self, pid: int = 0) -> None:
        """Raises MagentsError when the folder, or the git `pid` that fills it, has become too large."""
        if size(self.objects) > self.max_bytes or memory(pid) > self.max_bytes:
            raise MagentsError(
                f"What {self.id} sends takes more than {shown(self.max_bytes)}, so nothing of it was taken.",
                "Look at what it has done, or raise the limit: magents config --set COLLECT_LIMIT=10g",
            )

    def move(self) -> None:
        """Move everything to the project's objects. Raises MagentsError."""
        try:
            for name in os.listdir(self.objects):
                if name != "info":
                    move(os.path.join(self.objects, name), os.path.join(self._home, name))
        except OSError as error:
            raise unwritable(self._home, error) from error


def move(source: str, target: str) -> None:
    """Move the files of a folder to another one. Indexes come last: git finds a pack by its index. Raises
    OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(target)
        os.chmod(target, os.stat(source).st_mode)  # git may have made it for a group
    for name in sorted(os.listdir(source), key=lambda name: name.endswith(".idx")):
        os.rename(os.path.join(source, name), os.path.join(target, name))


def unwritable(folder: str, error: OSError) -> MagentsError:
    """The error for a folder of objects that cannot be written."""
    return MagentsError(f"{folder} cannot be written: {error.strerror}.", "Mend its permissions, or make room.")


@contextlib.contextmanager
def quarantine(project: str, id: str, max_bytes: int) -> Iterator[Quarantine]:
    """A folder for one fetch from an agent. Afterwards it is deleted, and processes that still write to it are
    ended. Raises MagentsError."""
    import tempfile  # imported late: `create` loads this module, and fetches nothing

    objects = os.path.join(common_folder(project), "objects")
    with contextlib.ExitStack() as stack:
        try:
            sweep(objects)
            folder = tempfile.mkdtemp(prefix=PREFIX, dir=objects)
            stack.callback(clear, folder)
            handle = locks.opened(os.path.join(folder, LOCK))
            stack.callback(os.close, handle)
            locks.take(handle)
            borrow_objects(project, os.path.join(folder, "objects"))
        except OSError as error:
            raise unwritable(objects, error) from error
        try:
            yield Quarantine(folder, objects, id, max_bytes)
        except BaseException:
            end_all(folder)
            raise


def end_all(folder: str) -> None:
    """End the processes of a fetch."""
    for pid in processes.marked(f"{MARK}={folder}"):
        processes.end(pid, signal.SIGKILL)


def clear(folder: str) -> None:
    """Delete the folder of a fetch. If that fails, the next fetch tries again."""
    with contextlib.suppress(OSError):
        discard(folder)


def sweep(objects: str) -> None:
    """Delete what killed fetches left."""
    for name in os.listdir(objects):
        if not name.startswith(PREFIX):
            continue
        folder = os.path.join(objects, name)
        with contextlib.suppress(OSError):
            try:
                handle = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                if time.time() - os.stat(folder).st_mtime > LOCKED_WITHIN_S:
                    discard(folder)
                continue
            try:
                if locks.take(handle):  # the fetch is over
                    end_all(folder)
                    discard(folder)
            finally:
                os.close(handle)


def size(folder: str) -> int:
    """The bytes on disk of the files below a folder. Files may come and go meanwhile."""
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(above, name)).st_blocks * 512
    return total


def memory(pid: int) -> int:
    """The private memory, in bytes, of a process and its descendants; 0 where there is no /proc."""
    total = 0
    processes = [pid]
    for each in processes:
        with contextlib.suppress(OSError, ValueError):  # the process may end at any moment
            for task in os.listdir(f"/proc/{each}/task"):
                processes += [int(child) for child in fifos.text(f"/proc/{each}/task/{task}/children").split()]
            about = fifos.text(f"/proc/{each}/status").partition("RssAnon:")[2].split(None, 1)
            total += int(about[0]) * 1024 if about else 0
    return total


def shown(number: int) -> str:
    """A number of bytes, in words for people."""
    return f"{number / (1 << 30):.3g} GiB" if number >= 1 << 30 else f"{number / (1 << 20):.3g} MiB"
