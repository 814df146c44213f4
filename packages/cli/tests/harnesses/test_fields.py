"""Reading a field out of JSON text that may have been cut off."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magents.harnesses.fields import field, line, shown


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ('{"command":"x"}', "x"),
        ('{"a":{"command":"deep"},"command":"outer"}', "outer"),
        ('{"a":[{"command":"in a list"}]}', "in a list"),
        ('{"a":{"command":"cut off he', "cut off he"),
        ('{"command":"rm \\"x\\"\\n y', 'rm "x" y'),
        ('{"command":"cut in an escape \\u12', "cut in an escape"),
        ('{"command":"\\u00e9t\\u00e9","z', "été"),
        ('{"a":"\\"command\\":\\"in a value\\"","command":"real', "real"),
        ('{"command":""}', None),
        ('{"command":1}', None),
        ('{"other":"x"}', None),
        ("not JSON", None),
        ("[" * 100_000, None),
        ("", None),
    ],
)
def test_field(data, found):
    assert field(data, "command") == found


@given(st.text(), st.integers(0, 400))
def test_what_is_left_of_a_cut_off_field_is_its_beginning(text, cut):
    whole = json.dumps({"other": 'a "command": "b"', "command": text})
    found = field(whole[:cut], "command")
    assert found is None or len(found) <= 200


@given(st.text())
def test_any_text_is_survived(text):
    field(text, "command")
    field('{"command":"' + text, "command")
    field('{"command":"' + text + '"}', "command")


def test_what_comes_out_can_be_printed():
    assert field('{"a":"\\u001b[31mred\\u0007\\u202e"}', "a") == "red"
    assert len(line("x" * 1000)) == 200
    assert shown("\x1b[1mx\x1b[0m  \n\n y \n\n") == "x\n\n y"
