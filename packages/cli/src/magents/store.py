"""What was asked for and what happened: one SQLite file, and a lock per agent.

The store never holds whether an agent runs; that is asked of the runtime at each look. A row whose phase
is `creating`, `removing` or `restoring` belongs to the command that holds the agent's lock; where nobody
holds it, that command was killed, and the next one completes or undoes what it began.
"""

from __future__ import annotations

import _sqlite3 as sqlite3  # what `sqlite3` is without its converters, which bring `datetime`: 1 ms of each command
import contextlib
import fcntl
import os
import time

from magents.core.agent import Agent
from magents.core.errors import Conflict, MagentsError, NotFound
from magents.core.status import UNSETTLED
from magents.core.text import one_line
from magents.core.tuples import NamedTuple
from magents.system import paths
from magents.system.files import locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SCHEMA = """
CREATE TABLE agents (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, project TEXT NOT NULL, branch TEXT NOT NULL,
    base TEXT NOT NULL, base_commit TEXT NOT NULL, made_branch INTEGER NOT NULL,
    harness TEXT NOT NULL, command TEXT NOT NULL, runtime TEXT NOT NULL, workspace TEXT NOT NULL,
    created REAL NOT NULL, phase TEXT NOT NULL, unattended INTEGER NOT NULL, boot TEXT NOT NULL, pin TEXT NOT NULL,
    task TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX one_id ON agents (id) WHERE phase <> 'removed';
CREATE UNIQUE INDEX one_branch ON agents (project, branch) WHERE phase <> 'removed';
CREATE UNIQUE INDEX one_workspace ON agents (workspace) WHERE phase <> 'removed';
CREATE TABLE history (agent INTEGER NOT NULL, at REAL NOT NULL, what TEXT NOT NULL);
CREATE INDEX history_of ON history (agent);
PRAGMA user_version = 2;
"""
VERSION = 2
CHANGES = {1: "ALTER TABLE agents ADD COLUMN task TEXT NOT NULL DEFAULT ''"}
"""What brings a file of that version to the next one. Only ever adds, so that an older Magents can go on."""
COLUMNS = Agent._fields


class Entry(NamedTuple):
    """One line of an agent's history."""

    at: float
    what: str


class Connection(sqlite3.Connection):
    """SQLite's own, which closes itself when nothing refers to it any more; since Python 3.13 that is warned of."""

    def __del__(self) -> None:
        try:
            self.close()
        except sqlite3.ProgrammingError:  # it could not be opened
            pass


