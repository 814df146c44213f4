"""What is started in an agent's terminal."""

from __future__ import annotations

from magents.core.tuples import NamedTuple


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
