"""Work that goes on beside other work: `begin` it, do something else, then ask its handle for the `result()`."""

from __future__ import annotations

from threading import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Generic, TypeVar

    T = TypeVar("T")
else:  # `typing` is not imported on the way of every command
    T, Generic = None, {None: object}


class Handle(Generic[T]):
    """Work under way, in a thread of its own."""

    def __init__(self, do: Callable[..., T], args: tuple[object, ...]) -> None:
        self._value: T | None = None
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, args=(do, args))
        self._thread.start()

    def _run(self, do: Callable[..., T], args: tuple[object, ...]) -> None:
        try:
            self._value = do(*args)
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self._error = error

    def result(self) -> T:
        """What the work gives, once it has ended; raises what it has raised. May be asked for again."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


def begin(do: Callable[..., T], *args: object) -> Handle[T]:
    """Begin to call `do(*args)` beside what the caller goes on with."""
    return Handle(do, args)
