"""Pins made by hand, as a container's agent could make them: whatever is said in them, and no record of who did."""

from __future__ import annotations

import hashlib
import json
import zlib
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
    """A pin in the making. Its objects are written here, for newer ones of git refuse to make some of them."""

    def __init__(self, project: str, ref: str, head: str) -> None:
        self.project, self.ref, self.head = project, ref, head
        self._folders: dict[str, dict[str, tuple[str, str]]] = {"": {}}

    def add(self, name: str, content: bytes | str, mode: str = "100644") -> Pin:
        """One file more."""
        oid = self._object("blob", content.encode() if isinstance(content, str) else content)
        above, _, last = name.rpartition("/")
        self._folders.setdefault(above, {})[last] = (mode, oid)
        return self

    def write(self) -> str:
        """Let git have it; returns its ref."""
        for path in list(self._folders):
            while path:
                path = path.rpartition("/")[0]
                self._folders.setdefault(path, {})
        oid = ""
        for path in sorted(self._folders, key=lambda path: path.count("/") + bool(path), reverse=True):
            # Git has them in this order: a folder as if its name ended in a slash.
            rows = sorted((f"{name}/" if mode == "40000" else name, name, mode, oid)
                          for name, (mode, oid) in self._folders[path].items())  # fmt: skip
            oid = self._object(
                "tree",
                b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(oid) for _, name, mode, oid in rows),
            )
            above, _, last = path.rpartition("/")
            if path:
                self._folders[above][last] = ("40000", oid)
        who = "X <x@x> 1 +0000"
        text = f"tree {oid}\nparent {self.head}\nauthor {who}\ncommitter {who}\n\n"
        git("update-ref", self.ref, self._object("commit", text.encode()), cwd=self.project)
        return self.ref

    def _object(self, kind: str, content: bytes) -> str:
        data = f"{kind} {len(content)}\0".encode() + content
        oid = hashlib.sha1(data).hexdigest()
        file = Path(self.project, ".git/objects", oid[:2], oid[2:])
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(zlib.compress(data))
        return oid


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
