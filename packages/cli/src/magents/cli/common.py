"""What the command modules share: the fleet, ids as arguments, completers."""

from __future__ import annotations

import argparse
import os
import sys

from magents.core.errors import MagentsError, NotFound, UsageError
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from magents.core.agent import Agent
    from magents.fleet import Fleet


def fleet() -> Fleet:
    """The user's fleet. It tells on the terminal of its progress, and of what a killed command had left."""
    from magents.cli.render import Progress, warn
    from magents.fleet import Fleet

    made = Fleet(progress=Progress(), warn=warn)
    for line in made.recover():
        warn(line)
    return made


def standing() -> str:
    """The folder the user stands in. Raises MagentsError when it has been deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise MagentsError("The current folder does not exist any more.", "Go elsewhere: cd") from error


def add_id(parser: argparse.ArgumentParser, *, many: bool = False, removed: bool = False, **options: Any) -> None:
    """An argument for an agent's id, or several, with completion."""
    options.setdefault("help", "an agent's id, or the first letters of it")
    if many:
        options.setdefault("nargs", "+")
    argument = parser.add_argument("ids" if many else "id", metavar="ID", **options)
    argument.completer = removed_ids if removed else live_ids  # type: ignore[attr-defined]


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON (docs/json.md)")


def add_kind(parser: argparse.ArgumentParser) -> None:
    """The options of every command that makes agents: what they run, and where."""
    from magents import harnesses, runtimes

    agent = parser.add_argument(
        "--agent", metavar="NAME", default="", help=f"harness: {', '.join(harnesses.NAMES)}"
    )
    agent.completer = lambda **_: list(harnesses.NAMES)  # type: ignore[attr-defined]
    group = parser.add_mutually_exclusive_group()
    for record in reversed(runtimes.TABLE.values()):
        group.add_argument(
            f"--{record.name}", dest="mode", action="store_const", const=record.name, help=record.about
        )
    mode = group.add_argument("--mode", metavar="NAME", help=f"where to run: {', '.join(runtimes.TABLE)}")
    mode.completer = lambda **_: list(runtimes.TABLE)  # type: ignore[attr-defined]
    parser.set_defaults(program=[], mode="")


def check_program(options: argparse.Namespace) -> None:
    """Raises UsageError when both a harness and a program are named."""
    if options.program and options.agent:
        raise UsageError("`--agent` and `-- PROGRAM` exclude each other.")


def seconds(text: str) -> float:
    """A length of time as an option: seconds, or with s, m or h behind."""
    units = {"s": 1, "m": 60, "h": 3600}
    number = float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text)
    if not 0 <= number < 1e9:
        raise ValueError(text)
    return number


def parted(values: Sequence[str]) -> list[str]:
    """The words of an option whose value is a list, separated by commas. The option may be repeated."""
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def shell_command(text: str) -> str:
    """A shell command as an option's value. Raises ValueError for an empty one: a variable that is not set would
    check nothing."""
    if not text.strip():
        raise ValueError(text)
    return text


def add_check(parser: argparse.ArgumentParser, help: str) -> None:
    """`--check`: a command that must succeed on the result of a merge."""
    parser.add_argument("--check", metavar="COMMAND", type=shell_command, help=help)


def agents_of(fleet: Fleet, ids: Sequence[str], *, running: bool = False) -> list[Agent]:
    """The agents of these ids, each once; with `running` also what runs without a record.

    All ids are looked up before anything is done to an agent.
    """
    find = fleet.find_running if running else fleet.find
    return list({(agent.key, agent.id): agent for agent in map(find, ids)}.values())


def make_sure(ids: Sequence[str], agents: Sequence[Agent], *, given: bool, quiet: bool) -> None:
    """Before agents are removed, make sure that the user means them: each was named by its whole id, or the user
    says yes.

    Whoever mistypes, or names an agent that is gone, must not lose another one. `given`: the user has said yes
    beforehand; `quiet`: do not ask. Raises NotFound.
    """
    from magents.cli.console import ask

    meant = [agent for agent in agents if agent.id not in ids]
    if not meant or given:
        return
    named = ", ".join(agent.id for agent in meant)
    short = ", ".join(f"`{id}`" for id in ids if all(id != agent.id for agent in agents))
    message = f"No agent has the id {short}; what begins so is {named}."
    if quiet or not sys.stdin.isatty():
        raise NotFound(message, "Give the whole id, or --prefix.")
    if not ask(f"{message} Remove {named}?"):
        raise NotFound("Nothing was removed.", "Give the whole id.")


def each(agents: Sequence[Agent], do: Callable[[Agent], None]) -> int:
    """Do something to each agent. A failure is printed, and does not keep the others from it."""
    from magents.cli.render import complain
    from magents.system.isolated import isolated

    code = 0
    for agent in agents:
        try:
            with isolated(agent.id):
                do(agent)
        except MagentsError as error:
            complain(error)
            code = error.exit_code
    return code


def live_ids(**_: object) -> list[str]:
    """Completion: ids of living agents."""
    from magents.fleet import Fleet

    return [agent.id for agent in Fleet().agents()]


def removed_ids(**_: object) -> list[str]:
    """Completion: ids of agents that can be restored."""
    from magents.fleet import Fleet

    return [agent.id for agent in Fleet().removed()]


def branches(**_: object) -> list[str]:
    """Completion: the branches of the project one stands in."""
    from magents.fleet import Fleet

    try:
        names = Fleet().branches(standing())
    except MagentsError:
        return []
    return [name for name in names if one_line(name, 1000) == name]  # a shell shows them as they are
