"""Which files of a working tree act as git's hooks, and what they contain.

Git is asked without running a hook, and no link is followed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import stat
import time

from magents.git.inert import ask
from magents.git.layout import common_of
from magents.system import process
from magents.system.files import guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDERS = (".husky", ".githooks", ".git-hooks")
"""The usual folders of hooks. The configured one is watched, too."""
MANAGERS = (
    ".pre-commit-config.yaml", ".pre-commit-config.yml", "lefthook.yml", "lefthook.yaml", "lefthook.toml",
    "lefthook.json", ".lefthook.yml", ".lefthook.yaml", ".lefthook", ".huskyrc", ".huskyrc.json", ".huskyrc.js",
    ".overcommit.yml", "captainhook.json", "grumphp.yml",
)  # fmt: skip
"""The settings of well-known programs that the user's hooks call."""
MAX_FILES = 1000
"""How many files, and how many versions from one arrival, are told apart. With more, all count as brought."""
MAX_FILE_BYTES = 4 * 1024 * 1024
"""A larger hook counts as brought."""
PATHS_VALID_S = 1.0
"""How long git's answer holds. It is needed before each of our commands."""
ANY = "*"
"""Stands for any content."""

_asked: dict[str, tuple[float, str, tuple[str, ...]]] = {}


def specs(paths: Iterable[str]) -> list[str]:
    """The pathspecs for these paths: from the top, in any case, without patterns. They name the first folder of
    each path, because an agent can replace it by a link; `is_of` picks from git's answer."""
    return [f":(top,icase,literal){name}" for name in sorted({path.split("/")[0] for path in paths})]


def below(path: str, folder: str) -> bool:
    """Whether a path is `folder` or something in it, in any case."""
    path, folder = path.lower(), folder.lower()
    return path == folder or path.startswith(f"{folder}/")


def is_of(path: str, paths: Iterable[str]) -> bool:
    """Whether a file is at or below one of these paths, or stands in place of a folder above one."""
    return any(below(path, name) or below(name, path) for name in paths)


def hook_paths(where: str) -> tuple[str, tuple[str, ...]]:
    """The working tree whose files act as git's hooks in the working tree `where`, and the paths of these files.
    There are none where git has no hooks to run."""
    asked_at, top, paths = _asked.get(where, (0.0, "", ()))
    if time.monotonic() > asked_at + PATHS_VALID_S:
        top, paths = ask_hook_paths(where)
        _asked[where] = time.monotonic(), top, paths
    return top, paths


def ask_hook_paths(where: str) -> tuple[str, tuple[str, ...]]:
    """`hook_paths`, from git's configuration."""
    # Not by `ask`, whose options set core.hooksPath themselves; `git config` runs no hook.
    asking = ["git", "-C", where, "config", "--type=path", "--get", "core.hooksPath"]
    configured = process.run(asking, ok=None).line
    common = common_of(where)
    place = os.path.normpath(os.path.join(where, configured)) if configured else os.path.join(common, "hooks")
    main = os.path.dirname(common) if os.path.basename(common) == ".git" else where
    places = [place, *where_links_lead(place)]
    if os.path.basename(place) == "_":  # husky's folder, which runs the hooks beside it
        places += where_links_lead(os.path.dirname(place))
    for top in (where, main):
        rows = ((one, way) for one in places for way in (top, os.path.realpath(top)))
        inside = [name for name in (os.path.relpath(*row) for row in rows) if is_inside(name)]
        inside = [name for name in inside if not below(os.path.join(top, name), common)]  # git's own
        beside = [os.path.dirname(name) for name in inside if os.path.basename(name) == "_"]
        if inside:
            return top, tuple(dict.fromkeys([*inside, *filter(None, beside), *MANAGERS]))
    return where, MANAGERS if has_hooks(place) else ()


def where_links_lead(folder: str) -> list[str]:
    """The real path of a folder of hooks, and of the hooks in it that are links, often to a file of the project."""
    with contextlib.suppress(OSError):
        links = [entry.path for entry in os.scandir(folder) if entry.is_symlink()]
        nearest = [os.path.normpath(os.path.join(folder, os.readlink(link))) for link in links]
        return [os.path.realpath(folder), *nearest, *map(os.path.realpath, links)]
    return [os.path.realpath(folder)]


def is_inside(name: str) -> bool:
    """Whether a relative path stays in its folder, and is not the folder itself."""
    return name != os.curdir and name.split(os.sep)[0] != os.pardir


def has_hooks(folder: str) -> bool:
    """Whether a folder contains anything that git takes for a hook."""
    try:
        return any(not name.endswith(".sample") for name in os.listdir(folder))
    except OSError:
        return False