class Store:
    """The records of all agents of this user. Opens its file at the first use, and closes it when the store is
    not referred to any more; safe between processes."""

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
        if (version := version_of(file)) < VERSION:
            if version == 0:
                to_wal(file)
            file.execute("BEGIN IMMEDIATE")
            bring_up(file)
            file.execute("COMMIT")
            os.chmod(self.path, 0o600)
        return file

    def add(self, agent: Agent) -> Agent:
        """Record a new agent; returns it with its key. Raises Conflict when its id, branch or workspace
        belongs to another one."""
        fields = [name for name in COLUMNS if name != "key"]
        marks = ", ".join("?" * len(fields))
        values = [to_column(getattr(agent, name)) for name in fields]
        text = f"INSERT INTO agents ({', '.join(fields)}) VALUES ({marks}) RETURNING key"
        try:
            return agent._replace(key=self._sql(text, *values)[0][0])
        except sqlite3.IntegrityError as error:
            raise self._taken(agent) from error

    def _taken(self, agent: Agent) -> Conflict:
        return self.rival(agent) or Conflict("The agent's record was changed meanwhile.", "Try again.")

    def rival(self, agent: Agent) -> Conflict | None:
        """The error that names the living agent which has this one's branch, id or workspace, if any has."""
        for other in self.live():
            if other.key == agent.key:
                continue
            if other.project == agent.project and other.branch == agent.branch:
                return Conflict(
                    f"The branch `{agent.branch}` already has an agent: {other.id}.",
                    f"Go to it: magents attach {other.id}",
                )
            if other.id == agent.id:
                return Conflict(f"The id `{agent.id}` is taken.", "Choose another: magents create BRANCH ID")
            if other.workspace == agent.workspace:
                return Conflict(f"The folder {agent.workspace} belongs to {other.id}.", "Choose another id.")
        return None

    def live(self) -> list[Agent]:
        """Every agent that has not been removed, oldest first."""
        return self._agents("phase <> 'removed' ORDER BY key")

    def unsettled(self) -> list[Agent]:
        """Agents on which a command is at work, or was when it was killed."""
        return self._agents(f"phase IN {UNSETTLED} ORDER BY key")

    def removed(self, project: str | None = None) -> list[Agent]:
        """Agents whose workspace was removed, newest first."""
        if project is None:
            return self._agents("phase = 'removed' ORDER BY key DESC")
        return self._agents("phase = 'removed' AND project = ? ORDER BY key DESC", project)

    def find(self, text: str) -> Agent:
        """The living agent with this id, or whose id alone begins with it. Raises NotFound, Conflict."""
        return pick(text, self.live(), "magents list")

    def find_removed(self, text: str) -> Agent:
        """The removed agent with this id or unique prefix; of several with one id the newest."""
        newest: dict[str, Agent] = {}
        for agent in self.removed():
            newest.setdefault(agent.id, agent)
        return pick(text, list(newest.values()), "magents list --removed")

    def get(self, key: int) -> Agent:
        """The agent with this key. Raises NotFound when its record is gone."""
        found = self._agents("key = ?", key)
        if not found:
            raise NotFound("The agent's record is gone: another command has undone it.")
        return found[0]

    def _agents(self, where: str, *values: object) -> list[Agent]:
        rows = self._sql(f"SELECT {', '.join(COLUMNS)} FROM agents WHERE {where}", *values)
        return [from_row(row) for row in rows]

    def update(self, agent: Agent, **changes: object) -> Agent:
        """Change fields of a record; returns the agent as it is now."""
        parts = ", ".join(f"{name} = ?" for name in changes)
        values = [to_column(value) for value in changes.values()]
        try:
            self._sql(f"UPDATE agents SET {parts} WHERE key = ?", *values, agent.key)
        except sqlite3.IntegrityError as error:
            raise self._taken(agent) from error
        fields: dict[str, Any] = changes
        return agent._replace(**fields)

    def of_tasks(self, project: str) -> list[Agent]:
        """The agents of a project that were made for a task, removed ones too, oldest first."""
        return self._agents("project = ? AND task <> '' ORDER BY key", project)

    def forget(self, agent: Agent) -> None:
        """Delete a record, as if the agent had never been asked for."""
        self._sql("DELETE FROM agents WHERE key = ?", agent.key)
        self._sql("DELETE FROM history WHERE agent = ?", agent.key)

    def note(self, agent: Agent, what: str) -> None:
        """Add a line to an agent's history."""
        self._sql("INSERT INTO history VALUES (?, ?, ?)", agent.key, time.time(), what)

    def history(self, agent: Agent) -> list[Entry]:
        """What happened to an agent, oldest first."""
        rows = self._sql("SELECT at, what FROM history WHERE agent = ? ORDER BY rowid", agent.key)
        return [Entry(*row) for row in rows]

    def makers(self, project: str, pin: str) -> set[str]:
        """The modes of the agents whose history tells that this pin was made of them."""
        joined = "agents JOIN history ON history.agent = agents.key"
        rows = self._sql(f"SELECT runtime FROM {joined} WHERE project = ? AND what = ?", project, removal(pin))
        return {str(name) for (name,) in rows}

    def check(self) -> str:
        """`ok`, or what SQLite finds wrong with the file."""
        return str(self._sql("PRAGMA quick_check(1)")[0][0])

    def place(self, agent: Agent) -> str:
        """The agent's own folder: its log, what it was started with, its last screen.

        An adopted agent's folder is known to its processes by an earlier name; a link leads there.
        """
        path = os.path.join(self.folder, "agents", f"{agent.id}.{agent.key}")
        try:
            return os.readlink(path)
        except OSError:
            return path

    def foreign(self, folder: str) -> bool:
        """Whether an agent's own folder is another store's, which is there: that of another `MAGENTS_STATE` or
        `HOME`. One whose store is gone is nobody's."""
        state = os.path.dirname(os.path.dirname(folder))
        here = os.path.realpath(state) == os.path.realpath(self.folder)
        return bool(folder) and not here and os.path.exists(Store(state).path)

    @contextlib.contextmanager
    def lock(self, id: str, wait: float = 30) -> Iterator[int]:
        """Hold an agent's lock; yields a file descriptor.

        A child that inherits the descriptor holds the lock too, so a git that outlives a killed command
        is still seen as at work; on leaving, the lock ends for all of them. Raises Conflict when another
        command keeps it for longer than `wait` seconds.
        """
        handle = self._lock_file(id)
        try:
            until = time.monotonic() + wait
            while not locks.take(handle):
                if time.monotonic() > until:
                    raise Conflict(
                        f"Another command is at work on the agent `{id}`.",
                        "Wait for it to end and try again.",
                    )
                time.sleep(0.02)
            try:
                yield handle
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)
        finally:
            os.close(handle)

    def busy(self, id: str) -> bool:
        """Whether a command is at work on the agent right now."""
        handle = self._lock_file(id)
        try:
            return not locks.take(handle)
        finally:
            os.close(handle)

    def _lock_file(self, id: str) -> int:
        folder = os.path.join(self.folder, "locks")
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            return os.open(os.path.join(folder, id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise MagentsError(f"{folder} cannot be written: {error.strerror}.") from error


def removal(pin: str) -> str:
    """What an agent's history says of its removal."""
    return f"workspace removed, kept as {pin}"


def version_of(file: sqlite3.Connection) -> int:
    """Which form the file has; 0 for a new one."""
    return int(file.execute("PRAGMA user_version").fetchone()[0])


def bring_up(file: sqlite3.Connection) -> None:
    """Give the file the form of today; another process may just have done it."""
    version = version_of(file)
    if version == 0:
        for statement in SCHEMA.strip().split(";\n"):
            file.execute(statement)
    elif version < VERSION:
        for number in range(version, VERSION):
            file.execute(CHANGES[number])
        file.execute(f"PRAGMA user_version = {VERSION}")


def to_wal(file: sqlite3.Connection) -> None:
    """Let the file be read while it is written. Where several make it at once, SQLite does not wait."""
    until = time.monotonic() + 30
    while True:
        try:
            file.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def pick(text: str, agents: list[Agent], how: str) -> Agent:
    """The agent with this id or unique prefix."""
    for agent in agents:
        if agent.id == text:
            return agent
    near = [agent for agent in agents if text and agent.id.startswith(text)]
    if len(near) == 1:
        return near[0]
    if near:
        raise Conflict(f"`{text}` fits several agents: {', '.join(a.id for a in near)}.", "Type more of the id.")
    raise NotFound(f"There is no agent `{one_line(text)}`.", f"See them all: {how}")


def words(text: str) -> tuple[str, ...]:
    """A command as it is kept: JSON, which is imported only for an agent that has one."""
    if text == "[]":
        return ()
    import json

    return tuple(json.loads(text))


def to_column(value: object) -> object:
    """A field as SQLite keeps it."""
    if isinstance(value, tuple):
        import json

        return json.dumps(value)
    return int(value) if isinstance(value, bool) else value


def from_row(row: tuple[Any, ...]) -> Agent:
    """An agent from its row."""
    agent = Agent(*row)
    return agent._replace(
        command=words(str(agent.command)),  # a tuple only from here on
        made_branch=bool(agent.made_branch),
        unattended=bool(agent.unattended),
    )
