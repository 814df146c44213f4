"""What Task Master's tools are: kept for each of its versions, and offered without what has no place here."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wire import Message

ELSEWHERE = ("initialize_project", "rules", "autopilot_")
"""How the names of tools begin that work on a checkout. Where the list is, that is the user's: left out."""
OURS = ("projectRoot", "file")
"""Arguments that say which list is meant."""
EMPTY = '{"master": {"tasks": [], "metadata": {}}}\n'


def wanted() -> str:
    """Which tools the agent's settings want, in Task Master's words: all, standard, core, or names."""
    return os.environ.get("TASK_MASTER_TOOLS", "").strip() or "core"


def mode() -> str:
    """What the server is asked for. Names are picked here, so that one listing serves all choices."""
    return "all" if "," in wanted() else wanted().lower()


def offers(name: Any) -> bool:
    """Whether there is a place for that tool here, and it is wanted."""
    if not isinstance(name, str) or name.startswith(ELSEWHERE):
        return False
    return "," not in wanted() or name in [word.strip() for word in wanted().split(",")]


def offered(tools: list[Message]) -> list[Message]:
    """The tools as the client shall see them: which list is meant is not its to say."""
    return [narrowed(tool) for tool in tools if offers(tool.get("name"))]


def narrowed(tool: Message) -> Message:
    """A tool without the arguments that are ours."""
    schema = dict(tool.get("inputSchema") or {})
    schema["properties"] = {
        name: form for name, form in (schema.get("properties") or {}).items() if name not in OURS
    }
    schema["required"] = [name for name in schema.get("required") or [] if name not in OURS]
    return {**tool, "inputSchema": schema}


def arguments(given: Any, root: str) -> dict[str, Any]:
    """The arguments of a call, for the list below `root`. A file to read is looked for where the agent is."""
    values = {name: value for name, value in (given if isinstance(given, dict) else {}).items() if name not in OURS}
    path = values.get("input")
    if isinstance(path, str) and os.path.exists(path):
        values["input"] = os.path.abspath(path)
    return {**values, "projectRoot": root}


def provide(root: str) -> None:
    """An empty list where there is none: Task Master adds no task without. Hold the lock."""
    try:
        with open(os.path.join(root, ".taskmaster", "tasks", "tasks.json"), "x", encoding="utf-8") as file:
            file.write(EMPTY)
    except FileExistsError:
        pass


def version(program: str) -> str:
    """The version of Task Master that a program belongs to; "" where that cannot be told."""
    above = os.path.dirname(os.path.dirname(os.path.realpath(program)))
    try:
        with open(os.path.join(above, "package.json"), encoding="utf-8") as file:
            package = json.load(file)
        return str(package["version"]) if package["name"] == "task-master-ai" else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def places() -> list[str]:
    """The files in which tools can be kept: the one beside this program, as in our image, and the user's."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    beside = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [os.path.join(beside, "task-master-tools.json"), os.path.join(cache, "magents", f"tools-{mode()}.json")]


def kept(version: str) -> list[Message] | None:
    """The tools of this version; None where they are not known yet."""
    for path in places() if version else ():
        try:
            with open(path, encoding="utf-8") as file:
                listing = json.load(file)
            if listing["version"] == version and listing["mode"] == mode():
                tools: list[Message] = listing["tools"]
                return tools
        except (OSError, ValueError, KeyError, TypeError):
            pass
    return None


def keep(version: str, tools: list[Message]) -> None:
    """Keep them for the next time, where that can be done."""
    path = places()[-1]
    new = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(new, "w", encoding="utf-8") as file:
            file.write(document(version, tools))
        os.replace(new, path)
    except OSError:
        pass  # it costs the next one a start of the server


def document(version: str, tools: list[Message]) -> str:
    """What such a file holds."""
    return json.dumps({"version": version, "mode": mode(), "tools": tools})
