"""Which files of a project a text names. Pure.

A path counts where it stands in full, as it is seen from the project's top: bare, quoted, in a link, with a line's
number behind it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from magents.taskmaster.model import Task

AROUND = "`'\".,;:!?…"
BEFORE = AROUND.replace(".", "")
BRACKETS = "()[]{}<>*"
WITHIN = re.compile(r"[`'\"()\[\]{}<>*,;:|#=!?@]+")
"""What parts paths that stand together, or a path from what is said of it: `src/x.py:12`, `[x](src/x.py#top)`."""
QUOTED = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|(?<!\w)'([^'\n]+)'(?!\w)")
OWN = ".taskmaster/"
"""Below it lies what tasks were made from; agents read that, and change it seldom."""


class Known(NamedTuple):
    """The files of a project, sorted by how a text can name them."""

    paths: frozenset[str]
    """Those that no word of a text can be by chance: they have a dot or a slash, and no space."""
    words: frozenset[str]
    """`Makefile`: counts as it stands."""
    quoted: frozenset[str]
    """`run`, `my file.txt`: count only in quotes."""


def known(files: Iterable[str]) -> Known:
    """Sort the files of a project."""
    paths: set[str] = set()
    words: set[str] = set()
    quoted: set[str] = set()
    for name in files:
        if name.startswith(OWN):
            continue
        if " " in name:
            quoted.add(name)
        elif "/" in name or "." in name:
            paths.add(name)
        else:
            (quoted if name == name.lower() else words).add(name)
    return Known(frozenset(paths), frozenset(words), frozenset(quoted))


def named(text: str, files: Known) -> frozenset[str]:
    """The files that a text names. Takes time in proportion to its length."""
    words = set(text.split())
    found: set[str] = set()
    for word in words:
        path = word.rstrip(AROUND)
        if path in files.paths:
            found.add(path)
        elif "/" in path or "." in path:
            found.update(in_word(path, files.paths))
    if files.words:
        found |= files.words.intersection(word.strip(AROUND + BRACKETS) for word in words)
    if files.quoted:
        parts = (part for groups in QUOTED.findall(text) for part in groups)
        found |= files.quoted.intersection(part.strip() for part in parts)
    return frozenset(found)


def in_word(word: str, paths: frozenset[str]) -> Iterable[str]:
    """The paths in what stands between two spaces: usually one, or none."""
    for form in (bare(word), bare(word.strip(AROUND + BRACKETS))):  # `app/[id].tsx`, before brackets part it
        if form in paths:
            return (form,)
    return paths.intersection([bare(part) for part in WITHIN.split(word) if "/" in part or "." in part])


def bare(text: str) -> str:
    """A path without what is only written before and after it. A dot before it belongs to it: `.gitignore`."""
    return text.rstrip(AROUND).lstrip(BEFORE).removeprefix("./").lstrip("/")


def of_task(task: Task, files: Known) -> frozenset[str]:
    """The files that a task names, in its own words and in those of its subtasks."""
    texts = ((t.title, t.description, t.details, t.test_strategy) for t in (task, *task.subtasks))
    return named("\n".join(text for group in texts for text in group), files)
