"""Whom the process that brings commits home turns to, and when."""

from __future__ import annotations

from magents.daemon.collector import AT_ONCE, SLOW_AT_ONCE, SLOW_S, Turns, chosen


def turns(took: float = 0.1, due: float = 0.0, *, running: bool = False) -> Turns:
    made = Turns()
    made.took, made.due, made.running = took, due, running
    return made


def test_all_that_may_and_no_more():
    agents = [turns() for _ in range(AT_ONCE + 3)]
    assert chosen(agents, 1.0) == agents[:AT_ONCE]
    for each in agents[:AT_ONCE]:
        each.running = True
    assert chosen(agents, 1.0) == []
    agents[0].running = False
    assert chosen(agents, 1.0) == agents[:1]


def test_who_rests_is_left_alone_and_then_not_forgotten():
    tired = turns(due=5.0)
    assert chosen([tired], 4.9) == []
    assert chosen([tired], 5.0) == [tired]


def test_quick_ones_wait_for_no_slow_one():
    slow = [turns(took=60) for _ in range(20)]
    assert chosen(slow, 1.0) == slow[:SLOW_AT_ONCE]
    for each in slow[:SLOW_AT_ONCE]:
        each.running = True
    quick = turns()
    assert chosen([*slow, quick], 1.0) == [quick]
    new = turns(took=0.0)
    assert chosen([*slow, quick, new], 1.0) == [new, quick]


def test_slow_ones_get_their_turn():
    slow, quick = turns(took=SLOW_S), [turns() for _ in range(AT_ONCE - 1)]
    assert chosen([slow, *quick], 1.0)[-1] == slow
