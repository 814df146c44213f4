"""Options with which git runs no program that a repository names.

A container that is made to look after a stopped agent's clone must run nothing of the agent's. But git obeys the
clone: its configuration names hooks, filters, a monitor of files, programs for signatures; its submodules have
configurations of their own. What is given on git's command line counts more than any of them.
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
"""For git that works on what an agent has brought: where the user's `core.hooksPath` or `core.fsmonitor` is a
relative path, such as `.husky`, it leads to a program of the agent's."""
ASK_S = 60.0
"""Seconds that git may take to look through what came."""
FIXED = {
    "core.fsmonitor": "false", "core.hooksPath": "/dev/null", "core.editor": ":", "commit.gpgSign": "false",
    "tag.gpgSign": "false", "gc.auto": "0", "maintenance.auto": "false", "submodule.recurse": "false",
    "diff.ignoreSubmodules": "dirty",
}  # fmt: skip
"""Git does not look for changes in submodules, which have settings of their own; a pin keeps them all anyway."""
OF_FILTERS = re.compile(r"(filter\..*)\.(?:clean|smudge|process|required)", re.DOTALL)
OF_HOOKS = re.compile(r"(hook\..*)\.(?:command|event|enabled)", re.DOTALL)
OF_SUBMODULES = re.compile(r"submodule\..*\.ignore", re.DOTALL)


def ask(where: str, *words: str, stdin: bytes | None = None, ok: Sequence[int] | None = (0,)) -> process.Result:
    """Run git without hooks, and without looking whether they may run."""
    return process.run(["git", "-C", where, *UNHOOKED, *words], stdin=stdin, ok=ok, timeout=ASK_S)


def is_still() -> bool:
    """Whether git must run nothing here."""
    return STILL in os.environ


def options(where: str) -> list[str]:
    """What to give git when it works in the folder `where`."""
    names = configured(where)
    empty = [
        *(f"{driver}.{part}" for driver in filters(names) for part in ("clean", "smudge", "process", "required")),
        *(f"{match[1]}.enabled" for name in names if (match := OF_HOOKS.fullmatch(name))),
    ]
    dirty = [name for name in [*names, *of_submodules(where)] if OF_SUBMODULES.fullmatch(name)]
    words = [word for name, value in FIXED.items() for word in ("-c", f"{name}={value}")]
    # The name of a driver may have `=` in it, where `-c` takes what follows for the value.
    words += [f"--config-env={name}={STILL}" for name in dict.fromkeys(empty)]
    return [*words, *(f"--config-env={name}={DIRTY}" for name in dict.fromkeys(dirty))]


def filters(names: list[str]) -> list[str]:
    """The filters that these settings define: `filter.NAME`."""
    return list(dict.fromkeys(match[1] for name in names if (match := OF_FILTERS.fullmatch(name))))


def configured(where: str) -> list[str]:
    """The names of all settings of the repository's own; those of the image stay as they are."""
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
    """The arguments of a git command without the wish to look into submodules."""
    return tuple(arg for arg in args if arg != "--ignore-submodules=none")
