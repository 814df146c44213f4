"""The folder that the agents of a project share where they cannot reach the project itself: `/shared`."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from magents.fleet import accepted
from magents.fleet.listeners import LISTENERS
from magents.system.files import atomic

if TYPE_CHECKING:
    from magents.core.agent import Agent
    from magents.fleet.context import Context


def provide(context: Context, agent: Agent, owner: tuple[int, int] | None) -> str:
    """The path of the folder that the agents of its project share, made and filled if it is not there yet.

    It appears in one step, whole. Once it is there nothing here writes to it: agents can have put links into it.
    """
    path = context.shared(agent.project)
    if os.path.isdir(path):
        return path
    with atomic.folder(path) as folder:
        fill(folder, agent.project)
        if owner:
            give(folder, owner)
    return path


def fill(folder: str, project: str) -> None:
    """What the folder holds from the start: the listeners' folders of the project as they are now, and instructions
    for agents."""
    for listener in LISTENERS:
        ours, theirs = (os.path.join(top, listener.folder) for top in (project, folder))
        if os.path.isdir(ours) and not os.path.islink(ours):  # a link could have been merged, and lead anywhere
            shutil.copytree(ours, theirs, symlinks=True)
        else:
            os.makedirs(theirs)
    for name, text in accepted.first().items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


def give(folder: str, owner: tuple[int, int]) -> None:
    """Give a folder and all that is in it to a user and a group."""
    os.chown(folder, *owner)
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            os.chown(os.path.join(place, name), *owner, follow_symlinks=False)
