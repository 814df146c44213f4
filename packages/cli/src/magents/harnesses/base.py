"""What a harness is: everything Magents knows about one coding-agent program."""

from __future__ import annotations

from magents.core.errors import MagentsError
from magents.core.event import Event, Signal
from magents.core.program import Program, Start


class Harness:
    """A coding-agent program. One subclass, in one file, per program; stateless, so one instance each.

    Nothing here starts a process or touches the agent's terminal: a harness only says what to run and
    what the things it prints and reports mean.
    """

    name: str
    """The same as its record's."""
    reports: bool = True
    """Whether it is sure to report events. One that has reported none else is `running` while it lives."""
    takes_prompt: frozenset[str] = frozenset()
    """Names of the events by which it acknowledges a prompt; empty when it has none."""
    erase: tuple[str, ...] = ()
    """Keys that delete a line of its input, for as long as it holds text; empty where that is not known."""
    saves: float = 0.0
    """Seconds within which it has written a turn down, to resume from it later, after the event that ends it."""

    def __init__(self, home: str = "user", where: str = "here") -> None:
        self.home = home
        """Whose home it runs with: a user's, or a fresh one, where the system's settings are ours, too."""
        self.where = where
        """Whether it runs on this machine, so that what it writes can be read here."""

    def start(self, start: Start) -> Program:
        """What to run, and the files it needs, for a first start or a resumption."""
        raise NotImplementedError

    def system_files(self) -> dict[str, str]:
        """What our image holds for it beside its program: absolute path → text."""
        return {}

    def read(self, event: Event) -> Signal | None:
        """What an event says about the agent; None when it says nothing. Never raises."""
        return None

    def takes(self, event: Event) -> bool:
        """Whether this event acknowledges a prompt. Never raises."""
        return event.name in self.takes_prompt

    def session(self, event: Event) -> str | None:
        """The harness's own name for the conversation, if this event tells it. Never raises."""
        return None

    def saved(self, event: Event) -> bool:
        """Whether the turn that this event ends has been written down. Never raises."""
        return True

    def forgets(self, event: Event) -> bool:
        """Whether this event, as the first of a run, means that the conversation to go on with is not there."""
        return False

    def settles(self, asked: Event, later: Event) -> bool:
        """Whether `later`, which says `working`, means that what `asked` wanted to know was answered."""
        return True

    def look(self, screen: str) -> Signal | None:
        """What its screen shows. Asked only when events leave the matter open; None if unsure."""
        return None

    def draft(self, screen: str) -> str:
        """What stands unsent in its input box, as far as it can be told from the screen."""
        return ""

    def holds(self, draft: str, text: str) -> bool:
        """Whether what stands in its input is this text, however it is wrapped there."""
        return "".join(draft.split()) == "".join(text.split())

    def queued(self, screen: str) -> bool:
        """Whether the screen shows that it keeps a prompt until its turn is over."""
        return False


class Unknown(Harness):
    """The harness of an agent whose record names one that this machine does not have."""

    reports = False

    def __init__(self, name: str, error: MagentsError) -> None:
        super().__init__()
        self.name = name
        self.why = error

    def error(self) -> MagentsError:
        """The error for what cannot be done without the harness."""
        return type(self.why)(self.why.message, self.why.hint)

    def start(self, start: Start) -> Program:
        raise self.error()
