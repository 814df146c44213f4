"""Each of our readers of what an agent can write, with what must be true of whatever it reads.

A reader takes bytes, and fails by an AssertionError, or by any exception that is no MagentsError. A new reader is a
function here, a line in `READERS` and a folder in `corpus/` with at least one file.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from magents import harnesses
from magents.cli.console import safe
from magents.core import bounded, names, text
from magents.core.agent import Agent
from magents.core.errors import MagentsError
from magents.core.event import Event, Signal
from magents.fleet import observe
from magents.git import diff as diffs
from magents.git.pins import format
from magents.git.trust import notice
from magents.git.workspaces import verbs
from magents.guest import events, status, terminal
from magents.runtimes import base
from magents.runtimes.docker import engine, usage
from magents.runtimes.docker.observation import observation
from magents.system.process import Result
from magents.taskmaster import admit, file, parse, plan, sync

AGENT = Agent(
    1, "one", "/p", "b", "main", "c0ffee", True, "claude", (), "docker", "/", 50.0, "active", False, "", ""
)
KINDS = [
    harnesses.harness(name, *where) for name in harnesses.TABLE for where in (("user", "here"), ("image", "there"))
]
STATES = {"working", "waiting", "done", "running", "failed", "stopped", "lost"}


BAD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
"""Unicode's categories Cc and Cs, what turns text around, and tags."""


def printable(text: str, also: str = "") -> None:
    """Nothing that a terminal would obey, or that hides."""
    bad = set(BAD.findall(text)) - set(also)
    assert not bad, bad


def whole(signal: Signal | None) -> None:
    """A signal that can be shown."""
    if signal is not None:
        assert signal.state in {"working", "waiting", "done"}
        assert isinstance(signal.detail, str)


def log(data: bytes) -> None:
    """An agent's event log, from the lines to the status."""
    found = [event for line in data.split(b"\n") if (event := events.parse(line)) is not None]
    for event in found:
        assert math.isfinite(event.at) and 0 <= event.at < events.MAX_TIME_S
        assert all(isinstance(text, str) for text in event[1:])
    for kind in KINDS:
        report = status.read(found, kind)
        assert report.exit_code is None or 0 <= report.exit_code <= 255
        whole(report.signal)
        for seen in ("alive", "ended", "absent", "unknown"):
            facts = status.Facts(AGENT, report, kind.reports, bool(kind.takes_prompt), seen)
            status.doubtful(facts, 1e9)
            now = status.status(facts)
            assert now.state in STATES
            assert len(now.detail) <= 120
            printable(now.detail)


def data(data: bytes) -> None:
    """What came with an event: every harness, every event that it knows."""
    told = data.decode("utf-8", "replace")
    for kind in KINDS[::2]:
        for name in NAMES:
            event = Event(1.0, kind.name, name, told)
            whole(kind.read(event))
            session = kind.session(event)
            assert session is None or (session.isprintable() and len(session) <= 200)
            kind.forgets(event), kind.settles(event, event), kind.saved(event)


NAMES = (
    "SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PermissionRequest", "Elicitation", "Stop",
    "StopFailure", "Interrupt", "Notification", "BeforeTool", "AfterAgent", "Notify", "Prompt", "permission.asked",
    "question.asked", "session.idle", "session.status", "chat.message", "waiting",
)  # fmt: skip


def screen(data: bytes) -> None:
    """What an agent's terminal shows."""
    shown = data.decode("utf-8", "surrogateescape")
    for kind in KINDS[::2]:
        whole(kind.look(shown))
        draft = kind.draft(shown)
        assert isinstance(draft, str)
        kind.holds(draft, "a prompt"), kind.queued(shown)
    kind.holds(shown, "a prompt")


def label(data: bytes) -> None:
    """What a runtime keeps of an agent, and the orphan that is made of it."""
    found = base.parse(data.decode("utf-8", "surrogateescape"))
    assert all(isinstance(k, str) and isinstance(v, str) and "\0" not in v for k, v in found.items())
    observation = base.Observation(found.get("id", "x"), True, 5.0, found)
    agent = observe.adopted("docker", observation)
    assert 0 <= agent.created < events.MAX_TIME_S
    assert names.is_id(agent.harness)
    assert all(isinstance(word, str) for word in agent.command)
    printable(safe(observe.of_orphan(observation).detail), "\n\t")


def containers(data: bytes) -> None:
    """`docker ps`."""
    for row in data.decode("utf-8", "surrogateescape").splitlines():
        if (found := engine.read(row)) is not None:
            assert math.isfinite(engine.unix_time(found.made))
            seen = observation(found)
            assert isinstance(seen.id, str) and math.isfinite(seen.active)
            usage.line(found, "1MiB/2MiB", "1%", "3")


