"""An agent's event log: one JSON object a line, appended by `magents-event`.

Whoever runs as the agent can write anything there. So only its end is read, and a line that is not an event is
passed over.
"""

from __future__ import annotations

import contextlib
import json
import time

from magents.core import bounded
from magents.core.errors import MagentsError
from magents.core.event import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from magents.guest.files import Files

LOG = "events.jsonl"
BEGINNING = b'{"at":'
"""What each line begins with."""
TAIL_BYTES = 64 * 1024
"""Bytes of a log's end that are read: at least sixteen events, usually hundreds."""
MAX_TIME_S = 1e11
"""The last Unix time that can be shown; an event with a later one is no event."""
MAX_LOG_BYTES = 10 * 1024 * 1024
"""Bytes beyond which a log is begun anew at the next start; its end is kept."""


def read(files: Files, limit: int = TAIL_BYTES, after: int = 0) -> list[Event]:
    """The last events of an agent's log, oldest first; none if there is no log or it is not a plain file.

    `limit`: how many bytes of its end are read at most; `after`: nothing before this byte is read.
    """
    raw = files.read(LOG, limit, after)
    return [event for line in raw.split(b"\n") if (event := parse(line)) is not None]


def parse(line: bytes) -> Event | None:
    """The event on one line, or None if there is none. Never raises."""
    if not line.startswith(b"{"):
        return None
    # A full disk can have cut the one before short, without its newline. Within an event quotes are escaped.
    line = line[max(0, line.rfind(BEGINNING)) :]
    try:
        fields = bounded.loads(line)
        at, by, name, data = fields["at"], fields["by"], fields["name"], fields["data"]
    except (ValueError, KeyError, TypeError):
        return None
    if not (isinstance(at, (int, float)) and isinstance(by, str) and isinstance(name, str)):
        return None
    if not 0 <= at < MAX_TIME_S:  # nor infinite, nor no number at all
        return None
    run = fields.get("run")
    return Event(float(at), by, name, data if isinstance(data, str) else "", run if isinstance(run, str) else "")


def write(files: Files, name: str, data: str = "") -> None:
    """Append an event of Magents' own.

    Raises MagentsError when the log cannot be written. A line that a full disk has cut short is no event.
    """
    event = {"at": time.time(), "by": "magents", "name": name, "data": data[:1900]}
    files.append(LOG, json.dumps(event).encode() + b"\n")


def trim(files: Files) -> None:
    """Shorten a log that has grown too large: keep its end. To be called only while its agent does not run."""
    if files.size(LOG) > MAX_LOG_BYTES:
        kept = "".join(f"{json.dumps(event._asdict())}\n" for event in read(files))
        with contextlib.suppress(MagentsError):
            files.write({LOG: kept})


@contextlib.contextmanager
def launching(files: Files, data: str = "") -> Iterator[None]:
    """A block that starts the agent. The event `launch`, with this data, is written before it: it separates the
    events of this run from those of earlier runs. If the block fails, `withdrawn` takes it back."""
    trim(files)
    write(files, "launch", data)
    try:
        yield
    except BaseException:
        with contextlib.suppress(MagentsError):
            write(files, "withdrawn")
        raise
