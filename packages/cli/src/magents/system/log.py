"""The log of unexpected errors, of commands and of all that goes on without one: `errors.log` in the state folder.

A record is a line with the time, what was being done and the error; then, indented, the traceback and the versions
of the programs involved. Keys and prompts are replaced by `…`. The file has a limit; what it held before is kept
once, as `errors.log.1`. An error in writing about an error must not hide that error, so nothing here raises.
"""

from __future__ import annotations

import calendar
import contextlib
import errno
import os
import re
import sys
import time

from magents.core.errors import MagentsError
from magents.core.text import one_line, plain
from magents.core.tuples import NamedTuple
from magents.system import paths
from magents.system.files import guarded, locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_LOG_BYTES = 1024 * 1024
MAX_RECORD_BYTES = 64 * 1024
MAX_SUMMARY_LENGTH = 300
LOCK_S = 2.0
"""Seconds to wait for others that write; then it is written all the same."""
VERSION_S = 3
"""Seconds that a program gets to tell its version."""
REPEAT_S = 3600
"""Seconds within which the same record is not written again: `list --watch` meets the same error each second."""
HIDDEN = "…"
TIME = "%Y-%m-%dT%H:%M:%SZ"
MIN_SECRET_LENGTH = 5
"""Characters of the shortest value that is hidden wherever it stands; a shorter one would spoil other words."""

SECRET_NAME = re.compile(
    r"\w*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|AUTH)S?(?:_\w*)?", re.IGNORECASE
)
"""The name of a variable or a setting that holds a secret."""
SECRETS = (
    # A setting whose name tells it: API_KEY=…, "token": "…", Authorization: Bearer ….
    (
        re.compile(
            r"""(\b(?:[A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH)[A-Z0-9_]*"""
            r"""|(?i:api[_-]?key|token|secret|password|authorization))['"]?\s*[=:]\s*['"]?(?:Bearer |Basic )?)"""
            r"""[^\s'",;]+"""
        ),
        rf"\1{HIDDEN}",
    ),
    # What keys of well-known services look like, and passwords in addresses.
    (re.compile(r"\b(?:sk-|gh[oprsu]_|github_pat_|glpat-|xox[a-z]-|AIza|AKIA|eyJ)[A-Za-z0-9_.-]{12,}"), HIDDEN),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), rf"\1{HIDDEN}@"),
)
ENV = re.compile(rf"(?:--env=)?\w+=(.{{{MIN_SECRET_LENGTH},}})", re.DOTALL)
"""A word that sets a variable of an agent's."""
COMMAND = re.compile(r"[a-z]+(?:-[a-z]+)*")
OPTION = re.compile(r"(--[a-z]+(?:-[a-z]+)*|-[A-Za-z])(?:=.*)?", re.DOTALL)


class Record(NamedTuple):
    """An error in the log."""

    at: float
    """Unix time."""
    summary: str
    """What was being done, and the error, on one line."""


def path() -> str:
    """The log."""
    return os.path.join(paths.state(), "errors.log")


def unexpected(error: BaseException, words: Sequence[str] | None = None) -> str:
    """Write an error down; '' if that was done (or had been within the hour), else why not. Never raises.

    `words`: the command line that met it, without the program; by default this process's.
    """
    try:
        words = sys.argv[1:] if words is None else words
        summary, trace = explained(error, words)
        lines = [f"{summary}\n", *(f"   {line}\n" for line in trace.split("\n"))]
        record = "".join(lines).encode("utf-8", "backslashreplace")
        if not repeated(record):
            append(record + f"   {versions()}\n".encode())
    except OSError as failure:
        return f"{failure.strerror or failure}: {path()}"
    except Exception as failure:  # noqa: BLE001 - whoever calls this is dealing with an error already
        return f"{type(failure).__name__}: {failure}"
    return ""


@contextlib.contextmanager
def recorded(name: str) -> Iterator[None]:
    """What goes on in the background: an unexpected error that ends it is written down."""
    try:
        yield
    except MagentsError:  # whatever depends on it meets the same, and tells the user
        raise
    except Exception as error:
        unexpected(error, [name])
        raise


def last(count: int) -> list[Record]:
    """The newest errors, the newest first."""
    records = []
    for name in (path(), f"{path()}.1"):
        text = guarded.read(name, MAX_LOG_BYTES).decode("utf-8", "replace")
        records += [record for line in reversed(text.split("\n")) if (record := parse(line))]
    return records[:count]


