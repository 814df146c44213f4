"""`.worktreeinclude`: which ignored files of the project come along into a workspace.

The convention of Claude Code: patterns in gitignore syntax, and a file comes along when it matches one of
them and git ignores it; so tracked files are never copied.
"""

from __future__ import annotations

import filecmp
import os
import shutil

from magents.errors import MagentsError
from magents.workspace.git import git

NAME = ".worktreeinclude"


def wanted(folder: str, patterns: str) -> list[str]:
    """The ignored files below `folder` that match the file `patterns`, relative to it; it may be absent."""
    if not os.path.isfile(patterns):
        return []
    matching = git(folder, "ls-files", "-z", "--others", "--ignored", f"--exclude-from={patterns}").raw
    if not matching:
        return []
    ignored = git(folder, "check-ignore", "-z", "--stdin", stdin=matching, ok=(0, 1))
    return [name for name in ignored.text.split("\0") if name]


def copy(project: str, workspace: str) -> list[str]:
    """Copy them, with their permissions and times; returns their names. Links stay links."""
    names = wanted(project, os.path.join(project, NAME))
    for name in names:
        source, target = os.path.join(project, name), os.path.join(workspace, name)
        try:
            check_inside(workspace, os.path.dirname(target))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.lexists(target):
                shutil.copy2(source, target, follow_symlinks=False)
        except OSError as error:
            raise MagentsError(f"{source} cannot be copied to {target}: {error.strerror}.") from error
    return names


def check_inside(workspace: str, folder: str) -> None:
    """Raises MagentsError when a link of the branch leads out of the workspace there."""
    top, real = os.path.realpath(workspace), os.path.realpath(folder)
    if os.path.commonpath([top, real]) != top:
        raise MagentsError(
            f"{folder} leads out of the workspace, to {real}.",
            f"Take it out of {NAME}, or the link off the branch.",
        )


def changed(project: str, workspace: str) -> list[str]:
    """Such files of the workspace whose content the project does not have. Raises MagentsError when one
    cannot be read."""
    names = wanted(workspace, os.path.join(project, NAME))
    try:
        return [name for name in names if differs(project, workspace, name)]
    except OSError as error:
        raise MagentsError(
            f"{error.filename} cannot be read: {error.strerror}.", "Mend its permissions; nothing was removed."
        ) from error


def differs(project: str, workspace: str, name: str) -> bool:
    """Whether a file of the workspace is not the project's."""
    mine, theirs = os.path.join(workspace, name), os.path.join(project, name)
    if os.path.islink(mine) or not os.path.isfile(theirs):
        return True
    return not filecmp.cmp(mine, theirs, shallow=False)
