"""JSON of somebody else's: what is not within bounds is an error, and always the same one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magents.core import bounded

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**19), 10**19) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_what_is_within_bounds_is_read(value):
    assert bounded.loads(json.dumps(value)) == value
    assert bounded.loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "nothing", "{", '{"a":1,}', "[" * 100_000, '{"a":' * 100_000, "[" * 65 + "]" * 65, '{"a":' * 65 + "1" + "}" * 65,
        "NaN", "[Infinity]", "-Infinity", "1e999", "-1e999", "9" * 21, "9" * 5000, '{"a":-' + "9" * 5000 + "}",
        '"' + "x" * bounded.MAX_BYTES + '"',
    ],
)  # fmt: skip
def test_what_is_not_is_an_error(text):
    for given_as in (text, text.encode()):
        with pytest.raises(bounded.BadJson):
            bounded.loads(given_as)


def test_the_bounds_themselves_are_within():
    assert bounded.loads("[" * bounded.MAX_DEPTH + "]" * bounded.MAX_DEPTH)
    assert bounded.loads(f"[{'[],' * 1000}1, -{2**64}, {2**64 - 1}]")[-1] == 2**64 - 1
    assert bounded.loads('["[[[[{{{{"]' * 1) == ["[[[[{{{{"]
    assert bounded.loads(b'"\xff"') == "\ufffd"
    with pytest.raises(bounded.BadJson):
        bounded.loads("12345", 4)