def counters(data: bytes) -> None:
    """The numbers of a container's group."""
    told = data.decode("utf-8", "replace")
    try:
        assert usage.bounded(told) >= 0
    except ValueError:
        assert not told.isascii() or len(told) > 4000  # `measured` takes that for what cannot be read


def panes(data: bytes) -> None:
    """`tmux list-panes`."""
    for row in data.decode("utf-8", "surrogateescape").splitlines():
        if (found := terminal.parse(row)) is not None:
            assert found.pid >= 0 and found.server >= 0 and math.isfinite(found.active)


def tasks(data: bytes) -> None:
    """A list of tasks."""
    document = decoded(data)
    for tag in parse.sections(document):
        try:
            found = parse.tasks(document, tag, "FILE")
        except MagentsError as error:
            str(error)
            continue
        for task in found.every().values():
            printable("".join((task.id, task.title, task.status, task.priority)))
            printable(task.details + task.description, "\n\t")
        plan.plan(found)


def decoded(data: bytes) -> dict[str, Any]:
    """The document, or an empty one."""
    try:
        return file.decode(data.decode("utf-8", "replace"), "FILE")
    except MagentsError:
        return {}


def admitted(data: bytes, known: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The list that is taken over from an agent; None where it is refused."""
    try:
        document = admit.decode(data.decode("utf-8", "replace"), "FILE", 0)
        admit.check(document, known, "FILE")
    except MagentsError as error:
        str(error)
        return None
    return document


def merged(data: bytes) -> None:
    """Two lists brought together: the user's, which can be read, and one that was admitted."""
    base, ours, theirs = (*data.split(b"\n--\n"), b"{}", b"{}", b"{}")[:3]
    known = [decoded(base), decoded(ours)]
    taken = admitted(theirs, known)
    if taken is not None and all(map(readable, known)):
        together = sync.merge(*known, taken)
        assert isinstance(together, dict)
        assert decoded(file.encode(together)) or not together


def readable(document: dict[str, Any]) -> bool:
    """Whether each of its tags is a list of tasks."""
    try:
        for tag in parse.sections(document):
            parse.tasks(document, tag, "FILE")
    except MagentsError:
        return False
    return True


def answer(data: bytes) -> None:
    """What is answered where an agent runs: numbers, names, a diff in numbers, an error."""
    try:
        said = bounded.loads(data, verbs.MAX_ANSWER_BYTES)
    except ValueError:
        said = None
    assert verbs.whole(said, "uncommitted") >= 0
    json.dumps(said)
    error = verbs.refusal("one", "diff", Result(3, b"", data.decode("utf-8", "replace")))
    printable(safe(f"{error.message}\n{error.hint}"), "\n\t")
    assert len(error.message) < 5000 and len(error.hint) <= 400


def pin(data: bytes) -> None:
    """What a pin says of itself."""
    try:
        meta = format.parse("refs/magents/one/20260131T120000.000Z", data.decode("utf-8", "surrogateescape"))
    except MagentsError as error:
        assert "refs/magents/one/" in error.message
        return
    assert names.is_id(meta.id) and 0 <= meta.taken <= format.MAX_TIME_S
    for path in [*meta.deleted, *meta.nested, *meta.modes, *meta.folders]:
        assert ".." not in path.split("/") and not path.startswith("/") and "\0" not in path


def diff(data: bytes) -> None:
    """What `git diff --raw` and `--numstat` say where an agent runs."""
    for path, old, new in notice.split(io.BytesIO(data)):
        assert all(isinstance(text, str) for text in (path, old, new))
    for change in diffs.numbered(data):
        assert change.added is None or change.added >= 0


def words(data: bytes) -> None:
    """Text that is printed."""
    told = data.decode("utf-8", "surrogateescape")
    printable(text.plain(told), "\n\t")
    printable(safe(told), "\n\t")
    printable(text.one_line(told))
    assert len(text.one_line(told)) <= 120
    colours = text.styled(told)
    printable(colours, "\n\t\x1b")
    assert text.plain(colours) == text.plain(told) and text.styled(colours) == colours


READERS: dict[str, Callable[[bytes], None]] = {
    "log": log, "data": data, "screen": screen, "label": label, "containers": containers, "counters": counters,
    "panes": panes, "tasks": tasks, "merged": merged, "answer": answer, "pin": pin, "diff": diff, "words": words,
}  # fmt: skip
