"""The user's settings: `~/.magents-config`, lines of `KEY=value`.

Of two lines with one key the last wins, because people append with `echo >>`. `MAGENTS_<KEY>` in the environment
wins over the file, and between the two stands the project's own git configuration (`git config magents.setup …`)
for the settings that may differ per project.

Each setting is declared by the room that it belongs to, in its `SETTINGS`; packages that bring harnesses and modes
declare theirs in the records of these.
"""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import import_module

from magents.config import file
from magents.core.errors import UsageError
from magents.core.setting import Setting
from magents.core.tuples import NamedTuple
from magents.system import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOMS = ("fleet.settings", "runtimes", "harnesses", "git", "taskmaster")
"""Modules of Magents that have SETTINGS."""
OPEN_ROOMS = ("runtimes", "harnesses")
"""Those of them to which installed packages can add."""
YES = {"true", "yes", "on", "1"}
NO = {"false", "no", "off", "0"}


class Value(NamedTuple):
    """A setting's value in force and where it came from."""

    setting: Setting
    value: str
    source: str
    """`default`, the file's path with a line (`~/.magents-config:3`), `environment`, or `git config`."""


@cache
def known() -> dict[str, Setting]:
    """Every setting of Magents' own, by key."""
    return {setting.key: setting for room in ROOMS for setting in import_module(f"magents.{room}").SETTINGS}


@cache
def added() -> dict[str, Setting]:
    """The settings of installed packages, by key. Takes longer than all else here, so it is asked last."""
    rooms = [import_module(f"magents.{room}") for room in OPEN_ROOMS]
    return {setting.key: setting for room in rooms for record in room.brought() for setting in record.settings}


def declared(key: str) -> Setting | None:
    """The setting of that key, if anybody declares it."""
    return known().get(key) or added().get(key)


class Config:
    """The settings in force. Reading never fails; `problems` names what was wrong and where."""

    def __init__(
        self,
        lines: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
        project: Mapping[str, str] | None = None,
        shown: str = "~/.magents-config",
    ) -> None:
        self.values = {setting.key: Value(setting, setting.default, "default") for setting in known().values()}
        self.problems: list[str] = []
        self._env = env or {}
        for number, line in enumerate(lines, 1):
            self._line(line, f"{shown}:{number}")
        for name, value in (project or {}).items():
            if name.upper() in known() and known()[name.upper()].per_project:
                self._take(known()[name.upper()], value, "git config")
        for key in list(self.values):
            self._from_environment(self.values[key].setting)

    def _line(self, line: str, where: str) -> None:
        if not line.strip() or line.lstrip().startswith("#"):
            return
        found = re.fullmatch(file.LINE, line.rstrip("\r\n"))
        if not found:
            self.problems.append(f"{where}: not a line of the form KEY=value")
        elif (setting := declared(found[1])) is None:
            self.problems.append(f"{where}: unknown key `{found[1]}`")
        else:
            self._take(setting, file.unquote(found[2]), where)

    def _from_environment(self, setting: Setting) -> None:
        if f"MAGENTS_{setting.key}" in self._env:
            self._take(setting, self._env[f"MAGENTS_{setting.key}"], "environment")

    def _take(self, setting: Setting, value: str, source: str) -> None:
        try:
            checked = checked_for(setting, value)
        except UsageError as error:
            self.problems.append(f"{source}: {error.message}")
        else:
            self.values[setting.key] = Value(setting, checked, source)

    def __getitem__(self, key: str) -> str:
        return self.value(key).value

    def value(self, key: str) -> Value:
        """The value of a setting, also of an installed package's that is set nowhere. Raises KeyError."""
        if key not in self.values:
            setting = added()[key]
            self.values[key] = Value(setting, setting.default, "default")
            self._from_environment(setting)
        return self.values[key]

    def flag(self, key: str) -> bool:
        """A yes-or-no setting."""
        return self[key] == "true"


def check(key: str, value: str) -> str:
    """The value in its usual form (`yes` → `true`). Raises UsageError for an unknown key or a bad value."""
    setting = declared(key)
    if setting is None:
        raise UsageError(f"there is no setting `{key}`", "The settings are: " + ", ".join(known()))
    return checked_for(setting, value)


def checked_for(setting: Setting, value: str) -> str:
    """The value in its usual form. Raises UsageError for a bad one."""
    key = setting.key
    if any(mark in value for mark in "\n\r\0"):
        raise UsageError(f"{key} must be one line")
    value = value.strip()
    if setting.choices == ("true", "false"):
        lowered = value.lower()
        value = "true" if lowered in YES else "false" if lowered in NO else value
    if setting.choices and value not in setting.choices:
        raise UsageError(f"{key} must be one of {', '.join(setting.choices)}, not `{value}`")
    if setting.form and not re.fullmatch(setting.form, value):
        raise UsageError(f"{key} must be {setting.called}, not `{value}`")
    if setting.complaint and (complaint := setting.complaint(value)):
        raise UsageError(f"{key} {complaint}")
    return value


def load(project: Mapping[str, str] | None = None) -> Config:
    """The settings in force for this user, and for one project where its git configuration is given."""
    path = paths.config()
    return Config(file.read(path), os.environ, project, shorten(path))


def assign(lines: list[str], key: str, value: str) -> list[str]:
    """The lines with `key` set to a value that is checked. Raises UsageError."""
    return file.assign(lines, key, check(key, value))


def save(changes: Mapping[str, str]) -> str:
    """Write settings to the file, all or none of them; returns its path.

    A new file begins with what each user needs. The file is replaced in one step and keeps its
    permissions; a symbolic link stays one. Raises UsageError for a bad key or value.
    """
    path = os.path.realpath(paths.config())
    lines = file.read(path)
    if not lines:
        lines = [file.HEADER]
        for setting in known().values():
            if setting.in_new_file:
                lines = assign(lines, setting.key, setting.default)
    for key, value in changes.items():
        lines = assign(lines, key, value)
    file.replace(path, "".join(lines))
    return path


def shorten(path: str) -> str:
    """A path as people write it: `~` for the home folder."""
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if path.startswith(home + os.sep) else path
