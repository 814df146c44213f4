"""What a pin says of itself, and who made it. All of this is read before anything of a pin is used.

An agent in a container can write any pin, and we do not trust the agent. So `meta.json` is bounded, and each of its
values must have its type and form; else the pin is refused by name. Only this module reads it.

This machine alone records who made a pin. Beside `refs/magents/<id>/<time>` it writes
`refs/magents/<id>/origin/<time>`: a commit whose tree has one entry, `worktree/MODE` or `clone/MODE`. The entry
names the pin's commit as a submodule, which keeps nothing alive. A container cannot write that ref, because a fetch
from it goes to refs that we name in full. A pin without the record is not trusted.
"""

from __future__ import annotations

import json
import os
import re
import time

from magents.core import names
from magents.core.errors import MagentsError, NotFound
from magents.core.tuples import NamedTuple
from magents.git.plumbing import git, objects, refs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeGuard

STAMP = r"\d{8}T\d{6}\.\d{3}Z"
"""The end of a pin's name."""
MAX_META_BYTES = 32 * 1024 * 1024
MAX_TIME_S = 32503680000
"""The year 3000, as Unix time."""
MAX_FILES = 1 << 40


class Meta(NamedTuple):
    """What a pin says of itself."""

    id: str
    branch: str
    """The branch checked out; '' for a detached HEAD."""
    head: str
    """The commit checked out; '' if there was none yet."""
    workspace: str
    """The path of the workspace. For people: nothing is ever written there because of it."""
    taken: float
    """Unix time, seconds."""
    deleted: list[str]
    """Tracked files that were deleted, with those whose changes git was told to ignore."""
    nested: list[str]
    """Folders kept as `nested/0.tar`, `nested/1.tar` …"""
    uncommitted: int
    """How many files were changed, untracked or deleted."""
    stashes: list[str]
    """The subjects of the repository's stash entries. The entries stay in the repository, too."""
    modes: dict[str, int] = {}  # noqa: RUF012 - never changed
    """Permissions of kept files that git does not give, such as 0600."""
    folders: list[str] = []  # noqa: RUF012 - never changed
    """Folders that tracked files were deleted from, and that were still there. They may be empty."""


class Kept(NamedTuple):
    """What was pinned."""

    ref: str
    uncommitted: int
    """How many uncommitted files the pin holds."""
    unkept: Sequence[str] = ()
    """What could not be kept and was given up, in words for people."""


class Origin(NamedTuple):
    """Who made a pin."""

    kind: str
    """`worktree`: our own git made it, in a worktree of the user's. `clone`: the agent's git made it."""
    runtime: str
    """The agent's runtime."""

    @property
    def foreign(self) -> bool:
        """Whether the pin is not trusted, so that it is used as data only."""
        return self.kind != "worktree"

    @property
    def path(self) -> str:
        """The path of the pin in the record's tree."""
        return f"{self.kind}/{self.runtime}"


def prefix(id: str) -> str:
    """The beginning of the names of an agent's pins."""
    return f"refs/magents/{id}/"


