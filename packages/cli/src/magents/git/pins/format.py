"""What a pin says of itself, and who made it: all that is read before anything of a pin is used.

What a container made was written by someone we do not trust. So `meta.json` is bounded, and each value of it has
its type and form, or the pin is refused by name; nobody else reads it.

Who made a pin, this machine alone says. Beside `refs/magents/<id>/<time>` it writes
`refs/magents/<id>/origin/<time>`: a commit whose tree has one entry, `worktree/MODE` or `clone/MODE`, that names
the pin's commit as a submodule is named, which keeps nothing alive. A container cannot write that ref: a fetch
from it goes to refs that we name in full. A pin without it is nobody's.
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
"""What a pin's name ends in."""
LARGEST_META_BYTES = 32 * 1024 * 1024
LATEST_S = 32503680000
"""The year 3000, as Unix time."""
MOST_FILES = 1 << 40


class Meta(NamedTuple):
    """What a pin says of itself."""

    id: str
    branch: str
    """The branch checked out; '' when HEAD was detached."""
    head: str
    """The commit checked out; '' when there was none yet."""
    workspace: str
    """Where it was. For people: nothing is ever put there for its sake."""
    taken: float
    deleted: list[str]
    """Tracked files that were gone, those too whose changes git has been told not to look at."""
    nested: list[str]
    """Folders kept as `nested/0.tar`, `nested/1.tar` …"""
    uncommitted: int
    """How many files were changed, untracked or gone."""
    stashes: list[str]
    """The subjects of the repository's stash entries; they also stay where they are."""
    modes: dict[str, int] = {}  # noqa: RUF012 - never changed
    """Permissions of kept files that git would not give them: a secret's 0600."""
    folders: list[str] = []  # noqa: RUF012 - never changed
    """Folders that tracked files had been removed from, and that were still there: they may be empty."""


class Kept(NamedTuple):
    """What was pinned."""

    ref: str
    uncommitted: int
    """How many uncommitted files the pin holds."""
    unkept: Sequence[str] = ()
    """What could not be kept and was given up, for people."""


class Origin(NamedTuple):
    """Who made a pin."""

    kind: str
    """`worktree`: our own git, in a worktree of the user's. `clone`: the agent's, out of our sight."""
    runtime: str
    """The mode that the agent was in."""

    @property
    def foreign(self) -> bool:
        """Whether the pin is data and nothing else."""
        return self.kind != "worktree"

    @property
    def path(self) -> str:
        """How the record's tree calls the pin."""
        return f"{self.kind}/{self.runtime}"


def prefix(id: str) -> str:
    """Where the pins of an agent are."""
    return f"refs/magents/{id}/"


