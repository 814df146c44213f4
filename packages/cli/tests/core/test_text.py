"""What an agent prints never reaches the user's terminal as a command to it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from magents.core.text import one_line, plain

BITS = st.sampled_from(
    ["\x1b", "[", "]", "P", "X", "^", "_", "\\", "\x07", "\x9b", "\x9c", "\x9d", "\x90", "0;", "31m", "m", "?25l", "(", "B", "c",
     "a", " ", "\n", "\t", "\r", "\x08", "\x00", "\x7f", "é", "\u202e", "\u2066", "\ud800", "52;c;", "!p"]
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=[])) | st.lists(BITS, max_size=30).map("".join)


@given(TEXTS)
@example("\x1b\x1b[31m[31m")
@example("\x1b[\x1b]0;x\x07m")
@example("\x1b]0;never ended")
def test_no_control_character_is_left(text):
    left = plain(text)
    assert [c for c in left if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\t\n"] == []
    assert not set(left) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    left.encode()
    assert plain(left) == left


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf"])))
def test_what_is_harmless_stays(text):
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[38;2;1;2;3mrgb\x1b[m", "rgb"),
        ("a\x1b[2J\x1b[Hb", "ab"),  # clears the screen
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]0;a title\x1b\\text", "text"),
        ("\x9d0;a title\x9ctext", "text"),
        ("\x1b]52;c;cm0gLXJmIH4=\x07text", "text"),  # writes to the clipboard
        ("\x1b]8;;http://evil\x1b\\shown\x1b]8;;\x1b\\", "shown"),  # a link that leads elsewhere
        ("\x1bP$q m\x1b\\text", "text"),  # asks the terminal, which types its answer
        ("\x1bP+q544e\x1b\\text", "text"),
        ("\x1b[6n\x1b[cx", "x"),
        ("\x1b_G payload\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\x", "x"),
        ("\x9b31mred", "red"),
        ("\x1bcreset\x1b(0\x1b7", "reset"),
        ("a\rb\x08c\x7fd", "abcd"),  # overwrites what stands there
        ("\x1b[31", "31"),  # cut off: ESC and `[` go, the rest is text
        ("rm \u202e-fr\u202c", "rm -fr"),
        ("\x1b[?1049h\x1b[>4;2mx", "x"),
        ("tab\tnew\nline", "tab\tnew\nline"),
    ],
)  # fmt: skip
def test_known_attacks(text, left):
    assert plain(text) == left


@given(TEXTS, st.integers(2, 200))
def test_one_line(text, longest):
    line = one_line(text, longest)
    assert len(line) <= longest
    assert "\n" not in line
    assert "\t" not in line
    assert plain(line) == line
    assert line == line.strip()


def test_what_is_cut_off_shows_it():
    assert one_line("word " * 100, 12) == "word word w…"
    assert one_line("  a \n\n b\t") == "a b"
