"""What goes into the image.

Its files are in `packages/cli/docker` of a checkout and in `magents/docker` of an installed package; to these come
the parts of the package that run beside an agent.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import NamedTuple

from magents.core.errors import MagentsError, UsageError
from magents.system.paths import LIBRARY

HELD = (
    "__init__.py", "core", "system", "harnesses", "guest", "git/__init__.py", "git/plumbing.py", "git/diff.py",
    "git/inert.py", "git/layout.py", "git/pins", "git/trust", "git/workspaces/__init__.py",
    "git/workspaces/include.py",
)  # fmt: skip
"""The parts of the package that the image holds: what runs beside an agent, and what that imports. A change of
anything else makes no image old."""
PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The folder of `magents`."""
PYTHON = f"rootfs{LIBRARY}/python"
"""Where the package is in the context."""


class File(NamedTuple):
    """A file of a build's context."""

    name: str
    """Its path there."""
    data: bytes

    @property
    def mode(self) -> int:
        """Programs can be run. What the file system says of them does not survive every way of copying."""
        return 0o755 if self.data.startswith(b"#!") else 0o644


def source() -> str:
    """The folder of the Dockerfile."""
    packed = os.path.join(PACKAGE, "docker")
    return packed if os.path.isdir(packed) else os.path.normpath(os.path.join(PACKAGE, "../../docker"))


def versions() -> dict[str, str]:
    """What is pinned: name → version. Raises MagentsError where the installation lacks the file."""
    lines = read(os.path.join(source(), "versions")).decode().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def files() -> list[File]:
    """The context of the image but for certificates, in a fixed order."""
    top = source()
    found = [File(name, read(os.path.join(top, name))) for name in ("Dockerfile", "slim", "versions")]
    found += below(os.path.join(top, "rootfs"), "rootfs")
    for name in HELD:
        path, inside = os.path.join(PACKAGE, name), f"{PYTHON}/magents/{name}"
        found += below(path, inside) if os.path.isdir(path) else [File(inside, read(path))]
    return found


def below(folder: str, name: str) -> list[File]:
    """All files below a folder, as if it were called `name`."""
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - {"__pycache__"})
        inside = os.path.normpath(os.path.join(name, os.path.relpath(where, folder)))
        found += [File(f"{inside}/{file}", read(os.path.join(where, file))) for file in sorted(names)]
    return found


def read(path: str) -> bytes:
    """A file of this installation."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise MagentsError(f"{path} cannot be read: {error.strerror}.", "Install Magents anew.") from error


def digest() -> str:
    """What tells an image that was built from these very files, SHA-256."""
    total = hashlib.sha256()
    for name, data in files():
        total.update(f"{name} {len(data)}\n".encode() + data)
    return total.hexdigest()


def certificates(path: str) -> list[File]:
    """The certificates in a PEM file, one or a whole bundle, a file each. Raises UsageError for none."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", data, re.DOTALL)
    if not blocks:
        raise UsageError(f"{path} holds no certificate.", "It must be a PEM file: -----BEGIN CERTIFICATE-----")
    named = {f"ca/magents-{hashlib.sha256(block).hexdigest()[:16]}.crt": block + b"\n" for block in blocks}
    return [File(name, named[name]) for name in sorted(named)]
