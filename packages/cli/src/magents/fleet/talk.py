"""Talking to agents: prompts that arrive, waiting for them, what their terminals have shown."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from magents.core import text
from magents.core.errors import Conflict, NotDelivered
from magents.core.status import unasked
from magents.fleet import prompts
from magents.fleet.context import SCREEN, Context
from magents.fleet.look import is_alive, look, one
from magents.guest import events
from magents.guest.terminal import Terminal, wait
from magents.system import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from magents.core.model import Agent, State, Status
    from magents.harnesses.base import Harness

Goal = Literal["done", "waiting", "stopped"]
ENDED: frozenset[State] = frozenset({"stopped", "failed", "lost"})
SETTLE = 0.2
"""Seconds between a paste and Enter. Gemini CLI 0.61 takes an Enter 30 ms after it for a part of it."""
TYPED = "typed"
"""Keeps, in an agent's own folder, a prompt from before it is typed until it was taken."""
LINES = 300
"""How many lines of a draft are deleted at most."""
READY = 30.0
"""Seconds a harness gets to come up before a prompt for it is given up."""


class Delivery(NamedTuple):
    """What became of a prompt."""

    how: Literal["acknowledged", "queued", "typed"]
    """acknowledged: the harness has said that it took it. queued: the harness shows that it keeps it until
    its turn is over. typed: it was typed, and this program acknowledges nothing."""


def send(context: Context, agent: Agent, prompt: str, timeout: float = 15.0) -> Delivery:
    """Give an agent a prompt. Raises NotDelivered when it was not taken, and Conflict when the agent cannot
    take one now: it does not run, asks something, or has unsent text in its input."""
    prompts.check(prompt)
    with context.store.lock(agent.id):
        state = one(context, agent)
        if state.state in ENDED or not alive_states(state):
            if unasked(state):
                is_alive(context, agent)  # raises, with what is wrong and what to do
            raise Conflict(f"{agent.id} is {state.state}.", f"Start it: magents start {agent.id}")
        harness, terminal = context.harness(agent), context.terminal(agent)
        if harness.reports:
            check_input(context, agent, harness, terminal)
        if not harness.takes_prompt:
            return type_in(agent, harness, terminal, text.plain(prompt))
        return deliver(context, agent, harness, terminal, text.plain(prompt), timeout)


def alive_states(state: Status) -> bool:
    """Whether there is a program to talk to."""
    return state.state in ("working", "waiting", "running") or (
        state.state == "done" and not state.detail.startswith("exit code")
    )


def check_input(context: Context, agent: Agent, harness: Harness, terminal: Terminal) -> None:
    """Wait until the harness can take text, and see to it that its input is empty.

    Text typed into a question could answer it, and text typed behind a draft would be mixed with it. What a
    killed command has typed and not sent is deleted.
    """
    shown = ""

    def ready() -> bool:
        nonlocal shown
        shown = terminal.screen(agent.id, styled=True)
        return harness.look(shown) is not None

    if not wait(ready, READY, pause=0.1):
        raise NotDelivered(
            f"{agent.id} shows nothing that a prompt could be typed into.", f"Look: magents attach {agent.id}"
        )
    seen = harness.look(shown)
    if seen and seen.state == "waiting":
        raise Conflict(f"{agent.id} asks: {text.one_line(seen.detail)}", f"Answer it: magents attach {agent.id}")
    draft = harness.draft(shown)
    if draft and harness.erase and harness.holds(draft, typed(context, agent)):
        draft = erase(agent, harness, terminal)
    if draft:
        raise Conflict(
            f"The input of {agent.id} holds unsent text: {text.one_line(draft, 60)}",
            f"Send or delete it there: magents attach {agent.id}",
        )


