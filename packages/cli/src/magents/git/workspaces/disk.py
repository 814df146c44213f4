"""The folder of a workspace: made so that it is provably ours, and deleted whatever is in it."""

from __future__ import annotations

import contextlib
import errno
import os
import time

from magents.core.errors import Conflict, MagentsError, remedy
from magents.git.layout import admin_folder, common_folder
from magents.system import process
from magents.system.process import background

MAKE_TIMEOUT_S = 5.0
ADMIN_TRASH = "magents-trash-"
"""The beginning of the names, in a git folder, of worktrees' folders that git forgot."""
TRASH = ".magents-trash-"
"""The beginning of the names of workspaces that were moved aside."""
CLEAR_TIMEOUT_S = 600
CLEAR = """find "$1" -type d ! -perm -0700 -exec chmod u+rwx {} \\; 2>/dev/null; rm -rf -- "$1\""""
"""Deletes a folder, however deep, although its owner has no rights to what is in it."""
SWEEP = f"""trap '' HUP INT
clear() {{ rm -rf -- "$1" 2>/dev/null || {{ {CLEAR}; }}; }}
for trash in "$1"/{TRASH}*; do clear "$trash"; done
case $1 in *-agents | */checks) rmdir -- "$1" ;; esac"""


def check_absent(path: str) -> None:
    """Raises Conflict when something is at the path of a new workspace."""
    if os.path.lexists(path):
        raise is_there(path)


def is_there(path: str) -> Conflict:
    """The error for a path that a new workspace cannot have."""
    return Conflict(f"{path} is there already.", "Move it away, or choose another id: magents create BRANCH ID")


def claim(path: str) -> None:
    """Make the folder of a new workspace. From here on it is provably ours.

    Raises Conflict when something is there already, and MagentsError when it cannot be made.
    """
    check_absent(path)
    try:
        make(path)
    except FileExistsError as error:
        raise is_there(path) from error
    except OSError as error:
        raise MagentsError(
            f"{path} cannot be made: {error.strerror}.",
            remedy(error, "Choose another place: magents config --set WORKSPACES=FOLDER"),
        ) from error


def make(path: str) -> None:
    """Make a new folder in the folder of workspaces. Raises OSError.

    A sweep can remove the folder of workspaces at the same time; then it is made again. The time limit is for a
    folder that can never be made, such as one behind a dangling link.
    """
    until = time.monotonic() + MAKE_TIMEOUT_S
    while True:
        with contextlib.suppress(FileExistsError):  # it was there, and gone when makedirs looked again
            os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            os.mkdir(path)
        except FileNotFoundError:
            if time.monotonic() > until:
                raise
        else:
            return
        time.sleep(0.001)


def discard_empty(path: str) -> None:
    """Remove a workspace's folder if it is empty, and the folder of workspaces if that is empty."""
    with contextlib.suppress(OSError):
        os.rmdir(path)
    with contextlib.suppress(OSError):
        if os.path.dirname(path).endswith("-agents"):
            os.rmdir(os.path.dirname(path))


def remove(project: str, path: str) -> None:
    """Delete a workspace, however broken, and git's record of a worktree. Idempotent.

    The workspace is moved aside and git forgets it at once. A process of its own deletes the files, because that
    can take long. Nothing is lost only if the workspace was pinned before, see `pins.write`. Raises MagentsError
    when it can neither be moved nor deleted.
    """
    record = admin_folder(project, path)
    parent = os.path.dirname(path)
    try:
        if os.path.lexists(path):
            aside = os.path.join(parent, f"{TRASH}{os.path.basename(path)}-{time.time_ns()}")
            try:
                os.rename(path, aside)
            except OSError:  # it is a mount point, or its parent may not be written
                discard(path)
        forget(common_folder(project), record)
    except OSError as error:
        raise MagentsError(
            f"{error.filename or path} cannot be deleted: {error.strerror}.",
            "Mend its permissions and try again.",
        ) from error
    sweep(parent)


def forget(common: str, record: str) -> None:
    """Make git forget a worktree: move git's folder for it, `record`, away in one step and then delete it. Deletes
    what killed commands moved away, too. Half-deleted in its place, nobody could tell whose it is."""
    if record:
        os.rename(record, os.path.join(common, f"{ADMIN_TRASH}{os.path.basename(record)}-{time.time_ns()}"))
    for name in os.listdir(common):
        if name.startswith(ADMIN_TRASH):
            discard(os.path.join(common, name))


def sweep(parent: str) -> None:
    """Start a process that deletes what was moved aside in a folder of workspaces or of checks, and then the folder
    if it is empty. It also deletes what a killed process of this kind left."""
    if os.path.isdir(parent):
        background.leave(["sh", "-c", SWEEP, "sh", parent])


def discard(folder: str) -> None:
    """Delete a folder with all that is in it, also what may not be written, following no link. Raises OSError.

    For small folders. Another command may delete the same folder at the same time.
    """
    if os.path.islink(folder):
        os.unlink(folder)
        return
    try:
        for place, folders, files in os.walk(folder, topdown=False):
            for name in [*files, *folders]:
                full = os.path.join(place, name)
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(full) if name in folders and not os.path.islink(full) else os.unlink(full)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(folder)
    except (OSError, RecursionError) as error:
        process.run(["sh", "-c", CLEAR, "sh", folder], ok=None, timeout=CLEAR_TIMEOUT_S)
        if os.path.lexists(folder):
            raise OSError(errno.ENOTEMPTY, "something in it may not be deleted", folder) from error
