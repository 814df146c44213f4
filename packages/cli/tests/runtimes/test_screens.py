"""What a container's terminal shows by itself, in a file that the agent can write: read within bounds."""

from __future__ import annotations

import os
import time

from magents.harnesses import harness
from magents.runtimes.docker.runtime import Docker
from magents.runtimes.docker.still import MAX_SCREEN_BYTES, STILL


def test_of_a_huge_screen_the_end_is_read(tmp_path):
    files = tmp_path / "agent"
    files.mkdir()
    end = "─" * 60 + "\n❯\xa0hello\n" + "─" * 60 + "\n"
    (files / STILL).write_bytes("│x".encode() * 500_000 + b"\n" + end.encode())
    began = time.thread_time()
    shown = Docker().screens({"one": str(tmp_path)})["one"]
    assert len(os.fsencode(shown)) == MAX_SCREEN_BYTES
    assert harness("claude", "image", "there").draft(shown) == "hello"
    took = time.thread_time() - began
    os.truncate(files / STILL, 1 << 36)  # a file full of holes takes no room
    began = time.thread_time()
    Docker().screens({"one": str(tmp_path)})
    assert time.thread_time() - began < 10 * max(took, 0.01)


def test_a_screen_that_is_no_plain_file_is_none(tmp_path):
    files = tmp_path / "agent"
    files.mkdir()
    (tmp_path / "other").write_text("secret")
    (files / STILL).symlink_to(tmp_path / "other")
    assert Docker().screens({"one": str(tmp_path)}) == {}
    (files / STILL).unlink()
    os.mkfifo(files / STILL)
    assert Docker().screens({"one": str(tmp_path)}) == {}
