"""The tables of the store, and how a file of an earlier version gets the form of today.

Each step brings a file to the next version; a new file goes through all of them. A step only ever adds, so that an
older Magents which knows no newer tables can go on (docs/adr/0021-typed-reasons-and-history.md).
"""

from __future__ import annotations

import _sqlite3 as sqlite3
import json
import re
import time

STEPS = (
    """
CREATE TABLE agents (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, project TEXT NOT NULL, branch TEXT NOT NULL,
    base TEXT NOT NULL, base_commit TEXT NOT NULL, made_branch INTEGER NOT NULL,
    harness TEXT NOT NULL, command TEXT NOT NULL, runtime TEXT NOT NULL, workspace TEXT NOT NULL,
    created REAL NOT NULL, phase TEXT NOT NULL, unattended INTEGER NOT NULL, boot TEXT NOT NULL, pin TEXT NOT NULL
);
CREATE UNIQUE INDEX one_id ON agents (id) WHERE phase <> 'removed';
CREATE UNIQUE INDEX one_branch ON agents (project, branch) WHERE phase <> 'removed';
CREATE UNIQUE INDEX one_workspace ON agents (workspace) WHERE phase <> 'removed';
CREATE TABLE history (agent INTEGER NOT NULL, at REAL NOT NULL, what TEXT NOT NULL);
CREATE INDEX history_of ON history (agent)
""",
    """
ALTER TABLE agents ADD COLUMN task TEXT NOT NULL DEFAULT ''
""",
    # Versions 1 and 2 write `history`, and what they add is taken over as it comes.
    """
CREATE TABLE entries (
    key INTEGER PRIMARY KEY, agent INTEGER NOT NULL, at REAL NOT NULL,
    kind TEXT NOT NULL, text TEXT NOT NULL, data TEXT NOT NULL
);
CREATE INDEX entries_of ON entries (agent, kind);
CREATE TRIGGER of_older AFTER INSERT ON history BEGIN
    INSERT INTO entries (agent, at, kind, text, data) VALUES (new.agent, new.at, 'note', new.what, '{}'); END
""",
)
VERSION = len(STEPS)
"""The form of the file that this Magents reads and writes."""
TEXTS = {
    "created": "created on ",
    "started": "started again$",
    "stopped": "stopped$",
    "removed": "workspace removed, kept as (?P<pin>.+)",
    "restored": "workspace restored from (?P<pin>.+)",
    "adopted": "adopted$",
    "merged": "merged into (?P<into>.+) as (?P<commit>[0-9a-f]+)$",
    "sent-back": "sent back: ",
    "stuck": "was stuck: ",
    "left": "left to a person: ",
    "recovering": "recovery: begun$",
    "recovery-failed": "recovery: failed: ",
    "recovered": "its (creation|removal|restoration) was cut short, ",
    "not-collected": "not collected: ",
}
"""How the lines of version 2 read, by their kind. Its code took decisions from them; here they are read once."""


def version_of(file: sqlite3.Connection) -> int:
    """Which form the file has; 0 for a new one."""
    return int(file.execute("PRAGMA user_version").fetchone()[0])


def bring_up(file: sqlite3.Connection) -> int:
    """Give the file the form of today, unless another process has just done so. Returns its version."""
    version = version_of(file)
    if version >= VERSION:
        return version
    for step in STEPS[version:]:
        for statement in step.strip().split(";\n"):
            file.execute(statement)
    lines = file.execute("SELECT agent, at, what FROM history ORDER BY rowid").fetchall()
    typed = [(agent, at, *kind_of(text), text) for agent, at, text in lines]
    file.executemany("INSERT INTO entries (agent, at, kind, data, text) VALUES (?, ?, ?, ?, ?)", typed)
    file.execute(f"PRAGMA user_version = {VERSION}")
    return VERSION


def kind_of(text: str) -> tuple[str, str]:
    """The kind and the data of a line of version 2."""
    for kind, pattern in TEXTS.items():
        if match := re.match(pattern, text, re.DOTALL):
            return kind, json.dumps(match.groupdict())
    return "note", "{}"


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
