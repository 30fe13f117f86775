"""Exit codes, and errors as one message."""

from __future__ import annotations

import io
import os
import signal
from typing import TYPE_CHECKING

import anyio
import pytest
from rich.console import Console

from aiotcbatch import errors
from aiotcbatch.cli.display import Display
from aiotcbatch.cli.run import exit_code, launch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def _launch(work: Callable[[], Awaitable[int]], *, debug: bool = False) -> tuple[int, str]:
    err = io.StringIO()
    display = Display(Console(file=io.StringIO()), Console(file=err, width=200))
    with pytest.raises(SystemExit) as left:
        launch(display, work, debug=debug)
    assert isinstance(left.value.code, int)
    return left.value.code, err.getvalue()


def _raising(*raised: BaseException) -> Callable[[], Awaitable[int]]:
    async def work() -> int:
        async def fail(error: BaseException) -> None:
            raise error

        async with anyio.create_task_group() as tasks:
            for error in raised:
                tasks.start_soon(fail, error)
        return 0

    return work


def test_the_code_of_the_work_is_the_exit_code() -> None:
    """What the work returns is what the process exits with."""

    async def work() -> int:
        return 1

    assert _launch(work) == (1, "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("owner", "", "a name"), 3),
        (errors.ValidationError("rating", 9, "0 to 5"), 3),
        (errors.UsageError("no"), 3),
        (errors.ConnectError("no"), 4),
        (errors.RequestTimeoutError("no"), 4),
        (errors.AuthenticationError("no"), 5),
        (errors.AccessDeniedError("no"), 5),
        (errors.CriticalError("no"), 6),
        (errors.PollTimeoutError("no"), 6),
        (errors.FileUploadError("no"), 6),
        (FileNotFoundError(2, "No such file", "feed.json"), 3),
        (KeyError("x"), 70),
    ],
)
def test_every_error_has_its_exit_code(error: Exception, code: int) -> None:
    """The exit code tells by what the caller can do about it."""
    assert exit_code(error) == code


def test_an_error_of_the_library_is_one_line() -> None:
    """The message is shown without a traceback, out of however many task groups."""
    code, shown = _launch(_raising(errors.AccessDeniedError("the owner 'X' is not there")))

    assert (code, shown) == (5, "error: the owner 'X' is not there\n")


def test_several_errors_are_all_shown() -> None:
    """Nothing is lost when two things fail at once; the first one decides the exit code."""
    code, shown = _launch(_raising(errors.ConnectError("one"), errors.UsageError("two")))

    assert code in {3, 4}
    assert sorted(shown.splitlines()) == ["error: one", "error: two"]


def test_what_had_been_done_is_told() -> None:
    """An error that left a submit() comes with what had been accepted until then."""
    error = errors.CriticalError("gave up")
    error.partial = {"successCount": 1200, "errorCount": 3}  # type: ignore[assignment]  # a dict will do

    _, shown = _launch(_raising(error))

    assert "1,200 entities accepted, 3 refused" in shown


def test_notes_are_told() -> None:
    """What an error says beside is shown below it, and not once more in other words."""
    error = errors.CriticalError("gave up")
    error.partial = {"successCount": 1200}  # type: ignore[assignment]  # a dict will do
    error.add_note("Until then 3 jobs completed.")
    error.add_note("Still in the batch: 1 file.")
    bug = KeyError("gone")
    bug.add_note("seen at noon")

    _, shown = _launch(_raising(error))
    assert shown == ("error: gave up\nUntil then 3 jobs completed.\nStill in the batch: 1 file.\n")
    assert "seen at noon" in _launch(_raising(bug))[1]


def test_notes_say_nothing_that_only_a_program_can_do() -> None:
    """There is no submit() to be called again in a shell."""
    error = errors.CriticalError("gave up")
    error.add_note("Until then 1 job completed.")
    error.advise("Still in the batch: 1 file. Call submit() again to go on.")

    _, shown = _launch(_raising(error))

    assert shown == "error: gave up\nUntil then 1 job completed.\n"


def test_a_closed_pipe_is_no_bug() -> None:
    """Who reads no further, as `head`, is told nothing; inside a group of tasks too."""
    for error in (BrokenPipeError(), SystemExit(1)):
        assert _launch(_raising(BaseExceptionGroup("tasks", [error]))) == (1, "")


def test_nothing_in_an_error_is_markup() -> None:
    """What a file has is shown as it has it."""
    _, shown = _launch(_raising(errors.AiotcbatchError("root:x:0 [bold]b[/bold] [/]")))

    assert shown == "error: root:x:0 [bold]b[/bold] [/]\n"


def test_a_missing_file_is_named() -> None:
    """A file that cannot be read is told by its name, not as a bug."""
    code, shown = _launch(_raising(FileNotFoundError(2, "No such file", "feed.json")))

    assert (code, shown) == (3, "error: feed.json: No such file\n")


def test_anything_else_is_a_bug_and_says_so() -> None:
    """What no one foresaw is not passed off as the user's fault."""
    code, shown = _launch(_raising(KeyError("gone")))

    assert code == 70
    assert "bug in aiotcbatch: KeyError: 'gone'" in shown
    assert "--debug" in shown


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """With --debug the traceback comes before the message."""
    code, shown = _launch(_raising(errors.UsageError("no")), debug=True)

    assert code == 3
    assert "error: no" in shown
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_and_cleans_up(signum: int, code: int) -> None:
    """The work is cancelled, may clean up with awaits, and the exit code tells the signal."""
    cleaned = []

    async def work() -> int:
        try:
            os.kill(os.getpid(), signum)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                cleaned.append(True)
        return 0

    assert _launch(work) == (code, "Interrupted.\n")
    assert cleaned == [True]
