"""The states of an agent, why it is in one, and the sets of states that decisions are taken by.

`detail` is for people alone: no decision is ever taken from it (docs/adr/0021-typed-reasons-and-history.md).
"""

from __future__ import annotations

from magents.core.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

State: TypeAlias = (
    "Literal['working', 'waiting', 'done', 'running', 'failed', 'stopped', 'lost',"
    " 'creating', 'removing', 'restoring']"
)
"""What an agent is doing, computed at each look.

working    its harness is busy with a prompt
waiting    it asks the user something; `Status.detail` says what
done       its turn is over, or its program ended with exit code 0
running    a program that reports nothing about itself is running
failed     its program ended with another exit code
stopped    the user stopped it
lost       it should run but does not (killed server, reboot), or its workspace is gone
The last three are agents on which a command is at work, or was when it was killed.
"""

Reason: TypeAlias = (
    "Literal['', 'starting', 'turn-failed', 'on-screen', 'unreadable', 'exit', 'unreachable', 'restarted',"
    " 'workspace-gone', 'terminal-gone', 'interrupted', 'no-record', 'foreign']"
)
"""Why an agent is in its state, where the state alone does not say it.

starting        working: it has reported nothing yet
turn-failed     waiting: its turn has failed, for want of an answer from its model
on-screen       done by its screen alone, while it has reported that it works: somebody has interrupted it, or the
                machine is too busy for it to draw what it does
unreadable      running: what it has reported cannot be read
exit            done, failed: its program has ended; `Status.code` is its exit code, None where nobody knows it
unreachable     lost: its runtime could not be asked, so what it does is not known
restarted       lost: the machine was restarted
workspace-gone  lost: its workspace is not there
terminal-gone   lost: its terminal or its container is not there
interrupted     creating, removing, restoring: the command that was at work on it was killed
no-record       it runs, and the store does not know it
foreign         the same, of a container that somebody else looks after
"""

LIVE: frozenset[State] = frozenset({"working", "waiting", "running"})
"""Its program runs, and has something to do or to ask."""
UNSETTLED: tuple[State, ...] = ("creating", "removing", "restoring")
"""A command is at work on it, or was when it was killed. The phases of these names are the same ones."""
ENDED: frozenset[State] = frozenset({"stopped", "failed", "lost"})
"""It goes on only when it is started again."""
ABSENT: frozenset[State] = frozenset({"stopped", "lost"})
"""Nothing of it is there to look at or to talk to."""
BUSY: frozenset[State] = LIVE | {"creating", "restoring"}
"""It takes one of the places that `MAX_AGENTS` allows for."""


class Status(NamedTuple):
    """What an agent is doing at one moment."""

    state: State
    detail: str = ""
    """One line for people: what it waits for, why it failed. Free of control sequences."""
    since: float | None = None
    """Unix time of the change to this state, where it is known."""
    reason: Reason = ""
    code: int | None = None
    """The exit code of its program, where the reason is `exit` and somebody knows it."""

    @property
    def runs(self) -> bool:
        """Whether there is a program to talk to. One that is done may wait for the next prompt."""
        return self.state in LIVE or (self.state == "done" and self.reason != "exit")

    @property
    def finished(self) -> bool:
        """Whether its turn is over for certain: it has said so itself, or its program has ended well."""
        return self.state == "done" and self.reason != "on-screen"

    @property
    def over(self) -> bool:
        """Whether its program runs no more, however that came; one that nobody could ask counts as such."""
        return self.state in ENDED or self.reason == "exit"

    @property
    def died(self) -> bool:
        """Whether its program has ended although nobody wanted that; not when the whole machine has."""
        return self.state == "failed" or (self.state == "lost" and self.reason not in ("restarted", "unreachable"))
