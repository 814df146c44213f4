"""The one table that says what an agent is doing."""

from __future__ import annotations

import pytest

from magents.core.agent import Agent
from magents.core.event import Event, Signal
from magents.core.status import Status
from magents.guest.status import (
    DIALOG_S,
    FIRST_EVENT_S,
    QUIET_S,
    Facts,
    Report,
    doubtful,
    parse_exit_code,
    read,
    status,
)
from magents.harnesses import harness

AGENT = Agent(
    1,
    "one",
    "/p",
    "b",
    "main",
    "c0ffee",
    True,
    "claude",
    (),
    "tmux",
    "/p-agents/one",
    50.0,
    "active",
    False,
    "boot-1",
    "",
)
ASKS = Signal("waiting", "Bash: rm x")


def facts(*, phase="active", seen="alive", reports=True, tells=True, workspace=True, boot="boot-1", busy=False, active=0.0, look=None,
          signal=None, at=None, launched=100.0, code=None, ended=None, agent=AGENT, unread=""):  # fmt: skip
    report = Report(
        launched_at=launched, signal=signal, signal_at=at, exit_code=code, ended_at=ended, unreadable=unread
    )  # fmt: skip
    return Facts(agent._replace(phase=phase), report, reports, tells, seen, active, workspace, boot, busy, look)


