"""Running a verb of `guest/workspace.py` where the agent of a clone is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from magents.core import bounded
from magents.core.errors import CommandFailed, Conflict, MagentsError, NoAnswer
from magents.core.text import one_line, plain
from magents.system import paths, process
from magents.system.there import run_there

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from magents.system.there import Command

QUESTION_S = 30
"""Seconds that another short answer from inside may take."""
WORK_S = 300
"""Seconds that may take what reads all of a workspace, brings it home, or fills it."""
MARGIN_S = 2
"""Seconds after which a command that should have been ended inside is given up."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Bytes that an answer may have, but for a diff: it can name every file of a large project."""
INSIDE = f"{paths.LIBRARY}/inside"
"""The program in the image that runs `guest/workspace.py`."""
TIMED_OUT = 124
"""The exit code of timeout(1)."""


def ask_json(agent_id: str, inside: Command, verb: str, seconds: int = WORK_S, /, **arguments: Any) -> Any:
    """`ask`, for an answer that is JSON; None where it is none."""
    try:
        return bounded.loads(ask(agent_id, inside, verb, seconds, **arguments), MAX_ANSWER_BYTES)
    except ValueError:
        return None


def ask(
    agent_id: str, inside: Command, verb: str, seconds: int = WORK_S, /, *, target: BinaryIO | None = None,
    env: Sequence[str] = (), **arguments: Any,
) -> bytes:  # fmt: skip
    """Run a verb by `inside`, where the agent is; its answer, which goes to `target` if given. `env`: assignments
    of its environment. Raises MagentsError."""
    # It is ended inside, which is all that can be done where that is another machine.
    timed = (*env, "timeout", "-k", "1", str(seconds), INSIDE, verb, json.dumps(arguments))
    most = process.MAX_OUTPUT_BYTES if target else MAX_ANSWER_BYTES
    try:
        done = run_there(inside, timed, timeout=seconds + MARGIN_S, ok=None, max_output_bytes=most, target=target)
    except CommandFailed as error:
        raise NoAnswer(agent_id, seconds) from error
    if done.code == TIMED_OUT:
        raise NoAnswer(agent_id, seconds)
    if done.code == 0:
        return done.raw
    raise refusal(agent_id, verb, done)


def refusal(id: str, verb: str, done: process.Result) -> MagentsError:
    """The error that was told from inside, or one that shows what was said instead."""
    try:
        told = bounded.loads(done.stderr)
        message, hint = plain(str(told["message"]))[:4000], one_line(str(told["hint"]), 400)
    except (ValueError, TypeError, KeyError):
        last = plain(done.stderr).strip()[-2000:]
        return MagentsError(f"{id}: `{verb}` failed with exit code {done.code} where it runs:\n{last}")
    return Conflict(message, hint)


def whole(said: object, name: str) -> int:
    """A number in an answer; 0 where there is none."""
    found = said.get(name) if isinstance(said, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else 0
