"""Making text from elsewhere fit to print. Pure."""

from __future__ import annotations

import re

# ECMA-48: CSI, then OSC/DCS/SOS/PM/APC strings up to their end (BEL or ST), then two-byte escapes;
# last, every other control character but tab and newline, and the marks that turn text around.
CONTROL = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def plain(text: str) -> str:
    """`text` without control sequences; tabs and newlines stay. Safe to print to a terminal."""
    if text.isascii() and text.isprintable():  # as most is: to compile the pattern takes a millisecond
        return text
    return re.sub(CONTROL, "", text)


def one_line(text: str, longest: int = 120) -> str:
    """`text` on one line without control sequences, at most `longest` characters."""
    flat = " ".join(plain(text[: 8 * longest]).split())
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"