def parse(line: str) -> Record | None:
    """The record that begins with this line."""
    when, _, summary = line.partition(" ")
    try:
        return Record(calendar.timegm(time.strptime(when, TIME)), summary)
    except ValueError:
        return None


def explained(error: BaseException, words: Sequence[str]) -> tuple[str, str]:
    """What was being done and the error, on one line; and the traceback. Without keys and prompts, and without
    control sequences: an error's words can be an agent's."""
    from traceback import format_exception, format_exception_only

    texts = [
        f"magents {' '.join(shown(words))}: {''.join(format_exception_only(error))}",
        "".join(format_exception(error)).rstrip("\n"),
    ]
    for word in words:
        given = ENV.fullmatch(word)
        if given or any(mark.isspace() for mark in word):  # otherwise it is no prompt, but an id or the like
            texts = [text.replace(given[1] if given else word, HIDDEN) for text in texts]
    summary, trace = (hidden(plain(text)) for text in texts)
    return one_line(summary, MAX_SUMMARY_LENGTH), shortened(trace)


def shortened(text: str) -> str:
    """A text within the limit of a record: its beginning and its end, where it is too long."""
    data, half = text.encode("utf-8", "backslashreplace"), MAX_RECORD_BYTES // 2
    return text if len(data) <= 2 * half else (data[:half] + b"\n[...]\n" + data[-half:]).decode("utf-8", "ignore")


def shown(words: Sequence[str]) -> list[str]:
    """The words of a command line, those that could hold a key or a prompt replaced: all but the command and the
    names of options."""
    command = [word if COMMAND.fullmatch(word) else HIDDEN for word in words[:1]]
    return command + [match[1] if (match := OPTION.fullmatch(word)) else HIDDEN for word in words[1:]]


def hidden(text: str) -> str:
    """The text without any key: the values of variables that hold one, and what looks like one."""
    for value in sorted(secrets(), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


def secrets() -> set[str]:
    """The values, line by line, of the variables and settings that hold a key: by their names, or because API_KEYS
    names them."""
    config = guarded.read(os.path.realpath(paths.config()), MAX_LOG_BYTES).decode("utf-8", "replace")
    lines = [line.strip().removeprefix("export ").partition("=") for line in config.split("\n")]
    given = [(name.strip(), value.strip().strip("'\"")) for name, _, value in lines]
    given += os.environ.items()
    listed = " ".join(value for name, value in given if name in ("API_KEYS", "MAGENTS_API_KEYS"))
    names = set(re.findall(r"\w+", listed))
    values = [value for name, value in given if name in names or SECRET_NAME.fullmatch(name)]
    return {line for value in values for line in value.splitlines() if len(line) >= MIN_SECRET_LENGTH}


def versions() -> str:
    """Those of Magents and of what it stands on."""
    from importlib.metadata import version

    from magents.system import process

    said = [f"magents {version('magents')}", f"Python {sys.version.split()[0]}"]
    for argv in (["git", "--version"], ["tmux", "-V"]):
        try:
            said.append(process.run(argv, timeout=VERSION_S).line.replace("git version", "git"))
        except (MagentsError, OSError) as error:
            said.append(f"{argv[0]}: {error}".split("\n")[0])
    system = os.uname()
    return plain(", ".join([*said, f"{system.sysname} {system.release} {system.machine}"]))


def append(record: bytes) -> None:
    """Write a record behind the others, whole or not at all. Raises OSError."""
    folder = paths.state()
    os.makedirs(folder, mode=0o700, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        locks.take(lock, LOCK_S)
        write(time.strftime(f"{TIME} ", time.gmtime()).encode() + record)
    finally:
        os.close(lock)


def repeated(record: bytes) -> bool:
    """Whether the same was written within the hour, not long before the log's end."""
    text = guarded.read(path(), 4 * MAX_RECORD_BYTES)
    before = text[: max(0, text.rfind(record))].rpartition(b"\n")[2]
    record_before = parse(before.decode("utf-8", "replace"))
    return record_before is not None and time.time() - record_before.at < REPEAT_S


def write(record: bytes) -> None:
    """`append`, for a caller that holds the lock."""
    with contextlib.suppress(FileNotFoundError):
        if os.stat(path()).st_size + len(record) > MAX_LOG_BYTES:
            os.replace(path(), f"{path()}.1")
    handle = os.open(path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(handle).st_size
        if os.write(handle, record) < len(record):
            os.ftruncate(handle, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(handle)
