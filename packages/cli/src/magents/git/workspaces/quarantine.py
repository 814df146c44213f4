"""Where a fetch puts what it brings, until all of it is known to be good: a folder of objects of its own.

It lies in the project's folder of objects, so that what is good is moved there in no time. What is refused, too
large or cut short goes with the folder. One whose fetch was killed is swept by the next; its name is one that
`git gc` sweeps, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from magents.core.errors import MagentsError
from magents.git.layout import common_folder
from magents.git.workspaces.disk import discard
from magents.system import fifos, processes
from magents.system.files import locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BEGINNING = "tmp_objdir-magents-"
LOCK = "lock"
MARK = "MAGENTS_FETCH"
"""In the environment of all that a fetch starts: its folder. So all of it can be found and ended."""
OWNED_AFTER_S = 60
"""Seconds in which whoever has made a folder holds its lock."""


class Quarantine:
    """The folder of one fetch."""

    def __init__(self, folder: str, objects: str, id: str, most: int) -> None:
        self.folder = folder
        self.id = id
        self.objects = os.path.join(folder, "objects")
        self.most = most
        """Bytes that it may hold, and that git may need in memory to check it."""
        self._home = objects
        self.env = {"GIT_OBJECT_DIRECTORY": self.objects, MARK: folder, "LC_ALL": "C"}
        """For a git that writes to it, and also reads the project's objects."""

    def check(self, pid: int = 0) -> None:
        """Raises MagentsError when it has grown too large, or the git `pid` that fills it has."""
        if size(self.objects) > self.most or memory(pid) > self.most:
            raise MagentsError(
                f"What {self.id} sends takes more than {shown(self.most)}, so nothing of it was taken.",
                "Look at what it has done, or raise the limit: magents config --set COLLECT_LIMIT=10g",
            )

    def move(self) -> None:
        """Move all of it to the project's objects. Raises MagentsError."""
        try:
            for name in os.listdir(self.objects):
                if name != "info":
                    move(os.path.join(self.objects, name), os.path.join(self._home, name))
        except OSError as error:
            raise unwritable(self._home, error) from error


def move(source: str, target: str) -> None:
    """Move the files of a folder to another one; first those that git looks for last. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(target)
        os.chmod(target, os.stat(source).st_mode)  # as git has made it: for a group, say
    for name in sorted(os.listdir(source), key=lambda name: name.endswith(".idx")):
        os.rename(os.path.join(source, name), os.path.join(target, name))


def unwritable(folder: str, error: OSError) -> MagentsError:
    """The error for a folder of objects that cannot be written."""
    return MagentsError(f"{folder} cannot be written: {error.strerror}.", "Mend its permissions, or make room.")


@contextlib.contextmanager
def quarantine(project: str, id: str, most: int) -> Iterator[Quarantine]:
    """One for a fetch from an agent, gone afterwards with all that still writes to it. Raises MagentsError."""
    import tempfile

    objects = os.path.join(common_folder(project), "objects")
    with contextlib.ExitStack() as stack:
        try:
            sweep(objects)
            folder = tempfile.mkdtemp(prefix=BEGINNING, dir=objects)
            stack.callback(clear, folder)
            handle = locks.opened(os.path.join(folder, LOCK))
            stack.callback(os.close, handle)
            locks.take(handle)
            os.makedirs(os.path.join(folder, "objects", "info"))
            with open(os.path.join(folder, "objects", "info", "alternates"), "wb") as file:
                file.write(os.fsencode(objects) + b"\n")
        except OSError as error:
            raise unwritable(objects, error) from error
        try:
            yield Quarantine(folder, objects, id, most)
        except BaseException:
            end_all(folder)
            raise


def end_all(folder: str) -> None:
    """End what a fetch has started and not waited for."""
    for pid in processes.marked(f"{MARK}={folder}"):
        processes.end(pid, signal.SIGKILL)


def clear(folder: str) -> None:
    """Delete it. Where that fails, the next fetch tries again."""
    with contextlib.suppress(OSError):
        discard(folder)


def sweep(objects: str) -> None:
    """Delete what killed fetches have left."""
    for name in os.listdir(objects):
        if not name.startswith(BEGINNING):
            continue
        folder = os.path.join(objects, name)
        with contextlib.suppress(OSError):
            try:
                handle = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                if time.time() - os.stat(folder).st_mtime > OWNED_AFTER_S:
                    discard(folder)
                continue
            try:
                if locks.take(handle):  # its fetch is over
                    end_all(folder)
                    discard(folder)
            finally:
                os.close(handle)


def size(folder: str) -> int:
    """Bytes on the disk of the files below a folder, which may come and go."""
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(above, name)).st_blocks * 512
    return total


def memory(pid: int) -> int:
    """Bytes that a process and those it has started have in memory for themselves; 0 where there is no /proc."""
    total = 0
    processes = [pid]
    for each in processes:
        with contextlib.suppress(OSError, ValueError):  # it may end at any moment
            for task in os.listdir(f"/proc/{each}/task"):
                processes += [int(child) for child in fifos.text(f"/proc/{each}/task/{task}/children").split()]
            about = fifos.text(f"/proc/{each}/status").partition("RssAnon:")[2].split(None, 1)
            total += int(about[0]) * 1024 if about else 0
    return total


def shown(number: int) -> str:
    """A number of bytes for people."""
    return f"{number / (1 << 30):.3g} GiB" if number >= 1 << 30 else f"{number / (1 << 20):.3g} MiB"
