"""What was asked for and what happened: one SQLite file, and a lock for each agent.

The store never holds whether an agent runs; that is asked of the runtime at each look. A row whose phase
is `creating`, `removing` or `restoring` belongs to the command that holds the agent's lock; where nobody
holds it, that command was killed, and the next one completes or undoes what it began.
"""

from __future__ import annotations

import os

from magents.store.agents import Agents
from magents.store.history import History
from magents.store.locks import Locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.core.agent import Agent


class Store(Agents, History, Locks):
    """The records of all agents of this user."""

    def folder_of(self, agent: Agent) -> str:
        """The agent's own folder: its log, what it was started with, its last screen.

        An adopted agent's folder is known to its processes by an earlier name; a link leads there.
        """
        path = os.path.join(self.folder, "agents", f"{agent.id}.{agent.key}")
        try:
            return os.readlink(path)
        except OSError:
            return path

    def foreign(self, folder: str) -> bool:
        """Whether an agent's own folder is another store's, which is there: that of another `MAGENTS_STATE` or
        `HOME`. One whose store is gone is nobody's."""
        state = os.path.dirname(os.path.dirname(folder))
        here = os.path.realpath(state) == os.path.realpath(self.folder)
        return bool(folder) and not here and os.path.exists(Store(state).path)
