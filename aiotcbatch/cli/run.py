"""
Running a command: signals, exit codes, errors as one message.

Exit codes::

    0    everything was done
    1    it was done, and something was refused, is missing or differs
    2    the command line is wrong
    3    a setting or an entity cannot be right
    4    no answer came
    5    the server refused
    6    a job or a file did not do its work
    70   a bug in aiotcbatch
    130  interrupted by Ctrl-C
    143  ended by SIGTERM

`submit` and `journal resume` begin no further job at a signal, and wait for those that the server
has, for a time of grace; a second signal ends that. The code is that of the signal all the same.
"""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import anyio

from aiotcbatch.cli.display import counted
from aiotcbatch.errors import (
    AiotcbatchError,
    FileUploadError,
    JobError,
    ResponseError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from aiotcbatch.cli.display import Display

__all__ = ["EXIT_CODES", "SOME_FAILED", "Ending", "exit_code", "launch", "log_shown"]

SOME_FAILED = 1
_SETTING_OR_DATA = 3
_BUG = 70
_SIGNALLED = 128
#: Events that are in what a command reports at its end anyway.
_REPORTED = frozenset({"job_failed", "file_failed", "batch_abandoned"})

#: What each exit code means, for the help text.
EXIT_CODES = """
\b
Exit codes:
  0    everything was done
  1    done, but something was refused, is missing or differs
  2    the command line is wrong
  3    a setting or an entity cannot be right
  4    no answer came: look at the network
  5    the server refused: credentials, owner, permissions
  6    a job or a file did not do its work
  130  interrupted by Ctrl-C (143: by SIGTERM)
"""

#: The most special first. Some errors of the library are an OSError too, as timeouts are.
_BY_TYPE: tuple[tuple[type[Exception], int], ...] = (
    (TransportError, 4),
    (ResponseError, 5),
    (JobError, 6),
    (FileUploadError, 6),
    (AiotcbatchError, _SETTING_OR_DATA),
    (OSError, _SETTING_OR_DATA),
)


class Ending:
    """
    How a signal ends a command: at once, or when it has done what it is at.

    Args:
        grace: Seconds that it may take for that at most; 0 ends it at once.
    """

    def __init__(self, grace: float = 0.0) -> None:
        self.grace = grace
        self._stop: Callable[[], None] | None = None

    @contextmanager
    def by(self, stop: Callable[[], None]) -> Iterator[None]:
        """
        Have something called at a signal, after which the block ends by itself.

        Args:
            stop: It is called.
        """
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def begin(self) -> bool:
        """
        Begin to end.

        Returns:
            Whether it is to be waited for; else it is over.
        """
        if self._stop is None or not self.grace > 0:
            return False
        self._stop()
        return True


class _Warnings(logging.Handler):
    def __init__(self, display: Display) -> None:
        super().__init__(logging.WARNING)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "event", None) not in _REPORTED:
            self._display.remark(record.getMessage())


@contextmanager
def log_shown(display: Display) -> Iterator[None]:
    """
    Show the warnings of the log, but none about what the command says itself.

    Where logging has been set up already, nothing is changed.

    Args:
        display: Where to show them.
    """
    logger = logging.getLogger("aiotcbatch")
    if logger.hasHandlers():
        yield
        return
    handler = _Warnings(display)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _SignalledError(Exception):
    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def launch(
    display: Display,
    work: Callable[[], Awaitable[int]],
    *,
    debug: bool,
    ending: Ending | None = None,
) -> NoReturn:
    """
    Run a command to its end and leave the process with its exit code.

    The first SIGINT or SIGTERM cancels the work, which then cleans up behind itself; where it can
    end by itself the first one asks for that, and the second one cancels it. One more ends the
    process at once.

    Args:
        display: Where an error is told.
        work: The command; what it returns is the exit code.
        debug: Whether to show tracebacks.
        ending: How it can end by itself; None if it cannot.

    Raises:
        SystemExit: Always.
    """
    try:
        code = anyio.run(_supervised, work, display, ending or Ending())
    except KeyboardInterrupt:
        code = _SIGNALLED + signal.SIGINT
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 (every error ends here, told)
        if debug:
            traceback.print_exception(error)
        code = _tell(display, error, debug=debug)
    sys.exit(code)


async def _supervised(work: Callable[[], Awaitable[int]], display: Display, ending: Ending) -> int:
    code = 0
    received: list[int] = []
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                armed.set()
                received.append(await anext(signals))
                if ending.begin():
                    display.remark(
                        f"Ending: what the server is at is waited for, {ending.grace:g} seconds at"
                        " most. Another signal ends that."
                    )
                    with anyio.move_on_after(ending.grace):
                        await anext(signals)
            tasks.cancel_scope.cancel()

        armed = anyio.Event()
        tasks.start_soon(watch)
        await armed.wait()
        code = await work()
        tasks.cancel_scope.cancel()
    if received:
        raise _SignalledError(received[0])
    return code


def _tell(display: Display, error: BaseException, *, debug: bool) -> int:
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, _SignalledError):
            display.remark("Interrupted.")
            return _SIGNALLED + leaf.signum
        if isinstance(leaf, BrokenPipeError | SystemExit):  # the second is what rich makes of it
            return SOME_FAILED
    code = 0
    for leaf in leaves:
        if isinstance(leaf, AiotcbatchError):
            display.error(leaf.message, _notes_of(leaf))
        elif isinstance(leaf, OSError):
            name = f"{leaf.filename}: " if leaf.filename else ""
            display.error(f"{name}{leaf.strerror or leaf}")
        else:
            hint = "" if debug else " Run it again with --debug to see where."
            notes = "\n".join(getattr(leaf, "__notes__", ()))
            display.error(
                f"this is a bug in aiotcbatch: {type(leaf).__name__}: {leaf}.{hint}", notes
            )
        code = code or exit_code(leaf)
    return code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _notes_of(error: AiotcbatchError) -> str:
    """Give what an error says beside, or else what had been done until then."""
    notes = [note for note in getattr(error, "__notes__", ()) if note not in error.advice]
    if notes:
        return "\n".join(notes)
    done: Mapping[str, Any] = error.partial or {}
    accepted, refused = done.get("successCount", 0), done.get("errorCount", 0)
    if not accepted and not refused:
        return ""
    return f"Until then: {counted(accepted, 'entities')} accepted, {refused:,} refused."


def exit_code(error: BaseException) -> int:
    """
    Give the exit code for an error.

    Args:
        error: What ended a command.

    Returns:
        The code, as the module's docstring lists them.
    """
    return next((code for type_, code in _BY_TYPE if isinstance(error, type_)), _BUG)
