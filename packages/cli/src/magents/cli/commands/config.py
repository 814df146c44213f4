"""`magents config`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from magents import config, schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import show_json, table, terminal_width, warn
from magents.config import file
from magents.core.errors import NotFound, UsageError
from magents.core.text import one_line
from magents.system import paths

if TYPE_CHECKING:
    from magents.config import Config
    from magents.core.setting import Setting


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents config`."""
    parser.description = (
        "See every setting with its value and where that came from, or change settings. They are lines of\n"
        "KEY=value in ~/.magents-config; MAGENTS_<KEY> in the environment wins over the file. In one project,\n"
        "`git config magents.setup COMMAND` (agent, base, workspaces, setup) wins over the file, too."
    )
    keys = "\n".join(f"  {s.key:<19}{s.about}" for s in config.known().values())
    parser.epilog = f"keys:\n{keys}\n\nexamples:\n  magents config --set AGENT=codex\n  magents config --edit"
    what = parser.add_mutually_exclusive_group()
    get = what.add_argument("--get", metavar="KEY", help="print one value")
    get.completer = lambda **_: list(config.known())  # type: ignore[attr-defined]
    what.add_argument("--set", metavar="KEY=VALUE", action="append", help="write a setting; may be repeated")
    what.add_argument("--edit", action="store_true", help="choose from a menu")
    what.add_argument("--docker", action="store_true", help="let new agents run in containers")
    what.add_argument("--no-docker", action="store_true", help="let new agents run in tmux")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Show or change settings."""
    if options.set:
        return write(dict(map(pair, options.set)), options.json)
    if options.docker or options.no_docker:
        changes = {"DOCKER_ENABLED": "true" if options.docker else "false"}
        return write(changes | ({"MODE": ""} if settings()["MODE"] else {}), options.json)
    now = settings()
    if options.edit:
        return edit(now)
    if options.get:
        if config.declared(options.get) is None:
            raise UsageError(f"There is no setting `{one_line(options.get)}`.", "See: magents config")
        if options.json:
            show_json(schema.setting(now.value(options.get)))
        else:
            echo(one_line(now[options.get], 10_000))
        return 0
    for problem in now.problems:
        warn(problem)
    if options.json:
        show_json(schema.config(now, paths.config()))
        return 1 if now.problems else 0
    rows = [[v.setting.key, one_line(v.value) or "-", v.source] for v in now.values.values()]
    echo("\n".join(table(["KEY", "VALUE", "FROM"], rows, terminal_width())))
    return 1 if now.problems else 0


def settings() -> Config:
    """The settings that hold where the user stands."""
    from magents.fleet import Fleet

    return Fleet().settings(common.standing())


def pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE` as two."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"`{one_line(text)}` is not of the form KEY=VALUE.")
    return key.strip(), value


def check(key: str, value: str) -> str:
    """Call `config.check`, and see that the harness or the mode exists: the room `config` knows neither."""
    from magents import harnesses, runtimes

    checked = config.check(key, value)
    for registry in [harnesses] if key == "AGENT" else [runtimes] if key == "MODE" and checked else []:
        try:
            registry.record(checked)
        except NotFound as error:
            known = ", ".join(registry.TABLE)
            raise UsageError(f"{key} must be one of {known}, not `{one_line(checked)}`") from error
    return checked


def write(changes: dict[str, str], json: bool = False) -> int:
    """Write settings and say what holds now."""
    for key, text in changes.items():
        check(key, text)
    path = config.shorten(config.save(changes))
    now = settings()
    if json:
        show_json([schema.setting(now.values[key]) for key in changes])
        return 0
    for key in changes:
        value = now.values[key]
        echo(f"{key}={value.value}   ({path})")
        if value.source in ("environment", "git config"):
            warn(f"{key} from the {value.source} wins over the file")
    return 0


def edit(now: Config) -> int:
    """A menu of all settings; each change is checked, and written at once."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise UsageError("`--edit` needs a terminal.", "Use: magents config --set KEY=VALUE")
    import questionary

    while True:
        entries = [
            questionary.Choice(f"{v.setting.title}: {one_line(v.value, 60) or '-'}", value=v.setting)
            for v in now.values.values()
        ]
        chosen: Setting | str | None = questionary.select(
            "Which setting?", [*entries, questionary.Choice("Done", value="done")], use_shortcuts=False
        ).ask()
        if chosen is None or isinstance(chosen, str):
            return 0
        value = ask(chosen, now[chosen.key])
        if value is not None:
            write({chosen.key: value})
            now = settings()


def ask(setting: Setting, value: str) -> str | None:
    """A new value for a setting, or None to leave it."""
    import questionary

    if setting.choices:
        chosen: str | None = questionary.select(setting.about, list(setting.choices), default=value).ask()
        return chosen

    def valid(text: str) -> bool | str:
        try:
            file.quote(check(setting.key, text))
        except UsageError as error:
            return error.message
        return True

    text: str | None = questionary.text(setting.about, default=value, validate=valid).ask()
    return text
