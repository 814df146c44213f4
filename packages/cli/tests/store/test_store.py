"""The store: one id, one branch, one workspace; safe between processes, and never silent when it is broken."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import run, until
from magents.core.agent import Agent
from magents.core.errors import Conflict, MagentsError, NotFound
from magents.store import Store


def agent(id="one", **fields) -> Agent:
    made = Agent(
        0, id, "/p", f"branch-{id}", "main", "c0ffee", True, "command", ("sh", "-c", "x 'y'"), "tmux",
        f"/p-agents/{id}", 12.5, "active", False, "boot", "",
    )  # fmt: skip
    return made._replace(**fields)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "state"))


def python(script: str, *words: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *words], stdout=subprocess.PIPE, text=True, **options)


def test_nothing_is_made_before_it_is_used(store):
    assert not os.path.exists(store.folder)
    assert store.live() == []
    assert os.stat(store.folder).st_mode & 0o777 == 0o700
    assert os.stat(store.path).st_mode & 0o777 == 0o600


def test_what_goes_in_comes_out(store):
    odd = agent(branch="ünï/'x", workspace="/p \udcff\n", made_branch=False, unattended=True, phase="creating")
    try:
        added = store.add(odd)
    except (MagentsError, UnicodeEncodeError):
        odd = odd._replace(workspace="/p \n")
        added = store.add(odd)
    assert added == odd._replace(key=added.key)
    assert Store(store.folder).live() == [added]
    assert store.get(added.key) == added
    assert store.unsettled() == [added]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (agent("one", branch="x", workspace="/x"), "The id `one` is taken"),
        (agent("two", branch="branch-one"), "already has an agent: one"),
        (agent("two", workspace="/p-agents/one"), "belongs to one"),
        (agent("one", project="/q", workspace="/x"), "The id `one` is taken"),
    ],
)
def test_conflicts(store, other, reason):
    first = store.add(agent())
    with pytest.raises(Conflict, match=reason):
        store.add(other)
    assert store.live() == [first]
    store.update(first, phase="removed")
    store.add(other)


def test_the_same_branch_of_another_project_is_another(store):
    store.add(agent())
    assert store.add(agent("two", project="/q", branch="branch-one")).key


def test_a_removed_one_cannot_return_to_a_place_that_is_taken(store):
    old = store.update(store.add(agent()), phase="removed")
    store.add(agent())
    with pytest.raises(Conflict):
        store.update(old, phase="restoring")
    assert store.get(old.key).phase == "removed"


def test_prefixes(store):
    for id in ("fix", "fix-2", "feature", "other"):
        store.add(agent(id))
    assert [store.find(text).id for text in ("fix", "fix-", "fe", "o", "other")] == [
        "fix",
        "fix-2",
        "feature",
        "other",
        "other",
    ]
    with pytest.raises(Conflict, match="fits several agents: fix, fix-2, feature"):
        store.find("f")
    for text in ("", "none", "FIX", "%", "_", "fix-22", "\x1b[31m"):
        with pytest.raises(NotFound) as caught:
            store.find(text)
        assert caught.value.message.isprintable()


def test_of_removed_ones_the_newest(store):
    for commit in ("a", "b"):
        store.update(store.add(agent(base_commit=commit)), phase="removed")
    store.update(store.add(agent("one-more")), phase="removed")
    assert store.find_removed("one").base_commit == "b"
    assert store.find_removed("one-").id == "one-more"
    assert [a.base_commit for a in store.removed("/p")][1:] == ["b", "a"]
    assert store.removed("/q") == []
    with pytest.raises(NotFound):
        store.find("one")


def test_keys_are_never_used_twice(store):
    first = store.add(agent())
    store.forget(first)
    assert store.add(agent()).key != first.key
    with pytest.raises(NotFound, match="undone"):
        store.get(first.key)


def test_history(store):
    one, two = store.add(agent()), store.add(agent("two"))
    store.note(one, "created", "created on 'x'")
    store.note(one, "merged", "sent back: merged into main as c0ffee", into="main", commit="c0ffee")
    store.note(one, "note", "merged into main as c0ffee")
    entries = store.history(one)
    assert [(e.kind, e.text) for e in entries] == [
        ("created", "created on 'x'"),
        ("merged", "sent back: merged into main as c0ffee"),
        ("note", "merged into main as c0ffee"),
    ]
    assert [e.data for e in entries] == [{}, {"into": "main", "commit": "c0ffee"}, {}]
    assert store.history(one, "merged") == entries[1:2]
    assert store.history(one, "sent-back") == []
    assert store.history(two) == []
    store.forget(one)
    assert store.history(one) == []


DROP = """
import gc, sys
from magents.store import Store
def rings(store):
    ring = [store.live()]
    ring += [store, ring]
    del store
