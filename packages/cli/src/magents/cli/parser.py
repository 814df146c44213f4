"""The commands and their options. Only the parser of the command that was typed is built."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from magents import __version__
from magents.core.errors import MagentsError
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


GROUPS = {
    "Agents": {
        "create": "make an agent on a branch and start it",
        "list": "see all agents and what they do (also: ls)",
        "attach": "go into an agent's terminal",
        "send": "give an agent a prompt",
        "wait": "wait until agents are done, or need you",
        "logs": "read what agents' terminals have shown",
    },
    "Their work": {
        "diff": "see what an agent has changed",
        "merge": "merge an agent's branch into its base",
        "conflicts": "see which agents' branches do not go together",
        "collect": "bring the commits of agents in containers home",
        "shared": "see and accept what agents change in each other's instructions",
        "trust": "accept hooks and set-up files that agents in containers changed",
    },
    "Task Master": {
        "tasks": "see the project's tasks and their agents",
        "task-create": "make an agent for one task",
        "task-agents": "make agents for all tasks that are ready",
    },
    "Their lives": {
        "stop": "end agents; with --remove-worktree, clear their workspaces away",
        "start": "start agents again, where they left off",
        "restore": "bring a removed workspace back",
        "cleanup": "stop every agent",
    },
    "Magents": {
        "config": "see and change settings",
        "image": "see and build the images of agents' containers",
        "doctor": "see what is missing or wrong, and mend it",
        "demo": "see it all work, in a throw-away project",
        "completion": "print the completion script of a shell",
    },
}
COMMANDS = {name: about for group in GROUPS.values() for name, about in group.items()}
"""Each command is the module of that name in `commands`; here is its line in the help."""
ALIASES = {"ls": "list"}
WITH_PROGRAM = ("create", "task-create", "task-agents")
"""Commands that take `-- PROGRAM …`."""

INTRO = "Run many AI coding agents at once, each on its own git branch in its own copy of your project."
EXAMPLES = """\
Examples:
  magents create feature/login --prompt 'Write the login page'
  magents create fix/crash --agent codex --attach
  magents list --watch
  magents send feature-login 'Add tests for it'
  magents diff feature-login
  magents merge feature-login
  magents stop feature-login --remove-worktree

`magents COMMAND --help` tells more. Where an ID is wanted, its first letters are enough."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Keeps examples as they are written. argparse makes one for each option of each command; its own would import
    `shutil`, with every archive format there is, to learn the terminal's width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns() - 2)

    def _set_color(self, color: bool) -> None:
        """Show no colours, as before Python 3.14, which imports `dataclasses` and `inspect` to choose them."""
        self._theme = Colourless()
        self._decolor = str


class Colourless:
    """What Python 3.14 looks colours up in."""

    def __getattr__(self, name: str) -> str:
        return ""


def columns() -> int:
    """How wide the help may be: as `shutil.get_terminal_size` tells it."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80 if sys.__stdout__ else 80
    except (OSError, ValueError):
        return 80


class Parser(argparse.ArgumentParser):
    """argparse, with errors like Magents' own and examples kept as they are written."""

    def __init__(self, **options: object) -> None:
        options.setdefault("formatter_class", Help)
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)  # type: ignore[arg-type]

    def error(self, message: str) -> None:  # type: ignore[override]
        """Say what is wrong and where help is; exit code 2."""
        raise Usage(f"{message[:1].upper()}{message[1:]}.", f"See: {self.prog} --help")


class Usage(MagentsError):
    """A command line that makes no sense."""

    exit_code = 2


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line, with `run` set to the command's function.

    Prints and exits for `--help`, `--version`, no command at all, and when a shell asks for completions.
    """
    if "_ARGCOMPLETE" in os.environ:
        complete()
    words = words[1:] if words[:1] == ["--verbose"] else words
    name = words[0] if words else ""
    name = ALIASES.get(name, name)
    if name in COMMANDS:
        words, program = split_program(words[1:]) if name in WITH_PROGRAM else (words[1:], [])
        options = build(name).parse_args(words)
        if name in WITH_PROGRAM:
            options.program = program
        return options
    top = top_level()
    if not words or name == "help":
        from magents.cli.console import echo

        echo(help_of(words[1]) if len(words) > 1 and words[1] in COMMANDS else top.format_help(), end="")
        raise SystemExit(0)
    if not name.startswith("-"):
        near = [known for known in COMMANDS if known.startswith(name[:2])]
        hint = f"Did you mean: {', '.join(near)}?   " if near else ""
        raise Usage(f"There is no command `{one_line(name)}`.", f"{hint}See: magents --help")
    top.parse_args(words)
    raise Usage("A command is missing.", "See: magents --help")


def split_program(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part `… -- PROGRAM ARGS`, which argparse would mix up with the positional arguments."""
    words = list(words)
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def build(name: str) -> Parser:
    """The parser of one command."""
    parser = Parser(prog=f"magents {name}")
    fill(parser, name)
    parser.add_argument("--verbose", action="store_true", help=argparse.SUPPRESS)  # `main` looks for it
    return parser


def fill(parser: argparse.ArgumentParser, name: str) -> None:
    """Add a command's options to its parser."""
    module = import_module(f"magents.cli.commands.{name.replace('-', '_')}")
    module.add(parser)
    parser.set_defaults(run=module.run)


def top_level() -> Parser:
    """What `magents --help` shows."""
    parts = [INTRO]
    for title, group in GROUPS.items():
        parts.append(f"{title}:")
        parts.append("\n".join(f"  {name:<12}{about}" for name, about in group.items()))
    text = "\n\n".join(parts).replace(":\n\n  ", ":\n  ")
    parser = Parser(
        prog="magents", usage="magents COMMAND …", description=text, epilog=EXAMPLES,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"magents {__version__}")
    parser.add_argument("--verbose", action="store_true", help="with any command: show where an error came from")
    return parser


def help_of(name: str) -> str:
    """What `magents NAME --help` shows."""
    return build(name).format_help()


def complete() -> None:
    """Answer a shell that asks for completions, and exit."""
    import argcomplete

    parser = Parser(prog="magents")
    commands = parser.add_subparsers(parser_class=Parser)
    for name, about in COMMANDS.items():
        fill(commands.add_parser(name, help=about), name)
    argcomplete.autocomplete(parser, always_complete_options=False)
    sys.exit(0)
