"""An agent as it was asked for."""

from __future__ import annotations

from magents.core.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Phase: TypeAlias = "Literal['creating', 'active', 'stopped', 'removing', 'removed', 'restoring']"
"""What was asked for, as stored: the user's intent, never what is really running.

`creating`, `removing` and `restoring` mean that a command is (or, if it was killed, was) at it.
"""


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
