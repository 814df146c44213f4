"""Writing one commit with `git fast-import`, which takes files as they are and runs no filter or hook."""

from __future__ import annotations

import os
import stat
import time

from magents.core.errors import MagentsError
from magents.git.plumbing import command
from magents.system.process import feeding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

CHUNK_BYTES = 1024 * 1024


def begin(project: str) -> feeding.Feeding:
    """Start a git that waits for a `Stream`. It starts up while the caller still collects what to write."""
    return feeding.Feeding(command(project, "fast-import", "--quiet", "--done"))


class Stream:
    """One commit under way. Leaving the `with` block completes the commit; leaving it by an error drops it."""

    def __init__(
        self,
        git: feeding.Feeding,
        ref: str,
        message: str,
        parents: Iterable[str],
        beside: tuple[str, str] = ("", ""),
    ) -> None:
        """`beside` is another ref to write, and a path: its commit names this commit at that path as a
        submodule."""
        self.ref = ref
        self._git = git
        self._beside = beside
        first, *others = dict.fromkeys(oid for oid in parents if oid) or [""]
        self._commit(ref, message, "mark :1\n")
        if first:
            self._line(f"from {first}")
        for oid in others:
            self._line(f"merge {oid}")
        if first:
            self._line("deleteall")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        if kind is None:
            ref, path = self._beside
            if ref:
                self._commit(ref, "Who made it, kept by Magents")
                self.known(path, "160000", ":1")
            self._line("done")
            self._git.finish()
        else:
            self._git.stop()

    def _commit(self, ref: str, message: str, mark: str = "") -> None:
        self._line(f"commit {ref}\n{mark}committer Magents <magents@localhost> {int(time.time())} +0000")
        self._payload(message.encode())

    def text(self, path: str, text: str) -> None:
        """Add a file with this text."""
        self.data(path, text.encode())

    def data(self, path: str, content: bytes) -> None:
        """Add a file with these bytes."""
        self._line(f"M 100644 inline {quoted(path)}")
        self._payload(content)

    def known(self, path: str, mode: str, oid: str) -> None:
        """Add a file whose content the repository has."""
        self._line(f"M {mode} {oid} {quoted(path)}")

    def file(self, path: str, source: str) -> None:
        """Add a file or link as it is on disk. Raises MagentsError when it cannot be read whole."""
        try:
            about = os.lstat(source)
            if stat.S_ISLNK(about.st_mode):
                self._line(f"M 120000 inline {quoted(path)}")
                self._payload(os.fsencode(os.readlink(source)))
                return
            mode = "100755" if about.st_mode & 0o100 else "100644"
            with open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                self._line(f"M {mode} inline {quoted(path)}\ndata {size}")
                while size:
                    part = file.read(min(CHUNK_BYTES, size))
                    if not part:
                        raise MagentsError(f"{source} changes while it is being kept.", "Try again.")
                    self._git.write(part)
                    size -= len(part)
                self._line("")
        except OSError as error:
            raise cannot_read(source, error) from error

    def folder(self, path: str, source: str) -> None:
        """Add a folder as a tar archive. Raises MagentsError when it cannot be read whole."""
        import tarfile  # imported late: most pins have no nested repository
        import tempfile

        with tempfile.NamedTemporaryFile(prefix="magents-", suffix=".tar") as file:
            try:
                with tarfile.open(fileobj=file, mode="w") as archive:
                    archive.add(source, arcname=".")
                file.flush()
            except OSError as error:
                raise cannot_read(source, error) from error
            self.file(path, file.name)

    def _line(self, text: str) -> None:
        self._git.write(os.fsencode(text) + b"\n")

    def _payload(self, content: bytes) -> None:
        self._git.write(b"data %d\n" % len(content) + content + b"\n")


def quoted(path: str) -> str:
    """A path in quotes and C style: git-fast-import(1) reads it so."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def cannot_read(path: str, error: OSError) -> MagentsError:
    """The error for something that a pin has to keep and that cannot be read."""
    return MagentsError(
        f"{error.filename or path} cannot be read: {error.strerror}.", "Mend its permissions; nothing was removed."
    )
