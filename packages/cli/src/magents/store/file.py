"""The SQLite file of the store: opened at its first use, and brought to the form of today."""

from __future__ import annotations

import _sqlite3 as sqlite3  # what `sqlite3` is without its converters, which bring `datetime`: 1 ms of each command
import os

from magents.core.errors import MagentsError
from magents.store.schema import VERSION, bring_up, to_wal, version_of
from magents.system import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Connection(sqlite3.Connection):
    """SQLite's own, which closes itself when nothing refers to it any more; since Python 3.13 that is warned of."""

    def __del__(self) -> None:
        try:
            self.close()
        except sqlite3.ProgrammingError:  # it could not be opened
            pass


class File:
    """The file of one store. Safe between processes; closed when the store is not referred to any more."""

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder or paths.state()
        self._file: sqlite3.Connection | None = None

    @property
    def path(self) -> str:
        """The SQLite file."""
        return os.path.join(self.folder, "magents.db")

    def _sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            if self._file is None:
                self._file = self._open()
            return self._file.execute(text, values).fetchall()
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise MagentsError(
                f"The store {self.path} cannot be used: {error}.",
                "Free disk space or mend its permissions; `magents doctor` looks closer.",
            ) from error

    def _open(self) -> sqlite3.Connection:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        file = sqlite3.connect(
            self.path, timeout=30, isolation_level=None, check_same_thread=False, factory=Connection
        )  # fmt: skip
        version = version_of(file)
        if version < VERSION:
            if version == 0:
                to_wal(file)
            file.execute("BEGIN IMMEDIATE")
            version = bring_up(file)
            file.execute("COMMIT")
            os.chmod(self.path, 0o600)
        if version > VERSION:
            raise MagentsError(
                f"The store {self.path} has version {version}: a newer Magents has written it. This one knows "
                f"version {VERSION}.",
                "Update this Magents; or give it a store of its own: MAGENTS_STATE=FOLDER magents …",
            )
        return file

    def check(self) -> str:
        """`ok`, or what SQLite finds wrong with the file."""
        return str(self._sql("PRAGMA quick_check(1)")[0][0])
