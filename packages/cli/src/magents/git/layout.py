"""Where git keeps its own files of a repository and of its working trees (gitrepository-layout(5))."""

from __future__ import annotations

import contextlib
import os

from magents.core.errors import MagentsError, NotFound
from magents.system import fifos
from magents.system.files import guarded

RECORD = os.path.join("magents", "brought.json")
"""Where a git folder keeps what agents in containers brought."""
GIVEN = "magents/given"
"""In a clone's git folder: the refs that it was given when it was made, as in `packed-refs`."""
PATH_BYTES = 4096
"""How long a path can be."""


def has_record(where: str) -> bool:
    """Whether an agent in a container ever brought commits to this repository."""
    common = common_of(where)
    return bool(common) and os.path.exists(os.path.join(common, RECORD))


def common_of(where: str) -> str:
    """The git folder that the repository at `where`, the top of a working tree or a bare one, shares with all its
    working trees; '' where there is none."""
    own = os.path.join(where, ".git")
    if os.path.isdir(own):
        return own
    link = os.fsdecode(guarded.read(own, PATH_BYTES)).partition("gitdir:")[2].strip()
    if not link:
        return where if os.path.isdir(os.path.join(where, "objects")) else ""
    linked = os.path.join(where, link)
    if os.path.basename(os.path.dirname(linked)) == "worktrees":
        return os.path.dirname(os.path.dirname(linked))
    return linked


def common_folder(project: str) -> str:
    """The git folder of a repository, which all its working trees share. Raises NotFound."""
    common = common_of(project)
    if not common:
        raise NotFound(f"{project} is no git repository any more.", "Bring it back, or its disk.")
    return common


def admin_folder(project: str, path: str) -> str:
    """Git's own folder for the worktree at `path` (`.git/worktrees/…`); '' if it has none.

    Found from the repository's side, because an agent can write the workspace's side, which can also be
    gone or half-made: each of git's folders there names the worktree that it is for.
    """
    folder = os.path.join(common_folder(project), "worktrees")
    wanted = {os.path.join(path, ".git"), os.path.join(os.path.realpath(path), ".git")}
    names = os.listdir(folder) if os.path.isdir(folder) else []
    first = os.path.basename(path)
    for name in sorted(names, key=lambda name: (name != first, name)):
        with contextlib.suppress(OSError):
            told = fifos.read(os.path.join(folder, name, "gitdir"), PATH_BYTES).rstrip("\n")
            if os.path.normpath(os.path.join(folder, name, told)) in wanted:
                return os.path.join(folder, name)
    return ""


def git_folder(workspace: str) -> str:
    """Git's own folder for this working tree, as its `.git` says (gitrepository-layout(5))."""
    path = os.path.join(workspace, ".git")
    if os.path.isdir(path):
        return path
    try:
        text = fifos.read(path, PATH_BYTES).partition("\n")[0]
    except OSError as error:
        raise MagentsError(f"{path} cannot be read: {error.strerror}.", "Nothing was removed.") from error
    return os.path.normpath(os.path.join(workspace, text.removeprefix("gitdir: ")))


def checked_folder(project: str, workspace: str) -> str:
    """Git's own folder for a worktree. Raises MagentsError where its `.git` leads elsewhere: an agent can write
    that file, and git would read what is there."""
    admin = admin_folder(project, workspace)
    link = os.path.join(workspace, ".git")
    forged = os.path.islink(workspace) or os.path.islink(link) or os.path.isdir(link)
    leads = "" if forged else git_folder(workspace)
    if forged or not admin or "\0" in leads or os.path.realpath(leads) != os.path.realpath(admin):
        raise MagentsError(
            f"{link} does not lead to what {project} has of this worktree, so nothing was removed.",
            f"See whether git can mend it: git -C {project} worktree repair {workspace}",
        )
    return admin
