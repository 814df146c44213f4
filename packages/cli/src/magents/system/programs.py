"""Finding programs, and how to get those that are missing."""

from __future__ import annotations

import os

from magents.core.errors import Missing

INSTALL = {
    "git": "apt-get install git   (macOS: brew install git)",
    "tmux": "apt-get install tmux   (macOS: brew install tmux)",
    "docker": "apt-get install docker.io   (others: https://docs.docker.com/engine/install/)",
}


def find(program: str) -> str:
    """The path of a program as a shell would find it; '' if there is none. `shutil.which` does the same,
    but `shutil` brings every archive format with it, and this is asked at each `create`."""
    if os.path.dirname(program):
        return program if runnable(program) else ""
    paths = (os.path.join(folder, program) for folder in os.get_exec_path())
    return next((path for path in paths if runnable(path)), "")


def runnable(path: str) -> bool:
    """Whether it is a file that may be run."""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def missing(program: str) -> Missing:
    """The error that says how to get a program."""
    hint = f"Install it: {INSTALL[program]}" if program in INSTALL else "Install it, or mend your PATH."
    return Missing(f"The program `{program}` was not found.", hint)
