"""Git that runs no program which a repository names.

Git obeys the repository that it works in. The repository's configuration names hooks, filters, a file-system
monitor and programs for signatures, and its submodules have configurations of their own. Options on git's command
line override all of them. `UNHOOKED` keeps git from running hooks and the monitor. `options` keeps it from running
anything: a container that looks after a stopped agent's clone must run nothing of the agent's.
"""

from __future__ import annotations

import os
import re

from magents.core.names import DIRTY, STILL
from magents.system import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

UNHOOKED = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
"""For work on what an agent brought: the user's `core.hooksPath` or `core.fsmonitor` may be a relative path, such
as `.husky`, and so lead to a program of the agent's."""
ASK_TIMEOUT_S = 60.0
FIXED = {
    "core.fsmonitor": "false", "core.hooksPath": "/dev/null", "core.editor": ":", "commit.gpgSign": "false",
    "tag.gpgSign": "false", "gc.auto": "0", "maintenance.auto": "false", "submodule.recurse": "false",
    "diff.ignoreSubmodules": "dirty",
}  # fmt: skip
"""The settings that `options` overrides. Git does not look for changes in submodules, because they have settings of
their own; a pin keeps submodules whole anyway."""
FILTER = r"(filter\..*)\.(?:clean|smudge|process|required)"
HOOK = r"(hook\..*)\.(?:command|event|enabled)"
SUBMODULE = r"submodule\..*\.ignore"


def ask(where: str, *args: str, stdin: bytes | None = None, ok: Sequence[int] | None = (0,)) -> process.Result:
    """Run git without hooks."""
    return process.run(["git", "-C", where, *UNHOOKED, *args], stdin=stdin, ok=ok, timeout=ASK_TIMEOUT_S)


def is_still() -> bool:
    """Whether git must run nothing in this process's surroundings."""
    return STILL in os.environ


def options(where: str) -> list[str]:
    """The options that keep git from running anything in the folder `where`."""
    names = configured(where)
    emptied = [
        *(f"{driver}.{part}" for driver in filters(names) for part in ("clean", "smudge", "process", "required")),
        *(f"{match[1]}.enabled" for name in names if (match := re.fullmatch(HOOK, name, re.DOTALL))),
    ]
    ignored = [name for name in [*names, *of_submodules(where)] if re.fullmatch(SUBMODULE, name, re.DOTALL)]
    words = [word for name, value in FIXED.items() for word in ("-c", f"{name}={value}")]
    # `-c` splits at the first `=`, and the name of a driver may contain one.
    words += [f"--config-env={name}={STILL}" for name in dict.fromkeys(emptied)]
    return [*words, *(f"--config-env={name}={DIRTY}" for name in dict.fromkeys(ignored))]


def filters(names: list[str]) -> list[str]:
    """The filters that these settings define: `filter.NAME`."""
    return list(dict.fromkeys(match[1] for name in names if (match := re.fullmatch(FILTER, name, re.DOTALL))))


def configured(where: str) -> list[str]:
    """The names of all settings in the repository's own configuration, without those of the image."""
    listed = process.run(["git", "-C", where, "config", "--list", "--show-scope", "--name-only", "-z"], ok=None)
    cells = listed.text.split("\0")
    return [name for scope, name in zip(cells[::2], cells[1::2], strict=False) if scope in ("local", "worktree")]


def of_submodules(where: str) -> list[str]:
    """The names of the settings in `.gitmodules`."""
    path = os.path.join(where, ".gitmodules")
    if not os.path.isfile(path):
        return []
    listed = process.run(["git", "config", "--file", path, "--list", "--name-only", "-z"], ok=None)
    return listed.text.split("\0")[:-1]


def arguments(args: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments of a git command, without the one that makes git look into submodules."""
    return tuple(arg for arg in args if arg != "--ignore-submodules=none")
