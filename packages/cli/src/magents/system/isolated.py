"""One place where an unexpected exception becomes a MagentsError that says whose it is.

`isolated` is for one agent's turn in a loop over several: what agents have written is read by code that may have a
defect. `guard` is for an object of an extension: a harness or a runtime.
"""

from __future__ import annotations

from magents.core.errors import MagentsError, remedy
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, TypeVar

    S = TypeVar("S", bound=Any)
    T = TypeVar("T")

AT_ONCE = 8
"""How many are asked at once."""
UNREADABLE = "What it has written cannot be read. Other agents go on."


class isolated:  # noqa: N801 - reads as a word of the `with` that it stands in
    """A block that raises no Exception but a MagentsError: any other becomes one that names whose it is."""

    def __init__(self, whose: str, hint: str = UNREADABLE) -> None:
        """`whose`: an agent's id, or what else the error's message is to begin with."""
        self.whose = whose
        self.hint = hint

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, MagentsError):
            raise blamed(self.whose, error, self.hint) from error


def blamed(whose: str, error: Exception, hint: str = UNREADABLE) -> MagentsError:
    """An unexpected exception, once it is in the log, as an error that names whose it is."""
    from magents.system import log

    if not log.unexpected(error):
        hint += f" Its traceback is in {log.path()}"
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return MagentsError(f"{whose}: {error.strerror or error}{where}", remedy(error))
    return MagentsError(f"{whose}: {one_line(f'{type(error).__name__}: {error}')}", hint)


def together(items: Sequence[S], ask: Callable[[S], T]) -> list[T | MagentsError]:
    """What each of these, which have an `id`, gives when it is asked, or the error that this raises. Several are
    asked at once, so that one that does not answer keeps the others from nothing."""

    def answer(item: S) -> T | MagentsError:
        try:
            with isolated(item.id):
                return ask(item)
        except MagentsError as error:
            return error

    if len(items) < 2:
        return list(map(answer, items))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return list(pool.map(answer, items))


def guard(extension: T, whose: str) -> T:
    """The same object. From now on its public methods, those of what its `place` gives, and the `with` blocks that
    they begin, raise no Exception but a MagentsError."""
    hint = f"This is a defect of {whose}. Agents without it go on."

    def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            try:
                result = method(*args, **options)
            except MagentsError:
                raise
            except Exception as error:
                raise blamed(whose, error, hint) from error
            if hasattr(result, "__exit__"):
                return _Entering(result, whose, hint)
            return _Guarded(result, guarded) if method.__name__ == "place" else result

        return call

    for name in dir(extension):
        if not name.startswith("_") and callable(method := getattr(extension, name)):
            setattr(extension, name, guarded(method))
    return extension


class _Guarded:
    """An object whose methods are guarded as they are asked for: a `list` needs one for each agent."""

    def __init__(self, guards: object, guarded: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._guards, self._guarded = guards, guarded

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._guards, name)
        return self._guarded(found) if callable(found) else found


class _Entering:
    """A context manager of an extension. What its block raises is not the extension's."""

    def __init__(self, manager: AbstractContextManager[Any], whose: str, hint: str) -> None:
        self._manager, self._isolated = manager, isolated(whose, hint)

    def __enter__(self) -> Any:
        with self._isolated:
            return self._manager.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        try:
            return self._manager.__exit__(kind, error, trace)
        except Exception as own:
            if own is not error and not isinstance(own, MagentsError):
                raise blamed(self._isolated.whose, own, self._isolated.hint) from own
            raise
