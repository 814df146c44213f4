"""Reading what agents' terminals have shown."""

from __future__ import annotations

from conftest import until
from magents.cli.commands.logs import Follower
from magents.core.text import plain

HOSTILE = r"printf '\033]0;title\007\033[31mred\033[0m \033Pq#0\033\\ \302\2332J end\n'"


def test_logs_are_free_of_control_sequences(fleet, make):
    agent = make(f"{HOSTILE}; exec sleep 300")
    until(lambda: "end" in "".join(fleet.logs(agent)))
    lines = list(fleet.logs(agent))
    assert "red" in lines[0]
    assert [plain(line) for line in lines] == lines
    assert "\x1b[31m" in "".join(fleet.logs(agent, styled=True))
    fleet.stop(agent)
    assert "red" in fleet.logs(agent)[0]
    assert [plain(line) for line in fleet.logs(agent)] == list(fleet.logs(agent))


def test_logs_reach_far_back(fleet, make):
    agent = make("seq 5000; exec sleep 300")
    until(lambda: "5000" in fleet.logs(agent))
    assert list(fleet.logs(agent)) == [str(n) for n in range(1, 5001)]
    fleet.stop(agent)
    assert list(fleet.logs(agent)) == [str(n) for n in range(1, 5001)]
    fleet.remove(agent)
    assert list(fleet.logs(agent)) == [str(n) for n in range(1, 5001)]


def test_logs_of_an_ended_program_keep_its_last_words(fleet, make):
    agent = make("echo first; echo the last words")
    until(lambda: fleet.status(agent).state == "done")
    until(lambda: fleet.logs(agent)[:2] == ["first", "the last words"])


def test_follower_tells_each_line_once(fleet, make):
    agent = make('n=0; while [ $n -lt 300 ]; do n=$((n+1)); echo "line $n"; sleep 0.005; done; exec sleep 300')
    follower, told = Follower([]), []

    def all_told() -> bool:
        told.extend(follower.next(list(fleet.logs(agent))))
        return "line 300" in told

    until(all_told, 30, pause=0.05)
    assert told == [f"line {n}" for n in range(1, 301)]


def test_follower_waits_until_a_line_is_settled():
    follower = Follower(["old", "thinking."])
    assert list(follower.next(["old", "thinking.."])) == []
    assert list(follower.next(["old", "thinking..."])) == []
    assert list(follower.next(["old", "the answer", "> "])) == []
    assert list(follower.next(["old", "the answer", "> "])) == ["the answer", "> "]
    assert list(follower.next(["old", "the answer", "> "])) == []
    assert list(follower.next(["cleared"])) == []
    assert list(follower.next(["cleared"])) == ["cleared"]
