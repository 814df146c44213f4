"""Giving an agent a prompt, and making sure that it arrives."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from magents.core import text
from magents.core.errors import Conflict, NotDelivered
from magents.fleet import prompts
from magents.fleet.context import Context
from magents.fleet.observe import is_alive, one
from magents.guest import events
from magents.guest.terminal import Terminal, wait
from magents.harnesses.base import Unknown
from magents.system.files import atomic

if TYPE_CHECKING:
    from magents.core.agent import Agent
    from magents.harnesses.base import Harness

SETTLE_S = 0.2
"""Seconds between a paste and Enter. Gemini CLI 0.61 takes an Enter that comes 30 ms after a paste for a part of
it."""
TYPED = "typed"
"""The name of a file in an agent's own folder. It holds a prompt from before it is typed until it was taken."""
MAX_DRAFT_LINES = 300
"""How many lines of a draft are deleted at most."""
READY_TIMEOUT_S = 30.0
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
        if not state.runs:
            if state.reason == "unreachable":
                is_alive(context, agent)  # raises, with what is wrong and what to do
            raise Conflict(f"{agent.id} is {state.state}.", f"Start it: magents start {agent.id}")
        harness, terminal = context.harness(agent), context.terminal(agent)
        if isinstance(harness, Unknown):
            raise harness.error()
        if harness.reports:
            check_input(context, agent, harness, terminal)
            if state.state == "waiting" and state.reason != "turn-failed":
                raise asks(agent, state.detail)  # its dialog is not drawn yet
        if not harness.takes_prompt:
            return type_in(agent, harness, terminal, text.plain(prompt))
        return deliver(context, agent, harness, terminal, text.plain(prompt), timeout)


def check_input(context: Context, agent: Agent, harness: Harness, terminal: Terminal) -> None:
    """Wait until the harness can take text, and make sure that its input is empty.

    Text typed into a question could answer it, and text typed behind a draft would be mixed with it. A prompt that
    a killed command has typed and not sent is deleted.
    """
    shown = ""

    def ready() -> bool:
        nonlocal shown
        shown = terminal.screen(agent.id, styled=True)
        return harness.look(shown) is not None

    if not wait(ready, READY_TIMEOUT_S, pause=0.1):
        raise NotDelivered(
            f"{agent.id} shows nothing that a prompt could be typed into.", f"Look: magents attach {agent.id}"
        )
    signal = harness.look(shown)
    if signal and signal.state == "waiting":
        raise asks(agent, signal.detail)
    draft = harness.draft(shown)
    if draft and harness.erase and harness.holds(draft, typed(context, agent)):
        draft = erase(agent, harness, terminal)
    if draft:
        raise Conflict(
            f"The input of {agent.id} holds unsent text: {text.one_line(draft, 60)}",
            f"Send or delete it there: magents attach {agent.id}",
        )


def asks(agent: Agent, question: str) -> Conflict:
    """The error for an agent whose question a prompt could answer."""
    return Conflict(f"{agent.id} asks: {text.one_line(question)}", f"Answer it: magents attach {agent.id}")


def typed(context: Context, agent: Agent) -> str:
    """The prompt that a command has typed and not seen taken, because it was killed or gave up; '' for none."""
    try:
        with open(os.path.join(context.folder(agent), TYPED), encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def erase(agent: Agent, harness: Harness, terminal: Terminal) -> str:
    """Delete what stands in the input, line by line; returns what is left of it."""
    left = ""
    for _ in range(MAX_DRAFT_LINES):
        terminal.keys(agent.id, *harness.erase)
        time.sleep(0.05)
        left = harness.draft(terminal.screen(agent.id, styled=True))
        if not left:
            break
    return left


def type_in(agent: Agent, harness: Harness, terminal: Terminal, prompt: str) -> Delivery:
    """Type the prompt for a program that acknowledges nothing. Raises NotDelivered when the prompt visibly stays in
    the input."""
    terminal.paste(agent.id, prompt)
    time.sleep(SETTLE_S)
    terminal.keys(agent.id, "Enter")
    if not wait(lambda: not harness.draft(terminal.screen(agent.id, styled=True)), 5.0, pause=0.1):
        raise NotDelivered(f"{agent.id} still has the prompt in its input.", f"Look: magents attach {agent.id}")
    return Delivery("typed")


def deliver(
    context: Context, agent: Agent, harness: Harness, terminal: Terminal, prompt: str, timeout: float
) -> Delivery:
    """Type the prompt, and make sure that it is taken. If this process is killed meanwhile, the next command knows
    what stands in the input."""
    atomic.write(context.folder(agent), TYPED, prompt)
    delivery = submit(context, agent, harness, terminal, prompt, timeout)
    os.unlink(os.path.join(context.folder(agent), TYPED))
    return delivery


def submit(
    context: Context, agent: Agent, harness: Harness, terminal: Terminal, prompt: str, timeout: float
) -> Delivery:
    """Type the prompt, press Enter, and wait until the harness acknowledges it; press Enter again if the first was
    lost."""
    place = context.place(agent)
    before = place.size(events.LOG)
    terminal.paste(agent.id, prompt)
    # Enter in the same breath can be taken for a part of the paste.
    wait(lambda: bool(harness.draft(terminal.screen(agent.id, styled=True))), 2.0, pause=0.05)
    time.sleep(SETTLE_S)
    until = time.monotonic() + timeout
    pressed = 0.0
    while time.monotonic() < until:
        if time.monotonic() - pressed > 2.0 and (
            not pressed or harness.draft(terminal.screen(agent.id, styled=True))
        ):
            terminal.keys(agent.id, "Enter")
            pressed = time.monotonic()
        if any(e.by == harness.name and harness.takes(e) for e in events.read(place, after=before)):
            return Delivery("acknowledged")
        if harness.queued(terminal.screen(agent.id, styled=True)):
            return Delivery("queued")
        time.sleep(0.05)
    if not context.report(agent).harness_spoke and not harness.draft(terminal.screen(agent.id, styled=True)):
        return Delivery("typed")  # its hooks do not run here, so nothing could acknowledge it
    raise NotDelivered(
        f"{agent.id} did not take the prompt within {timeout:.0f} s.",
        f"It may still stand in its input: magents attach {agent.id}",
    )
