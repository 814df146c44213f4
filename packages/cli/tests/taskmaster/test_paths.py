"""Which files a text names."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from magents.taskmaster import paths
from magents.taskmaster.model import Task

FILES = paths.known([
    "src/cart.py", "src/shop/cart.py", "README.md", ".gitignore", "Makefile", "run", "app/[id]/page.tsx",
    "(shop)/page.tsx", "docs/my notes.md", "src/a.b/c", "e", ".taskmaster/docs/prd.txt",
])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Change src/cart.py", {"src/cart.py"}),
        ("(src/cart.py), or `src/shop/cart.py`.", {"src/cart.py", "src/shop/cart.py"}),
        ("see src/cart.py:12 and src/shop/cart.py#L3-L9", {"src/cart.py", "src/shop/cart.py"}),
        ("see [the cart](src/cart.py#top) and <README.md>!", {"src/cart.py", "README.md"}),
        ("**README.md**:", {"README.md"}),
        ("'./src/cart.py' /README.md @src/shop/cart.py", {"src/cart.py", "README.md", "src/shop/cart.py"}),
        ("src/cart.py,README.md|src/shop/cart.py", {"src/cart.py", "README.md", "src/shop/cart.py"}),
        ("pytest src/cart.py::test_add --config=README.md", {"src/cart.py", "README.md"}),
        ("the src/cart.py's total", {"src/cart.py"}),
        ("`.gitignore`, .gitignore.", {".gitignore"}),
        ("app/[id]/page.tsx", {"app/[id]/page.tsx"}),
        ("`(shop)/page.tsx`, say", {"(shop)/page.tsx"}),
        ("The Makefile.", {"Makefile"}),
        ("run it, e.g. e", set()),
        ("the script `run`", {"run"}),
        ('see "docs/my notes.md", don\'t we', {"docs/my notes.md"}),
        ("don't forget 'docs/my notes.md'", {"docs/my notes.md"}),
        ("docs/my notes.md", set()),
        ("cart.py, shop/cart.py, src/cart.pyc, xsrc/cart.py, src/Makefile, SRC/CART.PY", set()),
        ("from .taskmaster/docs/prd.txt", set()),
        ("src/a.b/c.", {"src/a.b/c"}),
        ("", set()),
    ],
)
def test_what_is_named(text, want):
    assert paths.named(text, FILES) == want


def test_all_of_a_task_counts():
    task = Task("1", "README.md", "src/cart.py", "Makefile", "src/shop/cart.py", subtasks=(Task("1.1", "x", details="src/a.b/c"),))  # fmt: skip
    assert paths.of_task(task, FILES) == {"README.md", "src/cart.py", "Makefile", "src/shop/cart.py", "src/a.b/c"}


NAMES = some.lists(some.text("ab/.-_ é[]", min_size=1, max_size=8), max_size=6)


@given(NAMES, some.text())
def test_only_files_there_are(names, text):
    assert paths.named(text, paths.known(names)) <= set(names)


@given(
    some.sets(some.from_regex(r"[a-z]{1,6}(/[a-z]{1,6}){0,3}\.[a-z]{1,3}", fullmatch=True), min_size=1, max_size=6)
)
def test_each_one_is_found_among_others(names):
    files = paths.known(names)
    for quote in ("{}", "`{}`", '"{}"', "({}),", "{}:7", "{}."):
        assert paths.named(" and ".join(quote.format(name) for name in names), files) == names


@pytest.mark.parametrize(
    "text", ["a" * 10**6, "'" * 10**6, "`a " * 3 * 10**5, "./" * 5 * 10**5, "a.b:" * 2 * 10**5]
)
def test_a_hostile_text_takes_no_long_time(text):
    start = time.process_time()
    paths.named(text, FILES)
    assert time.process_time() - start < 5
