"""Names: ours claims nothing valid that git, DNS or a container engine would refuse."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from magents.core.errors import UsageError
from magents.core.names import LONGEST_ID, check_branch, check_id, free, session, slug
from magents.core.text import plain

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

# Made of the very characters and words that the rules are about, so that each is met.
PARTS = st.sampled_from(
    [
        *"abZ09._-+/@{}~^:?*[\\ \t\n\x00\x1f\x7f'\"$#",
        "..",
        "@{",
        "//",
        "/.",
        ".lock",
        ".lock/",
        "HEAD",
        "refs/heads/",
        "é",
        "日",
        "\x85",
    ]
)
NAMES = st.lists(PARTS, min_size=1, max_size=8).map("".join)


def git_takes(name: str) -> bool:
    argv = ["git", "check-ref-format", "--branch", name]
    return subprocess.run(argv, capture_output=True, cwd="/", check=False).returncode == 0


def claimed(name: str) -> bool:
    try:
        return check_branch(name) == name
    except UsageError as error:
        assert plain(error.message) == error.message
        return False


@settings(max_examples=150)  # a process each
@given(NAMES)
@example("HEAD")
@example("@")
@example("-x")
@example("a/-x")
@example("x.lock")
@example("x.lock/y")
@example("x/")
@example("refs/heads/x")
def test_branches_are_those_of_git(name):
    # Git takes `@` for HEAD.
    assert claimed(name) == (name != "@" and "\0" not in name and git_takes(name))


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=[]), max_size=300))
def test_any_text_is_a_branch_or_refused(name):
    if claimed(name):
        os.fsencode(name).decode()
        assert name.isprintable() or not re.search(r"[\x00-\x20\x7f]", name)


@pytest.mark.parametrize(("name", "reason"), [
    ("", "cannot be a branch"), ("a b", "git does not allow ` ` there"), ("a..b", r"`\.\.`"),
    ("é" * 121, "too long"), ("\udcff", "not UTF-8"), ("a\x1b[31m", r"\\x1b"),
])  # fmt: skip
def test_the_reason_is_told(name, reason):
    with pytest.raises(UsageError, match=reason):
        check_branch(name)


@given(st.text(max_size=70) | st.text("abz09-", max_size=70))
def test_an_id_is_a_label_a_container_and_part_of_a_branch(text):
    try:
        id = check_id(text)
    except UsageError as error:
        assert not re.fullmatch(rf"(?!-)[a-z0-9-]{{1,{LONGEST_ID}}}(?<!-)", text)
        assert error.exit_code == 2
        return
    assert id == text
    assert DNS_LABEL.fullmatch(session(id))
    assert DNS_LABEL.fullmatch(id)
    assert CONTAINER.fullmatch(session(id))
    assert check_branch(f"magents/{id}")


@given(st.text())
def test_a_slug_is_an_id(text):
    try:
        made = slug(text)
    except UsageError:
        assert not re.search(r"[a-zA-Z0-9]", text)
    else:
        assert check_id(made) == made


@pytest.mark.parametrize(("branch", "id"), [
    ("feature/my-feature", "feature-my-feature"), ("Feature/My_Feature", "feature-my-feature"), ("--x--", "x"),
    ("ünïcödé", "unicode"), ("a" * 80, "a" * 55), ("a" * 54 + "-b", "a" * 54), ("日本/1", "1"), ("…/a.b", "a-b"),
])  # fmt: skip
def test_slugs(branch, id):
    assert slug(branch) == id


@pytest.mark.parametrize("branch", ["日本", "///", "", "-"])
def test_nothing_to_make_an_id_of(branch):
    with pytest.raises(UsageError, match="No id can be made"):
        slug(branch)


@given(st.from_regex(rf"[a-z0-9]([a-z0-9-]{{0,{LONGEST_ID - 2}}}[a-z0-9])?", fullmatch=True), st.integers(0, 120))
def test_free(wanted, others):
    taken: set[str] = set()
    for _ in range(others):
        taken.add(free(wanted, taken))
    found = free(wanted, taken)
    assert found not in taken
    assert check_id(found) == found
    assert len(taken) == others


def test_free_counts_from_two():
    assert [free("a", taken) for taken in ([], ["a"], ["a", "a-2"], ["a-2"])] == ["a", "a-2", "a-3", "a"]
