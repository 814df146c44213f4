"""The files of `/shared` that are code or instructions to agents, and count only as the user has accepted them.

All agents of a project may write into `/shared`. But each agent's model is told what stands in `CLAUDE.md` there,
and each agent's container runs the servers that `.mcp.json` names. So what one agent writes into these files does
not count for the others: each container starts with read-only copies that the user has accepted. The copies lie
outside of all that an agent can write to. The first ones are Magents' own.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from magents import config
from magents.core.errors import MagentsError, NotFound, UsageError, remedy
from magents.core.text import one_line
from magents.fleet.context import digest
from magents.fleet.listeners import LISTENERS
from magents.system import process
from magents.system.files import atomic, guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from magents.fleet.context import Context

MAX_BYTES = 256 * 1024
"""Bytes of one of these files."""
NAMES = ("CLAUDE.md", ".mcp.json")
"""The names of these files."""
GUIDE = """\
# What the agents of this project share

You are one of several agents. Each works in its own copy of the project, `/workspace`, on its own branch.
What is in this folder, `/shared`, all of them see and may change.

{listeners}- Commit your work to your branch. Your commits are collected from here; there is no remote to push to.
"""


class Difference(NamedTuple):
    """A file of `/shared` that is not as it was accepted."""

    name: str
    accepted: bytes | None
    """None where it is to be absent."""
    offered: bytes | None
    """What stands in `/shared`; None where there is none, or nothing that could be taken."""
    problem: str
    """Why it cannot be taken; '' when it can."""

    def diff(self) -> str:
        """What accepting it would change, as git shows it. An agent wrote this text: clean it before you print
        it."""
        with tempfile.TemporaryDirectory() as folder:
            names = []
            for side, text in (("accepted", self.accepted), ("shared", self.offered)):
                os.mkdir(os.path.join(folder, side))
                names.append("/dev/null" if text is None else f"{side}/{self.name}")
                if text is not None:
                    put(os.path.join(folder, side), self.name, text)
            options = ("--no-index", "--no-ext-diff", "--no-textconv", "--no-color", "--text", "--no-prefix")
            return process.run(["git", "diff", *options, "--", *names], cwd=folder, ok=(0, 1), timeout=60).text


def place(context: Context, project: str) -> str:
    """The folder of the accepted files."""
    return os.path.join(context.store.folder, "accepted", digest(project))


def provide(context: Context, project: str) -> str:
    """The folder of the accepted files, with all that counts from now on. Tells once of files that do not count."""
    changed = differences(context, project)
    if config.load()["SHARED_TRUST"] == "agents":
        accept(context, project, [one for one in changed if not one.problem])
        changed = [one for one in changed if one.problem]
    if changed:
        tell(context, changed)
    return place(context, project)


def first() -> dict[str, str]:
    """The files as they are at first, by name."""
    modules = [listener.load() for listener in LISTENERS]
    servers = {name: server for module in modules for name, server in module.SERVERS.items()}
    guide = GUIDE.format(listeners="".join(module.GUIDE for module in modules))
    return dict(zip(NAMES, (guide, json.dumps({"mcpServers": servers}, indent=2) + "\n"), strict=True))


def make(path: str) -> None:
    """Make the folder, with the first content of each file. It appears in one step, whole."""
    with atomic.folder(path) as folder:
        os.chmod(folder, 0o755)  # the agents may run as another user
        for name, text in first().items():
            put(folder, name, text.encode())


def tell(context: Context, changed: Sequence[Difference]) -> None:
    """Say once that these files do not count as they stand in `/shared`."""
    names = " and ".join(f"/shared/{one.name}" for one in changed)
    message = f"an agent has changed {names}; what you accepted last counts until you accept that"
    if message not in context.warned:
        context.warned.add(message)
        context.warn(f"{message}: magents shared diff, then magents shared accept")


def differences(context: Context, project: str, names: Sequence[str] = ()) -> list[Difference]:
    """What differs in `/shared` from what is accepted, of these files or all. Raises NotFound for other names, and
    where nothing is shared yet."""
    if unknown := [name for name in names if name not in NAMES]:
        raise NotFound(f"There is no shared file {unknown[0]!r}.", f"The files are: {', '.join(NAMES)}")
    shared, path = context.shared(project), place(context, project)
    if not os.path.isdir(shared):
        raise NotFound(
            f"The agents of {os.path.basename(project)} share nothing yet.",
            "There is a shared folder once the first one is in a container: magents create BRANCH --docker",
        )
    if not os.path.isdir(path):
        make(path)
    changed = []
    for name in names or NAMES:
        text, problem = offered(shared, name)
        known = kept(path, name)
        if problem or text != known:
            changed.append(Difference(name, known, text, problem))
    return changed


def kept(path: str, name: str) -> bytes | None:
    """An accepted file; None where it is to be absent."""
    try:
        with open(os.path.join(path, name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def offered(shared: str, name: str) -> tuple[bytes | None, str]:
    """A file as it stands in `/shared`, and why it cannot be taken."""
    about = guarded.look(shared, name)
    if about is None:
        return None, ""
    if not stat.S_ISREG(about.st_mode):
        return None, "it is no plain file"
    text = guarded.read_below(shared, name, MAX_BYTES + 1)
    if max(len(text), about.st_size) > MAX_BYTES:
        return None, f"it is larger than {MAX_BYTES:,} bytes"
    try:
        if name.endswith(".json") and not isinstance(json.loads(text.decode()), dict):
            return text, "it is no object of JSON"
        text.decode()
    except (ValueError, RecursionError) as error:
        return text, f"it cannot be read: {one_line(str(error))}"
    return text, ""


def accept(context: Context, project: str, shown: Sequence[Difference]) -> None:
    """Let these files count, exactly as they were shown. Raises MagentsError for one that cannot be taken."""
    for one in shown:
        if one.problem:
            raise UsageError(
                f"/shared/{one.name} cannot be taken: {one.problem}.", "Mend it, or put another there."
            )
    for one in shown:
        put(place(context, project), one.name, one.offered)


def put(folder: str, name: str, text: bytes | None) -> None:
    """Put a file with this content into the folder, in one step; None removes the file. Raises MagentsError."""
    path = os.path.join(folder, name)
    try:
        if text is None:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
            return
        atomic.write(folder, name, text, mode=0o644)
    except OSError as error:
        raise MagentsError(f"{path} cannot be written: {error.strerror}.", remedy(error)) from error
