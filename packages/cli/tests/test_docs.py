"""The documentation says what is: links lead somewhere, command lines parse, settings and fields exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from magents import config, harnesses
from magents.cli import parser

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "packages/cli/README.md"])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
VARIABLES = {"STATE", "CONFIG", "ID", "FOLDER", "EVENT", "BRANCH", "PROJECT", "HOSTED", "VERBOSE"}
"""What `MAGENTS_…` can be besides a setting."""


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def titles(page: Path) -> set[str]:
    return set(re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles(page)}


def command_lines(page: Path) -> Iterator[str]:
    """What a user would type: lines of the page's code blocks, and `magents …` within its text."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"`(magents \w[^`]*)`", FENCE.sub("", text))
    yield from (line for line in inline if "COMMAND" not in line)
    for language, block in FENCE.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if language == "console":
            yield from (line[2:] for line in lines if line.startswith("$ "))
        elif language == "sh":
            yield from lines


def calls(line: str) -> Iterator[list[str]]:
    """The words of each call of Magents in a shell's line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;()<>"):
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words and words[0] in ("magents", "bin/magents"):
                yield words[1:]
            words = []
        else:
            words.append(word)


def test_command_reference_is_current():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


CALLS = [(page, words) for page in PAGES for line in command_lines(page) for words in calls(line)]


@pytest.mark.parametrize(("page", "words"), CALLS, ids=[f"{page.stem}: {shlex.join(w)}" for page, w in CALLS])
def test_command_lines_parse(page, words, capsys):
    try:
        parser.parse(words)
    except SystemExit as done:
        assert done.code == 0


def test_enough_is_checked():
    assert len(CALLS) > 100


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_settings_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\bMAGENTS_([A-Z_]+)\b", text):
        assert name in config.known() or name in VARIABLES, name
    for name in re.findall(r"\bmagents\.([a-z]+) '", text):
        assert config.known()[name.upper()].per_project, name


def test_settings_that_are_set_may_be():
    for _, words in CALLS:
        for given in parser.parse(words).set or [] if words[:1] == ["config"] else []:
            config.check(*given.split("=", 1))


def test_each_setting_is_explained():
    assert set(config.known()) <= titles(ROOT / "docs/configuration.md")


def test_each_harness_is_explained():
    assert set(harnesses.TABLE) - {"command"} <= anchors(ROOT / "docs/harnesses.md")
