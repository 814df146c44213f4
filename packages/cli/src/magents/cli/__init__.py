"""The command line. Only the module of the command that was typed is imported."""

from __future__ import annotations

import gc
import os
import signal
import sys

from magents.core.errors import MagentsError, remedy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

SWITCH_S = 0.0005
"""Seconds that one thread may keep the others waiting. With Python's own 5 ms, a thread that is to start a program
beside other work would start it that much later."""


def run() -> None:
    """The command `magents`: `main`, then the end of the process without Python's own clean-up.

    That saves a quarter of what `magents list` takes. Nothing here needs the clean-up, and the kernel closes the
    store's file as safely. The first search for garbage comes later than usual; most commands end before it.
    """
    gc.set_threshold(50_000)
    sys.setswitchinterval(SWITCH_S)
    sys.excepthook = crashed
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that what is half-made is undone then, too
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    try:
        code = main()
    except SystemExit as ended:  # argparse, after --help
        code = ended.code if isinstance(ended.code, int) else 0
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 141
    except OSError:  # a full disk, say: `main` has met it, too, and told of it
        code = code or 1
    os._exit(code)


def crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell of an error that nobody expected, and write down what is needed to mend it."""
    from magents.cli.render import complain
    from magents.core.text import one_line
    from magents.system import log

    failure = log.unexpected(error)
    where = f"That could not be written down: {failure}" if failure else f"Its traceback is in {log.path()}"
    complain(MagentsError(f"a defect of Magents: {one_line(f'{kind.__name__}: {error}', 200)}", where))
    if failure or verbose(sys.argv[1:]):
        show_trace(error)


def verbose(words: Sequence[str]) -> bool:
    """Whether the user wants to see where an error came from."""
    own = words[: words.index("--")] if "--" in words else words
    return "--verbose" in own or bool(os.environ.get("MAGENTS_VERBOSE"))


def show_trace(error: BaseException) -> None:
    """Print what Python would, but clean for a terminal: an error's words can be an agent's."""
    from traceback import format_exception

    from magents.cli.console import echo
    from magents.system import log

    echo(log.hidden("".join(format_exception(error))), sys.stderr, end="")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0 done, 1 refused or failed, 2 bad usage, 124 a time limit was reached, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        from magents.cli.parser import parse

        options = parse(words)
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except MagentsError as error:
        from magents.cli.render import complain

        complain(error)
        if verbose(words):
            show_trace(error)
        return error.exit_code
    except BrokenPipeError:
        # Whoever reads our output has seen enough; keep Python from complaining at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        from magents.cli.render import complain
        from magents.system import log

        failure = log.unexpected(error, words)
        where = f": {error.filename}" if error.filename else ""
        hint = remedy(error, "" if failure else f"Where that happened is in {log.path()}")
        complain(MagentsError(f"{error.strerror or error}{where}", hint))
        if verbose(words):
            show_trace(error)
        return 1
    except KeyboardInterrupt:
        from magents.cli.console import echo

        echo("\nInterrupted.", sys.stderr)
        return 130
