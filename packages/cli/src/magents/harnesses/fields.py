"""Reading what harnesses report: JSON text that nobody vouches for and that may have been cut off."""

from __future__ import annotations

import json
import re

from magents.core import bounded
from magents.core.text import one_line, plain

LENGTH = 200
"""Characters kept of a field: enough for one line of a table, and for any session's name."""
MAX_SCREEN = 64 * 1024
"""Characters at a screen's end that are looked at: six times what a terminal of 200 columns and 50 rows has."""
MAX_ROWS = 200
MAX_ROW = 2000
"""How much of that is looked at: the last rows, and of each the first characters."""
MAX_STYLED_ROW = 16_000
"""The same of a row with its colours."""


def line(text: str, length: int = LENGTH) -> str:
    """`text` as one line that is safe to print: no control sequences, at most `length` characters."""
    return one_line(text, length)


def end(screen: str) -> str:
    """As much of a captured screen's end as any pattern may see. An agent can put anything there, of any size."""
    rows = screen[-MAX_SCREEN:].rstrip().splitlines()[-MAX_ROWS:]
    return "\n".join(row[:MAX_STYLED_ROW] for row in rows)


def shown(screen: str) -> str:
    """The text of a captured screen, within bounds: no control sequences, no blanks at the ends of lines."""
    rows = plain(screen[-MAX_SCREEN:]).rstrip().splitlines()[-MAX_ROWS:]
    return "\n".join(row[:MAX_ROW].rstrip() for row in rows)


def field(data: str, name: str, length: int = LENGTH) -> str | None:
    """The string called `name` in the JSON text `data`, as `line` gives it; None if there is none.

    The outermost one wins; among equals, the first. `data` may be cut off anywhere, even within the
    string itself: what is left of it is returned. Anything that is not a string is passed over, and so
    is an empty one. Never raises.
    """
    try:
        found = _outermost(bounded.loads(data), name)
    except ValueError:  # cut off, not JSON, or past the bounds
        found = _torn(data, name)
    return (line(found, length) or None) if found else None


def _outermost(value: object, name: str) -> str | None:
    """The first string called `name`, level by level."""
    level = [value]
    while level:
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                here = item.get(name)
                if isinstance(here, str) and here:
                    return here
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    return None


def _torn(data: str, name: str) -> str | None:
    """The first string called `name` in JSON text that cannot be parsed."""
    # Within a JSON string a quote always follows a backslash, so a name inside a value is no match.
    found = re.search(rf'(?<!\\)"{re.escape(name)}"\s*:\s*"((?:[^"\\]|\\.)*)', data, re.DOTALL)
    if not found:
        return None
    text = found[1]
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:  # the cut went through an escape: \u12
        return re.sub(r"\\(u[0-9a-fA-F]{0,4}|.)?", " ", text, flags=re.DOTALL)
