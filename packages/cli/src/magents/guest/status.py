"""What an agent is doing: computed from what it reported and from whether it lives. Pure.

`read` folds an agent's events into a `Report`; `status` puts that together with what the runtime has seen.
Where both leave the matter open, `doubtful` says so, and the caller looks at the screen.
"""

from __future__ import annotations

from magents.core import bounded
from magents.core.agent import Agent
from magents.core.event import Event, Signal
from magents.core.status import UNSETTLED, Status
from magents.core.text import one_line
from magents.core.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from magents.core.status import Reason
    from magents.harnesses.base import Harness

    Presence = Literal["alive", "ended", "absent", "unknown"]

QUIET_S = 4.0
"""Seconds without output after which a harness that should be working is doubted: a harness at work animates its
screen."""
DIALOG_S = 1.5
"""Seconds by which output must be later than a question to mean that somebody may have answered it: by then the
dialog is drawn. tmux tells the time of output in whole seconds, so up to one is added to that."""
FIRST_EVENT_S = 3.0
"""Seconds that a harness gets to report its first event."""
START_S = 60.0
"""Seconds from `launch` in which the wrapper reports its start. If it does not, whoever started the agent was
killed before."""
PROMPTED = "prompt"
"""What the event `launch` carries when the harness was started with a prompt."""
MAX_EXIT_CODE = 255
"""The largest exit code there is."""
END_EVENTS = ("exit", "gone", "stopping")
"""The events by which the wrapper, or the init of a container, reports that the program has ended or is being
ended."""


class Report(NamedTuple):
    """What an agent's log says of its present run."""

    launched_at: float | None = None
    """Unix time at which this run was begun; None if the log does not tell."""
    signal: Signal | None = None
    signal_at: float | None = None
    """Unix time of the event behind `signal`."""
    exit_code: int | None = None
    """The exit code of its program; None while it runs, or when nobody could record it."""
    ended_at: float | None = None
    session: str | None = None
    """The harness's own name for its conversation, of this run or an earlier one."""
    prompts_taken: int = 0
    """How many prompts the harness has acknowledged in the part of the log that was read."""
    prompted: bool = False
    """Whether this run was begun with a prompt."""
    harness_spoke: bool = False
    """Whether the harness itself has reported anything in this run."""
    run: str | None = None
    """The wrapper's name of this run; '' from a wrapper that gives none, None before the wrapper has reported its
    start."""
    unreadable: str = ""
    """Why its log cannot be read; then nothing else of this report is known."""


class Facts(NamedTuple):
    """All that is known of an agent at one moment."""

    agent: Agent
    report: Report
    harness_reports: bool
    """Whether its harness reports events at all."""
    reports_prompts: bool
    """Whether its harness reports that it has begun to work on a prompt."""
    presence: Presence
    """`ended`: its terminal is there, its program has ended; `unknown`: its runtime could not be asked."""
    last_output: float = 0.0
    """Unix time of its terminal's last output, in whole seconds."""
    workspace: bool = True
    """Whether its workspace is there."""
    boot: str = ""
    """The machine's present boot."""
    busy: bool = False
    """Whether a command is at work on it."""
    on_screen: Signal | None = None
    """What its screen shows, if someone has looked."""
    runtime_note: str = ""
    """What the runtime has to say of it."""


def read(events: Iterable[Event], harness: Harness) -> Report:
    """Fold a log, oldest event first.

    An event of an earlier run that comes after the start of the next run does not count.
    """
    report = before = Report()
    asked: Event | None = None
    for event in events:
        if event.by == "magents" and event.name == "withdrawn":
            report = before  # the start failed
        elif event.by == "magents" and event.name == "launch":
            before = report
            report = Report(
                launched_at=event.at,
                session=report.session,
                prompts_taken=report.prompts_taken,
                prompted=event.data == PROMPTED,
            )
            asked = None
        elif event.by == "wrapper" and event.name == "start":
            report = report._replace(run=event.run)
        elif late(event, report):
            continue
        elif event.by == "wrapper" and event.name in END_EVENTS:
            if report.ended_at is None:
                report = report._replace(exit_code=parse_exit_code(event.data), ended_at=event.at)
        elif event.by == harness.name:
            report = report._replace(
                session=None if forgotten(event, report, harness) else harness.session(event) or report.session,
                prompts_taken=report.prompts_taken + harness.takes(event),
                harness_spoke=True,
            )
            signal = harness.read(event)
            if signal is None or (asked and signal.state == "working" and not harness.settles(asked, event)):
                continue
            asked = event if signal.state == "waiting" else None
            report = report._replace(signal=signal, signal_at=event.at)
    return report


def forgotten(event: Event, report: Report, harness: Harness) -> bool:
    """Whether the harness says that it does not have the conversation it was to go on with."""
    return not report.harness_spoke and harness.forgets(event)


def late(event: Event, report: Report) -> bool:
    """Whether an event belongs to an earlier run than the report."""
    if not event.run or (report.launched_at is None and report.run is None):
        return False
    return event.run != report.run


