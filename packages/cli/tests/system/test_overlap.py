"""Handles of work that goes on beside other work."""

from __future__ import annotations

from threading import Event

import pytest

from magents.system.overlap import begin


def test_it_runs_beside_what_its_caller_does():
    asked, answered = Event(), Event()

    def answer(word: str) -> str:
        assert asked.wait(30)
        answered.set()
        return word

    handle = begin(answer, "yes")
    asked.set()
    assert answered.wait(30)
    assert [handle.result(), handle.result()] == ["yes", "yes"]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_its_error_is_raised_where_the_result_is_asked_for(error):
    def fail() -> None:
        raise error

    handle = begin(fail)
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            handle.result()
        assert caught.value is error
