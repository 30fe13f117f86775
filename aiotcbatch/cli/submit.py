"""`aiotcbatch submit`: entities from files into an owner."""

from __future__ import annotations

import shlex
import sys
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import orjson

from aiotcbatch.cli.display import counted
from aiotcbatch.cli.inputs import STDIN, blocks, total_size
from aiotcbatch.cli.records import RecordReader
from aiotcbatch.cli.run import SOME_FAILED, Ending, log_shown
from aiotcbatch.client import Client
from aiotcbatch.errors import AccessDeniedError, ConfigurationError, ValidationError
from aiotcbatch.results.dead_letters import write_letters
from aiotcbatch.results.outcomes import Outcome
from aiotcbatch.results.status import BatchError
from aiotcbatch.retrying import add_letter, with_xid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aiotcbatch.batch import Batch
    from aiotcbatch.cli.display import Display, Steps
    from aiotcbatch.cli.records import Record
    from aiotcbatch.results.status import BatchStatus

    #: A record that could not be added, None if the line has none, and why.
    Refused = tuple[Record | None, ValidationError]

__all__ = [
    "Submission",
    "handled",
    "report",
    "show_failed",
    "show_left",
    "show_owner",
    "show_rest",
    "submit",
]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """
    What the command line asked for.

    Attributes:
        files: Paths, or ``-`` for standard input.
        owner: The owner to write into.
        halt_on_error: Whether the first error of any kind ends it.
        as_json: Whether each job's status goes to stdout as a line of JSON.
        shown_errors: The most errors that are listed.
        journal: A file that keeps what is left to do if this is ended; None for none.
        journal_moved_from: The URL that the instance had when the journal was written; None for
            the one that it has.
        dead_letters: A file to which what failed is appended; None for none.
        allow_plain_http: Whether credentials may go in the clear to another machine.
        job: Further settings of the batch.
    """

    files: tuple[str, ...]
    owner: str
    halt_on_error: bool = True
    as_json: bool = False
    shown_errors: int = 20
    journal: str | None = None
    journal_moved_from: str | None = None
    dead_letters: str | None = None
    allow_plain_http: bool = False
    job: dict[str, Any] = field(default_factory=dict)


async def submit(display: Display, asked: Submission, ending: Ending | None = None) -> int:
    """
    Read, submit, report.

    Args:
        display: Where to show it.
        asked: What to do.
        ending: How a signal ends it.

    Returns:
        The exit code.
    """
    with log_shown(display):
        return await _submit(display, asked, ending or Ending())


async def _submit(display: Display, asked: Submission, ending: Ending) -> int:
    size = await total_size(asked.files)
    await _check_dead_letters(asked)
    if STDIN in asked.files and sys.stdin.isatty():
        display.remark("Reading from the keyboard; Ctrl-D ends it.")
    statuses: list[BatchStatus] = []
    refused: list[Refused] = []
    async with Client.from_env(allow_plain_http=asked.allow_plain_http) as client:
        batch = client.batch(
            asked.owner,
            halt_on_error=asked.halt_on_error,
            journal=asked.journal,
            journal_moved_from=asked.journal_moved_from,
            dead_letters=asked.dead_letters,
            **asked.job,
        )
        async with AsyncExitStack() as stack:
            if asked.journal is not None:
                await batch.__aenter__()
                stack.push_async_callback(show_rest, display, asked.journal)
                stack.push_async_exit(batch)
            with display.steps() as steps:
                await _read(batch, asked, steps, size, refused)
                if asked.journal is None:  # what ends the reading leaves nothing to be written
                    stack.push_async_exit(batch)
                # Told once: so it is shown, whatever has ended this.
                stack.callback(_show, display, asked, batch, statuses, refused)
                with ending.by(batch.stop):
                    await _send(batch, asked, display, steps, statuses)
            if not statuses and not len(batch) + batch.association_len:
                display.remark("There was nothing to submit.")
        if asked.dead_letters is not None:
            outcomes = (_outcome(record, error, asked) for record, error in refused if record)
            written = await write_letters(asked.dead_letters, outcomes)
            if written or not all(status.ok for status in statuses):
                show_failed(display, asked.dead_letters, asked.owner, asked.job)
    return SOME_FAILED if refused or not all(status.ok for status in statuses) else 0


