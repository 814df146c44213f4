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

    from magents.core.status import Reason
    from magents.harnesses.base import Harness

QUIET = 4.0
"""Seconds without output after which a harness that should be working is doubted: theirs animate."""
HELD = 1.5
"""Seconds by which output must be later than a question to mean that something may have happened to it: by
then its dialog is drawn. tmux tells the time of output in whole seconds, so up to one is added to that."""
READY = 3.0
"""Seconds that a harness gets to report its first event."""
STARTS = 60.0
"""Seconds from `launch` in which the wrapper tells of its start; else whoever started it was killed before."""
PROMPTED = "prompt"
"""What the event `launch` carries when the harness was started with a prompt."""
MAX_CODE = 255
"""The largest exit code there is."""
ENDS = ("exit", "gone", "stopping")
"""What the wrapper, or the init of a container, says when the program has ended or is being ended."""


class Report(NamedTuple):
    """What an agent's log says of its present run."""

    launched: float | None = None
    """Unix time at which this run was begun; None if the log does not tell."""
    signal: Signal | None = None
    at: float | None = None
    """Unix time of the event behind `signal`."""
    code: int | None = None
    """The exit code of its program; None while it runs, or when nobody could record it."""
    ended: float | None = None
    session: str | None = None
    """The harness's own name for its conversation, of this run or an earlier one."""
    taken: int = 0
    """How many prompts the harness has acknowledged in the part of the log that was read."""
    prompted: bool = False
    """Whether this run was begun with a prompt."""
    heard: bool = False
    """Whether the harness itself has reported anything in this run."""
    run: str | None = None
    """The wrapper's name of this run; '' from one that gives none, None before it has told of its start."""
    unread: str = ""
    """Why what it has written cannot be read; then nothing else of this is known."""


class Facts(NamedTuple):
    """All that is known of an agent at one moment."""

    agent: Agent
    report: Report
    reports: bool
    """Whether its harness reports events at all."""
    tells: bool
    """Whether these tell that it has begun to work on a prompt."""
    seen: str
    """`alive`, `ended` (its terminal is there, its program has ended), `absent`, or `unknown`."""
    active: float = 0.0
    """Unix time of its terminal's last output, in whole seconds."""
    workspace: bool = True
    """Whether its workspace is there."""
    boot: str = ""
    """The machine's present boot."""
    busy: bool = False
    """Whether a command is at work on it."""
    look: Signal | None = None
    """What its screen shows, if someone has looked."""
    note: str = ""
    """What the runtime has to say of it."""


def read(events: Iterable[Event], harness: Harness) -> Report:
    """Fold a log, oldest event first.

    What is late, because the run it tells of was over when the next one began, does not count.
    """
    report = before = Report()
    asked: Event | None = None
    for event in events:
        if event.by == "magents" and event.name == "withdrawn":
            report = before  # the start failed
        elif event.by == "magents" and event.name == "launch":
            before = report
            report = Report(
                launched=event.at, session=report.session, taken=report.taken, prompted=event.data == PROMPTED
            )  # fmt: skip
            asked = None
        elif event.by == "wrapper" and event.name == "start":
            report = report._replace(run=event.run)
        elif late(event, report):
            continue
        elif event.by == "wrapper" and event.name in ENDS:
            if report.ended is None:
                report = report._replace(code=exit_code(event.data), ended=event.at)
        elif event.by == harness.name:
            report = report._replace(
                session=None if forgotten(event, report, harness) else harness.session(event) or report.session,
                taken=report.taken + (event.name in harness.takes_prompt),
                heard=True,
            )
            signal = harness.read(event)
            if signal is None or (asked and signal.state == "working" and not harness.settles(asked, event)):
                continue
            asked = event if signal.state == "waiting" else None
            report = report._replace(signal=signal, at=event.at)
    return report


def forgotten(event: Event, report: Report, harness: Harness) -> bool:
    """Whether the harness says that it does not have the conversation it was to go on with."""
    return not report.heard and harness.forgets(event)


def late(event: Event, report: Report) -> bool:
    """Whether an event is of a run before the one that the report is of."""
    if not event.run or (report.launched is None and report.run is None):
        return False
    return event.run != report.run


def exit_code(data: str) -> int | None:
    """The exit code in a wrapper's report; None when there is none, or one that no program ends with."""
    try:
        code = bounded.loads(data)["code"]
    except (ValueError, TypeError, KeyError):
        return None
    return code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= MAX_CODE else None