def typed(context: Context, agent: Agent) -> str:
    """The prompt that a command has typed and not seen taken: it was killed, or gave up; '' for none."""
    try:
        with open(os.path.join(context.folder(agent), TYPED), encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def erase(agent: Agent, harness: Harness, terminal: Terminal) -> str:
    """Delete what stands in the input, line by line; what is left of it."""
    left = ""
    for _ in range(LINES):
        terminal.keys(agent.id, *harness.erase)
        time.sleep(0.05)
        left = harness.draft(terminal.screen(agent.id, styled=True))
        if not left:
            break
    return left


def type_in(agent: Agent, harness: Harness, terminal: Terminal, prompt: str) -> Delivery:
    """Type it for a program that acknowledges nothing. Raises NotDelivered when it can be seen to stay."""
    terminal.paste(agent.id, prompt)
    time.sleep(SETTLE)
    terminal.keys(agent.id, "Enter")
    if not wait(lambda: not harness.draft(terminal.screen(agent.id, styled=True)), 5.0, pause=0.1):
        raise NotDelivered(f"{agent.id} still has the prompt in its input.", f"Look: magents attach {agent.id}")
    return Delivery("typed")


def deliver(
    context: Context, agent: Agent, harness: Harness, terminal: Terminal, prompt: str, timeout: float
) -> Delivery:
    """Type it, and see to it that it is taken. Should this be killed meanwhile, the next one knows what stands in
    the input."""
    guarded.write(context.folder(agent), TYPED, prompt)
    delivery = submit(context, agent, harness, terminal, prompt, timeout)
    os.unlink(os.path.join(context.folder(agent), TYPED))
    return delivery


def submit(
    context: Context, agent: Agent, harness: Harness, terminal: Terminal, prompt: str, timeout: float
) -> Delivery:
    """Type it, press Enter, and wait for the harness's word; press Enter again if the first was lost."""
    folder = context.desk(agent).here
    before = events.size(folder)
    terminal.paste(agent.id, prompt)
    # Enter in the same breath can be taken for a part of the paste.
    wait(lambda: bool(harness.draft(terminal.screen(agent.id, styled=True))), 2.0, pause=0.05)
    time.sleep(SETTLE)
    until = time.monotonic() + timeout
    pressed = 0.0
    while time.monotonic() < until:
        if time.monotonic() - pressed > 2.0 and (
            not pressed or harness.draft(terminal.screen(agent.id, styled=True))
        ):
            terminal.keys(agent.id, "Enter")
            pressed = time.monotonic()
        if any(e.by == harness.name and e.name in harness.takes_prompt for e in events.read(folder, after=before)):
            return Delivery("acknowledged")
        if harness.queued(terminal.screen(agent.id, styled=True)):
            return Delivery("queued")
        time.sleep(0.05)
    if not context.report(agent).heard and not harness.draft(terminal.screen(agent.id, styled=True)):
        return Delivery("typed")  # its hooks do not run here, so nothing could acknowledge it
    raise NotDelivered(
        f"{agent.id} did not take the prompt within {timeout:.0f} s.",
        f"It may still stand in its input: magents attach {agent.id}",
    )


def reached(state: Status, goal: Goal) -> bool | None:
    """Whether an agent is where `wait` wants it; None when it cannot get there by itself any more. Of one that
    cannot be asked for, neither is known."""
    if unasked(state):
        return False
    if goal == "stopped":
        return state.state in ENDED or (state.state == "done" and not alive_states(state))
    if state.state == goal:
        return True
    over = state.state in ENDED or (state.state == "done" and not alive_states(state))
    return None if over else False


class Waited(NamedTuple):
    """How a wait ended."""

    reached: bool
    timed_out: bool
    states: dict[str, Status]


def wait_for(context: Context, agents: Sequence[Agent], goal: Goal, timeout: float | None) -> Waited:
    """Wait until all agents are there, one cannot get there any more, or `timeout` seconds are over. A runtime that
    cannot be asked is told of, and asked again."""
    told: set[str] = set()
    until = time.monotonic() + timeout if timeout is not None else float("inf")
    while True:
        now = [agent for agent in context.store.live() if agent.key in {a.key for a in agents}]
        seen = look(context, now)
        for problem in set(seen.problems) - told:
            context.warn(problem)
        told |= set(seen.problems)
        states = {view.agent.id: view.status for view in seen.views}
        results = [reached(states[a.id], goal) if a.id in states else None for a in agents]
        if goal == "stopped":
            results = [True if result is None else result for result in results]
        if all(results) or None in results:
            return Waited(all(results), False, states)
        if time.monotonic() >= until:
            return Waited(False, True, states)
        time.sleep(0.2)


def logs(context: Context, agent: Agent, styled: bool = False) -> list[str]:
    """What its terminal shows and has shown, a line each; of a stopped agent, what it showed last.

    Free of control sequences; `styled`: but for colours.
    """
    shown = current(context, agent, styled)
    lines = [line.rstrip() for line in shown.split("\n")]
    while lines and not text.plain(lines[-1]).strip():
        lines.pop()
    return [text.styled(line) if styled else text.plain(line) for line in lines]


def current(context: Context, agent: Agent, styled: bool) -> str:
    """The terminal's text, live or kept."""
    folder = context.folder(agent)
    seen = [s for s in context.runtime(agent).observe() if s.there]
    if any(s.label.get("folder") == folder if agent.key else s.id == agent.id for s in seen):
        return context.terminal(agent).screen(agent.id, history=10**9, styled=styled)
    try:
        with open(os.path.join(folder, SCREEN), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


class Follower:
    """The new lines of one agent's terminal, look by look.

    A program that redraws its screen changes lines again and again: a line is told once it has stayed the
    same for two looks, and not again while it is still near.
    """

    def __init__(self, shown: list[str]) -> None:
        self._last = shown
        self._told = shown[-400:]
        self._start = len(shown)

    def next(self, shown: list[str]) -> Iterator[str]:
        """The lines to tell after this look."""
        same = 0
        for old, new in zip(self._last, shown, strict=False):
            if old != new:
                break
            same += 1
        start = min(self._start, same) if len(shown) >= len(self._last) else 0
        settled = shown[start:same]
        recent = set(self._told)
        for line in settled:
            if line and line not in recent:
                self._told.append(line)
                yield line
        self._told = self._told[-400:]
        self._start = same
        self._last = shown
