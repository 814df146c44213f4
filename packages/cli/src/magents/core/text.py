"""Making text from elsewhere fit to print. Pure.

`plain` is for text of many lines (a diff, a log): what a terminal would obey, what turns text around, and Unicode's
tags, which only hide text, go. `one_line` is for titles, names and details: all else that cannot be seen goes, too.
An emoji made of several then shows as these, some scripts lose how their letters join; but a name hides nothing.
`styled` is as `plain`, but colours stay.
"""

from __future__ import annotations

import re

# ECMA-48: CSI, then OSC/DCS/SOS/PM/APC strings up to their end (BEL or ST), then two-byte escapes;
# last, every other control character but tab and newline, the marks that turn text around, and tags.
CONTROL = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)
SGR = r"\x1b\[[0-9;:]*m"
"""Colours and the like (Select Graphic Rendition)."""
INVISIBLE = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What shows nothing by itself: Unicode's Default_Ignorable_Code_Point, and marks for annotations."""


def plain(text: str) -> str:
    """`text` without control sequences; tabs and newlines stay. Safe to print to a terminal."""
    if text.isprintable():  # as most is: to compile the pattern takes a millisecond
        return text
    return re.sub(CONTROL, "", text)


def styled(text: str) -> str:
    """As `plain`, but colours stay. Safe to print to a terminal; what comes after it may need `RESET` first."""
    return re.sub(f"({SGR})|{CONTROL}", r"\1", text)


RESET = "\x1b[0m"
"""Ends all colours."""


def one_line(text: str, longest: int = 120) -> str:
    """`text` on one line, at most `longest` characters, without control sequences and what cannot be seen."""
    flat = plain(text[: 8 * longest])
    if not flat.isascii():
        flat = re.sub(INVISIBLE, "", flat)
    flat = " ".join(flat.split())
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"
