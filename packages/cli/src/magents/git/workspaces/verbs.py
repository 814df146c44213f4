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

QUESTION_TIMEOUT_S = 30
"""For a short answer."""
WORK_TIMEOUT_S = 300
"""For a verb that reads or fills all of a workspace."""
MARGIN_S = 2
"""How much later a verb is given up here, after it should have been ended there."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""An answer can name every file of a large project. A diff may be larger."""
INSIDE = f"{paths.LIBRARY}/inside"
"""The program in the image that runs `guest/workspace.py`."""
TIMED_OUT = 124
"""The exit code of timeout(1)."""
MAX_MESSAGE_CHARS = 4000
MAX_HINT_CHARS = 400
SHOWN_OUTPUT_CHARS = 2000


def ask_json(agent_id: str, inside: Command, verb: str, seconds: int = WORK_TIMEOUT_S, /, **arguments: Any) -> Any:
    """`ask` for an answer in JSON; None if it is not JSON."""
    try:
        return bounded.loads(ask(agent_id, inside, verb, seconds, **arguments), MAX_ANSWER_BYTES)
    except ValueError:
        return None


def ask(
    agent_id: str, inside: Command, verb: str, seconds: int = WORK_TIMEOUT_S, /, *, target: BinaryIO | None = None,
    env: Sequence[str] = (), **arguments: Any,
) -> bytes:  # fmt: skip
    """Run a verb by `inside`, where the agent is, with the assignments `env`; returns its answer, or writes it to
    `target`. Raises MagentsError."""
    # timeout(1) ends it there. Where that is another machine, nothing here can.
    argv = (*env, "timeout", "-k", "1", str(seconds), INSIDE, verb, json.dumps(arguments))
    limit = process.MAX_OUTPUT_BYTES if target else MAX_ANSWER_BYTES
    try:
        done = run_there(inside, argv, timeout=seconds + MARGIN_S, ok=None, max_output_bytes=limit, target=target)
    except CommandFailed as error:
        raise NoAnswer(agent_id, seconds) from error
    if done.code == TIMED_OUT:
        raise NoAnswer(agent_id, seconds)
    if done.code == 0:
        return done.raw
    raise refusal(agent_id, verb, done)


def refusal(id: str, verb: str, done: process.Result) -> MagentsError:
    """The error that the verb reported; one that shows its output, if it reported none."""
    try:
        report = bounded.loads(done.stderr)
        message = plain(str(report["message"]))[:MAX_MESSAGE_CHARS]
        return Conflict(message, one_line(str(report["hint"]), MAX_HINT_CHARS))
    except (ValueError, TypeError, KeyError):
        last = plain(done.stderr).strip()[-SHOWN_OUTPUT_CHARS:]
        return MagentsError(f"{id}: `{verb}` failed with exit code {done.code} where it runs:\n{last}")


def whole(answer: object, name: str) -> int:
    """The number called `name` in an answer; 0 if there is none."""
    number = answer.get(name) if isinstance(answer, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else 0
