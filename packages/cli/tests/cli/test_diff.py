"""What `magents diff` prints, and how little memory it takes for it."""

from __future__ import annotations

import os
import pty
import random
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from conftest import run
from magents.cli import render
from magents.cli.commands.diff import PIECE_BYTES, Shown, colour_of
from magents.core.text import plain

PIECES = [
    b"+line", b"-line", b"@@ -1 +1 @@", b"diff --git a/x b/x", b"\n", b"\n", b"\r\n", b"\r", b"\t", b"\x1b[31m", b"\x1b[0m",
    "ünï\u202e".encode(), b"\xff", b"\xc3", b"\x1b]0;title\x07", b"\x00", b" ", b"x" * 700,
]  # fmt: skip


def whole(raw: bytes, *, terminal: bool, colours: bool) -> str:
    """What is printed for a diff that is held as a whole."""
    lines = []
    for line in raw.decode("utf-8", "replace").split("\n"):
        end = "\r" if line.endswith("\r") and not terminal else ""
        safe = plain(line.removesuffix("\r"))
        lines.append(render.paint(safe, colour_of(safe) if colours and safe else "") + end)
    return "\n".join(lines)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("colours", [True, False])
def test_piece_by_piece_is_as_the_whole(terminal, colours, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    chance = random.Random(1)
    for _ in range(200):
        raw = b"".join(chance.choices(PIECES, k=chance.randrange(200)))
        shown = Shown(colours, terminal)
        assert "".join(shown.pieces(BytesIO(raw))) == whole(raw, terminal=terminal, colours=colours)


@pytest.mark.parametrize("what", [b"\r\n", b"\x1b[38;5;196m", "ü".encode(), b"\r", b"\x1b[m\r\n", b"\n"])
def test_long_lines_are_cut_nowhere_else(what):
    for before in range(PIECE_BYTES - 20, PIECE_BYTES + 3):
        raw = b"+" + b"x" * before + what + b"y" * PIECE_BYTES + b"z" * before + what
        assert "".join(Shown(False, False).pieces(BytesIO(raw))) == whole(raw, terminal=False, colours=False)


def test_a_long_line_keeps_its_colour(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    pieces = list(Shown(True, True).pieces(BytesIO(b"+" + b"-" * 3 * PIECE_BYTES + b"\n x\n")))
    assert all(piece.startswith("\x1b[32m") for piece in pieces[:3])
    assert "".join(pieces).endswith("\x1b[0m\n x\n")


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
"""Run a command; the most memory that it or what it started took, in MB."""


def test_a_large_diff_takes_little_memory(project, magents, fleet):
    magents("create", "large", "--", "sleep", "300")
    workspace = Path(fleet.find("large").workspace)
    for number in range(32):
        workspace.joinpath(f"file{number}").write_text(f"a line of the file {number:10}\n" * (1 << 15))
    words = [sys.executable, "-c", MEASURE, sys.executable, "-m", "magents", "diff", "large"]
    for more in ([], ["--raw"]):
        assert int(run(*words, *more, cwd=project).out) < 64


def test_a_pager_that_ends_early_is_no_error(project, magents, fleet):
    magents("create", "large", "--", "sleep", "300")
    Path(fleet.find("large").workspace, "file").write_text("line\n" * (1 << 18))
    ours, theirs = pty.openpty()
    env = {**os.environ, "PAGER": "head -n 100", "NO_COLOR": "1"}
    argv = [sys.executable, "-m", "magents", "diff", "large"]
    done = subprocess.Popen(argv, cwd=project, env=env, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    shown = b""
    while shown.count(b"\n") < 100:
        shown += os.read(ours, 1 << 16)
    assert (done.communicate(timeout=60)[1], done.returncode) == (b"", 0)
    assert shown.count(b"+line") > 90
    os.close(ours)
