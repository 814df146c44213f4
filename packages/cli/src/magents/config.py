"""The user's settings: `~/.magents-config`, lines of `KEY=value`.

Of two lines with one key the last wins, because people append with `echo >>`. Comments, order and keys
that Magents does not know survive a rewrite. `MAGENTS_<KEY>` in the environment wins over the file, and
between the two stands the project's own git configuration (`git config magents.setup …`) for the settings
that may differ per project.
"""

from __future__ import annotations

import os
import re

from magents.core.errors import MagentsError, UsageError
from magents.core.tuples import NamedTuple
from magents.system import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LINE = r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)"
IMAGE = r"[a-z0-9]+([._/:@-]+[A-Za-z0-9_]+)*"
FORMS = {
    "DOCKER_MEMORY": (r"(\d+[bkmg]?)?", "a size like 512m or 4g, or empty for no limit"),
    "DOCKER_CPUS": (r"(\d+(\.\d+)?)?", "a number like 2 or 0.5, or empty"),
    "DOCKER_PIDS_LIMIT": (r"-1|[1-9]\d*", "a number, or -1 for no limit"),
    "DOCKER_NETWORK": (r"([A-Za-z0-9][A-Za-z0-9_.:-]*)?", "a network's name, or empty"),
    "COLLECT_LIMIT": (r"[1-9]\d*[kmg]?", "a size like 512m or 4g"),
    "MAX_AGENTS": (r"[1-9]\d{0,3}", "a number from 1"),
    "CHECK_TIMEOUT": (r"[1-9]\d{0,6}", "a number of seconds"),
    "SILENCE_TIMEOUT": (r"[1-9]\d{0,6}", "a number of seconds"),
    "API_KEYS": (r"([A-Za-z_][A-Za-z0-9_]*([ ,]+|$))*", "names of variables, parted by commas"),
}
"""The form of settings whose value is neither free nor one of a few, and what it is called."""
YES = {"true", "yes", "on", "1"}
NO = {"false", "no", "off", "0"}


class Setting(NamedTuple):
    """One setting that Magents knows."""

    key: str
    default: str
    title: str
    about: str
    choices: tuple[str, ...] = ()
    per_project: bool = False


class Value(NamedTuple):
    """A setting's value in force and where it came from."""

    setting: Setting
    value: str
    source: str
    """`default`, the file's path with a line (`~/.magents-config:3`), `environment`, or `git config`."""


SETTINGS = (
    Setting("AGENT", "claude", "Harness", "The coding agent that a new agent runs.", per_project=True),
    Setting(
        "AUTO_ACCEPT", "docker", "Work unasked",
        "Where harnesses may act without asking: `never`, in containers only (`docker`), or `always`.",
        choices=("never", "docker", "always"),
    ),
    Setting("BASE", "", "Base branch", "What new branches start from; empty: the commit you stand on.",
            per_project=True),
    Setting(
        "WORKSPACES", "", "Folder of workspaces",
        "Where workspaces are made; empty: `<project>-agents` beside the project. `{project}` stands for "
        "the project's name.", per_project=True,
    ),
    Setting("SETUP", "", "Set-up command", "A shell command to run in a new workspace before its agent starts.",
            per_project=True),
    Setting("DOCKER_ENABLED", "false", "Docker mode", "Whether new agents run in containers.",
            choices=("true", "false")),
    Setting("DOCKER_IMAGE", "magents/agent:latest", "Docker image for agents",
            "The image that containers are made from."),
    Setting("DOCKER_NETWORK", "", "Docker network", "The network of containers; empty: the engine's default."),
    Setting("DOCKER_MEMORY", "4g", "Memory of a container", "The most memory that a container gets: 512m, 4g."),
    Setting("DOCKER_CPUS", "", "Processors of a container",
            "How many processors a container gets at most; empty: all but one, at least one."),
    Setting("DOCKER_PIDS_LIMIT", "2048", "Processes of a container", "How many processes a container may have."),
    Setting("DOCKER_OPTIONS", "", "More options for containers", "Added to `docker run`, in shell's quoting."),
    Setting(
        "SHARED_TRUST", "ask", "Trust among agents",
        "Who lets changed instructions and servers of `/shared` count for other agents: you (`ask`), or at once "
        "whoever wrote them (`agents`).", choices=("ask", "agents"),
    ),
    Setting("API_KEYS", "", "More keys for containers",
            "Names of variables that containers get from the environment, beside the usual API keys."),
    Setting("COLLECT_LIMIT", "2g", "Size of a collection",
            "The most that commits may take that are brought home from a container at once: 512m, 4g."),
    Setting("MAX_AGENTS", "4", "Agents of tasks at once",
            "How many agents `task-agents` lets work on a project's tasks at once."),
    Setting("CHECK_TIMEOUT", "3600", "Time of a check",
            "How many seconds the command of `merge --check` may take."),
    Setting("SILENCE_TIMEOUT", "900", "Silence of an agent",
            "After how many seconds without a sign `task-agents --watch` starts a working agent again."),
)  # fmt: skip
KNOWN = {setting.key: setting for setting in SETTINGS}

HEADER = "# Magents: KEY=value, the last of two lines wins. `magents config` explains each key.\n"


