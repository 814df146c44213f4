"""JSON that somebody else wrote, read within bounds.

An agent writes its log, its lists and its answers. Reading them costs little, and raises nothing but `BadJson`.
What is read holds only what the rest of Magents can print, compare and write again: nothing is nested deeper than
`MAX_DEPTH`, no number is longer than `MAX_DIGITS` or infinite. Of a key that is there twice the last one holds, as
for the programs that write it.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_BYTES = 1024 * 1024
"""How long a document may be, where its reader does not say so: many times what hooks report."""
MAX_DEPTH = 64
"""How deep lists and objects may lie in each other."""
MAX_DIGITS = 20
"""Digits of a whole number: those of the largest one of 64 bits."""


class BadJson(ValueError):
    """Text that is no JSON, or not within the bounds."""


def loads(text: str | bytes, most: int = MAX_BYTES) -> Any:
    """The value that a JSON document of at most `most` bytes (of a `str`: characters) holds. Raises BadJson, and
    nothing else; takes time in proportion to the text."""
    if len(text) > most:
        raise BadJson(f"it is longer than {most:,} bytes")
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        found = _decoder.decode(text)
    except RecursionError:
        raise BadJson(_DEEP) from None
    except BadJson:
        raise
    except ValueError as error:
        raise BadJson(str(error)) from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(found)
    return found


_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"


def _check_depth(found: object) -> None:
    """Raises BadJson for what is nested too deep. Goes level by level, so that nothing can exhaust it."""
    level = [found]
    for _ in range(MAX_DEPTH):
        level = [
            below
            for item in level
            for below in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
            if isinstance(below, (dict, list))
        ]
        if not level:
            return
    raise BadJson(_DEEP)


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise BadJson(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if number - number:  # infinite: 1e999
        raise BadJson("a number is too large")
    return number


def _no_number(text: str) -> float:
    raise BadJson(f"{text} is no number")


# Made once: `json.loads` with such wishes makes one at each call.
_decoder = json.JSONDecoder(parse_int=_whole, parse_float=_fraction, parse_constant=_no_number)
