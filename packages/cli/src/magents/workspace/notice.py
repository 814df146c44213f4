"""Which files of a change run by themselves on the side of whoever takes it over: hooks, settings of editors and
agents, what CI runs. Pure, but for the scripts of a `package.json`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from magents import process
from magents.text import one_line
from magents.workspace.brought import INCLUDE
from magents.workspace.hooks import FOLDERS, MANAGERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ANYWHERE = (".gitattributes", ".gitmodules", ".envrc", ".mcp.json", "CLAUDE.md", "AGENTS.md", "GEMINI.md",
            ".npmrc", ".lfsconfig", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", ".tool-versions", ".mise.toml",
            "mise.toml", ".cursorrules", ".windsurfrules")  # fmt: skip
"""Names of files that count in every folder."""
FOLDERS_ANYWHERE = (".vscode", ".idea", ".devcontainer", ".claude", ".cursor", ".codex", ".gemini", ".opencode",
                    ".mise", ".direnv")  # fmt: skip
"""Names of folders that count wherever they are, with all that is in them."""
AT_THE_TOP = (
    INCLUDE, *FOLDERS, *MANAGERS, ".github/workflows", ".github/actions", ".github/copilot-instructions.md",
    ".gitlab-ci.yml", ".gitlab", ".circleci", "Jenkinsfile", ".travis.yml", "azure-pipelines.yml", ".drone.yml",
    ".woodpecker", ".woodpecker.yml", ".buildkite", "bitbucket-pipelines.yml", ".forgejo", ".gitea",
    "opencode.json",
)  # fmt: skip
"""Files and folders that count at the top of a project."""
SCRIPTS = ("scripts", "husky", "lint-staged", "simple-git-hooks", "pre-commit", "gitHooks")
"""What in a `package.json` names commands."""
SHOWN = 5
"""How many files are named."""
MAX_PACKAGE_BYTES = 1024 * 1024


def runs(path: str) -> bool:
    """Whether a file of a project runs by itself, or tells what runs; whatever its case."""
    lower = path.lower()
    *folders, name = lower.split("/")
    if name in _ANYWHERE or any(part in FOLDERS_ANYWHERE for part in (*folders, name)):
        return True
    return any(lower == known or lower.startswith(f"{known}/") for known in _AT_THE_TOP)


_ANYWHERE = frozenset(name.lower() for name in ANYWHERE)
_AT_THE_TOP = tuple(name.lower() for name in AT_THE_TOP)


def of(project: str, rows: Iterable[tuple[str, str, str]], hooks: Sequence[str] = ()) -> list[str]:
    """The files among these changes that run by themselves. `rows`: path, and git's ids of the old and the new
    content, all zeros where it is not known. `hooks`: paths that the user's git has configured."""
    own = [path.lower() for path in hooks]
    found = []
    for path, old, new in rows:
        lower = path.lower()
        alone = runs(path) or any(lower == hook or lower.startswith(f"{hook}/") for hook in own)
        package = lower.rpartition("/")[2] == "package.json"
        if alone or (package and scripts(project, old) != scripts(project, new)):
            found.append(path)
    return found


def scripts(project: str, blob: str) -> object:
    """The commands of a `package.json`; the name of the content where they cannot be read."""
    if not blob.strip("0"):
        return None
    size = process.run(["git", "-C", project, "cat-file", "-s", blob], ok=None).line
    if not size.isdigit() or int(size) > MAX_PACKAGE_BYTES:
        return blob
    text = process.run(["git", "-C", project, "cat-file", "blob", blob], ok=None).raw
    try:
        said = json.loads(text)
        return [(key, json.dumps(said[key], sort_keys=True)) for key in SCRIPTS if key in said] or None
    except (ValueError, TypeError, RecursionError):
        return blob


def line(id: str, names: Sequence[str]) -> str:
    """The one line that says so."""
    shown = ", ".join(one_line(name) for name in names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{id} changes what runs by itself on your side: {shown}{more}"


def split(raw: bytes) -> tuple[list[tuple[str, str, str]], bytes]:
    """What `git diff --raw --abbrev=64` says before a patch or a statistic: its changes, and the rest."""
    rows = []
    at = 0
    while raw.startswith(b":", at):
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        about, _, names = raw[at:end].decode("utf-8", "surrogateescape").partition("\t")
        fields = about.lstrip(":").split(" ")
        rows += [(unquote(name), fields[2], fields[3]) for name in names.split("\t") if len(fields) >= 5]
        at = end + 1
    at += bool(rows) and raw.startswith(b"\n", at)
    return rows, raw[at:] if at else raw


def unquote(name: str) -> str:
    """A path as git quotes it where it holds control characters, quotes or letters beyond ASCII."""
    if not name.startswith('"'):
        return name
    octal = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), name.strip('"'))
    return re.sub(r"\\(.)", r"\1", octal).encode("latin-1", "replace").decode("utf-8", "replace")