class Config:
    """The settings in force. Reading never fails; `problems` names what was wrong and where."""

    def __init__(
        self,
        lines: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
        project: Mapping[str, str] | None = None,
        shown: str = "~/.magents-config",
    ) -> None:
        self.values = {s.key: Value(s, s.default, "default") for s in SETTINGS}
        self.problems: list[str] = []
        for number, line in enumerate(lines, 1):
            self._line(line, f"{shown}:{number}")
        for name, value in (project or {}).items():
            if name.upper() in KNOWN and KNOWN[name.upper()].per_project:
                self._take(name.upper(), value, "git config")
        for key in KNOWN:
            if f"MAGENTS_{key}" in (env or {}):
                self._take(key, (env or {})[f"MAGENTS_{key}"], "environment")

    def _line(self, line: str, where: str) -> None:
        if not line.strip() or line.lstrip().startswith("#"):
            return
        found = re.fullmatch(LINE, line.rstrip("\r\n"))
        if not found:
            self.problems.append(f"{where}: not a line of the form KEY=value")
        elif found[1] not in KNOWN:
            self.problems.append(f"{where}: unknown key `{found[1]}`")
        else:
            self._take(found[1], unquote(found[2]), where)

    def _take(self, key: str, value: str, source: str) -> None:
        try:
            checked = check(key, value)
        except UsageError as error:
            self.problems.append(f"{source}: {error.message}")
        else:
            self.values[key] = Value(KNOWN[key], checked, source)

    def __getitem__(self, key: str) -> str:
        return self.values[key].value

    def flag(self, key: str) -> bool:
        """A yes-or-no setting."""
        return self[key] == "true"


def check(key: str, value: str) -> str:
    """The value in its usual form (`yes` → `true`). Raises UsageError for an unknown key or a bad value."""
    setting = KNOWN.get(key)
    if setting is None:
        raise UsageError(f"there is no setting `{key}`", "The settings are: " + ", ".join(KNOWN))
    if any(mark in value for mark in "\n\r\0"):
        raise UsageError(f"{key} must be one line")
    value = value.strip()
    if setting.choices == ("true", "false"):
        lowered = value.lower()
        value = "true" if lowered in YES else "false" if lowered in NO else value
    if setting.choices and value not in setting.choices:
        raise UsageError(f"{key} must be one of {', '.join(setting.choices)}, not `{value}`")
    if key == "DOCKER_IMAGE" and not re.fullmatch(IMAGE, value):
        raise UsageError(f"{key} must be the name of an image, not `{value}`")
    if key == "AGENT" and not value:
        raise UsageError(f"{key} must name a harness")
    if key in FORMS and not re.fullmatch(FORMS[key][0], value):
        raise UsageError(f"{key} must be {FORMS[key][1]}, not `{value}`")
    if key == "DOCKER_OPTIONS":
        import shlex

        try:
            shlex.split(value)
        except ValueError as error:
            raise UsageError(f"{key} is no list of words: {str(error).lower()}") from error
    return value


def unquote(text: str) -> str:
    """A value without the quotes and the trailing comment that shell habits put around it."""
    text = text.strip()
    if len(text) > 1 and text[0] in "\"'":
        end = text.find(text[0], 1)
        rest = text[end + 1 :].strip()
        if end > 0 and (not rest or rest.startswith("#")):
            return text[1:end]
    return re.sub(r"\s+#.*$", "", text)


def quote(value: str) -> str:
    """The value as a line's right side, so that `unquote` gives it back."""
    if unquote(value) == value:
        return value
    mark = "'" if "'" not in value else '"'
    if mark in value:
        raise UsageError("a value cannot hold both kinds of quotes beside a `#` or outer spaces")
    return f"{mark}{value}{mark}"


def load(project: Mapping[str, str] | None = None) -> Config:
    """The settings in force for this user, and for one project where its git configuration is given."""
    path = paths.config()
    return Config(read(path), os.environ, project, shorten(path))


def read(path: str) -> list[str]:
    """The file's lines; none where it does not exist. Raises MagentsError when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.readlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MagentsError(f"{path} cannot be read: {error.strerror}.", "Mend its permissions.") from error


def assign(lines: list[str], key: str, value: str) -> list[str]:
    """The lines with `key` set: its last line is changed where it stands, or one is added at the end."""
    new = f"{key}={quote(check(key, value))}\n"
    places = [i for i, line in enumerate(lines) if (m := re.match(LINE, line)) and m[1] == key]
    if places:
        return [*lines[: places[-1]], new, *lines[places[-1] + 1 :]]
    ended = [*lines[:-1], lines[-1].rstrip("\n") + "\n"] if lines else []
    return [*ended, new]


def save(changes: Mapping[str, str]) -> str:
    """Write settings to the file, all or none of them; returns its path.

    A new file begins with what each user needs. The file is replaced in one step and keeps its
    permissions; a symbolic link stays one. Raises UsageError for a bad key or value.
    """
    path = os.path.realpath(paths.config())
    lines = read(path)
    if not lines:
        lines = [HEADER]
        for key in ("DOCKER_ENABLED", "DOCKER_IMAGE"):
            lines = assign(lines, key, KNOWN[key].default)
    for key, value in changes.items():
        lines = assign(lines, key, value)
    replace(path, "".join(lines))
    return path


def replace(path: str, text: str) -> None:
    """Put `text` in the place of a file in one step. Raises MagentsError, leaving the old one."""
    from magents.system.files import atomic

    try:
        mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o600
        folder, name = os.path.split(path)
        atomic.write(folder, name, text, mode=mode, sync=True)
    except OSError as error:
        raise MagentsError(f"{path} cannot be written: {error.strerror}.", "Nothing was changed.") from error


def shorten(path: str) -> str:
    """A path as people write it: `~` for the home folder."""
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if path.startswith(home + os.sep) else path
