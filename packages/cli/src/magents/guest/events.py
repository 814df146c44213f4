"""An agent's event log: one JSON object a line, appended by `magents-event`.

Whoever runs as the agent can write anything there. So the log is opened without following a link and
without waiting on a fifo, only its end is read, and a line that is not an event is passed over.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import time

from magents.core import bounded
from magents.core.errors import MagentsError, remedy
from magents.core.event import Event
from magents.system import guarded

LOG = "events.jsonl"
BEGINNING = b'{"at":'
"""What each line begins with."""
TAIL = 64 * 1024
"""How much of a log's end is read, in bytes: at least sixteen events, usually hundreds."""
LATEST = 1e11
"""A later time, in seconds, is none that could be shown."""
LONGEST = 10 * 1024 * 1024
"""A log larger than this is begun anew at the next start, its end kept."""


def size(folder: str) -> int:
    """Where the log ends now, in bytes: for `read(folder, after=…)`."""
    try:
        return os.lstat(os.path.join(folder, LOG)).st_size
    except OSError:
        return 0


def read(folder: str, limit: int = TAIL, after: int = 0) -> list[Event]:
    """The last events of the log, oldest first; none where there is no log or it is not a plain file.

    `limit`: how many bytes of its end are read at most; `after`: a byte before which nothing is read.
    """
    raw = guarded.read(os.path.join(folder, LOG), limit, after)
    return [event for line in raw.split(b"\n") if (event := parse(line)) is not None]


def parse(line: bytes) -> Event | None:
    """The event on one line, or None if there is none. Never raises."""
    if not line.startswith(b"{"):
        return None
    # A full disk can have cut the one before short, without its newline. Within an event quotes are escaped.
    line = line[max(0, line.rfind(BEGINNING)) :]
    try:
        found = bounded.loads(line)
        at, by, name, data = found["at"], found["by"], found["name"], found["data"]
    except (ValueError, KeyError, TypeError):
        return None
    if not (isinstance(at, (int, float)) and isinstance(by, str) and isinstance(name, str)):
        return None
    if not 0 <= at < LATEST:  # nor infinite, nor no number at all
        return None
    run = found.get("run")
    return Event(float(at), by, name, data if isinstance(data, str) else "", run if isinstance(run, str) else "")


def write(folder: str, name: str, data: str = "", owner: tuple[int, int] | None = None) -> None:
    """Append an event of Magents' own; a new log is given to `owner`, a user and a group.

    Raises MagentsError when the log cannot be written; what a full disk has left of it is no event.
    """
    line = json.dumps({"at": time.time(), "by": "magents", "name": name, "data": data[:1900]}).encode() + b"\n"
    path = os.path.join(folder, LOG)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o600)
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                raise MagentsError(f"{path} is not a plain file.", "Remove it and try again.")
            if owner and not about.st_size:
                os.fchown(handle, *owner)
            if os.write(handle, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)
    except OSError as error:
        said = f"{path} cannot be written: {error.strerror}."
        raise MagentsError(said, remedy(error, "Remove it and try again.")) from error


def trim(folder: str, owner: tuple[int, int] | None = None) -> None:
    """Shorten a log that has grown too large to its end. Only while its agent does not run."""
    with contextlib.suppress(OSError):
        about = os.lstat(os.path.join(folder, LOG))
        if stat.S_ISREG(about.st_mode) and about.st_size > LONGEST:
            kept = [json.dumps(event._asdict()) for event in read(folder)]
            guarded.write(folder, LOG, "".join(f"{line}\n" for line in kept), owner)
