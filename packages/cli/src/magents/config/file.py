"""The text of `~/.magents-config`: lines of `KEY=value`. Comments, order and keys that Magents does not know
survive a rewrite."""

from __future__ import annotations

import os
import re

from magents.core.errors import MagentsError, UsageError

LINE = r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)"
HEADER = "# Magents: KEY=value, the last of two lines wins. `magents config` explains each key.\n"


def unquote(text: str) -> str:
    """A value without the quotes and the trailing comment that shell habits put around it."""
    text = text.strip()
    if len(text) > 1 and text[0] in "\"'":
        end = text.find(text[0], 1)
        rest = text[end + 1 :].strip()
        if end > 0 and (not rest or rest.startswith("#")):
            return text[1:end]
    return re.sub(r"\s+#.*$", "", text)


def quote(value: str) -> str:
    """The value as a line's right side, so that `unquote` gives it back."""
    if unquote(value) == value:
        return value
    mark = "'" if "'" not in value else '"'
    if mark in value:
        raise UsageError("a value cannot hold both kinds of quotes beside a `#` or outer spaces")
    return f"{mark}{value}{mark}"


def read(path: str) -> list[str]:
    """The file's lines; none where it does not exist. Raises MagentsError when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.readlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MagentsError(f"{path} cannot be read: {error.strerror}.", "Mend its permissions.") from error


def assign(lines: list[str], key: str, value: str) -> list[str]:
    """The lines with `key` set: its last line is changed where it stands, or one is added at the end."""
    new = f"{key}={quote(value)}\n"
    places = [i for i, line in enumerate(lines) if (m := re.match(LINE, line)) and m[1] == key]
    if places:
        return [*lines[: places[-1]], new, *lines[places[-1] + 1 :]]
    ended = [*lines[:-1], lines[-1].rstrip("\n") + "\n"] if lines else []
    return [*ended, new]


def replace(path: str, text: str) -> None:
    """Put `text` in the place of a file in one step. Raises MagentsError, leaving the old one."""
    from magents.system.files import atomic

    try:
        mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o600
        folder, name = os.path.split(path)
        atomic.write(folder, name, text, mode=mode, sync=True)
    except OSError as error:
        raise MagentsError(f"{path} cannot be written: {error.strerror}.", "Nothing was changed.") from error
