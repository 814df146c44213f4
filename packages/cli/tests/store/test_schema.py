"""Stores of other versions: an older one is brought up and an older Magents can go on, a newer one is refused."""

from __future__ import annotations

import os
import sqlite3
import subprocess

import pytest

from magents.core.errors import MagentsError
from magents.store import Store
from magents.store.schema import VERSION
from store.test_store import ADD, agent, python

FIRST = """
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
CREATE INDEX history_of ON history (agent);
INSERT INTO agents VALUES (3, 'one', '/p', 'branch-one', 'main', 'c0ffee', 1, 'command', '["sh", "-c", "x ''y''"]',
    'tmux', '/p-agents/one', 12.5, 'active', 0, 'boot', '');
INSERT INTO history VALUES (3, 1.0, 'created');
PRAGMA user_version = 1;
"""

SECOND = f"""{FIRST}
ALTER TABLE agents ADD COLUMN task TEXT NOT NULL DEFAULT '';
UPDATE agents SET task = 'master:1';
PRAGMA user_version = 2;
"""


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "state"))


def write(store: Store, sql: str, *lines: str) -> None:
    """Make a file as an older Magents has made it; `lines` of history are those of its agent."""
    os.makedirs(store.folder, exist_ok=True)
    old = sqlite3.connect(store.path)
    old.executescript(sql)
    old.executemany("INSERT INTO history VALUES (3, 2.0, ?)", [(line,) for line in lines])
    old.commit()
    old.close()


def test_a_store_of_the_first_version_is_brought_up(store):
    write(store, FIRST)
    running = [python(ADD, store.folder, str(n), stdin=subprocess.DEVNULL) for n in range(6)]
    for child in running:
        child.communicate(timeout=60)
    assert [child.returncode for child in running] == [0] * 6
    found = store.find("one")
    assert found == agent(key=3)
    assert [entry.text for entry in store.history(found)] == ["created"]
    assert len(store.live()) == 1 + 6 + 1
    two = store.add(agent("two", task="master:3.2"))
    assert store.of_tasks("/p") == [two] == [store.get(two.key)]
    columns = [row[1:] for row in store._sql("PRAGMA table_info(agents)")]
    fresh = Store(store.folder + "-new")
    fresh.live()
    assert columns == [row[1:] for row in fresh._sql("PRAGMA table_info(agents)")]


LINES = {
    "created on one, with 3 uncommitted files of zero": ("created", {}),
    "started again": ("started", {}),
    "stopped": ("stopped", {}),
    "workspace removed, kept as refs/magents/one/7": ("removed", {"pin": "refs/magents/one/7"}),
    "workspace restored from refs/magents/one/7": ("restored", {"pin": "refs/magents/one/7"}),
    "adopted": ("adopted", {}),
    "merged into a/main as 0123456789": ("merged", {"into": "a/main", "commit": "0123456789"}),
    "sent back: merged into main as 0123456789": ("sent-back", {}),
    "was stuck: it has ended: exit code 1": ("stuck", {}),
    "left to a person: `make` failed": ("left", {}),
    "recovery: begun": ("recovering", {}),
    "recovery: failed: removing was cut short": ("recovery-failed", {}),
    "its removal was cut short, and has been completed": ("recovered", {}),
    "not collected: main has gone its own way": ("not-collected", {}),
    "stopped in the middle\nstopped": ("note", {}),
    "": ("note", {}),
}


def test_lines_of_the_second_version_get_their_kind(store):
    write(store, SECOND, *LINES)
    one = store.find("one")
    assert one.task == "master:1"
    entries = store.history(one)[1:]
    assert [e.text for e in entries] == list(LINES)
    assert [(e.kind, e.data) for e in entries] == list(LINES.values())
    assert {e.at for e in entries} == {2.0}
    assert store.makers("/p", "refs/magents/one/7") == {"tmux"}
    assert Store(store.folder).history(one) == store.history(one)


def test_an_older_magents_goes_on_with_the_store(store):
    """What the code of version 2 does with the file still works; what it writes is not taken for more than words."""
    write(store, SECOND, "sent back: x")
    one = store.find("one")
    store.note(one, "stopped", "stopped")
    older = sqlite3.connect(store.path)
    older.execute("INSERT INTO history VALUES (?, ?, ?)", (3, 5.0, "left to a person: x"))
    older.commit()
    lines = older.execute("SELECT what FROM history WHERE agent = 3 ORDER BY rowid").fetchall()
    assert lines[-2:] == [("sent back: x",), ("left to a person: x",)]
    entries = [(e.kind, e.text) for e in store.history(one)]
    assert entries[-2:] == [("stopped", "stopped"), ("note", "left to a person: x")]
    older.execute("DELETE FROM agents WHERE key = 3")
    older.execute("DELETE FROM history WHERE agent = 3")
    older.commit()
    older.close()
    assert store.live() == []


def dump(store: Store) -> list[str]:
    """The whole file, as SQL."""
    file = sqlite3.connect(store.path)
    try:
        return [*file.iterdump(), str(file.execute("PRAGMA user_version").fetchone())]
    finally:
        file.close()


def test_a_migration_that_fails_changes_nothing(store):
    write(store, SECOND, "stopped")
    old = sqlite3.connect(store.path)
    old.execute("CREATE INDEX entries_of ON history (at)")  # in the way
    old.close()
    before = dump(store)
    with pytest.raises(MagentsError, match="entries_of already exists"):
        store.live()
    assert dump(store) == before


def test_a_newer_store_is_refused(store, magents, place):
    store.live()
    file = sqlite3.connect(store.path)
    file.execute(f"PRAGMA user_version = {VERSION + 1}")
    file.close()
    before = dump(store)
    with pytest.raises(MagentsError) as caught:
        Store(store.folder).live()
    assert f"version {VERSION + 1}" in caught.value.message
    assert f"version {VERSION}." in caught.value.message
    assert "MAGENTS_STATE" in caught.value.hint
    refused = magents("list", code=1, MAGENTS_STATE=store.folder)
    assert f"has version {VERSION + 1}" in refused.err
    assert "Traceback" not in refused.err
    found = magents("doctor", "--json", code=1, MAGENTS_STATE=store.folder).json()["findings"]
    assert any(f["about"] == "store" and f"version {VERSION + 1}" in str(f) for f in found)
    assert dump(store) == before
