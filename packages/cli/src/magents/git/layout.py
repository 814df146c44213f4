"""Where git keeps its own files of a repository and of its working trees (gitrepository-layout(5))."""

from __future__ import annotations

import contextlib
import os

from magents.core.errors import MagentsError
from magents.system import fifos
from magents.system.files import guarded

RECORD = os.path.join("magents", "brought.json")
"""The file below a git folder that records what agents in containers brought."""
GIVEN = "magents/given"
"""The file below a clone's git folder that lists the refs the clone was made with, as `packed-refs` does."""
MAX_PATH_BYTES = 4096


def has_record(where: str) -> bool:
    """Whether an agent in a container ever brought commits to this repository."""
    common = common_of(where)
    return bool(common) and os.path.exists(os.path.join(common, RECORD))


def common_of(where: str) -> str:
    """The git folder that all working trees of a repository share; '' where there is no repository.

    `where` is the top of a working tree, or a bare repository.
    """
    own = os.path.join(where, ".git")
    if os.path.isdir(own):
        return own
    link = os.fsdecode(guarded.read(own, MAX_PATH_BYTES)).partition("gitdir:")[2].strip()
    if not link:
        return where if os.path.isdir(os.path.join(where, "objects")) else ""
    # In a submodule the link leads up by `..`: a container that has only the target would not find its way.
    linked = os.path.realpath(os.path.join(where, link))
    if os.path.basename(os.path.dirname(linked)) == "worktrees":
        return os.path.dirname(os.path.dirname(linked))
    return linked


def common_folder(project: str) -> str:
    """As `common_of`. Raises MagentsError where there is no repository."""
    common = common_of(project)
    if not common:
        raise MagentsError(f"{project} is no git repository any more.", "Bring it back, or its disk.")
    return common


def borrow_objects(project: str, folder: str) -> None:
    """Prepare a folder to take new objects. Git reads the project's objects beside them. Raises OSError."""
    os.makedirs(os.path.join(folder, "info"), exist_ok=True)
    with open(os.path.join(folder, "info", "alternates"), "wb") as file:
        file.write(os.fsencode(os.path.join(common_folder(project), "objects")) + b"\n")


def admin_folder(project: str, workspace: str) -> str:
    """Git's own folder for a worktree, `.git/worktrees/…` of the project; '' if git knows no such worktree.

    It is looked up from the project's side: each of these folders names its worktree. The `.git` in the
    worktree is not used. An agent can write it, and it can be gone or half-made.
    """
    folder = os.path.join(common_folder(project), "worktrees")
    wanted = {os.path.join(workspace, ".git"), os.path.join(os.path.realpath(workspace), ".git")}
    names = os.listdir(folder) if os.path.isdir(folder) else []
    likely = os.path.basename(workspace)
    for name in sorted(names, key=lambda name: (name != likely, name)):
        with contextlib.suppress(OSError):
            link = fifos.read(os.path.join(folder, name, "gitdir"), MAX_PATH_BYTES).rstrip("\n")
            if os.path.normpath(os.path.join(folder, name, link)) in wanted:
                return os.path.join(folder, name)
    return ""


def git_folder(workspace: str) -> str:
    """Git's own folder for a working tree, as the `.git` in the working tree says. Raises MagentsError."""
    path = os.path.join(workspace, ".git")
    if os.path.isdir(path):
        return path
    try:
        link = fifos.read(path, MAX_PATH_BYTES).partition("\n")[0]
    except OSError as error:
        raise MagentsError(f"{path} cannot be read: {error.strerror}.", "Nothing was removed.") from error
    return os.path.normpath(os.path.join(workspace, link.removeprefix("gitdir: ")))


def checked_folder(project: str, workspace: str) -> str:
    """As `admin_folder`. Raises MagentsError where the worktree's `.git` leads elsewhere: an agent can write that
    file, and git would trust what it leads to."""
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
