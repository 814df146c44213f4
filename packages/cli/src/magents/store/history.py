"""What happened to each agent: a text for people, and beside it a kind and data for programs.

Whoever counts or decides asks for kinds, never for words of the text (docs/adr/0021-typed-reasons-and-history.md).
"""

from __future__ import annotations

import json
import time

from magents.core.tuples import NamedTuple
from magents.store.file import File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from magents.core.agent import Agent

Kind: TypeAlias = (
    "Literal['created', 'started', 'stopped', 'removed', 'restored', 'adopted', 'merged', 'sent-back', 'stuck',"
    " 'left', 'recovering', 'recovered', 'recovery-failed', 'not-collected', 'note']"
)
"""What an entry tells.

removed, restored   with `pin`: the ref that its workspace was kept as, or came from
merged              with `into`: the branch, and `commit`: the result, abbreviated
sent-back           its work could not be merged, and it was asked to mend it
stuck               it did not go on, and is started again
left                it does not go on by itself any more: a person has to look
recovering          the recovery of a killed command's work has begun; then `recovered` or `recovery-failed`
not-collected       why its commits were kept back
note                anything else, and what an older Magents wrote
"""


class Entry(NamedTuple):
    """One entry of an agent's history."""

    at: float
    """Unix time, seconds."""
    kind: Kind
    text: str
    """One line for people."""
    data: dict[str, str]


class History(File):
    """The table `entries`."""

    def note(self, agent: Agent, kind: Kind, text: str, **data: str) -> None:
        """Add an entry to an agent's history."""
        columns = "(agent, at, kind, text, data)"
        values = (agent.key, time.time(), kind, text, json.dumps(data))
        self._sql(f"INSERT INTO entries {columns} VALUES (?, ?, ?, ?, ?)", *values)

    def history(self, agent: Agent, kind: Kind | None = None) -> list[Entry]:
        """What happened to an agent, oldest first; only the entries of one kind, if that is given."""
        where = "agent = ? AND kind = ?" if kind else "agent = ?"
        values = (agent.key, kind) if kind else (agent.key,)
        rows = self._sql(f"SELECT at, kind, text, data FROM entries WHERE {where} ORDER BY key", *values)
        return [Entry(at, kind, text, json.loads(data)) for at, kind, text, data in rows]

    def makers(self, project: str, pin: str) -> set[str]:
        """The modes of the agents whose history tells that this pin was made of them."""
        joined = "agents JOIN entries ON entries.agent = agents.key"
        rows = self._sql(f"SELECT runtime, data FROM {joined} WHERE project = ? AND kind = 'removed'", project)
        return {runtime for runtime, data in rows if json.loads(data).get("pin") == pin}
