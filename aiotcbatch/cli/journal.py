"""`aiotcbatch journal`: look into a journal, go on with it, take its entities out, repair it."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import anyio
import orjson

from aiotcbatch.cli.run import SOME_FAILED, Ending, log_shown
from aiotcbatch.cli.submit import handled, report, show_failed, show_left, show_owner, show_rest
from aiotcbatch.client import Client
from aiotcbatch.collecting.origins import Origin
from aiotcbatch.errors import (
    AccessDeniedError,
    AiotcbatchError,
    ConfigurationError,
    JournalDamagedError,
)
from aiotcbatch.journal import Journal, Kind, export
from aiotcbatch.results.status import BatchStatus
from aiotcbatch.submitting.job import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiotcbatch.batch import Batch
    from aiotcbatch.cli.display import Display, Steps
    from aiotcbatch.journal import Restored, StoredFile, StoredJob

__all__ = ["Resumption", "resume", "salvage", "show", "write_out"]

#: What stands for standard output on a command line.
STDOUT = "-"
#: Lines that are written before it is asked whether to go on.
_SLICE = 256
#: The units of ages, with the seconds from which they are used.
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


async def show(display: Display, path: str, *, clock: Callable[[], float] = time.time) -> int:
    """
    Show what a journal still has to be done, while somebody may be at work on it.

    Args:
        display: Where to show it.
        path: The journal.
        clock: Seconds since 1970, for the ages of jobs.

    Returns:
        The exit code.

    Raises:
        JournalDamagedError: When it is not as it was written; how to save the rest is shown.
    """
    found = await Journal.look(path)
    display.facts(f"The journal {path}", _facts(found))
    if found.jobs:
        columns = ("Job", "Phase", "For", "Records", "Tried", "Last failure")
        rows = [_job_row(job, clock()) for job in found.jobs]
        display.table("Jobs", columns, rows, right=columns[2:5])
    if found.files:
        display.table("Files", ("State", "Content", "Files"), _file_rows(found), right=("Files",))
    if found.empty:
        display.remark("Nothing is left to do.")
    return 0


def _facts(found: Restored) -> list[tuple[str, str]]:
    settings = {name: value for name, value in found.settings.items() if name != "owner"}
    waiting = Counter[Kind]()
    for segment in found.segments:
        waiting[segment.kind] += sum(map(len, segment.waiting))
    phases = Counter(job.phase.name.lower() for job in found.jobs)
    return [
        ("owner", found.owner),
        *((name.replace("_", " "), _said(value)) for name, value in settings.items()),
        *((f"{kind.array_name}s that wait", f"{waiting[kind]:,}") for kind in Kind),
        ("jobs", ", ".join(f"{count:,} {phase}" for phase, count in phases.items()) or "none"),
    ]


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "as the server does" if value is None else str(value)


def _job_row(job: StoredJob, now: float) -> tuple[str, ...]:
    return (
        "no id yet" if job.batch_id is None else str(job.batch_id),
        job.phase.name.lower(),
        _age(now - job.since),
        f"{_size(job):,}",
        str(job.attempts),
        job.failure or "",
    )


def _size(job: StoredJob) -> int:
    return sum(run.count for run in job.runs)


def _age(seconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"{max(seconds, 0.0) // size:.0f} {unit}"


def _file_rows(found: Restored) -> list[tuple[str, ...]]:
    counts = Counter((file.state, _content(file)) for file in found.files)
    return [(state, content, f"{count:,}") for (state, content), count in sorted(counts.items())]


def _content(file: StoredFile) -> str:
    origin, detail = file.source.origin, file.source.detail
    if origin is Origin.CALLABLE:
        return f"from {detail}, which is to be imported"
    if origin is Origin.OPAQUE:
        return f"lost: {detail}"
    return "in a file" if origin is Origin.PATH else "in the journal"


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """
    What the command line asked for.

    Attributes:
        path: The journal.
        owner: Whom it is to be for; None takes the one that it has.
        journal_moved_from: The URL that the instance had when the journal was written; None for
            the one that it has.
        halt_on_error: Whether the first step that fails ends it.
        as_json: Whether each job's status goes to stdout as a line of JSON.
        shown_errors: The most errors that are listed.
        dead_letters: A file to which what failed is appended; None for none.
        allow_plain_http: Whether credentials may go in the clear to another machine.
    """

    path: str
    owner: str | None = None
    journal_moved_from: str | None = None
    halt_on_error: bool = True
    as_json: bool = False
    shown_errors: int = 20
    dead_letters: str | None = None
    allow_plain_http: bool = False


async def resume(display: Display, asked: Resumption, ending: Ending | None = None) -> int:
    """
    Go on with a journal until everything in it is done.

    Args:
        display: Where to show it.
        asked: What to do.
        ending: How a signal ends it.

    Returns:
        The exit code.

    Raises:
        JournalLockedError: When somebody is at work on it.
        JournalDamagedError: When it is not as it was written.
        ConfigurationError: When there is none, or it is another owner's.
        AiotcbatchError: A step that failed; what it has left stays in the journal.
    """
    with log_shown(display):
        return await _resume(display, asked, ending or Ending())


async def _resume(display: Display, asked: Resumption, ending: Ending) -> int:
    statuses: list[BatchStatus] = []
    found = await Journal.look(asked.path)
    settings = {name: value for name, value in found.settings.items() if name != "owner"}
    async with Client.from_env(allow_plain_http=asked.allow_plain_http) as client:
        batch = client.batch(
            asked.owner or found.owner,
            **settings,
            journal=asked.path,
            journal_moved_from=asked.journal_moved_from,
            dead_letters=asked.dead_letters,
        )
        await batch.__aenter__()
        try:
            with display.steps() as steps, ending.by(batch.stop):
                await _send(batch, asked, display, steps, statuses, total=_total(found))
        finally:
            show_left(display, batch)
            await batch.aclose()
            # Told by the journal once: so it is shown, whatever has ended this.
            if statuses and not asked.as_json:
                report(display, statuses, shown_errors=asked.shown_errors)
            await show_rest(display, asked.path)
    if not statuses:
        display.remark("There was nothing left to do.")
    if all(status.ok for status in statuses):
        return 0
    if asked.dead_letters is not None:
        show_failed(display, asked.dead_letters, batch.owner, settings)
    return SOME_FAILED


def _total(found: Restored) -> int:
    """Count entities and associations, waiting or in jobs."""
    waiting = sum(len(places) for segment in found.segments for places in segment.waiting)
    return waiting + sum(map(_size, found.jobs))


async def _send(
    batch: Batch,
    asked: Resumption,
    display: Display,
    steps: Steps,
    statuses: list[BatchStatus],
    *,
    total: int,
) -> None:
    step = steps.add("Submitting", total, "entities")

    def told(status: BatchStatus) -> None:
        statuses.append(status)
        step.advance(handled(status))
        if asked.as_json:
            display.result(orjson.dumps(status, default=str).decode())

    try:
        async with aclosing(batch.submit_iter(halt_on_error=asked.halt_on_error)) as ended:
            async for status in ended:
                told(status)
    except AiotcbatchError as error:
        if isinstance(error, AccessDeniedError):
            show_owner(display, batch.owner)
        if isinstance(error.partial, BatchStatus):
            for status in error.partial.jobs:
                lost = status.status == Phase.LOST.value and status.failure is not error
                if status.completed or lost:  # the others stay in the journal
                    told(status)
        raise
    step.finish()


async def write_out(display: Display, path: str, out: str) -> int:
    """
    Write what a journal still has to be done as lines of JSON, and change nothing.

    Args:
        display: Where to say that some of it could not be read.
        path: The journal.
        out: A file, which only this user can read then, or ``-`` for standard output.

    Returns:
        The exit code: 0, or 1 when the journal is damaged, and so not all of it was written.

    Raises:
        ConfigurationError: When there is no journal, or the file is the journal itself.
        JournalDamagedError: When nothing of the journal can be read.
        OSError: When the file cannot be written.
    """
    if out != STDOUT and await _is_same(out, path):
        raise ConfigurationError("output", out, "another file than the journal")
    try:
        await anyio.to_thread.run_sync(_write, path, out)
    except JournalDamagedError as error:
        if not error.record_count:
            raise
        command = f"aiotcbatch journal salvage {shlex.quote(path)}"
        display.remark(
            f"The journal is damaged ({'; '.join(error.faults)}): what cannot be read is left"
            f" out. `{command}` saves the rest, and keeps the damaged journal."
        )
        return SOME_FAILED
    return 0


async def _is_same(out: str, path: str) -> bool:
    target = anyio.Path(out)
    return await target.exists() and await target.samefile(path)


def _write(path: str, out: str) -> None:
    lines = export(path)
    first = next(lines, b"")  # without a journal there is to be no file
    with _opened(out) as file:
        file.write(first)
        for number, line in enumerate(lines):
            file.write(line)
            if number % _SLICE == 0:
                anyio.from_thread.check_cancelled()


def _opened(out: str) -> IO[bytes]:
    if out == STDOUT:
        # A buffer of its own: what a closed pipe does not take is not tried again at the exit.
        return open(sys.stdout.fileno(), "wb", closefd=False)
    return open(out, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))


async def salvage(display: Display, path: str, owner: str | None) -> int:
    """
    Put what can be read of a damaged journal into a new one, which takes its place.

    Args:
        display: Where to show what was saved.
        path: The journal.
        owner: Whom it is for, if it does not tell that any more.

    Returns:
        The exit code.

    Raises:
        JournalLockedError: When somebody is at work on it.
        ConfigurationError: When there is none, or none that tells the owner.
        JournalError: When the disk does not let it be done.
    """
    saved = await Journal.salvage(path, owner=owner)
    facts = [
        ("entities and associations", f"{saved.record_count:,}"),
        ("jobs", f"{saved.job_count:,}"),
        ("files", f"{saved.file_count:,}"),
        ("damaged journal", f"kept as {saved.damaged}"),
        *(("fault", fault) for fault in saved.faults or ("none was found",)),
    ]
    display.facts(f"Saved into {saved.path}", facts)
    return 0
