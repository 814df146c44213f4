"""Task Master's file, `.taskmaster/tasks/tasks.json`: read with suspicion, changed under a lock, replaced whole.

The lock is an flock on the folder `.taskmaster` itself, the one that the wrappers of `task-master` take: it needs
no file that would show in git. Nothing here follows a link, for agents can write there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from magents.core.errors import Conflict, MagentsError, NotFound
from magents.core.text import one_line
from magents.system.files import atomic, guarded, locks
from magents.taskmaster import parse
from magents.taskmaster.parse import BadTasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from magents.taskmaster.model import TaskList

FOLDER = ".taskmaster"
NAME = "tasks.json"
BELOW = f"{FOLDER}/tasks"
"""Where the file is, below a project's top folder."""
LOCK_WAIT_S = 60.0
"""Seconds to wait for the lock: a call of Task Master takes some, and several may be in line."""
MAX_BYTES = 64 * 1024 * 1024
"""Of the file. Two thousand long tasks have ten million."""


def path_of(root: str) -> str:
    """The file of the project whose top folder is `root`."""
    return os.path.join(root, FOLDER, "tasks", NAME)


def exists(root: str) -> bool:
    """Whether there is a list of tasks."""
    return look(root) is not None or behind_link(root)


def look(root: str, name: str = f"{BELOW}/{NAME}") -> os.stat_result | None:
    """What stands there below the project, itself and not what it may lead to."""
    return guarded.look(os.path.realpath(root), name)


def behind_link(root: str) -> bool:
    """Whether a link stands where a folder should, on the way to the file."""
    return any((about := look(root, name)) and stat.S_ISLNK(about.st_mode) for name in (FOLDER, BELOW))


def sign(root: str) -> list[int]:
    """What changes whenever the file is written; empty where there is none."""
    about = look(root)
    if about is None:
        return []
    return [about.st_mtime_ns, about.st_size, about.st_ino]


def load(root: str) -> dict[str, Any]:
    """The document as it stands in the file. Raises NotFound where there is none, and BadTasks."""
    path = path_of(root)
    return decode(content(root, path), path)


def make_folder(root: str) -> None:
    """Make the folder that the file is in, where it is missing, for whom `root` belongs to. Raises MagentsError
    when it cannot be made."""
    try:
        about = os.stat(root)
        owner = (about.st_uid, about.st_gid) if os.geteuid() == 0 else None
        with guarded.made(os.path.realpath(root), BELOW, owner):
            pass
    except OSError as error:
        raise (linked(path_of(root)) if behind_link(root) else unreadable(path_of(root), error)) from error


