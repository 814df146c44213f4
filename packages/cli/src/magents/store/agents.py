"""The records of agents: what was asked for, one row each."""

from __future__ import annotations

import _sqlite3 as sqlite3
import json

from magents.core.agent import Agent
from magents.core.errors import Conflict, NotFound
from magents.core.status import UNSETTLED
from magents.core.text import one_line
from magents.store.file import File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COLUMNS = Agent._fields


class Agents(File):
    """The table `agents`. Of all agents that are not removed, one has an id, one a branch of a project, and one a
    workspace: its unique indexes see to that."""

    def add(self, agent: Agent) -> Agent:
        """Record a new agent; returns it with its key. Raises Conflict when its id, branch or workspace
        belongs to another one."""
        fields = [name for name in COLUMNS if name != "key"]
        marks = ", ".join("?" * len(fields))
        values = [to_column(getattr(agent, name)) for name in fields]
        text = f"INSERT INTO agents ({', '.join(fields)}) VALUES ({marks}) RETURNING key"
        try:
            return agent._replace(key=self._sql(text, *values)[0][0])
        except sqlite3.IntegrityError as error:
            raise self._taken(agent) from error

    def _taken(self, agent: Agent) -> Conflict:
        return self.rival(agent) or Conflict("The agent's record was changed meanwhile.", "Try again.")

    def rival(self, agent: Agent) -> Conflict | None:
        """The error that names the living agent which has this one's branch, id or workspace, if any has."""
        for other in self.live():
            if other.key == agent.key:
                continue
            if other.project == agent.project and other.branch == agent.branch:
                return Conflict(
                    f"The branch `{agent.branch}` already has an agent: {other.id}.",
                    f"Go to it: magents attach {other.id}",
                )
            if other.id == agent.id:
                return Conflict(f"The id `{agent.id}` is taken.", "Choose another: magents create BRANCH ID")
            if other.workspace == agent.workspace:
                return Conflict(f"The folder {agent.workspace} belongs to {other.id}.", "Choose another id.")
        return None

    def live(self) -> list[Agent]:
        """Every agent that has not been removed, oldest first."""
        return self._agents("phase <> 'removed' ORDER BY key")

    def unsettled(self) -> list[Agent]:
        """Agents on which a command is at work, or was when it was killed."""
        return self._agents(f"phase IN {UNSETTLED} ORDER BY key")

    def removed(self, project: str | None = None) -> list[Agent]:
        """Agents whose workspace was removed, newest first."""
        if project is None:
            return self._agents("phase = 'removed' ORDER BY key DESC")
        return self._agents("phase = 'removed' AND project = ? ORDER BY key DESC", project)

    def find(self, text: str) -> Agent:
        """The living agent with this id, or whose id alone begins with it. Raises NotFound, Conflict."""
        return pick(text, self.live(), "magents list")

    def find_removed(self, text: str) -> Agent:
        """The removed agent with this id or unique prefix; of several with one id the newest."""
        newest: dict[str, Agent] = {}
        for agent in self.removed():
            newest.setdefault(agent.id, agent)
        return pick(text, list(newest.values()), "magents list --removed")

    def get(self, key: int) -> Agent:
        """The agent with this key. Raises NotFound when its record is gone."""
        found = self._agents("key = ?", key)
        if not found:
            raise NotFound("The agent's record is gone: another command has undone it.")
        return found[0]

    def _agents(self, where: str, *values: object) -> list[Agent]:
        rows = self._sql(f"SELECT {', '.join(COLUMNS)} FROM agents WHERE {where}", *values)
        return [from_row(row) for row in rows]

    def update(self, agent: Agent, **changes: object) -> Agent:
        """Change fields of a record; returns the agent as it is now."""
        parts = ", ".join(f"{name} = ?" for name in changes)
        values = [to_column(value) for value in changes.values()]
        try:
            self._sql(f"UPDATE agents SET {parts} WHERE key = ?", *values, agent.key)
        except sqlite3.IntegrityError as error:
            raise self._taken(agent) from error
        fields: dict[str, Any] = changes
        return agent._replace(**fields)

    def of_tasks(self, project: str) -> list[Agent]:
        """The agents of a project that were made for a task, removed ones too, oldest first."""
        return self._agents("project = ? AND task <> '' ORDER BY key", project)

    def forget(self, agent: Agent) -> None:
        """Delete a record, as if the agent had never been asked for."""
        self._sql("DELETE FROM agents WHERE key = ?", agent.key)
        self._sql("DELETE FROM entries WHERE agent = ?", agent.key)


def pick(text: str, agents: list[Agent], how: str) -> Agent:
    """The agent with this id or unique prefix."""
    for agent in agents:
        if agent.id == text:
            return agent
    near = [agent for agent in agents if text and agent.id.startswith(text)]
    if len(near) == 1:
        return near[0]
    if near:
        raise Conflict(f"`{text}` fits several agents: {', '.join(a.id for a in near)}.", "Type more of the id.")
    raise NotFound(f"There is no agent `{one_line(text)}`.", f"See them all: {how}")


def to_column(value: object) -> object:
    """A field as SQLite keeps it."""
    if isinstance(value, tuple):
        return json.dumps(value)
    return int(value) if isinstance(value, bool) else value


def from_row(row: tuple[Any, ...]) -> Agent:
    """An agent from its row."""
    agent = Agent(*row)
    return agent._replace(
        command=tuple(json.loads(str(agent.command))),  # a tuple only from here on
        made_branch=bool(agent.made_branch),
        unattended=bool(agent.unattended),
    )