CASES = {
    # it lives
    "no event yet": (facts(), Status("working", "starting", 100.0, "starting")),
    "working": (facts(signal=Signal("working"), at=110.0), Status("working", "", 110.0)),
    "waiting, with what it asks": (facts(signal=ASKS, at=120.0), Status("waiting", "Bash: rm x", 120.0)),
    "its turn is over": (facts(signal=Signal("done", "All\ndone \x1b[31m!"), at=130.0), Status("done", "All done !", 130.0)),
    "a program that reports nothing": (facts(reports=False), Status("running", "", 100.0)),
    "that reports nothing by itself, but was made to": (facts(reports=False, signal=ASKS, at=1.0), Status("waiting", "Bash: rm x", 1.0)),
    "that reports nothing, no launch": (facts(reports=False, launched=None), Status("running")),
    "the screen says it goes on": (
        facts(signal=ASKS, at=120.0, look=Signal("working"), active=125.0), Status("working", "", 125.0)),
    "the screen says the same": (
        facts(signal=ASKS, at=120.0, look=Signal("waiting", "?"), active=125.0), Status("waiting", "Bash: rm x", 120.0)),
    "the screen asks before any event": (
        facts(look=Signal("waiting", "Trust this folder?"), active=105.0), Status("waiting", "Trust this folder?", 105.0)),
    "only the screen says that its turn is over": (
        facts(signal=Signal("working"), at=120.0, look=Signal("done"), active=125.0), Status("done", "", 125.0, "on-screen")),
    "alive although stopped by the user": (facts(phase="stopped", signal=ASKS, at=1.0), Status("waiting", "Bash: rm x", 1.0)),
    # its program has ended
    "ended well": (facts(seen="ended", code=0, ended=140.0), Status("done", "exit code 0", 140.0, "exit", 0)),
    "ended badly": (facts(seen="ended", code=3, ended=140.0), Status("failed", "exit code 3", 140.0, "exit", 3)),
    "killed": (facts(seen="ended", code=137, ended=140.0), Status("failed", "exit code 137 (signal 9)", 140.0, "exit", 137)),
    "its log cannot be read, it runs": (
        facts(signal=ASKS, unread="its log can't be read: too\nlong"), Status("running", "its log can't be read: too long", reason="unreadable")),
    "its log cannot be read, it has ended": (
        facts(seen="ended", unread="x"), Status("failed", "its program ended, nobody knows how", reason="exit")),
    "ended, nobody knows how": (facts(seen="ended"), Status("failed", "its program ended, nobody knows how", reason="exit")),
    "ended beats what it last said": (
        facts(seen="ended", code=1, ended=140.0, signal=ASKS, at=120.0), Status("failed", "exit code 1", 140.0, "exit", 1)),
    "ended and then stopped": (facts(seen="ended", code=1, phase="stopped"), Status("stopped")),
    # nothing is there
    "stopped": (facts(seen="absent", phase="stopped"), Status("stopped")),
    "server killed": (facts(seen="absent"), Status("lost", "its terminal is gone", reason="terminal-gone")),
    "restarted": (facts(seen="absent", boot="boot-2"), Status("lost", "the machine was restarted", reason="restarted")),
    "restarted while stopped": (facts(seen="absent", phase="stopped", boot="boot-2"), Status("stopped")),
    "boot unknown here": (facts(seen="absent", boot=""), Status("lost", "its terminal is gone", reason="terminal-gone")),
    "boot unknown then": (facts(seen="absent", agent=AGENT._replace(boot="")), Status("lost", "its terminal is gone", reason="terminal-gone")),
    # its workspace
    "workspace gone": (facts(workspace=False), Status("lost", "its workspace is gone: /p-agents/one", reason="workspace-gone")),
    "workspace gone, nothing runs": (facts(workspace=False, seen="absent"), Status("lost", "its workspace is gone: /p-agents/one", reason="workspace-gone")),
    "workspace gone, stopped": (facts(workspace=False, seen="absent", phase="stopped"), Status("lost", "its workspace is gone: /p-agents/one", reason="workspace-gone")),
    # the runtime cannot be asked: silence is not `none`
    "not to be asked": (facts(seen="unknown", signal=ASKS, at=1.0), Status("lost", "tmux cannot be asked", reason="unreachable")),
    # a command is at work
    "being created": (facts(phase="creating", busy=True, seen="absent"), Status("creating")),
    "being removed": (facts(phase="removing", busy=True, workspace=False), Status("removing")),
    "being restored": (facts(phase="restoring", busy=True, seen="unknown"), Status("restoring")),
    "creation cut short": (
        facts(phase="creating"), Status("creating", "interrupted; the next command, or `magents doctor --fix`, mends it", reason="interrupted")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_status(case):
    given, expected = CASES[case]
    assert status(given) == expected


def said(*events):
    """A log: (time, by, name, data) each, and the run where it is known."""
    return [Event(float(at), *rest) for at, *rest in events]


LAUNCH = (100, "magents", "launch", "{}")
START = (100, "wrapper", "start", "{}", "1.1")
PROMPT = (101, "claude", "UserPromptSubmit", '{"session_id":"01234567-89ab-cdef-0123-456789abcdef"}')
ASK = (102, "claude", "PermissionRequest", '{"tool_name":"Bash","tool_input":{"command":"rm x"}}')
OTHER_TOOL = (103, "claude", "PostToolUse", '{"tool_name":"Read","tool_input":{"file_path":"y"}}')
SAME_TOOL = (104, "claude", "PostToolUse", '{"tool_name":"Bash","tool_input":{"command":"rm x"}}')
STOP = (105, "claude", "Stop", '{"last_assistant_message":"Hello"}')
SESSION = "01234567-89ab-cdef-0123-456789abcdef"

LOGS = {
    "empty": ([], Report()),
    "launched": ([LAUNCH], Report(launched_at=100)),
    "prompted": ([LAUNCH, PROMPT], Report(100, Signal("working"), 101, session=SESSION, prompts_taken=1)),
    "asks": ([LAUNCH, PROMPT, ASK], Report(100, ASKS, 102, session=SESSION, prompts_taken=1)),
    "asks while another tool ends": ([LAUNCH, ASK, OTHER_TOOL], Report(100, ASKS, 102)),
    "answered": ([LAUNCH, ASK, OTHER_TOOL, SAME_TOOL], Report(100, Signal("working"), 104)),
    "its turn is over": ([LAUNCH, ASK, STOP], Report(100, Signal("done", "Hello"), 105)),
    "after its question was dropped, the same tool works": ([ASK, STOP, SAME_TOOL], Report(None, Signal("working"), 104)),
    "ended": ([LAUNCH, PROMPT, (106, "wrapper", "exit", '{"code":3}')],
              Report(100, Signal("working"), 101, 3, 106, SESSION, 1)),
    "its container is being stopped": ([LAUNCH, PROMPT, (106, "wrapper", "stopping", "")],
                                       Report(100, Signal("working"), 101, None, 106, SESSION, 1)),
    "ended, told badly": ([(106, "wrapper", "exit", "nonsense")], Report(exit_code=None, ended_at=106)),
    "ended with what is no number": ([(106, "wrapper", "exit", '{"code":"0"}')], Report(exit_code=None, ended_at=106)),
    "ended with a list": ([(106, "wrapper", "exit", "[]")], Report(exit_code=None, ended_at=106)),
    "a new run begins anew, the conversation goes on": (
        [LAUNCH, PROMPT, ASK, (106, "wrapper", "exit", '{"code":3}'), (200, "magents", "launch", "{}")],
        Report(launched_at=200, session=SESSION, prompts_taken=1)),
    "a start that failed is no run": ([LAUNCH, PROMPT, ASK, (200, "magents", "launch", "{}"), (201, "magents", "withdrawn", "")],
                                      Report(100, ASKS, 102, session=SESSION, prompts_taken=1)),
    "a first start that failed": ([LAUNCH, (101, "magents", "withdrawn", "")], Report()),
    "other harnesses do not count": ([LAUNCH, (101, "codex", "Stop", ""), (102, "", "Stop", "")], Report(100)),
    "nor do names it does not know": ([LAUNCH, PROMPT, (103, "claude", "Nonsense", "x")],
                                      Report(100, Signal("working"), 101, session=SESSION, prompts_taken=1)),
    "nobody else can launch or end it": ([(1, "claude", "launch", ""), (2, "claude", "exit", '{"code":1}')], Report()),
    "what is late from the run before": (
        [LAUNCH, START, (*PROMPT, "1.1"), (200, "magents", "launch", "{}"), (*STOP, "1.1"), (201, "wrapper", "start", "", "2.2"),
         (*STOP, "1.1"), (202, "wrapper", "exit", '{"code":137}', "1.1"), (203, "claude", "UserPromptSubmit", "", "2.2"),
         (*STOP, "1.1")],
        Report(200, Signal("working"), 203, session=SESSION, prompts_taken=2, run="2.2")),
    "of this run": ([LAUNCH, START, (*STOP, "1.1")], Report(100, Signal("done", "Hello"), 105, session=None, run="1.1")),
    "a log whose beginning is lost": ([(*PROMPT, "1.1"), STOP], Report(None, Signal("done", "Hello"), 105, session=SESSION, prompts_taken=1)),
    "a conversation that is not there": (
        [LAUNCH, PROMPT, (200, "magents", "launch", "{}"), (201, "claude", "SessionEnd", ""), (202, "wrapper", "exit", '{"code":1}')],
        Report(200, exit_code=1, ended_at=202, prompts_taken=1)),
    "one that was left": ([LAUNCH, PROMPT, (201, "claude", "SessionEnd", "")],
                          Report(100, Signal("working"), 101, session=SESSION, prompts_taken=1)),
    "two prompts": ([LAUNCH, PROMPT, STOP, PROMPT], Report(100, Signal("working"), 101, session=SESSION, prompts_taken=2)),
}  # fmt: skip


@pytest.mark.parametrize("case", LOGS)
def test_read(case):
    log, expected = LOGS[case]
    ran = log[:-2] if log and log[-1][2] == "withdrawn" else log
    heard = any(
        by == "claude" for _, by, *_ in ran[max((i for i, e in enumerate(ran) if e[2] == "launch"), default=-1) :]
    )
    assert read(said(*log), harness("claude")) == expected._replace(harness_spoke=heard)


NOW = 200.0
WORKING, DONE = Signal("working"), Signal("done")
DOUBTS = {
    "just launched": (facts(launched=NOW - FIRST_EVENT_S + 0.1), False),
    "launched and silent": (facts(launched=NOW - FIRST_EVENT_S - 0.1), True),
    "no launch known": (facts(launched=None), True),
    "asks, nothing printed since": (facts(signal=ASKS, at=150.0, active=149.0 + DIALOG_S), False),
    "asks, printed since": (facts(signal=ASKS, at=150.0, active=149.1 + DIALOG_S), True),
    "asks, printed since, in the same whole second": (facts(signal=ASKS, at=150.75, active=152.0), True),
    "asks, its dialog not drawn yet": (facts(signal=ASKS, at=NOW - DIALOG_S + 0.1, active=NOW), False),
    "works and prints": (facts(signal=WORKING, at=100.0, active=NOW - QUIET_S + 0.1), False),
    "works, reported just now": (facts(signal=WORKING, at=NOW - QUIET_S + 0.1), False),
    "works without a sign": (facts(signal=WORKING, at=100.0, active=NOW - QUIET_S - 0.1), True),
    "done": (facts(signal=DONE, at=1.0, active=NOW), False),
    "done, and would not tell of more": (facts(signal=DONE, tells=False, at=1.0, active=NOW), True),
    "done, would not tell of more, but prints nothing": (
        facts(signal=DONE, tells=False, at=NOW, active=NOW),
        False,
    ),
    "reports nothing": (facts(reports=False, launched=1.0), False),
    "does not live": (facts(seen="ended", launched=1.0), False),
    "stopped": (facts(phase="stopped", launched=1.0), False),
    "workspace gone": (facts(workspace=False, launched=1.0), False),
}


@pytest.mark.parametrize("case", DOUBTS)
def test_doubtful(case):
    given, expected = DOUBTS[case]
    assert doubtful(given, NOW) is expected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ('{"code":0}', 0), ('{"code":255}', 255), ('{"code":256}', None), ('{"code":-1}', None), ('{"code":true}', None),
        ('{"code":1.5}', None), ('{"code":' + "9" * 18 + "}", None), ('{"code":' + "9" * 4000 + "}", None),
        ('{"code":' + "9" * 9000 + "}", None), ("[" * 30_000, None), ("", None), ("[]", None), ('{"code":"1"}', None),
    ],
)  # fmt: skip
def test_an_exit_code_that_no_program_ends_with_is_none(data, code):
    assert parse_exit_code(data) == code
