"""Which files of a change run by themselves on the side of whoever takes the change over: hooks, settings of
editors and agents, what CI runs. Only the scripts of a `package.json` are read from git."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from magents.core.text import one_line
from magents.git.inert import ask
from magents.git.trust.brought import INCLUDE
from magents.git.trust.hooks import FOLDERS, MANAGERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

ANYWHERE = (".gitattributes", ".gitmodules", ".envrc", ".mcp.json", "CLAUDE.md", "AGENTS.md", "GEMINI.md",
            ".npmrc", ".lfsconfig", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", ".tool-versions", ".mise.toml",
            "mise.toml", ".cursorrules", ".windsurfrules")  # fmt: skip
"""Files that count in every folder."""
FOLDERS_ANYWHERE = (".vscode", ".idea", ".devcontainer", ".claude", ".cursor", ".codex", ".gemini", ".opencode",
                    ".mise", ".direnv")  # fmt: skip
"""Folders that count everywhere, with all that is in them."""
AT_THE_TOP = (
    INCLUDE, *FOLDERS, *MANAGERS, ".github/workflows", ".github/actions", ".github/copilot-instructions.md",
    ".gitlab-ci.yml", ".gitlab", ".circleci", "Jenkinsfile", ".travis.yml", "azure-pipelines.yml", ".drone.yml",
    ".woodpecker", ".woodpecker.yml", ".buildkite", "bitbucket-pipelines.yml", ".forgejo", ".gitea",
    "opencode.json", ".gitconfig", ".taskmaster",
)  # fmt: skip
"""Files and folders that count at the top of a project."""
SCRIPTS = ("scripts", "husky", "lint-staged", "simple-git-hooks", "pre-commit", "gitHooks")
"""The keys of a `package.json` that name commands."""
MAX_NAMED_FILES = 5
"""How many files a warning names."""
MAX_PACKAGE_BYTES = 1024 * 1024
MAX_PACKAGES = 20
"""How many files `package.json` are compared, which takes some processes each. More count as changed."""
MAX_ROW_BYTES = 64 * 1024
"""The longest row of a list of changes has two paths of 4,096 bytes, with four characters for each byte."""


def runs(path: str) -> bool:
    """Whether a file of a project runs by itself, or says what runs. The case of its path does not count."""
    lower = path.lower()
    parts = lower.split("/")
    if parts[-1] in _ANYWHERE or not _FOLDERS_ANYWHERE.isdisjoint(parts):
        return True
    return lower in _AT_THE_TOP or lower.startswith(_BELOW_THE_TOP)


_ANYWHERE = frozenset(name.lower() for name in ANYWHERE)
_FOLDERS_ANYWHERE = frozenset(FOLDERS_ANYWHERE)
_AT_THE_TOP = frozenset(name.lower() for name in AT_THE_TOP)
_BELOW_THE_TOP = tuple(f"{name}/" for name in _AT_THE_TOP)


def of(project: str, rows: Iterable[tuple[str, str, str]], hooks: Sequence[str] = ()) -> list[str]:
    """The files among these changes that run by themselves.

    `rows` hold the path, and the object ids of the old and the new content, all zeros where one is not known.
    `hooks` are the paths that the user's git has configured.
    """
    own = [path.lower() for path in hooks]
    names = []
    packages = 0
    for path, old, new in rows:
        lower = path.lower()
        alone = runs(path) or any(lower == hook or lower.startswith(f"{hook}/") for hook in own)
        if not alone and lower.rpartition("/")[2] == "package.json":
            packages += 1
            alone = packages > MAX_PACKAGES or scripts(project, old) != scripts(project, new)
        if alone:
            names.append(path)
    return names


def scripts(project: str, blob: str) -> object:
    """The commands in a `package.json`; the object id where they cannot be read."""
    if not blob.strip("0"):
        return None
    size = ask(project, "cat-file", "-s", blob, ok=None).line
    if not size.isdigit() or int(size) > MAX_PACKAGE_BYTES:
        return blob
    text = ask(project, "cat-file", "blob", blob, ok=None).raw
    try:
        values = json.loads(text)
        return [(key, json.dumps(values[key], sort_keys=True)) for key in SCRIPTS if key in values] or None
    except (ValueError, TypeError, RecursionError):
        return blob


def line(id: str, names: Sequence[str]) -> str:
    """The warning, in one line."""
    shown = ", ".join(one_line(name) for name in names[:MAX_NAMED_FILES])
    more = f" and {len(names) - MAX_NAMED_FILES} more" if len(names) > MAX_NAMED_FILES else ""
    return f"{id} changes what runs by itself on your side: {shown}{more}"


def split(file: BinaryIO) -> list[tuple[str, str, str]]:
    """Read the changes that `git diff --raw --no-abbrev` prints before a patch or a statistic. Leaves the file at
    the rest."""
    rows = []
    at = file.tell()
    while (row := file.readline(MAX_ROW_BYTES)).startswith(b":"):
        about, _, names = row.rstrip(b"\n").decode("utf-8", "surrogateescape").partition("\t")
        fields = about.lstrip(":").split(" ")
        rows += [(unquote(name), fields[2], fields[3]) for name in names.split("\t") if len(fields) >= 5]
        at = file.tell()
    if not (rows and row == b"\n"):
        file.seek(at)
    return rows


def unquote(name: str) -> str:
    """The path that git printed, quoted if it holds control characters, quotes or letters beyond ASCII."""
    if not name.startswith('"'):
        return name
    octal = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), name.strip('"'))
    return re.sub(r"\\(.)", r"\1", octal).encode("latin-1", "replace").decode("utf-8", "replace")
