"""Seeing what agents do: the log, read while tmux is asked, and the look itself tell one story."""

from __future__ import annotations

from conftest import until
from magents.fleet import look


def test_an_end_that_came_after_its_log_was_read(fleet, project):
    """The log is read before the terminal is seen: an end in between is looked up, and its exit code told."""
    agent = fleet.create("one", folder=str(project), command=("sh", "-c", "read x; exit 3"))
    context = fleet.context
    places, logs = look.placed(context, [agent]), look.Logs(context)
    logs.read(places)
    fleet.context.terminal(agent).keys(agent.id, "Enter")

    def ended() -> look.Seen | None:
        seen = look.observe([agent])
        return None if seen.sightings["tmux"][0].alive else seen

    [fact] = look.gather(context, places, until(ended), logs)
    assert (fact.seen, fact.report.code) == ("ended", 3)


def test_one_whose_log_was_not_read_meanwhile(fleet, project):
    """A runtime need not do what could be done meanwhile."""
    agent = fleet.create("one", folder=str(project), command=("sleep", "300"))
    places = look.placed(fleet.context, [agent])
    [fact] = look.gather(fleet.context, places, look.observe([agent]), look.Logs(fleet.context))
    assert fact.seen == "alive" and fact.report.launched