async def _check_dead_letters(asked: Submission) -> None:
    """Refuse to write what failed to where it is read from."""
    if asked.dead_letters is None:
        return
    target = anyio.Path(asked.dead_letters)
    for name in asked.files:
        if name != STDIN and await target.exists() and await target.samefile(name):
            raise ConfigurationError("dead letters", asked.dead_letters, "another file than FILE")


def _outcome(record: Record, error: ValidationError, asked: Submission) -> Outcome:
    """Say of a record that was refused before it was sent what a server would."""
    about = BatchError(errorReason=error.message, severity="Error")
    return Outcome(
        kind=record.kind,
        state="rejected",
        data=record.data,
        errors=(about,),
        source=record.where if record.letter is None else record.letter.source,
        owner=asked.owner,
        action=asked.job.get("action", "Create"),
    )


def _show(
    display: Display,
    asked: Submission,
    batch: Batch,
    statuses: list[BatchStatus],
    refused: list[Refused],
) -> None:
    """Show what was refused here, what the jobs came to, and what is left, as after a signal."""
    for _, error in refused[: asked.shown_errors]:
        display.error(error.message)
    if len(refused) > asked.shown_errors:
        more = len(refused) - asked.shown_errors
        display.remark(f"... and {more:,} more that were refused before anything was sent.")
    if statuses and not asked.as_json:
        report(display, statuses, shown_errors=asked.shown_errors)
        if refused:
            display.remark(f"Not in the table: {len(refused):,} that could not be sent.")
    show_left(display, batch)


def show_failed(display: Display, path: str, owner: str, job: Mapping[str, Any]) -> None:
    """
    Say where what failed is, and how it is sent again.

    Args:
        display: Where to show it.
        path: The file of dead letters.
        owner: Whom it is for.
        job: The settings of the batch.
    """
    words = ["aiotcbatch", "submit", path, "--owner", owner]
    if job.get("action") == "Delete":
        words += ["--action", "delete"]
    command = shlex.join(words)
    display.remark(f"What failed is in {path}; put it right, and `{command}` sends it again.")


def show_owner(display: Display, owner: str) -> None:
    """
    Say whom the server does not let in, or does not know.

    Args:
        display: Where to show it.
        owner: The owner's name.
    """
    display.remark(f"The owner was {owner!r}; `aiotcbatch owners` lists those that exist.")


def show_left(display: Display, batch: Batch) -> None:
    """
    Say what a batch has that is not done.

    Args:
        display: Where to show it.
        batch: The batch.
    """
    for job in batch.in_flight:
        display.remark(f"Job {job} is on the server, and was not followed to its end.")
    counts = (
        (len(batch), "entities"),
        (batch.association_len, "associations"),
        (batch.file_len, "files"),
    )
    left = ", ".join(counted(count, what) for count, what in counts if count)
    if left:
        display.remark(f"Not sent: {left}.")


async def _read(
    batch: Batch,
    asked: Submission,
    steps: Steps,
    size: int | None,
    refused: list[Refused],
) -> None:
    step = steps.add("Reading", size, "bytes")
    kept = None if asked.halt_on_error else refused
    on_refused = None if asked.halt_on_error else lambda error: refused.append((None, error))
    for name in asked.files:
        reader = RecordReader("standard input" if name == STDIN else name, on_refused)
        async with aclosing(blocks(name)) as read:  # a bad record leaves it in the middle
            async for block in read:
                _add_all(batch, reader.feed(block), kept)
                await batch.drain()
                step.advance(len(block))
        _add_all(batch, reader.close(), kept)
    await batch.drain()
    step.finish()


