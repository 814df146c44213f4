"""Harnesses and runtimes by name: those of Magents, and those that installed packages bring.

A record tells what is known without the extension's code, which is imported at its first use. A package brings one
by an entry point that has the extension's name and leads to its record. Entry points are looked up only for a name
that is not built in, so that none can take such a name, and because that takes longer than all else here.
"""

from __future__ import annotations

from importlib import import_module

from magents.core.errors import MagentsError, NotFound
from magents.core.text import one_line
from magents.core.tuples import NamedTuple
from magents.system.isolated import guard, isolated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.metadata import EntryPoint
    from typing import Any, Protocol, TypeVar

    class Record(Protocol):
        """What each record has."""

        @property
        def name(self) -> str:
            """What users type."""

        @property
        def code(self) -> str:
            """The class: `module:name`."""

    R = TypeVar("R", bound=Record)

GROUPS = {"harness": "magents.harnesses", "mode": "magents.runtimes"}
"""The groups of entry points, by what an extension of each is called."""
BROKEN = "Mend or uninstall the package that brings it. All else works without it."
ABSENT = "Install the package that brings it, or the Magents that made the agent."
_loaded: dict[tuple[str, str], Any] = {}
"""The records of installed packages, by kind and name, that this process has used."""


class Plugin(NamedTuple):
    """An extension that an installed package brings."""

    kind: str
    """`harness` or `mode`."""
    name: str
    package: str
    problem: str
    """Why it cannot be used; '' when it can."""


def record_of(kind: str, table: Mapping[str, R], name: str, choices: Sequence[str]) -> R:
    """The record of that name, of Magents' own `table` or an installed package.

    Raises NotFound where there is none, and MagentsError, which names the package, where it cannot be loaded.
    `choices`: those of the table that the error names.
    """
    if name in table:
        return table[name]
    if (kind, name) not in _loaded:
        found = points(kind)
        mine = [point for point in found if point.name == name]
        if not mine:
            others = [one_line(point.name) for point in found if point.name not in table]
            known = ", ".join([*choices, *others])
            raise NotFound(f"There is no {kind} `{one_line(name)}`.", f"Choose one of {known}.")
        _loaded[kind, name] = loaded(kind, mine, type(next(iter(table.values()))))
    record: R = _loaded[kind, name]
    return record


def points(kind: str) -> list[EntryPoint]:
    """What installed packages bring of a kind."""
    from importlib.metadata import entry_points

    return list(entry_points(group=GROUPS[kind]))


def loaded(kind: str, found: list[EntryPoint], type: type[R]) -> R:
    """The record that an entry point leads to. Raises MagentsError when there is none, or more than one package
    wants its name."""
    packages = ", ".join(package(point) for point in found)
    whose = f"The {kind} `{one_line(found[0].name)}` of {packages}"
    if len(found) > 1:
        raise MagentsError(f"{whose} is not the only one of that name.", "Uninstall all but one of them.")
    with isolated(f"{whose} cannot be loaded", BROKEN):
        record = found[0].load()
    if not isinstance(record, type) or record.name != found[0].name:
        raise MagentsError(f"{whose} is no {type.__module__}.{type.__name__} of that name.", BROKEN)
    return record


def package(point: EntryPoint) -> str:
    """The name of the package that an entry point is of."""
    return one_line(point.dist.name) if point.dist else "an unknown package"


def plugins(kind: str, table: Mapping[str, R]) -> Iterator[Plugin]:
    """All that installed packages bring of a kind, each tried."""
    for point in points(kind):
        problem = f"Magents has a {kind} of that name itself" if point.name in table else ""
        if not problem:
            try:
                code(kind, record_of(kind, table, point.name, ()))
            except MagentsError as error:
                problem = error.message
        yield Plugin(kind, one_line(point.name), package(point), problem)


def brought(kind: str, table: Mapping[str, R]) -> Iterator[R]:
    """The records of installed packages that can be used."""
    for plugin in plugins(kind, table):
        if not plugin.problem:
            yield record_of(kind, table, plugin.name, ())


def code(kind: str, record: Record) -> Any:
    """The class that the record's `code`, `module:name`, leads to; its module is imported. Raises MagentsError."""
    module, _, name = record.code.partition(":")
    with isolated(f"The {kind} `{record.name}` cannot be loaded", BROKEN):
        return getattr(import_module(module), name)


def make(kind: str, record: Record, *words: object) -> Any:
    """An object of the record's class, made with these words, that raises nothing but MagentsError; see `guard`."""
    made = code(kind, record)
    with isolated(f"The {kind} `{record.name}` cannot be made", BROKEN):
        return guard(made(*words), f"the {kind} `{record.name}`")