def new_ref(id: str, taken: float) -> str:
    """The name of a pin: the time it was taken, UTC, so that names sort by age."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(taken))
    return f"{prefix(id)}{stamp}.{int(taken % 1 * 1000):03}Z"


def pins(project: str, id: str = "") -> list[str]:
    """The refs of an agent's pins, newest first; without an id, of all agents' pins."""
    below = prefix(id).rstrip("/")
    return [name for name in reversed(refs(project, below)) if re.fullmatch(f"refs/magents/[^/]+/{STAMP}", name)]


def origin_ref(ref: str) -> str:
    """Where it is written who made a pin."""
    above, _, stamp = ref.rpartition("/")
    return f"{above}/origin/{stamp}"


def origin(project: str, ref: str) -> Origin | None:
    """Who made a pin, as this machine wrote it down; None where it did not, or meant another one of that name."""
    oid = git(project, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", ok=None).line
    said = git(project, "ls-tree", "-r", "-z", origin_ref(ref), ok=None).text
    found = re.fullmatch(rf"160000 commit {oid or '-'}\t(worktree|clone)/([a-z0-9-]+)\0", said)
    return Origin(found[1], found[2]) if found else None


def is_foreign(project: str, ref: str) -> bool:
    """Whether a pin is data and nothing else: unless this machine wrote down that our own git made it."""
    made = origin(project, ref)
    return made is None or made.foreign


def meta_of(project: str, ref: str) -> Meta:
    """What a pin says of itself, checked; its `head` is a commit that is there.

    Raises NotFound when the pin is gone, Unreadable when it is not one of ours.
    """
    return read(project, ref)[1]


def read(project: str, ref: str) -> tuple[str, Meta]:
    """The commit of a pin, and `meta_of` it."""
    about, parent, data = objects(project, [f"{ref}^{{commit}}", f"{ref}^1", f"{ref}:meta.json"])
    if about[1:2] != ["commit"]:
        raise NotFound(
            f"The pin {ref} is gone: somebody has deleted it.", f"What there is: git for-each-ref {prefix('')[:-1]}"
        )
    if data[1:2] != ["blob"]:
        raise unreadable(ref, "it has no meta.json")
    if int(data[2]) > LARGEST_META_BYTES:
        raise unreadable(ref, f"its meta.json has more than {LARGEST_META_BYTES >> 20} MiB")
    meta = parse(ref, git(project, "cat-file", "blob", data[0]).text)
    # Of ours it is the first parent.
    if meta.head not in ("", parent[0]) and objects(project, [meta.head])[0][:2] != [meta.head, "commit"]:
        raise unreadable(ref, "its `head` is no commit that is there")
    return about[0], meta


class Unreadable(MagentsError):
    """A pin that cannot be used; nothing of it was."""


def unreadable(ref: str, why: str) -> Unreadable:
    """The error for a pin that cannot be used."""
    return Unreadable(
        f"{ref} is not a pin that this version of Magents can read: {why}.", f"Look at it: git ls-tree -r {ref}"
    )


def parse(ref: str, text: str) -> Meta:
    """The `meta.json` of a pin. Raises Unreadable unless every value has its form."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(ref, "its meta.json is no JSON") from error
    if not isinstance(found, dict) or not found.keys() <= set(Meta._fields):
        raise unreadable(ref, "its meta.json has other fields")
    for name in Meta._fields:
        if name in found:
            if not FORMS[name](found[name]):
                raise unreadable(ref, f"its `{name}` {WRONG.get(name, 'has another form')}")
        elif name not in OPTIONAL:
            raise unreadable(ref, f"its meta.json has no `{name}`")
    return Meta(**found)


def is_text(value: Any) -> TypeGuard[str]:
    """Whether it is text that the system can be given: bytes that are not UTF-8 are there as lone surrogates."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def is_inner(value: Any) -> TypeGuard[str]:
    """Whether it is a path below a workspace, and not of git's own files."""
    if not is_text(value):
        return False
    # macOS can pass over some characters in a name: git calls these `is_hfs_dotgit`.
    seen = value if value.isascii() else re.sub("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]", "", value)
    return not set(seen.lower().split("/")) & {"", ".", "..", ".git"}


def is_object(value: Any) -> bool:
    """Whether it is an object's whole id, or '' for none."""
    whole = isinstance(value, str) and re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", value)
    return value == "" or bool(whole and value.strip("0"))


def is_number(value: Any, most: float) -> bool:
    """Whether it is a number from 0 to `most`."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most


def are_inner(value: Any) -> bool:
    """Whether it is a list of such paths."""
    return isinstance(value, list) and all(map(is_inner, value))


def are_modes(value: Any) -> bool:
    """Whether it maps such paths to permissions."""
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
    "taken": lambda value: is_number(value, LATEST_S),
    "deleted": are_inner,
    "nested": are_inner,
    "uncommitted": lambda value: isinstance(value, int) and is_number(value, MOST_FILES),
    "stashes": lambda value: isinstance(value, list) and all(isinstance(subject, str) for subject in value),
    "modes": are_modes,
    "folders": are_inner,
}
"""What each value has to be."""
OUTSIDE = "would lie outside of a workspace, or be git's own"
WRONG = {"head": "is no commit", "branch": "can be no branch"} | dict.fromkeys(
    ("deleted", "nested", "modes", "folders"), OUTSIDE
)
"""What is wrong with a value that is not that."""


def encoded(meta: Meta) -> str:
    """A pin's `meta.json`. Raises MagentsError when it would be too large to be read again."""
    text = json.dumps(meta._asdict(), indent=1)
    if len(text) > LARGEST_META_BYTES:
        raise MagentsError(
            "Too many files are gone or have permissions of their own to keep a list of them.",
            "Commit what you can; nothing was removed.",
        )
    return text
