"""What an id and a branch may be called. Pure."""

from __future__ import annotations

import re

from magents.core.errors import UsageError
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

LONGEST_ID = 55
"""A DNS label has 63 characters at most (RFC 1035), and `magents-<id>` must be one."""

ID = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"

# git-check-ref-format(1), rules 1 and 3 to 10; rule 2 (one slash at least) does not hold for branches.
BAD_IN_BRANCH = r"[\000-\040\177~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock/|^[./-]|[./]$|\.lock$"


def check_id(text: str) -> str:
    """The id itself if it is valid: lower-case letters, digits and dashes, at most 55 characters.

    Such an id is valid as a part of a branch, a container's name and a DNS label. Raises UsageError.
    """
    if is_id(text):
        return text
    shown = one_line(text)
    try:
        hint = f"For example: {slug(text)}"
    except UsageError:
        hint = ""
    raise UsageError(
        f"`{shown}` cannot be an id: use lower-case letters, digits and dashes, "
        f"at most {LONGEST_ID}, with no dash at either end.",
        hint,
    )


def is_id(text: str) -> bool:
    """Whether it can be an id."""
    return len(text) <= LONGEST_ID and bool(re.fullmatch(ID, text))


def check_branch(text: str) -> str:
    """The branch's name itself if git would take it. Raises UsageError with the reason."""
    shown = one_line(text)
    if not text or text in {"@", "HEAD"}:
        raise UsageError(f"`{shown}` cannot be a branch.")
    found = re.search(BAD_IN_BRANCH, text)
    if found:
        part = ascii(found.group())[1:-1]
        raise UsageError(
            f"`{shown}` cannot be a branch: git does not allow `{part}` there.",
            "See `git help check-ref-format`.",
        )
    try:
        length = max(len(part.encode()) for part in text.split("/"))
    except UnicodeEncodeError:
        raise UsageError(f"`{shown}` cannot be a branch: it is not UTF-8.") from None
    if length > 240:
        raise UsageError("The branch's name is too long for a file system: at most 240 bytes between slashes.")
    return text


def is_branch(text: str) -> bool:
    """Whether git could have a branch of that name, whatever bytes it is of."""
    return text not in {"", "@", "HEAD"} and not re.search(BAD_IN_BRANCH, text)


def slug(branch: str) -> str:
    """An id made from a branch's name: `feature/My_Feature` → `feature-my-feature`.

    Raises UsageError where no letter or digit is left that an id could be made of.
    """
    if not branch.isascii():
        import unicodedata  # large, and seldom needed

        branch = unicodedata.normalize("NFKD", branch).encode("ascii", "ignore").decode()
    made = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")[:LONGEST_ID].rstrip("-")
    if not made:
        raise UsageError(
            f"No id can be made from the branch `{one_line(branch)}`.",
            "Name one: magents create BRANCH ID",
        )
    return made


def free(wanted: str, taken: Container[str]) -> str:
    """`wanted`, or the first of `wanted-2`, `wanted-3` … that is not taken."""
    if wanted not in taken:
        return wanted
    number = 2
    while True:
        tail = f"-{number}"
        name = wanted[: LONGEST_ID - len(tail)].rstrip("-") + tail
        if name not in taken:
            return name
        number += 1


PREFIX = "magents-"
"""What the names of agents' sessions and containers begin with."""


def session(id: str) -> str:
    """What an agent's tmux session is called, and its container."""
    return PREFIX + id


def of_session(name: str) -> str | None:
    """The id of the agent whose session or container is called so; None for anything else's."""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else None


STILL = "MAGENTS_STILL"
"""The variable that is set, to nothing, where git must run no program that a repository names."""
DIRTY = f"{STILL}_DIRTY"
"""Set to `dirty` there, for options of git that take their value from a variable."""
