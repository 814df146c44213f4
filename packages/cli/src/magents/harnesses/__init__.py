"""The harnesses by name. A new one is a file and its record in `TABLE`; its code is imported at its first use."""

from __future__ import annotations

import os

from magents.core.errors import MagentsError, NotFound, Problem
from magents.core.setting import Setting
from magents.core.tuples import NamedTuple
from magents.harnesses.base import Harness, Unknown
from magents.system import extensions, programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Record(NamedTuple):
    """What is known of a harness without its code."""

    name: str
    """What the user types after `--agent`."""
    title: str
    """What its makers call it."""
    code: str
    """The class that knows it: `module:name`."""
    program: str = ""
    """The executable to look for; '' where the user names the program."""
    npm: str = ""
    pip: str = ""
    """The package that it comes in, of npm or of PyPI."""
    pinned: str = ""
    """What the file `versions` calls the version that our image and our tests get; '' for none."""
    keys: tuple[str, ...] = ()
    """Variables of the environment any of which lets it in with its model; empty where there are too many."""
    dialect: str = "nothing"
    """How it reports, for people."""
    acknowledges: str = "no"
    """Whether it tells that it took a prompt, for people."""
    resumes: str = "yes"
    """Whether it goes on with its conversation, for people."""
    settings: tuple[Setting, ...] = ()
    """What the user may set of it."""

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"npm install -g {self.npm}" if self.npm else f"python3 -m pip install {self.pip}"

    def check(self) -> list[Problem]:
        """What keeps it from working on this machine; empty if all is well."""
        if not self.program or programs.find(self.program):
            return []
        return [Problem(f"{self.name} is not installed", self.install, needed=False)]


TABLE = {
    record.name: record
    for record in (
        Record(
            "claude", "Claude Code", "magents.harnesses.claude:Claude", "claude",
            npm="@anthropic-ai/claude-code", pinned="CLAUDE_CODE",
            keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
            dialect="hooks", acknowledges="yes",
        ),
        Record(
            "codex", "Codex", "magents.harnesses.codex:Codex", "codex", npm="@openai/codex", pinned="CODEX",
            keys=("OPENAI_API_KEY",), dialect="hooks", acknowledges="yes",
        ),
        Record(
            "gemini", "Gemini CLI", "magents.harnesses.gemini:Gemini", "gemini",
            npm="@google/gemini-cli", pinned="GEMINI", keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            dialect="hooks for root, else its screen", acknowledges="for root",
        ),
        Record(
            "opencode", "OpenCode", "magents.harnesses.opencode:OpenCode", "opencode",
            npm="opencode-ai", pinned="OPENCODE", dialect="a plugin", acknowledges="yes",
        ),
        Record(
            "qwen", "Qwen Code", "magents.harnesses.qwen:Qwen", "qwen", npm="@qwen-code/qwen-code", pinned="QWEN",
            keys=("OPENAI_API_KEY", "DASHSCOPE_API_KEY"), dialect="hooks", acknowledges="yes",
        ),
        Record(
            "aider", "aider", "magents.harnesses.aider:Aider", "aider", pip="aider-chat", pinned="AIDER",
            dialect="its notifications", resumes="yes, from its history file",
        ),
        Record(
            "command", "any program", "magents.harnesses.command:Command",
            dialect="nothing, or what you let it report", resumes="starts anew",
        ),
    )
}  # fmt: skip
NAMES = tuple(name for name, record in TABLE.items() if record.program)
"""Those of Magents' own that are programs by themselves."""
SETTINGS = tuple(setting for record in TABLE.values() for setting in record.settings)
_made: dict[tuple[str, str, str], Harness] = {}


def record(name: str) -> Record:
    """What is known of the harness of that name. Raises NotFound, or MagentsError for a broken plugin."""
    return extensions.record_of("harness", TABLE, name, (*NAMES, "any program: magents create BRANCH -- PROGRAM …"))


def brought() -> Iterator[Record]:
    """The records of harnesses that installed packages bring and that can be used."""
    return extensions.brought("harness", TABLE)


def plugins() -> Iterator[extensions.Plugin]:
    """The harnesses that installed packages bring."""
    return extensions.plugins("harness", TABLE)


def harness(name: str, home: str = "user", where: str = "here") -> Harness:
    """The harness of that name; `home` and `where` as `runtimes.base.Traits` has its home and its program.

    Raises as `record` does.
    """
    record(name)
    found = recorded(name, home, where)
    if isinstance(found, Unknown):
        raise found.error()
    return found


def write_system_files() -> None:
    """Write what our image holds for all of Magents' own; called by its Dockerfile."""
    for name in NAMES:
        for path, text in harness(name).system_files().items():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)


def recorded(name: str, home: str = "user", where: str = "here") -> Harness:
    """The harness that an agent's record names; `Unknown` where this machine does not have it."""
    key = name, home, where
    if key not in _made:
        try:
            _made[key] = extensions.make("harness", record(name), home, where)
        except NotFound as error:
            _made[key] = Unknown(name, NotFound(error.message, extensions.ABSENT))
        except MagentsError as error:
            _made[key] = Unknown(name, error)
    return _made[key]
