"""The errors that Magents raises: one small tree, each with a message and a remedy.

`message` says what happened, `hint` what to do about it. The command line prints both and exits
with `exit_code`; a library user catches `MagentsError` or one of its kinds.
"""

from __future__ import annotations

import errno
import os

from magents.core.tuples import NamedTuple

FREE = "Free some space: `magents doctor` tells which disk is almost full."
"""What to do where a disk is full."""


class MagentsError(Exception):
    """Anything Magents refuses or fails to do. Nothing is left half-made when it is raised."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(MagentsError):
    """The request itself makes no sense: a bad id, a bad branch name, flags that exclude each other."""

    exit_code = 2


class NotFound(MagentsError):
    """The agent, branch, project or setting that was named does not exist."""


class Conflict(MagentsError):
    """Something else has the id, the branch, the folder or the lock; or a merge does not go through."""


class Unkept(MagentsError):
    """What a workspace holds cannot be kept whole, so it was not removed."""


class Missing(MagentsError):
    """A program or a service that is needed is not there."""


class NoAnswer(MagentsError):
    """A command that runs where an agent is did not end in time: something there holds it up, or stops it."""

    def __init__(self, id: str, seconds: float) -> None:
        super().__init__(
            f"{id} did not answer within {seconds:.0f} s.",
            f"Look what keeps it: magents attach {id}; end it: magents stop {id}",
        )


class NotDelivered(MagentsError):
    """A prompt was not taken by the harness."""


class CheckFailed(MagentsError):
    """The command that had to pass before a merge has failed on its result; nothing was merged.

    `command` is what ran, `code` its exit code (None when it took too long), `output` what it printed, of very
    much the end.
    """

    def __init__(self, message: str, hint: str, command: str, code: int | None, output: str) -> None:
        super().__init__(message, hint)
        self.command = command
        self.code = code
        self.output = output


def remedy(error: OSError, otherwise: str = "") -> str:
    """What to do about an error of the file system: make room if that is it, else what is said `otherwise`."""
    return FREE if error.errno in (errno.ENOSPC, errno.EDQUOT) else otherwise


def full(said: str) -> str:
    """What to do when this is what a program said of a full disk; '' where it is something else."""
    return FREE if os.strerror(errno.ENOSPC).lower() in said.lower() else ""


class CommandFailed(MagentsError):
    """A command ran and failed, or took too long.

    `argv` is what ran, `code` its exit code (None when it was ended for taking too long), `output` and
    `stderr` what it printed.
    """

    def __init__(self, argv: tuple[str, ...], code: int | None, output: str, stderr: str, hint: str = "") -> None:
        self.argv = argv
        self.code = code
        self.output = output
        self.stderr = stderr
        said = (stderr or output).strip()
        how = "took too long" if code is None else f"failed with exit code {code}"
        command = " ".join(argv)
        super().__init__(f"`{command}` {how}" + (f":\n{said}" if said else ""), hint or full(said))


class Problem(NamedTuple):
    """Something that keeps a part from working here."""

    what: str
    remedy: str
    """A command to type, or what to do. Never empty."""
    needed: bool = True
    """Whether Magents cannot do its work without it."""