async def _send(
    batch: Batch,
    asked: Submission,
    display: Display,
    steps: Steps,
    statuses: list[BatchStatus],
) -> None:
    # of jobs that a journal has on the server the batch does not count the entities
    total = None if batch.in_flight else len(batch) + batch.association_len
    step = steps.add("Submitting", total, "entities")
    try:
        async with aclosing(batch.submit_iter(halt_on_error=asked.halt_on_error)) as ended:
            async for status in ended:
                statuses.append(status)
                step.advance(handled(status))
                if asked.as_json:
                    display.result(orjson.dumps(status, default=str).decode())
    except AccessDeniedError:
        show_owner(display, asked.owner)
        raise
    step.finish()


def _add_all(batch: Batch, records: Sequence[Record], refused: list[Refused] | None) -> None:
    """Add records; those that are refused go on the list, or end it where there is none."""
    for record in records:
        try:
            _add(batch, record)
        except ValidationError as error:
            error = ValidationError(error.field, error.value, error.accepted, about=record.where)
            if refused is None:
                raise error from None
            refused.append((record, error))


def _add(batch: Batch, record: Record) -> None:
    if record.letter is not None:
        add_letter(batch, record.letter)
    elif record.kind == "group":
        batch.add_group(with_xid(record.data, "name"), source=record.where)
    elif record.kind == "indicator":
        batch.add_indicator(with_xid(record.data, "summary"), source=record.where)
    else:
        batch.add_association(record.data, source=record.where)


async def show_rest(display: Display, path: str) -> None:
    """
    Say how to go on with a journal, if it is still there.

    Args:
        display: Where to show it.
        path: The journal.
    """
    with anyio.CancelScope(shield=True):
        if await anyio.Path(path).exists():
            command = f"aiotcbatch journal resume {shlex.quote(path)}"
            display.remark(f"What is left is in the journal; `{command}` goes on with it.")


def handled(status: BatchStatus) -> int:
    """
    Count what a job is over with, whatever became of it.

    Args:
        status: The job's.

    Returns:
        Entities and associations.
    """
    return (
        status.success_count
        + status.error_count
        + status.unprocess_count
        + status.success_association_count
        + status.error_association_count
    )


def report(display: Display, statuses: Sequence[BatchStatus], *, shown_errors: int) -> None:
    """
    Show what the jobs came to.

    Args:
        display: Where to show it.
        statuses: One for each job.
        shown_errors: The most errors that are listed.
    """
    columns = ("Job", "Status", "Accepted", "Refused", "Not processed", "Files")
    display.table("Jobs", columns, [_job_row(status) for status in statuses], right=columns[2:])
    errors = [line for status in statuses for line in _error_lines(status)]
    errors += [
        f"file of {upload.get('xid')!r}: {upload.get('error') or 'not uploaded'}"
        for status in statuses
        for upload in status.uploads
        if not upload.get("uploaded")
    ]
    errors += [str(status.failure) for status in statuses if status.failure is not None]
    for error in errors[:shown_errors]:
        display.error(error)
    if len(errors) > shown_errors:
        display.remark(f"... and {len(errors) - shown_errors:,} more errors; --json has them all.")


def _error_lines(status: BatchStatus) -> Iterator[str]:
    """Give the errors of a job, with where their entities stand if that is known."""
    sources: dict[int, Any] = {}
    if status.errors:
        for outcome in status.outcomes.failed:
            sources |= {id(error): outcome.source for error in outcome.errors}
    for error in status.errors:
        source = sources.get(id(error))
        yield str(error) if source is None else f"{source}: {error}"


def _job_row(status: BatchStatus) -> tuple[str, ...]:
    uploads = status.uploads
    return (
        str(status.id or ("inline" if status.completed else "none")),
        status.status,
        f"{status.success_count + status.success_association_count:,}",
        f"{status.error_count + status.error_association_count:,}",
        f"{status.unprocess_count:,}",
        f"{sum(bool(upload.get('uploaded')) for upload in uploads):,} of {len(uploads):,}",
    )
