"""Files that are replaced in one step, and locks between processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import until
from magents.system.files import atomic, guarded, locks


def test_a_file_takes_the_place_of_whatever_was_there(tmp_path):
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    atomic.write(str(tmp_path), "link", "new \udce9", mode=0o640)
    atomic.write(str(tmp_path), "a/b/new", b"bytes", sync=True)
    assert (tmp_path / "link").read_bytes() == b"new \xe9"
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "elsewhere").read_text() == "kept"
    assert (tmp_path / "a/b/new").read_bytes() == b"bytes"
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/new")] == [
        0o700, 0o700, 0o600,
    ]  # fmt: skip


def test_no_link_is_followed_on_the_way(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("other")
    with pytest.raises(OSError, match="link"):
        atomic.write(str(tmp_path), "link/file", "new")
    assert list((tmp_path / "other").iterdir()) == []


def test_one_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        atomic.write(str(tmp_path), "folder", "new")
    with (
        guarded.opened(str(tmp_path)) as folder,
        pytest.raises(ZeroDivisionError),
        atomic.new(folder, "x", sync=False),
    ):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["folder"]


def test_one_like_the_one_before(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o664)
    if os.geteuid() == 0:
        os.chown(tmp_path / "file", 1234, 2345)
    about = (tmp_path / "file").stat()
    with guarded.opened(str(tmp_path)) as folder:
        atomic.replace(folder, "file", b"new", like=about)
    now = (tmp_path / "file").stat()
    assert (tmp_path / "file").read_text() == "new"
    assert (now.st_mode, now.st_uid, now.st_gid) == (about.st_mode, about.st_uid, about.st_gid)
    assert now.st_ino != about.st_ino


def test_a_folder_appears_whole_and_once(tmp_path):
    path = tmp_path / "above" / "folder"
    with atomic.folder(str(path)) as made:
        (Path(made) / "file").write_text("first")
        assert not path.exists()
    with atomic.folder(str(path)) as made:
        (Path(made) / "file").write_text("second")
    with pytest.raises(ZeroDivisionError), atomic.folder(str(tmp_path / "other")):
        raise ZeroDivisionError
    assert (path / "file").read_text() == "first"
    assert os.listdir(tmp_path) == ["above"]
    assert os.listdir(tmp_path / "above") == ["folder"]


HOLDER = "import sys; from magents.system.files import locks\nwith locks.held(sys.argv[1]): print('held', flush=True); input()"


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path):
    path = str(tmp_path / "lock")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(TimeoutError), locks.held(path, 0.1):
            pass
        waiting = threading.Thread(target=lambda: locks.held(path, 30).__enter__())
        waiting.start()
        assert waiting.is_alive()
        other.communicate(b"\n")
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_child_that_inherits_a_lock_holds_it_until_the_block_is_left(tmp_path):
    path = str(tmp_path / "lock")
    handle = locks.opened(path)
    try:
        with locks.held(path) as lock:
            child = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
            assert not locks.take(handle)
        assert locks.take(handle)
    finally:
        os.close(handle)
        child.kill()
        child.wait()


def test_a_lock_ends_with_whoever_held_it(tmp_path):
    path = str(tmp_path / "lock")
    other = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    other.kill()
    other.communicate()
    handle = locks.opened(path)
    until(lambda: locks.take(handle), 10)
    os.close(handle)