def standing(where: str, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The contents of these files of a working tree: in git's index, and on disk. The content is `ANY` where it
    cannot be read."""
    paths = list(paths)
    listed = ask(where, "ls-files", "--stage", "-z", "--", *specs(paths), ok=None).text
    id_length = 40
    for row in listed.split("\0")[:-1]:
        about, _, path = row.partition("\t")
        id_length = len(about.split(" ")[1])
        if is_of(path, paths):
            yield path, about.split(" ")[1]
    for path in paths:
        yield from lying(where, path, "sha256" if id_length == 64 else "sha1")


def lying(where: str, path: str, form: str) -> Iterator[tuple[str, str]]:
    """The files at and below a path, and links on the way there, with the object ids of their contents."""
    parts = path.split("/")
    for number in range(1, len(parts)):
        above = "/".join(parts[:number])
        if os.path.islink(os.path.join(where, above)):
            yield above, content(os.path.join(where, above), form)
    full = os.path.join(where, path)
    if os.path.islink(full) or os.path.isfile(full):
        yield path, content(full, form)
    if os.path.isdir(full):
        seen = 0
        for folder, inner, names in os.walk(full):
            for name in [*names, *(name for name in inner if os.path.islink(os.path.join(folder, name)))]:
                seen += 1
                if seen > MAX_FILES:
                    yield path, ANY
                    return
                one = os.path.join(folder, name)
                yield os.path.relpath(one, where), content(one, form)


def written(where: str, path: str) -> str:
    """The object id of what git wrote into a file of a working tree; '' if the file was changed since."""
    listed = ask(where, "ls-files", "--stage", "--debug", "--", f":(top,literal){path}", ok=None).text
    entry = re.match(r"\d+ ([0-9a-f]+) 0\t.*\n.*\n  mtime: (\d+):(\d+)\n", listed)
    if not entry or not os.path.lexists(os.path.join(where, path)):
        return ""
    at = os.lstat(os.path.join(where, path)).st_mtime_ns
    same = (at // 10**9, at % 10**9) == (int(entry[2]), int(entry[3]))
    return entry[1] if same or (entry[3] == "0" and at // 10**9 == int(entry[2])) else ""


def content(path: str, form: str) -> str:
    """The object id of a file's content, or of a link's target; `ANY` for other things, and for large files."""
    try:
        about = os.lstat(path)
        if stat.S_ISLNK(about.st_mode):
            raw = os.fsencode(os.readlink(path))
        elif stat.S_ISREG(about.st_mode) and about.st_size <= MAX_FILE_BYTES:
            raw = guarded.read(path, MAX_FILE_BYTES)
        else:
            return ANY
    except OSError:
        return ANY
    import hashlib  # imported late: seldom needed, and slow to load

    return hashlib.new(form, b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()


PROGRAMS = (
    r"^(filter\..*\.(clean|smudge|process)|merge\..*\.driver|diff\..*\.(textconv|command)|core\.fsmonitor"
    r"|diff\.external|core\.sshcommand|core\.askpass|core\.editor|gpg\.(.*\.)?program|credential\.(.*\.)?helper)$"
)
"""The settings of git that name programs."""
INCLUDES = r"^include(if\..*)?\.path$"
"""The settings that name more configuration files."""


def programs(where: str) -> list[str]:
    """The files of the project that git, by its configuration, would run or read settings from."""
    paths: set[str] = set()
    # Not by `ask`, whose options set core.fsmonitor themselves.
    asking = ["git", "-C", where, "config", "-z", "--get-regexp", f"{PROGRAMS}|{INCLUDES}"]
    for row in process.run(asking, ok=None).text.split("\0"):
        key, _, value = row.partition("\n")
        if re.fullmatch(INCLUDES, key, re.DOTALL):  # relative to the configuration file
            paths.update(within(where, os.path.join(common_of(where), os.path.expanduser(value))))
        else:
            paths.update(files_of(where, value))
    return sorted(paths)


def files_of(where: str, command: str) -> list[str]:
    """The words of a shell command that can be files of the project at `where`."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    words = [os.path.expanduser(word.strip(";&|()")) for word in words if word and not word.startswith("-")]
    return sorted({path for word in words for path in within(where, os.path.join(where, word))})


def within(where: str, path: str) -> set[str]:
    """A path, and what its links lead to, relative to the project at `where`; without what lies outside."""
    tops, ways = {where, os.path.realpath(where)}, {path, os.path.realpath(path)}
    return {name for top in tops for way in ways if is_inside(name := os.path.relpath(way, top))}
