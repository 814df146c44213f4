"""Pins made by hand, as a container's agent could make them: whatever is said in them, and no record of who did."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from conftest import git

REF = "refs/magents/one/20260101T000000.000Z"


def forged(project: str | Path, *, ref: str = REF, meta: object = None, **changes: Any) -> Pin:
    """Begin a pin whose `meta.json` is what ours would be but for `changes`; or `meta`, as bytes or an object."""
    head = git("rev-parse", "main", cwd=project)
    said = {
        "id": "one", "branch": "", "head": head, "workspace": "/nowhere/one", "taken": 1.5, "deleted": [],
        "nested": [], "uncommitted": 1, "stashes": [], "modes": {}, "folders": [],
    }  # fmt: skip
    if meta is None:
        meta = {name: value for name, value in (said | changes).items() if value is not ...}
    text = meta if isinstance(meta, bytes) else json.dumps(meta).encode()
    return Pin(str(project), ref, head).add("meta.json", text)


class Pin:
    """A pin in the making."""

    def __init__(self, project: str, ref: str, head: str) -> None:
        self.project, self.ref = project, ref
        self._stream = [f"commit {ref}\ncommitter X <x@x> 1 +0000\ndata 0\n\nfrom {head}\ndeleteall\n".encode()]

    def add(self, name: str, content: bytes | str, mode: str = "100644") -> Pin:
        """One file more."""
        data = content.encode() if isinstance(content, str) else content
        self._stream.append(b'M %s inline "%s"\ndata %d\n%s\n' % (mode.encode(), name.encode(), len(data), data))
        return self

    def write(self) -> str:
        """Let git have it; returns its ref."""
        words = ["git", "-C", self.project, "fast-import", "--quiet", "--force", "--done"]
        subprocess.run(words, input=b"".join([*self._stream, b"done\n"]), check=True, timeout=60)
        return self.ref


def trap(folder: Path, canary: Path) -> str:
    """The files of a git folder whose configuration leaves a mark when git works with it; as `admin/commondir`
    would name it."""
    folder.mkdir(parents=True)
    git("init", "-q", "--bare", str(folder), cwd=folder)
    program = folder / "program"
    program.write_text(f"#!/bin/sh\ntouch {canary}\n")
    program.chmod(0o755)
    git("config", "core.fsmonitor", str(program), cwd=folder)
    git("config", "core.bare", "false", cwd=folder)
    return str(folder)
