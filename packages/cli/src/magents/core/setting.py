"""One setting, as the room that it belongs to declares it."""

from __future__ import annotations

from magents.core.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Setting(NamedTuple):
    """What the user may set, and what may stand there."""

    key: str
    default: str
    title: str
    about: str
    choices: tuple[str, ...] = ()
    """The values there are; empty where there are more than a few."""
    per_project: bool = False
    """Whether a project's git configuration may set it."""
    form: str = ""
    """A regular expression that its value fits; '' for any value."""
    called: str = ""
    """What such a value is, for people: `a number of seconds`."""
    in_new_file: bool = False
    """Whether a new file begins with it, as what each user needs to know of."""
    complaint: Callable[[str], str] | None = None
    """Tells what is wrong with a value that has the form; '' for nothing."""
