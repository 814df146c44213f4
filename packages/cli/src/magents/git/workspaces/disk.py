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

SWEPT = 5.0
"""Seconds in which a workspace's folder must be made, however often the folder around it is swept away."""
FORGOTTEN = "magents-trash-"
TRASH = ".magents-trash-"
CLEAR_S = 600
CLEAR = """find "$1" -type d ! -perm -0700 -exec chmod u+rwx {} \\; 2>/dev/null; rm -rf -- "$1\""""
"""Deletes a folder however deep it is, and although its owner was denied the rights to what is in it."""
SWEEP = f"""trap '' HUP INT
clear() {{ rm -rf -- "$1" 2>/dev/null || {{ {CLEAR}; }}; }}
for trash in "$1"/.magents-trash-*; do clear "$trash"; done
case $1 in *-agents | */checks) rmdir -- "$1" ;; esac"""


def check_absent(path: str) -> None:
    """Raises Conflict when something is where a workspace is to be made."""
    if os.path.lexists(path):
        raise Conflict(f"{path} is there already.", "Move it away, or choose another id: magents create BRANCH ID")


def claim(path: str) -> None:
    """Make the folder of a new workspace, so that from here on it is provably ours.

    Raises Conflict when something is there already, and MagentsError when it cannot be made.
    """
    check_absent(path)
    try:
        make(path)
    except FileExistsError as error:
        raise Conflict(
            f"{path} is there already.", "Move it away, or choose another id: magents create BRANCH ID"
        ) from error
    except OSError as error:
        raise MagentsError(
            f"{path} cannot be made: {error.strerror}.",
            remedy(error, "Choose another place: magents config --set WORKSPACES=FOLDER"),
        ) from error


def make(path: str) -> None:
    """Make a new folder in the folder of workspaces, which a sweep can just be removing. Raises OSError.

    A sweep removes that folder once, so it is lost as often as other commands end their last agent just
    now: a matter of moments. The limit is for a folder that cannot be, such as behind a dangling link.
    """
    until = time.monotonic() + SWEPT
    while True:
        with contextlib.suppress(FileExistsError):  # there, and gone again before makedirs looked twice
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
    """Remove a workspace's folder that nothing was put into, and the folder of workspaces if it is empty."""
    with contextlib.suppress(OSError):
        os.rmdir(path)
    with contextlib.suppress(OSError):
        if os.path.dirname(path).endswith("-agents"):
            os.rmdir(os.path.dirname(path))


def remove(project: str, path: str) -> None:
    """Delete a worktree and git's record of it, whatever is in it and however broken it is.

    At once it is moved aside and git forgets it; its files are deleted by a process of its own, because
    that takes as long as there are files. Idempotent. Only after `write.take` may one be sure that
    nothing is lost by it. Raises MagentsError when it can neither be moved nor deleted.
    """
    record = admin_folder(project, path)
    parent = os.path.dirname(path)
    try:
        if os.path.lexists(path):
            aside = os.path.join(parent, f"{TRASH}{os.path.basename(path)}-{time.time_ns()}")
            try:
                os.rename(path, aside)
            except OSError:  # a mount point, a parent that may not be written
                discard(path)
        forget(common_folder(project), record)
    except OSError as error:
        raise MagentsError(
            f"{error.filename or path} cannot be deleted: {error.strerror}.",
            "Mend its permissions and try again.",
        ) from error
    sweep(parent)


def forget(common: str, record: str) -> None:
    """Let git forget a worktree: its folder there (if any) is moved away in one step and then deleted, with
    what a killed command has left so. Half-deleted in its place, it could not be told any more."""
    if record:
        os.rename(record, os.path.join(common, f"{FORGOTTEN}{os.path.basename(record)}-{time.time_ns()}"))
    for name in os.listdir(common):
        if name.startswith(FORGOTTEN):
            discard(os.path.join(common, name))


def sweep(parent: str) -> None:
    """Let a process of its own delete what was moved aside in a folder of workspaces or of checks, and that folder
    too when nothing is left in it. What a killed one has left, the next one takes."""
    if os.path.isdir(parent):
        background.leave(["sh", "-c", SWEEP, "sh", parent])


def discard(folder: str) -> None:
    """Delete a folder with all that is in it, also what may not be written, following no link. Raises OSError.
    For small ones; another command may be deleting it at the same time."""
    try:
        delete(folder)
    except OSError:
        if os.path.islink(folder):  # its rights are those of where it leads
            raise
        unlock(folder)
        delete(folder)


def unlock(folder: str) -> None:
    """Let what is in a folder be read and deleted, as far as that is for us to say."""
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)
    for place, folders, _ in os.walk(folder):
        for full in (os.path.join(place, name) for name in folders):
            with contextlib.suppress(OSError):
                if not os.path.islink(full):
                    os.chmod(full, 0o700)


def delete(folder: str) -> None:
    """`discard`, where that is allowed."""
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
        process.run(["sh", "-c", CLEAR, "sh", folder], ok=None, timeout=CLEAR_S)
        if os.path.lexists(folder):
            raise OSError(errno.ENOTEMPTY, "something in it may not be deleted", folder) from error
