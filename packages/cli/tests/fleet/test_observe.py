"""Seeing what agents do: the log, read while tmux is asked, and the look itself tell one story."""

from __future__ import annotations

from conftest import until
from magents.fleet import observe


def test_an_end_that_came_after_its_log_was_read(fleet, project):
    """The log is read before the terminal is seen: an end in between is looked up, and its exit code told."""
    agent = fleet.create("one", folder=str(project), command=("sh", "-c", "read x; exit 3"))
    context = fleet.context
    places, logs = observe.placed(context, [agent]), observe.Logs(context)
    logs.read(places)
    fleet.context.terminal(agent).keys(agent.id, "Enter")

    def ended() -> observe.Seen | None:
        seen = observe.ask_runtimes([agent]).result()
        return None if seen.observations["tmux"][0].alive else seen

    [fact] = observe.gather(context, places, until(ended), logs)
    assert (fact.presence, fact.report.exit_code) == ("ended", 3)


def test_one_whose_log_was_not_read_meanwhile(fleet, project):
    """A runtime need not do what could be done meanwhile."""
    agent = fleet.create("one", folder=str(project), command=("sleep", "300"))
    places = observe.placed(fleet.context, [agent])
    [fact] = observe.gather(
        fleet.context, places, observe.ask_runtimes([agent]).result(), observe.Logs(fleet.context)
    )
    assert fact.presence == "alive" and fact.report.launched_at