def parse_exit_code(data: str) -> int | None:
    """The exit code in a wrapper's report; None when there is none, or one that no program ends with."""
    try:
        code = bounded.loads(data)["code"]
    except (ValueError, TypeError, KeyError):
        return None
    return code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= MAX_EXIT_CODE else None


def presence(there: bool, alive: bool, report: Report, now: float) -> Presence:
    """`alive`, `ended` or `absent`: whether its terminal is `there`, and its program seems `alive` to the runtime.

    The wrapper may report the end before anybody sees it; in a container only the wrapper can tell. A program whose
    wrapper reports no start in time was never started.
    """
    if not there:
        return "absent"
    begun = report.launched_at is None or report.run is not None
    missing = not begun and now - (report.launched_at or 0) > START_S
    return "alive" if alive and report.ended_at is None and not missing else "ended"


def doubtful(facts: Facts, now: float) -> bool:
    """Whether only the screen can tell: no hook says that a question was answered by a click, that a turn
    was interrupted, or that the harness asks something before its first event."""
    report = facts.report
    if facts.presence != "alive" or facts.agent.phase != "active" or not facts.workspace:
        return False
    if report.unreadable or not facts.harness_reports:
        return False
    if report.signal is None:
        return now - (report.launched_at or 0) > FIRST_EVENT_S
    if report.signal.failed or report.signal.end_is_reported:  # after a failure, the empty input looks like done
        return False
    if report.signal.state == "waiting" or (report.signal.state == "done" and not facts.reports_prompts):
        drawn_at = (report.signal_at or 0) + DIALOG_S
        return now > drawn_at and facts.last_output + 1 > drawn_at
    return report.signal.state == "working" and now - max(facts.last_output, report.signal_at or 0) > QUIET_S


def with_screen(facts: Facts, signal: Signal | None, now: float) -> Facts:
    """The facts with what the screen shows. A harness that has just come up shows an empty input before it
    takes the prompt that it was started with: that is not done yet."""
    early = facts.report.prompted and facts.report.signal is None and now - facts.last_output < QUIET_S
    return facts if early and signal and signal.state == "done" else facts._replace(on_screen=signal)


def status(facts: Facts) -> Status:
    """What the agent is doing."""
    agent, report = facts.agent, facts.report
    if agent.phase in UNSETTLED:
        return of_unsettled(facts)
    if facts.presence == "unknown":
        return Status("lost", f"{agent.runtime} cannot be asked", reason="unreachable")
    if facts.presence == "alive" and facts.workspace:
        return with_note(of_living(facts), facts.runtime_note)
    if not facts.workspace:
        return Status("lost", f"its workspace is gone: {one_line(agent.workspace)}", reason="workspace-gone")
    if agent.phase == "stopped":
        return Status("stopped")
    if facts.presence == "ended":
        return of_ended(report)
    if facts.boot and agent.boot and facts.boot != agent.boot:
        return Status("lost", "the machine was restarted", reason="restarted")
    return Status("lost", facts.runtime_note or "its terminal is gone", reason="terminal-gone")


def last_sign(facts: Facts) -> float:
    """Unix time of the last sign of it in this run: an event or output; 0 when there was none."""
    return max(facts.last_output, facts.report.signal_at or 0.0, facts.report.launched_at or 0.0)


def of_unsettled(facts: Facts) -> Status:
    """A command is at work on it, or was killed in the middle."""
    phase = facts.agent.phase
    assert phase == "creating" or phase == "removing" or phase == "restoring"
    if facts.busy:
        return Status(phase)
    return Status(phase, "interrupted; the next command, or `magents doctor --fix`, mends it", reason="interrupted")


def of_living(facts: Facts) -> Status:
    """Its program runs."""
    report, signal, shown = facts.report, facts.report.signal, facts.on_screen
    reason: Reason
    if report.unreadable:
        return Status("running", one_line(report.unreadable), reason="unreadable")
    if signal is None and not facts.harness_reports:
        return Status("running", since=report.launched_at)
    if shown is not None and (signal is None or shown.state != signal.state):
        reason = "on-screen" if shown.state == "done" and signal and signal.state == "working" else ""
        return Status(shown.state, one_line(shown.detail), facts.last_output or None, reason)
    if signal is None:
        return Status("working", "starting", report.launched_at, "starting")
    reason = "turn-failed" if signal.failed else ""
    return Status(signal.state, one_line(signal.detail), report.signal_at, reason)


def with_note(status: Status, note: str) -> Status:
    """The status with what the runtime has to say before its own detail."""
    return status._replace(detail=f"{note}; {status.detail}" if status.detail else note) if note else status


def of_ended(report: Report) -> Status:
    """Its program has ended by itself."""
    code = report.exit_code
    if code is None:
        return Status("failed", "its program ended, nobody knows how", reason="exit")
    signal = f" (signal {code - 128})" if code > 128 else ""
    return Status("failed" if code else "done", f"exit code {code}{signal}", report.ended_at, "exit", code)