for _ in range(3):
    rings(Store(sys.argv[1]))
gc.collect()
last = Store(sys.argv[1])
last.live()  # until Python ends
"""


def test_its_file_needs_no_closing(store):
    run(sys.executable, "-X", "dev", "-W", "error", "-c", DROP, store.folder)
    done = run(sys.executable, "-X", "dev", "-W", "error", "-c", DROP, store.folder)
    assert (done.out, done.err) == ("", "")


# Locks


def test_a_lock_is_for_one(store):
    with store.lock("one"):
        assert store.busy("one")
        assert not store.busy("two")
        with pytest.raises(Conflict, match="at work on the agent `one`"), store.lock("one", wait=0.1):
            pass
    assert not store.busy("one")


def test_a_lock_is_waited_for(store):
    inside = threading.Event()
    let_go = threading.Event()

    def hold() -> None:
        with store.lock("one"):
            inside.set()
            let_go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    timer = threading.Timer(0.1, let_go.set)
    timer.start()
    with store.lock("one", wait=10):
        assert let_go.is_set()
    thread.join()


def test_an_error_ends_the_lock(store):
    with pytest.raises(KeyError), store.lock("one"):
        raise KeyError
    assert not store.busy("one")


HOLD = """
import subprocess, sys
from magents.store import Store
with Store(sys.argv[1]).lock("one") as lock:
    child = subprocess.Popen(["sleep", "60"], pass_fds=[lock] if sys.argv[2] == "inherit" else [], stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    child.wait() if sys.argv[3] == "stay" else None
"""


@pytest.mark.parametrize("inherit", ["inherit", "alone"])
def test_a_killed_command_holds_it_as_long_as_its_child_lives(store, inherit):
    parent = python(HOLD, store.folder, inherit, "stay")
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert store.busy("one")
        parent.kill()
        parent.wait()
        assert store.busy("one") is (inherit == "inherit")
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()
    until(lambda: not store.busy("one"), 30, "the lock has ended")


def test_on_leaving_it_ends_for_a_child_too(store):
    parent = python(HOLD, store.folder, "inherit", "leave")
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert parent.wait(timeout=60) == 0
        os.kill(child, 0)
        assert not store.busy("one")
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()


# Several processes

ADD = """
import os, sys
from magents.core.errors import Conflict
from magents.core.agent import Agent
from magents.store import Store
store, number = Store(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.read()  # all begin at once
for id in (f"own-{number}", "same"):
    try:
        store.add(Agent(0, id, "/p", id, "", "", False, "x", (), "tmux", f"/w/{id}", 1.0, "active", False, "", ""))
        print(id)
    except Conflict:
        pass
"""


def test_many_processes_make_the_database_at_once(store):
    read, write = os.pipe()
    running = [python(ADD, store.folder, str(number), stdin=read) for number in range(10)]
    os.close(read)
    assert [child.stdout.readline() for child in running if child.stdout] == ["ready\n"] * 10
    os.close(write)
    said = [child.communicate(timeout=60)[0].split() for child in running]
    assert [child.returncode for child in running] == [0] * 10
    assert sorted(id for ids in said for id in ids) == sorted([*(f"own-{n}" for n in range(10)), "same"])
    assert sorted(a.id for a in store.live()) == sorted(id for ids in said for id in ids)
    assert store.check() == "ok"


def test_what_a_killed_process_has_written_stays(store):
    script = ADD + "\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    child = python(script, store.folder, "1", stdin=subprocess.DEVNULL)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert [a.id for a in store.live()] == ["own-1", "same"]
    assert store.check() == "ok"


# A broken store


def broken(store: Store) -> MagentsError:
    with pytest.raises(MagentsError) as caught:
        Store(store.folder).live()
    assert store.path in str(caught.value) or store.folder in str(caught.value)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be looked at" * 40, b"SQLite format 3\0" + b"\xff" * 4080]
)
def test_a_corrupt_database_is_an_error_with_a_remedy(store, content):
    os.makedirs(store.folder)
    Path(store.path).write_bytes(content)
    broken(store)
    assert Path(store.path).read_bytes() == content


def test_pages_overwritten(store):
    for number in range(200):
        store.add(agent(f"a{number}", base="x" * 200))
    file = sqlite3.connect(store.path)
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file.close()
    with open(store.path, "r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xff" * (os.path.getsize(store.path) - 4096))
    broken(store)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(str(tmp_path / "file" / "state"))
    broken(store)
    with pytest.raises(MagentsError, match="cannot be written"), store.lock("one"):
        pass


def test_a_folder_in_the_place_of_the_file(store):
    os.makedirs(store.path)
    broken(store)
