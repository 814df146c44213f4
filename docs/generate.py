"""Write docs/commands.md from what `magents COMMAND --help` says, and the tables of harnesses from their records;
with --check only see if they are current.

.venv/bin/python docs/generate.py [--check]
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from magents import harnesses
from magents.cli import parser
from magents.runtimes.docker import sources

TARGET = Path(__file__).with_name("commands.md")
HARNESSES = Path(__file__).with_name("harnesses.md")
TABLE = re.compile(r"(<!-- Written by docs/generate\.py. -->\n\n).*?(\n<!-- End. -->)", re.DOTALL)
HEAD = """\
# Commands

<!-- Written by docs/generate.py from the commands' own --help; do not edit. -->

What `magents COMMAND --help` says, for every command. The [guide](README.md) tells how to use them.
Every command exits with 0 when it is done, 1 when it is refused or fails, 2 when the command line makes no
sense, 130 after Ctrl-C; see [scripting](scripting.md#exit-codes).

"""

FORMAT_USAGE = argparse.HelpFormatter._format_usage
PART = re.compile(r"\(.*?\)+(?=\s|$)|\[.*?\]+(?=\s|$)|\S+")
"""What stays on one line: `[--one | --other]`, `NAME`."""


def main() -> int:
    old = [(page, page.read_text(encoding="utf-8") if page.exists() else "") for page in (TARGET, HARNESSES)]
    new = [page(), TABLE.sub(rf"\1{table()}\2", old[1][1])]
    for (path, before), text in zip(old, new, strict=True):
        if before != text and "--check" in sys.argv[1:]:
            print(f"{path} is out of date: .venv/bin/python docs/generate.py", file=sys.stderr)
            return 1
        path.write_text(text, encoding="utf-8")
    return 0


def table() -> str:
    """The table of harnesses."""
    versions = sources.versions()
    rows = [
        (
            f"`{record.name}`" if record.program else record.title,
            f"{record.title} {versions[record.pinned]}" if record.pinned else "–",
            record.dialect, record.acknowledges, record.resumes,
        )
        for record in harnesses.TABLE.values()
    ]  # fmt: skip
    head = ("harness", "seen with", "reports by", "acknowledges a prompt", "resumes its conversation")
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ("---",) * len(head), *rows))


def page() -> str:
    """The whole page. The same for every version of Python and every terminal."""
    os.environ["COLUMNS"] = "100"
    os.environ["NO_COLOR"] = "1"
    argparse.HelpFormatter._format_action_invocation = invocation
    argparse.HelpFormatter._format_usage = usage
    contents, sections = [], []
    for title, group in parser.GROUPS.items():
        names = ", ".join(f"[{name}](#magents-{name})" for name in group)
        contents.append(f"- {title}: {names}")
        sections += [f"## magents {name}\n\n```text\n{parser.help_of(name).rstrip()}\n```" for name in group]
    whole = f"## magents\n\n```text\n{parser.top_level().format_help().rstrip()}\n```"
    return HEAD + "\n".join(contents) + "\n\n" + "\n\n".join([whole, *sections]) + "\n"


def invocation(formatter: argparse.HelpFormatter, action: argparse.Action) -> str:
    """`-p, --prompt TEXT`, as Python 3.13 writes it; older ones say TEXT twice."""
    if not action.option_strings:
        return " ".join(formatter._metavar_formatter(action, action.dest)(1))
    words = ", ".join(action.option_strings)
    if action.nargs == 0:
        return words
    return f"{words} {formatter._format_args(action, action.dest.upper())}"


def usage(formatter: argparse.HelpFormatter, *given: object) -> str:
    """The usage, with its lines broken as Python 3.11 breaks them: newer ones do it within `[--one | --other]`."""
    width, formatter._width = formatter._width, sys.maxsize
    whole = FORMAT_USAGE(formatter, *given).rstrip()
    formatter._width = width
    if len(whole) <= width:
        return f"{whole}\n\n"
    start = whole[: whole.index(" [") + 1]
    parts = PART.findall(whole[len(start) :])
    options = [part for part in parts if part.startswith("[-")]
    rows = [*filled(options, width - len(start)), *filled(parts[len(options) :], width - len(start))]
    return start + f"\n{' ' * len(start)}".join(rows) + "\n\n"


def filled(parts: list[str], width: int) -> list[str]:
    """Lines of these parts, as long as may be."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + 1 + len(part) <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines


if __name__ == "__main__":
    sys.exit(main())
