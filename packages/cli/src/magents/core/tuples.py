"""Named tuples as `typing.NamedTuple` makes them, in a tenth of the time (docs/adr/0002-named-tuples.md).

That compiles a constructor for each class, and each annotation that is a string: a tenth of a millisecond and
more, and each command needs some thirty. To type checkers they are the same.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from typing import NamedTuple as NamedTuple
else:
    from _collections import _tuplegetter as getter

    class _Making(type):
        """What turns the annotations of a class into the fields of a tuple."""

        def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> type:
            fields = tuple(space.get("__annotations__", ()))
            defaults = {name: space[name] for name in fields if name in space}
            made = {
                "_fields": fields, "_defaults": defaults, **space, "__slots__": (), "__match_args__": fields,
                **{name: getter(at, "") for at, name in enumerate(fields)},
            }  # fmt: skip
            return super().__new__(cls, name, bases, made)

    class NamedTuple(tuple, metaclass=_Making):
        """The base of a named tuple. Its module says `from __future__ import annotations`, and fields with a
        default come last."""

        def __new__(cls, /, *values: Any, **named: Any) -> NamedTuple:
            """One of these: fields in order, by name, by default. Raises TypeError."""
            lacking = cls._fields[len(values) :]
            if lacking:
                given = {**cls._defaults, **named} if named else cls._defaults
                try:
                    values += tuple(map(given.__getitem__, lacking))
                except KeyError as error:
                    raise TypeError(f"{cls.__name__}() is missing {error}") from None
            if len(values) > len(cls._fields) or (named and not named.keys() <= set(lacking)):
                raise TypeError(f"{cls.__name__}() got more than its fields: {', '.join(cls._fields)}")
            return tuple.__new__(cls, values)

        def __repr__(self) -> str:
            """As it would be made."""
            return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._asdict().items())})"

        def __getnewargs__(self) -> tuple[Any, ...]:
            """For `copy` and `pickle`."""
            return tuple(self)

        def _asdict(self) -> dict[str, Any]:
            """Its fields by name."""
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, /, **changes: Any) -> NamedTuple:
            """The same but for these fields. Raises TypeError when it has no such field."""
            values = [changes.pop(name, value) for name, value in zip(self._fields, self, strict=True)]
            if changes:
                raise TypeError(f"{type(self).__name__} has no field {', '.join(changes)}")
            return tuple.__new__(type(self), values)