def new_ref(id: str, taken: float) -> str:
    """The name of a new pin. It ends in the time, UTC, so that names sort by age."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(taken))
    return f"{prefix(id)}{stamp}.{int(taken % 1 * 1000):03}Z"


def pins(project: str, id: str = "") -> list[str]:
    """The refs of an agent's pins, newest first; without an id, of all agents' pins."""
    below = prefix(id).rstrip("/")
    return [name for name in reversed(refs(project, below)) if re.fullmatch(f"refs/magents/[^/]+/{STAMP}", name)]


def origin_ref(ref: str) -> str:
    """The ref that records who made a pin."""
    above, _, stamp = ref.rpartition("/")
    return f"{above}/origin/{stamp}"


def origin(project: str, ref: str) -> Origin | None:
    """Who made a pin, as this machine recorded it; None without a record, or when it is for another pin of that
    name."""
    oid = git(project, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", ok=None).line
    tree = git(project, "ls-tree", "-r", "-z", origin_ref(ref), ok=None).text
    entry = re.fullmatch(rf"160000 commit {oid or '-'}\t(worktree|clone)/([a-z0-9-]+)\0", tree)
    return Origin(entry[1], entry[2]) if entry else None


def is_foreign(project: str, ref: str) -> bool:
    """Whether a pin is not trusted. It is trusted if this machine recorded that our own git made it."""
    made = origin(project, ref)
    return made is None or made.foreign


def meta_of(project: str, ref: str) -> Meta:
    """What a pin says of itself, checked. Its `head` is a commit that the project has.

    Raises NotFound when the pin is gone, Unreadable when it is no pin of ours.
    """
    return read(project, ref)[1]


def read(project: str, ref: str) -> tuple[str, Meta]:
    """The commit of a pin, and its `meta_of`."""
    about, parent, data = objects(project, [f"{ref}^{{commit}}", f"{ref}^1", f"{ref}:meta.json"])
    if about[1:2] != ["commit"]:
        raise NotFound(
            f"The pin {ref} is gone: somebody has deleted it.", f"What there is: git for-each-ref {prefix('')[:-1]}"
        )
    if data[1:2] != ["blob"]:
        raise unreadable(ref, "it has no meta.json")
    if int(data[2]) > MAX_META_BYTES:
        raise unreadable(ref, f"its meta.json has more than {MAX_META_BYTES >> 20} MiB")
    meta = parse(ref, git(project, "cat-file", "blob", data[0]).text)
    # In our own pins `head` is the first parent.
    if meta.head not in ("", parent[0]) and objects(project, [meta.head])[0][:2] != [meta.head, "commit"]:
        raise unreadable(ref, "its `head` is no commit that is there")
    return about[0], meta


class Unreadable(MagentsError):
    """A pin cannot be used, and nothing of it was."""


def unreadable(ref: str, why: str) -> Unreadable:
    """The error that says why a pin cannot be used."""
    return Unreadable(
        f"{ref} is not a pin that this version of Magents can read: {why}.", f"Look at it: git ls-tree -r {ref}"
    )


def parse(ref: str, text: str) -> Meta:
    """Read a pin's `meta.json`. Raises Unreadable unless every value has its form."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(ref, "its meta.json is no JSON") from error
    if not isinstance(values, dict) or not values.keys() <= set(Meta._fields):
        raise unreadable(ref, "its meta.json has other fields")
    for name in Meta._fields:
        if name in values:
            if not FORMS[name](values[name]):
                raise unreadable(ref, f"its `{name}` {WRONG.get(name, 'has another form')}")
        elif name not in OPTIONAL:
            raise unreadable(ref, f"its meta.json has no `{name}`")
    return Meta(**values)


def is_text(value: Any) -> TypeGuard[str]:
    """Whether a value is text that the system takes. Bytes that are not UTF-8 stand as lone surrogates."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def is_inner(value: Any) -> TypeGuard[str]:
    """Whether a value is a path below a workspace, and not one of git's own files."""
    if not is_text(value):
        return False
    # macOS ignores some characters in a name; see `is_hfs_dotgit` in git.
    seen = value if value.isascii() else re.sub("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]", "", value)
    return not set(seen.lower().split("/")) & {"", ".", "..", ".git"}


def is_object(value: Any) -> bool:
    """Whether a value is the full id of an object, or '' for none."""
    is_full = isinstance(value, str) and re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", value)
    return value == "" or bool(is_full and value.strip("0"))


def is_number(value: Any, maximum: float) -> bool:
    """Whether a value is a number from 0 to `maximum`."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= maximum


def are_inner(value: Any) -> bool:
    """Whether a value is a list of such paths."""
    return isinstance(value, list) and all(map(is_inner, value))


def are_modes(value: Any) -> bool:
    """Whether a value maps such paths to permissions."""
    return (
        isinstance(value, dict) and are_inner(list(value))
        and all(isinstance(mode, int) and is_number(mode, 0o777) for mode in value.values())
    )  # fmt: skip


OPTIONAL = {"modes", "folders"}
FORMS = {
    "id": lambda value: isinstance(value, str) and names.is_id(value),
    "branch": lambda value: value == "" or (is_text(value) and names.is_branch(value)),
    "head": is_object,
    "workspace": is_text,
    "taken": lambda value: is_number(value, MAX_TIME_S),
    "deleted": are_inner,
    "nested": are_inner,
    "uncommitted": lambda value: isinstance(value, int) and is_number(value, MAX_FILES),
    "stashes": lambda value: isinstance(value, list) and all(isinstance(subject, str) for subject in value),
    "modes": are_modes,
    "folders": are_inner,
}
"""The form of each value."""
OUTSIDE = "would lie outside of a workspace, or be git's own"
WRONG = {"head": "is no commit", "branch": "can be no branch"} | dict.fromkeys(
    ("deleted", "nested", "modes", "folders"), OUTSIDE
)
"""What is wrong with a value of another form."""


def encoded(meta: Meta) -> str:
    """The text of a pin's `meta.json`. Raises MagentsError when it is too large to be read again."""
    text = json.dumps(meta._asdict(), indent=1)
    if len(text) > MAX_META_BYTES:
        raise MagentsError(
            "Too many files are gone or have permissions of their own to keep a list of them.",
            "Commit what you can; nothing was removed.",
        )
    return text
