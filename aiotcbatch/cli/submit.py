"""`aiotcbatch submit`: entities from files into an owner."""

from __future__ import annotations

import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.cli.inputs import STDIN, blocks, total_size
from aiotcbatch.cli.records import RecordReader
from aiotcbatch.cli.run import SOME_FAILED
from aiotcbatch.client import Client
from aiotcbatch.errors import AccessDeniedError, ValidationError
from aiotcbatch.xid import unique_xid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiotcbatch.batch import Batch
    from aiotcbatch.cli.display import Display, Steps
    from aiotcbatch.cli.records import Record
    from aiotcbatch.results import BatchStatus

__all__ = ["Submission", "handled", "report", "submit"]


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
        job: Further settings of the batch.
    """

    files: tuple[str, ...]
    owner: str
    halt_on_error: bool = True
    as_json: bool = False
    shown_errors: int = 20
    job: dict[str, Any] = field(default_factory=dict)


async def submit(display: Display, asked: Submission) -> int:
    """
    Read, submit, report.

    Args:
        display: Where to show it.
        asked: What to do.

    Returns:
        The exit code.
    """
    size = await total_size(asked.files)
    if STDIN in asked.files and sys.stdin.isatty():
        display.remark("Reading from the keyboard; Ctrl-D ends it.")
    async with Client.from_env() as client:
        batch = client.batch(asked.owner, halt_on_error=asked.halt_on_error, **asked.job)
        with display.steps() as steps:
            refused = await _read(batch, asked, steps, size)
            try:
                statuses = await _send(batch, asked, display, steps)
            except AccessDeniedError:
                display.remark(
                    f"The owner was {asked.owner!r}; `aiotcbatch owners` lists those that exist."
                )
                raise
    for error in refused:
        display.error(error.message)
    if not asked.as_json:
        report(display, statuses, shown_errors=asked.shown_errors)
    return SOME_FAILED if refused or not all(status.ok for status in statuses) else 0


async def _read(
    batch: Batch, asked: Submission, steps: Steps, size: int | None
) -> list[ValidationError]:
    refused: list[ValidationError] = []
    step = steps.add("Reading", size, "bytes")
    for name in asked.files:
        reader = RecordReader("standard input" if name == STDIN else name)
        async with aclosing(blocks(name)) as read:  # a bad record leaves it in the middle
            async for block in read:
                _add_all(batch, reader.feed(block), None if asked.halt_on_error else refused)
                await batch.drain()
                step.advance(len(block))
        _add_all(batch, reader.close(), None if asked.halt_on_error else refused)
    await batch.drain()
    step.finish()
    return refused


async def _send(
    batch: Batch, asked: Submission, display: Display, steps: Steps
) -> list[BatchStatus]:
    statuses: list[BatchStatus] = []
    step = steps.add("Submitting", len(batch) + batch.association_len, "entities")
    async with aclosing(batch.submit_iter(halt_on_error=asked.halt_on_error)) as ended:
        async for status in ended:
            statuses.append(status)
            step.advance(handled(status))
            if asked.as_json:
                display.result(orjson.dumps(status, default=str).decode())
    step.finish()
    return statuses


def _add_all(
    batch: Batch, records: Sequence[Record], refused: list[ValidationError] | None
) -> None:
    """Add records; those that are refused go on the list, or end it where there is none."""
    for record in records:
        try:
            _add(batch, record)
        except ValidationError as error:
            error = ValidationError(error.field, error.value, error.accepted, about=record.where)
            if refused is None:
                raise error from None
            refused.append(error)


def _add(batch: Batch, record: Record) -> None:
    if record.kind == "group":
        batch.add_group(_with_xid(record.data, "name"))
    elif record.kind == "indicator":
        batch.add_indicator(_with_xid(record.data, "summary"))
    else:
        batch.add_association(record.data)


def _with_xid(data: dict[str, Any], title: str) -> dict[str, Any]:
    """Give an entity without xid the one that the library would make of its type and name."""
    name = data.get(title)
    if data.get("xid") is None and isinstance(name, str):
        return data | {"xid": unique_xid(str(data["type"]), name)}
    return data


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
    if not statuses:
        display.remark("There was nothing to submit.")
        return
    columns = ("Job", "Status", "Accepted", "Refused", "Not processed", "Files")
    display.table("Jobs", columns, [_job_row(status) for status in statuses], right=columns[2:])
    errors = [str(error) for status in statuses for error in status.errors]
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


def _job_row(status: BatchStatus) -> tuple[str, ...]:
    uploads = status.uploads
    return (
        "inline" if status.id is None else str(status.id),
        status.status,
        f"{status.success_count + status.success_association_count:,}",
        f"{status.error_count + status.error_association_count:,}",
        f"{status.unprocess_count:,}",
        f"{sum(bool(upload.get('uploaded')) for upload in uploads):,} of {len(uploads):,}",
    )