def content(root: str, path: str) -> str:
    """The text of the file."""
    try:
        with folder(root) as place:
            handle = os.open(NAME, guarded.READ, dir_fd=place)
    except (FileNotFoundError, NotADirectoryError) as error:
        if behind_link(root):
            raise linked(path) from error
        raise NotFound(
            f"There is no list of tasks: {path}.",
            "Make one: task-master init, then task-master parse-prd FILE, or task-master add-task",
        ) from error
    except OSError as error:
        raise (linked(path) if error.errno == errno.ELOOP else unreadable(path, error)) from error
    with open(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise BadTasks(f"{path} is no plain file.", "Put Task Master's file there.")
        if about.st_size > MAX_BYTES:
            raise BadTasks(f"{path} is larger than {MAX_BYTES:,} bytes.", "Move finished tasks to another tag.")
        try:
            return file.read(MAX_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadTasks(f"{path} is not UTF-8.", "Save it as UTF-8.") from error


def decode(text: str, path: str) -> dict[str, Any]:
    """The document that the text is."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadTasks(
            f"{path} is broken: {error.msg} in line {error.lineno}, column {error.colno}.",
            "Mend it there, or bring back its last good state: git restore .taskmaster",
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadTasks(f"{path} is broken: {one_line(str(error))}.", "Mend it there.") from error
    if not isinstance(data, dict):
        raise BadTasks(f"{path} holds no tasks.", "Mend it there, or make it anew: task-master init")
    return data


def linked(path: str) -> BadTasks:
    """The error for a link on the way to the file."""
    return BadTasks(
        f"{path} is, or lies behind, a symbolic link.", "Put the folder itself there; links are not followed."
    )


def unreadable(path: str, error: OSError) -> MagentsError:
    """The error for a file that the system keeps from us."""
    return MagentsError(f"{path} cannot be used: {error.strerror}.", "Mend its permissions, or free disk space.")


@contextlib.contextmanager
def folder(root: str) -> Iterator[int]:
    """The folder of the file, opened without following a link below `root`."""
    with guarded.below(os.path.realpath(root), BELOW) as place:
        yield place


def current_tag(root: str) -> str:
    """The tag that Task Master uses now."""
    text = guarded.read_below(os.path.realpath(root), f"{FOLDER}/state.json", 65536)
    try:
        tag = json.loads(text)["currentTag"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return parse.MASTER
    return tag if isinstance(tag, str) and tag else parse.MASTER


def read(root: str, tag: str = "") -> TaskList:
    """The tasks of a tag, by default of the one in use. Raises NotFound, BadTasks."""
    data = load(root)
    chosen = tag or (current_tag(root) if parse.is_tagged(data) else parse.MASTER)
    return parse.tasks(data, chosen, path_of(root))


class Locked(Conflict):
    """Another process has the lock of a list, and kept it for too long."""


@contextlib.contextmanager
def locked(root: str, wait: float = LOCK_WAIT_S) -> Iterator[None]:
    """Keep every other writer of this list out. Raises Locked when that takes longer than `wait` seconds."""
    path = os.path.join(root, FOLDER)
    try:
        handle = os.open(path, guarded.FOLDER)
    except OSError as error:
        if os.path.islink(path):
            raise linked(path_of(root)) from error
        raise NotFound(f"There is no folder {path}.", "Make one: task-master init") from error
    try:
        if not (locks.take(handle) or (wait and in_line(handle, wait))):
            raise Locked(
                f"Somebody has been writing {path_of(root)} for more than {wait:g} s.",
                "Wait for task-master to end there, or end it, and try again.",
            )
        yield
    finally:
        os.close(handle)


def in_line(handle: int, seconds: float) -> bool:
    """Wait for the lock, as others do: whoever only tries now and then does not get it while they are waiting.

    The thread of one that was late ends when it gets the lock, which its closed file then lets go of. Until then
    there is no second one for the same lock, so that a lock that is never let go of costs one thread.
    """
    from threading import Event, Thread
    from threading import enumerate as threads

    about = os.fstat(handle)
    name = f"lock {about.st_dev} {about.st_ino}"
    if any(thread.name == name for thread in threads()):
        return locks.take(handle, seconds)
    taken = Event()

    def wait() -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
            taken.set()

    Thread(target=wait, name=name, daemon=True).start()
    return taken.wait(seconds)


def save(root: str, data: Mapping[str, Any]) -> None:
    """Replace the document in one step. Hold the lock."""
    path = path_of(root)
    text = encode(data)
    try:
        with folder(root) as place:
            replace(place, text)
    except OSError as error:
        raise unreadable(path, error) from error


def encode(data: Mapping[str, Any]) -> bytes:
    """The document as Task Master writes it."""
    try:
        return json.dumps(data, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(data, indent=2).encode()


def replace(place: int, text: bytes) -> None:
    """Put the text in the place of the file; its owner and its permissions stay, and its last newline."""
    about = old = None
    with contextlib.suppress(OSError):
        old = os.open(NAME, guarded.READ, dir_fd=place)
    if old is not None:
        with open(old, "rb") as before:
            about = os.fstat(before.fileno())
            if stat.S_ISREG(about.st_mode) and os.pread(old, 1, max(0, about.st_size - 1)) == b"\n":
                text += b"\n"
    atomic.replace(place, NAME, text, like=about or os.fstat(place))
