"""The one door to the user's terminal: whatever a command prints goes through here.

Agents choose names, titles, details, file names and messages. So all that a terminal would obey is taken out of
what is printed. Colours stay where Magents itself sets them. No other module of the command line prints.
"""

from __future__ import annotations

import os
import sys

from magents.core.text import RESET, plain, styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


def coloured(stream: TextIO) -> bool:
    """Whether to use colours on a stream: it is a terminal, and NO_COLOR (no-color.org) is not set."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def echo(text: str = "", stream: TextIO | None = None, *, end: str = "\n", flush: bool = False) -> None:
    """Print text, by default on standard output, safe for a terminal."""
    print(safe(text, stream), end=end, file=stream or sys.stdout, flush=flush)


def safe(text: str, stream: TextIO | None = None) -> str:
    """Text as `echo` prints it."""
    if "\x1b" in text and coloured(stream or sys.stdout):
        return text if tidy(text) else styled(text)
    return "\n".join(map(plain, text.split("\n")))


def tidy(text: str) -> bool:
    """Whether a text has nothing but printable characters, and colours as `paint` makes them. The pattern of all
    that would have to go takes milliseconds to compile; this spares `list` that."""
    first, *painted = text.replace("\n", " ").split("\x1b[")
    parts = [part.partition("m") for part in painted]
    return first.isprintable() and all(
        end and code.replace(";", "").isdecimal() and rest.isprintable() for code, end, rest in parts
    )


def ask(question: str) -> bool:
    """Whether the user says yes. To be called only if standard input is a terminal."""
    return input(safe(f"{question} [y/N] ")).strip().lower() in ("y", "yes")


def copy(data: bytes) -> None:
    """Hand bytes on exactly as they are, to a file or another program. Never to a terminal."""
    assert not sys.stdout.isatty()
    sys.stdout.buffer.write(data)


def end_colours() -> None:
    """Reset the colours after text of an agent, so that what follows has none of them."""
    sys.stdout.write(RESET)


class Screen:
    """The terminal's other screen, drawn again and again. The first screen is back when the block is left."""

    def __enter__(self) -> Screen:
        sys.stdout.write("\x1b[?1049h\x1b[?25l")
        return self

    def draw(self, lines: list[str]) -> None:
        """Show these lines from the top, the last one without a newline."""
        shown = [safe(line).replace("\n", " ") for line in lines]
        sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in shown[:-1]))
        sys.stdout.write(f"{shown[-1]}\x1b[K\x1b[J")
        sys.stdout.flush()

    def __exit__(self, *_: object) -> None:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()


def last_line(text: str) -> None:
    """Replace the terminal's last line by this text, to be replaced by the next one; '' only makes room."""
    sys.stdout.write(f"\r{safe(text)}\x1b[K")
    sys.stdout.flush()
