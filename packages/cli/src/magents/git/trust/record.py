"""The record of what agents in containers brought: a file in the project's git folder, where no container
reaches."""

from __future__ import annotations

import contextlib
import json
import os

from magents.core.errors import MagentsError, remedy
from magents.core.tuples import NamedTuple
from magents.git.layout import RECORD, common_of, has_record
from magents.git.trust.hooks import ANY, below
from magents.system.files import atomic, locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

INCLUDE = ".worktreeinclude"
MAX_ARRIVALS = 1000


class Brought(NamedTuple):
    """One content of one file that an agent brought."""

    path: str
    blob: str
    """The object id of the content; `ANY` if there were too many to tell them apart."""
    agent: str
    branch: str
    at: float
    """When it came: Unix time, seconds."""

    @property
    def name(self) -> str:
        """The name by which the user accepts it."""
        return f"{self.path}@{self.blob[:10]}"


class Arrival(NamedTuple):
    """Commits that came from an agent."""

    branch: str
    """'' for a merge of ours."""
    tip: str
    since: tuple[str, ...]
    """Commits of the user's own. Their contents did not come from the agent."""
    agent: str
    at: float
    accepted: bool = False


class Record:
    """The record of one project. A record that cannot be read is `broken`."""

    def __init__(self, common: str) -> None:
        self.common = os.path.realpath(common)
        self.path = os.path.join(self.common, RECORD)
        self.broken = False
        self.watched: set[str] = set()
        self.arrivals: list[Arrival] = []
        self.files: dict[tuple[str, str], Brought] = {}
        self.accepted: set[tuple[str, str]] = set()
        self._indexed: tuple[tuple[int, int], tuple[dict[str, list[Brought]], list[Brought]]] | None = None
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
                self._take(json.load(file))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, LookupError, RecursionError):
            self.broken = True

    def _take(self, values: dict[str, Any]) -> None:
        self.watched = set(values["watched"])
        self.arrivals = [Arrival(*row)._replace(since=tuple(row[2])) for row in values["arrivals"]]
        self.files = {(row[0], row[1]): Brought(*row) for row in values["files"]}
        self.accepted = {(path, blob) for path, blob in values["accepted"]}

    def save(self) -> None:
        """Write the record, whole or not at all. Raises MagentsError."""
        values = {
            "watched": sorted(self.watched), "arrivals": self.arrivals[-MAX_ARRIVALS:],
            "files": list(self.files.values()), "accepted": sorted(self.accepted),
        }  # fmt: skip
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            atomic.write(self.common, RECORD, json.dumps(values))
        except OSError as error:
            raise unwritable(self.path, error) from error

    def waiting(self, path: str = "", blob: str = "") -> list[Brought]:
        """What was not accepted: of one content of a file, of a file, or of all. In a broken record, everything."""
        if self.broken:
            return [self.unknown]
        by_path, whole = self._index()
        if not path:
            return [row for rows in by_path.values() for row in rows]
        rows = by_path.get(path.lower(), [])
        rows = rows + [row for row in whole if row not in rows and below(path, row.path)]
        return [row for row in rows if not blob or row.blob in (blob, ANY)]

    @property
    def unknown(self) -> Brought:
        """Stands for what a broken record contains."""
        return Brought(self.path, ANY, "", "", 0.0)

    def concerns(self, paths: Iterable[str]) -> bool:
        """Whether anything that was not accepted can be at, above or below one of these paths. Every git command of
        ours asks, so only the first part of each path is compared."""
        first = {path.partition("/")[0] for path in self._index()[0]}
        return any(path.lower().partition("/")[0] in first for path in paths)

    def _index(self) -> tuple[dict[str, list[Brought]], list[Brought]]:
        """What was not accepted, by path in lower case; and what of it stands for any content."""
        state = len(self.files), len(self.accepted)
        if self._indexed is None or self._indexed[0] != state:
            by_path: dict[str, list[Brought]] = {}
            for key, row in self.files.items():
                if key not in self.accepted:
                    by_path.setdefault(row.path.lower(), []).append(row)
            whole = [row for rows in by_path.values() for row in rows if row.blob == ANY]
            self._indexed = state, (by_path, whole)
        return self._indexed[1]


def unwritable(path: str, error: OSError) -> MagentsError:
    """The error for a file that cannot be written."""
    return MagentsError(f"{path} cannot be written: {error.strerror}.", remedy(error, "Mend its permissions."))


@contextlib.contextmanager
def changing(common: str) -> Iterator[Record]:
    """The record, for changes; one process at a time. It is saved at the end of the block."""
    place = os.path.join(common, f"{RECORD}.lock")
    with contextlib.ExitStack() as stack:
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            stack.enter_context(locks.held(place))
        except OSError as error:
            raise unwritable(place, error) from error
        record = Record(common)
        if record.broken:
            raise broken(record)
        yield record
        record.save()


def broken(record: Record) -> MagentsError:
    """The error for a broken record."""
    return MagentsError(
        f"{record.path} cannot be read.",
        f"It tells what agents in containers brought. Look at the project's hooks and {INCLUDE}, then remove it.",
    )


_kept: dict[str, tuple[tuple[int, int, int], Record]] = {}


def kept(where: str) -> Record | None:
    """The record of the repository at `where`, for reading; None if nothing ever came.

    Its file is read again only when it changed, because every git command of ours asks.
    """
    if not has_record(where):
        return None
    common = common_of(where)
    try:
        about = os.stat(os.path.join(common, RECORD))
    except FileNotFoundError:
        return None
    sign = about.st_mtime_ns, about.st_size, about.st_ino
    if common not in _kept or _kept[common][0] != sign:
        _kept[common] = sign, Record(common)
    return _kept[common][1]
