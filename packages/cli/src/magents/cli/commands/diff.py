"""`magents diff`."""

from __future__ import annotations

import argparse
import codecs
import io
import os
import re
import sys
import tempfile
from typing import TYPE_CHECKING

from magents import schema
from magents.cli import common
from magents.cli.console import coloured, copy, echo
from magents.cli.render import paint, show_json, warn
from magents.core.text import plain
from magents.system.process import foreground

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO


PIECE_BYTES = 1 << 16
"""Bytes of a line that are held at once."""
PRINTABLE = bytes([ord("\t"), ord("\n"), *range(ord(" "), ord("~") + 1)])
MAX_CONTROL_BYTES = 64
"""Bytes that a control sequence has which is not to be cut in two."""


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents diff`."""
    parser.description = "See all that an agent has changed since its base, committed or not, new files too."
    parser.epilog = """\
examples:
  magents diff feature-login --stat
  magents diff feature-login --raw | git apply       the exact bytes, control characters and all"""
    common.add_id(parser)
    parser.add_argument("--stat", action="store_true", help="only how many lines of which files")
    parser.add_argument("--raw", action="store_true", help="the exact bytes, for git apply")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print an agent's changes."""
    fleet = common.fleet()
    agent = fleet.find(options.id)
    if options.json:
        files = fleet.changes(agent)
        show_json(schema.diff(agent, files, fleet.runs_by_itself(agent, files)))
        return 0
    with tempfile.TemporaryFile() as file:
        fleet.write_diff(agent, file, stat=options.stat)
        if options.raw:
            hand_on(file)
            return 0
        shown = Shown(coloured(sys.stdout) and not options.stat, sys.stdout.isatty())
        long = sys.stdout.isatty() and longer(file, os.get_terminal_size().lines)
        page(shown.pieces(file), long)
    if shown.left_out:
        warn("control characters are left out of this diff; --raw gives the exact bytes")
    return 0


class Shown:
    """A diff as it is shown, without control characters, piece by piece: it need not fit in memory."""

    def __init__(self, colours: bool, terminal: bool) -> None:
        self.colours = colours
        self.terminal = terminal
        """Whether the diff goes to a terminal. Elsewhere line ends stay as they are: a patch of a file with CRLF
        would not apply without them."""
        self.left_out = False
        """Whether control characters were left out so far."""

    def pieces(self, file: BinaryIO) -> Iterator[str]:
        """What to print, from the file's current position on: lines with their ends, long ones in several
        pieces."""
        while block := file.read(PIECE_BYTES):
            block += file.readline(PIECE_BYTES)
            if not self.colours and not block.translate(None, PRINTABLE):  # as most is
                yield block.decode("ascii")
            elif block.endswith(b"\n"):
                yield from self.lines(io.BytesIO(block))
            else:  # a line that is longer
                file.seek(-len(block), os.SEEK_CUR)
                yield from self.lines(file)

    def lines(self, file: BinaryIO) -> Iterator[str]:
        """`pieces`, looking at each line."""
        colour, begun = "", False
        for body, end in parts(file):
            safe = plain(body)
            self.left_out |= safe != body
            if not begun:
                colour = colour_of(safe) if self.colours else ""
            begun = not end
            yield paint(safe, colour if safe else "") + (end.removeprefix("\r") if self.terminal else end)


def parts(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Lines of a file, each with its end; of one longer than `PIECE_BYTES` the parts, with no end but the last."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = b""
    while raw := rest + file.readline(PIECE_BYTES):
        whole = raw.endswith(b"\n") or len(raw) < PIECE_BYTES
        begun = None if whole else re.search(rb"[\r\x1b][^\r\x1b]*\Z", raw[-MAX_CONTROL_BYTES:])
        rest = begun[0] if begun else b""  # neither a line's end nor a control sequence is cut in two
        text = decoder.decode(raw[: len(raw) - len(rest)], final=whole and not raw.endswith(b"\n"))
        body = text.removesuffix("\n").removesuffix("\r")
        yield body, text[len(body) :]


def longer(file: BinaryIO, lines: int) -> bool:
    """Whether a file has so many lines or more from its current position on; the position stays."""
    count, start = 0, file.tell()
    while count < lines and (block := file.read(PIECE_BYTES)):
        count += block.count(b"\n")
    file.seek(start)
    return count >= lines


def colour_of(line: str) -> str:
    """The colour of one line of a diff."""
    if line.startswith(("diff ", "index ", "--- ", "+++ ", "new file", "deleted file", "old mode", "new mode")):
        return "1"
    return {"+": "32", "-": "31", "@": "36"}.get(line[:1], "")


def page(pieces: Iterable[str], long: bool) -> None:
    """Show text; on a terminal through the user's pager if it does not fit, as git does."""
    if long:
        to_pager(piece.encode() for piece in pieces)
        return
    for piece in pieces:
        if sys.stdout.isatty():
            echo(piece, end="")
        else:
            copy(piece.encode())


def hand_on(file: BinaryIO) -> None:
    """Print the exact bytes. A terminal would obey them, so there they go to the user's pager, as git does it."""
    blocks = iter(lambda: file.read(PIECE_BYTES), b"")
    if sys.stdout.isatty():
        to_pager(blocks)
        return
    for block in blocks:
        copy(block)


def to_pager(pieces: Iterable[bytes]) -> None:
    """Give it to the user's pager."""
    pager = os.environ.get("GIT_PAGER") or os.environ.get("PAGER") or "less"
    foreground.feed(["sh", "-c", pager], pieces, env={"LESS": os.environ.get("LESS", "FRX")})
