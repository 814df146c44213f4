"""The nouns of Magents. Immutable, without behaviour beyond what follows from their own fields.

They are named tuples rather than dataclasses because importing `dataclasses` and building a dozen of
them costs as much time as everything else `magents list` does (docs/adr/0002-named-tuples.md).
"""

from __future__ import annotations

from magents.core.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Phase: TypeAlias = "Literal['creating', 'active', 'stopped', 'removing', 'removed', 'restoring']"
"""What was asked for, as stored: the user's intent, never what is really running.

`creating`, `removing` and `restoring` mean that a command is (or, if it was killed, was) at it.
"""

State: TypeAlias = (
    "Literal['working', 'waiting', 'done', 'running', 'failed', 'stopped', 'lost',"
    " 'creating', 'removing', 'restoring']"
)
"""What an agent is doing, computed at each look.

working    its harness is busy with a prompt
waiting    it asks the user something; `Status.detail` says what
done       its turn is over, or its program ended with exit code 0
running    a program that reports nothing about itself is running
failed     its program ended with another exit code; `Status.detail` says which
stopped    the user stopped it
lost       it should run but does not (killed server, reboot), or its workspace is gone
The last three are agents on which a command is at work, or was when it was killed.
"""


class Status(NamedTuple):
    """What an agent is doing at one moment."""

    state: State
    detail: str = ""
    """One line: what it waits for, why it failed. Free of control sequences."""
    since: float | None = None
    """Unix time of the change to this state, where it is known."""
    turn_failed: bool = False
    """It waits because its turn has failed, for want of an answer from its model, and not for one of the user's."""
    unsaid: bool = False
    """It is done by its screen alone, while it has reported that it works: somebody has interrupted it, or the
    machine is too busy for it to draw what it does."""


class Agent(NamedTuple):
    """One agent as it was asked for. `key` is the store's own number; `id` is what users type."""

    key: int
    id: str
    project: str
    """Absolute path of the user's repository: the top of its main working tree, or the bare folder."""
    branch: str
    base: str
    """Where its work is merged to by default: a branch's name, or '' when it began at a detached HEAD."""
    base_commit: str
    """The commit it began at; '' until the branch is known."""
    made_branch: bool
    """Whether creating the agent made the branch."""
    harness: str
    command: tuple[str, ...]
    """The program of the `command` harness, empty for the others."""
    runtime: str
    workspace: str
    """Absolute path of its own copy of the project, on this machine."""
    created: float
    """Unix time, seconds."""
    phase: Phase
    unattended: bool
    """Whether its harness may act without asking."""
    boot: str
    """Which boot of the machine it was last started in; '' when it never was."""
    pin: str
    """The ref that holds what its workspace held, once that is (being) removed; '' before."""
    task: str = ""
    """The task it works on, `tag:id`; '' for none."""


class Event(NamedTuple):
    """One line of an agent's log. Written by programs that nobody vouches for."""

    at: float
    """Unix time as the writer told it, seconds."""
    by: str
    """Who reported it: a harness's name, or `wrapper`."""
    name: str
    data: str
    """What came with it, usually JSON text, cut off by the writer after some kilobytes."""
    run: str = ""
    """Which run of the agent it is of, as its wrapper has named that; '' where the writer does not know."""


class Signal(NamedTuple):
    """What an event, or as a last resort the screen, says about an agent."""

    state: Literal["working", "waiting", "done"]
    detail: str = ""
    failed: bool = False
    """Its turn is over, and has failed."""


class Start(NamedTuple):
    """What a harness is asked to start with."""

    folder: str
    """The agent's own folder, as it is called where the agent runs."""
    share: str
    """The folder of `magents-event` and `agent-run`, as it is called where the agent runs."""
    prompt: str | None = None
    resume: bool = False
    """Go on with the conversation of before, where the harness can."""
    session: str | None = None
    """The harness's own name for that conversation, if it has reported one."""
    unattended: bool = False
    """The user lets it act without asking."""
    command: tuple[str, ...] = ()


class Program(NamedTuple):
    """A program to run in an agent's terminal."""

    argv: tuple[str, ...]
    env: dict[str, str] = {}  # noqa: RUF012 - never changed
    unset: tuple[str, ...] = ()
    """Names of environment variables it must not inherit."""
    files: dict[str, str] = {}  # noqa: RUF012 - never changed
    """Files to write into the agent's folder before the start: relative path → text."""


class Problem(NamedTuple):
    """Something that keeps a part from working here."""

    what: str
    remedy: str
    """A command to type, or what to do. Never empty."""
    needed: bool = True
    """Whether Magents cannot do its work without it."""