def presence(there: bool, alive: bool, report: Report, now: float) -> str:
    """`alive`, `ended` or `absent`, where its terminal is `there` and its program seems `alive`.

    The wrapper may have told of the end before anybody sees it, and in a container only it can tell; one that never
    told of its start was never started.
    """
    if not there:
        return "absent"
    begun = report.launched is None or report.run is not None
    missing = not begun and now - (report.launched or 0) > STARTS
    return "alive" if alive and report.ended is None and not missing else "ended"


def doubtful(facts: Facts, now: float) -> bool:
    """Whether only the screen can tell: no hook says that a question was answered by a click, that a turn
    was interrupted, or that the harness asks something before its first event."""
    report = facts.report
    if facts.seen != "alive" or not facts.reports or facts.agent.phase != "active" or not facts.workspace:
        return False
    if report.unread:
        return False
    if report.signal is None:
        return now - (report.launched or 0) > READY
    if report.signal.failed:  # its empty input looks like that of one that is done
        return False
    if report.signal.state == "waiting" or (report.signal.state == "done" and not facts.tells):
        told = (report.at or 0) + HELD
        return now > told and facts.active + 1 > told
    return report.signal.state == "working" and now - max(facts.active, report.at or 0) > QUIET


def seen_on_screen(facts: Facts, seen: Signal | None, now: float) -> Facts:
    """The facts with what the screen shows. A harness that has just come up shows an empty input before it
    takes the prompt that it was started with: that is not done yet."""
    early = facts.report.prompted and facts.report.signal is None and now - facts.active < QUIET
    return facts if early and seen and seen.state == "done" else facts._replace(look=seen)


def status(facts: Facts) -> Status:
    """What the agent is doing."""
    agent, report = facts.agent, facts.report
    if agent.phase in UNSETTLED:
        return transitional(facts)
    if facts.seen == "unknown":
        return Status("lost", f"{agent.runtime} cannot be asked", reason="unreachable")
    if facts.seen == "alive" and facts.workspace:
        return noted(of_living(facts), facts.note)
    if not facts.workspace:
        return Status("lost", f"its workspace is gone: {one_line(agent.workspace)}", reason="workspace-gone")
    if agent.phase == "stopped":
        return Status("stopped")
    if facts.seen == "ended":
        return of_ended(report)
    if facts.boot and agent.boot and facts.boot != agent.boot:
        return Status("lost", "the machine was restarted", reason="restarted")
    return Status("lost", facts.note or "its terminal is gone", reason="terminal-gone")


def stirred(facts: Facts) -> float:
    """Unix time of the last that was heard or seen of it in this run; 0 when nothing was."""
    return max(facts.active, facts.report.at or 0.0, facts.report.launched or 0.0)


def transitional(facts: Facts) -> Status:
    """A command is at work on it, or was killed in the middle."""
    phase = facts.agent.phase
    assert phase == "creating" or phase == "removing" or phase == "restoring"
    if facts.busy:
        return Status(phase)
    return Status(phase, "interrupted; the next command, or `magents doctor --fix`, mends it", reason="interrupted")


def of_living(facts: Facts) -> Status:
    """Its program runs."""
    report = facts.report
    if report.unread:
        return Status("running", one_line(report.unread), reason="unreadable")
    if report.signal is None and not facts.reports:
        return Status("running", since=report.launched)
    if facts.look is not None and (report.signal is None or facts.look.state != report.signal.state):
        unsaid = facts.look.state == "done" and report.signal is not None and report.signal.state == "working"
        reason: Reason = "on-screen" if unsaid else ""
        return Status(facts.look.state, one_line(facts.look.detail), facts.active or None, reason)
    if report.signal is None:
        return Status("working", "starting", report.launched, "starting")
    why: Reason = "turn-failed" if report.signal.failed else ""
    return Status(report.signal.state, one_line(report.signal.detail), report.at, why)


def noted(found: Status, note: str) -> Status:
    """The status with what the runtime has to say before its own detail."""
    return found._replace(detail=f"{note}; {found.detail}" if found.detail else note) if note else found


def of_ended(report: Report) -> Status:
    """Its program has ended by itself."""
    code = report.code
    if code is None:
        return Status("failed", "its program ended, nobody knows how", reason="exit")
    signal = f" (signal {code - 128})" if code > 128 else ""
    return Status("failed" if code else "done", f"exit code {code}{signal}", report.ended, "exit", code)
