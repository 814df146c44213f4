"""Drawing for people and for programs: tables, JSON, errors, ages, colours."""

from __future__ import annotations

import os
import sys
import time

from magents.cli.console import coloured, echo
from magents.core.text import one_line, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO

    from magents.core.errors import MagentsError
    from magents.fleet import View

COLOURS = {
    "working": "36", "waiting": "33;1", "done": "32", "running": "36", "failed": "31;1", "stopped": "2",
    "lost": "31;1", "creating": "2", "removing": "2", "restoring": "2",
}  # fmt: skip


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """`text` in a colour (SGR parameters), if colours are used there."""
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and coloured(stream or sys.stdout) else text


def complain(error: MagentsError) -> None:
    """Tell of an error and its remedy, on standard error."""
    echo(f"{paint('error:', '31;1', sys.stderr)} {plain(error.message)}", sys.stderr)
    if error.hint:
        echo(f"{paint(' hint:', '36', sys.stderr)} {plain(error.hint)}", sys.stderr)


def warn(text: str) -> None:
    """Tell of something that does not stop the command, on standard error."""
    echo(f"{paint('warning:', '33;1', sys.stderr)} {plain(text)}", sys.stderr)


def show_json(value: Any) -> None:
    """Print a value as JSON, one document."""
    import json

    echo(json.dumps(value, indent=2))


def json_line(value: Any) -> str:
    """A value as one line of JSON."""
    import json

    return json.dumps(value)


def width(text: str) -> int:
    """How many columns a terminal needs for it (Unicode TR 11; combining marks take none)."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def cut(text: str, columns: int) -> str:
    """`text`, shortened to so many columns."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None = None) -> list[str]:
    """Lines of a table. The last column gets what is left of `columns`; None sets no limit."""
    rows = [[flat(cell) for cell in row] for row in rows]
    widths = [max(width(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [cell + " " * (w - width(cell)) for cell, w in zip(row[:-1], widths[:-1], strict=True)]
        line = "  ".join([*cells, row[-1]]).rstrip()
        lines.append(line if columns is None else cut(line, columns))
    return lines


def flat(cell: str) -> str:
    """A cell on one line; its colours and blanks stay as they are."""
    return cell if cell.isprintable() else " ".join(cell.replace("\t", " ").splitlines())


def visible(line: str) -> str:
    """A line with each character that cannot be seen as `\\u200b`."""
    return "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in line)


def terminal_width(stream: TextIO | None = None) -> int | None:
    """The terminal's columns; None where the output goes elsewhere."""
    from magents.cli.parser import columns

    return columns() if (stream or sys.stdout).isatty() else None


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def age(seconds: float) -> str:
    """A length of time, as short as `docker ps` and `kubectl get` tell it: 45s, 12m, 3h, 8d."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size or (unit == "m" and seconds >= size):
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def agent_table(
    views: Sequence[View], here: str, columns: int | None, extra: dict[str, list[str]] | None = None
) -> list[str]:
    """The table of `magents list`. With agents of several projects, a column names the project.

    `extra`: further columns, name → a cell per agent.
    """
    several = len({view.agent.project for view in views}) > 1 or any(v.agent.project != here for v in views)
    head = ["ID", *(["PROJECT"] if several else []), "BRANCH", "MODE", "HARNESS", "STATUS", "AGE"]
    head += [*(extra or {}), "DETAIL"]
    now = time.time()
    rows = []
    for number, view in enumerate(views):
        agent, status = view.agent, view.status
        row = [agent.id, *([one_line(os.path.basename(agent.project), 30)] if several else [])]
        row += [one_line(agent.branch, 40), agent.runtime, agent.harness, status.state]
        row += [age(now - agent.created), *(cells[number] for cells in (extra or {}).values()), status.detail]
        rows.append(row)
    lines = table(head, rows, columns)
    if not coloured(sys.stdout):
        return lines
    return [paint(lines[0], "2")] + [
        line.replace(f" {v.status.state} ", f" {paint(v.status.state, COLOURS[v.status.state])} ", 1)
        for line, v in zip(lines[1:], views, strict=True)
    ]


class Progress:
    """Tells what is being done if that takes longer than a second; silent where nobody watches."""

    def __init__(self) -> None:
        self._timer: Any = None

    def __call__(self, step: str) -> None:
        """A new step begins."""
        self.end()
        if sys.stderr.isatty():
            import threading

            self._timer = threading.Timer(1.0, lambda: echo(f"… {plain(step)}", sys.stderr, flush=True))
            self._timer.daemon = True
            self._timer.start()

    def end(self) -> None:
        """Nothing is under way any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
