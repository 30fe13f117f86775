"""
Isolating: where the server gave up on a whole document, what is to be sent again, and how.

The entity that it gave up for is searched for by sending parts of the document: where the server
names a place, what stands before it, the entity, and what comes after it; else, and once such a
hint was wrong, the two halves. Each part that it gives up on is cut again, until one entity is
left. So an entity costs three jobs more where the hints are right, and twice the logarithm of the
number of entities at most.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from aiotcbatch.collecting.recutting import Records
from aiotcbatch.results.status import BatchError
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiotcbatch.collecting.chunk import Chunk
    from aiotcbatch.results.status import BatchStatus
    from aiotcbatch.submitting.job import Job, JobSettings

__all__ = ["Part", "Search", "blamed", "given_up", "isolate"]

#: A search ends when so many more parts were given up on than were processed: then it is not an
#: entity that is wrong, or too many are.
MOST_FAILED = 64

#: Without a word about any entity, these say that the server failed with the whole document.
_OF_THE_WHOLE = frozenset({"0x1003", "0x1004"})

_PLACE = re.compile(r"\b(group|indicator|association)\[(\d+)\]")


class Search:
    """What is known of the jobs into which one was cut that the server gave up on."""

    def __init__(self) -> None:
        self.failed = 0
        self.landed = 0
        #: Whether no hint was wrong.
        self.trusts = True

    @property
    def goes_on(self) -> bool:
        """Whether what fails is to be cut further."""
        return self.failed - self.landed < MOST_FAILED

    def saw(self, *, landed: bool, expected: bool | None) -> None:
        """
        Note what became of a job.

        Args:
            landed: Whether the server did not give up on it.
            expected: What that should be by the hint by which it was cut, None if by none.
        """
        self.landed += landed
        self.failed += not landed
        if expected is not None and landed is not expected:
            self.trusts = False


class Part(Value, kw_only=False):
    """A part of a document that is to be sent by itself."""

    chunk: Chunk
    settings: JobSettings
    #: Whether the server will not give up on it, if the hint is right; None without a hint.
    expected: bool | None = None


def given_up(job: Job, errors: Sequence[BatchError]) -> bool:
    """Say whether the server gave up on the whole document of a completed job."""
    if any(error.unexpected for error in errors):
        return True
    status = job.status
    if not errors:
        # An inline job, whose answer has no errors: nothing else leaves entities out.
        return bool(status.unprocess_count)
    return (
        not status.success_count
        and any(error.code in _OF_THE_WHOLE for error in errors)
        and not any(error.critical or error.xid or error.association for error in errors)
    )


def isolate(job: Job, errors: Sequence[BatchError], search: Search) -> list[Part] | None:
    """
    Cut the document of a job that the server gave up on; it reads it all, so run it in a thread.

    What is on the server already is sent again only where that does no harm. With Append, parts
    that the counts prove to be there are sent with Static, which makes their links and leaves
    their attributes alone.

    Args:
        job: The job.
        errors: What the server said, tied to its entities.
        search: What is known from jobs before.

    Returns:
        The parts in their order; none if it is a single record, or groups that point to each
        other in a circle. None if nothing can be sent again.
    """
    records, settings = Records(job.document), job.settings
    if len(records.seams) == 1:
        return []
    error = next((error for error in errors if error.critical), None)
    position = None if error is None else _hint(job.document.decode(), error)
    before_is_there = False
    if not settings.harmless_twice and not _nothing_is_there(job, errors):
        if settings.action == "Delete" or position is None:
            return None
        before_is_there = _is_there_until(position, job, errors)
        if not before_is_there:
            return None
    if position is None or not (search.trusts or before_is_there):
        return [Part(chunk, settings) for chunk in records.halves()]
    before, suspect, after = records.around(position)
    if before_is_there and suspect.count > 1:
        return None  # a part of the circle is there
    again = settings.replace(attribute_write_type="Static") if before_is_there else settings
    parts = [
        Part(before, again, expected=True),
        Part(suspect, settings, expected=False),
        Part(after, settings),
    ]
    return [part for part in parts if part.chunk.count]


def _nothing_is_there(job: Job, errors: Sequence[BatchError]) -> bool:
    """Say whether what the server says proves that nothing of a job is there."""
    status = job.status
    return status.get("successCount") == 0 and status.error_count <= 1 and len(errors) == 1


def _is_there_until(position: int, job: Job, errors: Sequence[BatchError]) -> bool:
    """Say whether it proves that all entities before a position are there, and no other one."""
    status, entities = job.status, job.entity_count
    before = min(position, entities)
    return (
        status.success_count == before
        and status.error_count <= 1
        and status.unprocess_count == max(entities - before - 1, 0)
        and len(errors) == 1
    )


def _hint(document: Mapping[str, Sequence[Mapping[str, Any]]], error: BatchError) -> int | None:
    """Give the position of the record at which the server says it was, None if it does not."""
    for kind, number in _PLACE.findall(f"{error.message}\n{error.reason}"):
        if int(number) < len(document.get(kind, ())):
            others = list(document)[: list(document).index(kind)]
            return sum(len(document[other]) for other in others) + int(number)
    xids = [record.get("xid") for record in chain(*document.values())]
    return xids.index(error.xid) if error.xid in xids else None


def blamed(chunk: Chunk, status: BatchStatus, errors: Sequence[BatchError]) -> list[BatchError]:
    """
    Say of what is left alone that the server gives up on it.

    Args:
        chunk: A single record, or groups that point to each other in a circle.
        status: The status of the job, whose counts are set right.
        errors: What the server said.

    Returns:
        Its error, for each of the records, and the others.
    """
    error = next((error for error in errors if error.critical), None)
    if error is None:
        error = errors[0] if errors else BatchError(errorReason="the server does not process it")
    for name, count in (
        ("errorCount", chunk.entity_count),
        ("errorAssociationCount", chunk.associations.count),
    ):
        status[name] = max(status.count(name), min(count, 1))
    said = []
    for record in chain(*chunk.decode().values()):
        own = BatchError(error)
        own.pop("association", None)
        if "xid" in record:
            own["xid"] = record["xid"]
        else:
            own["association"] = dict(record)
        said.append(own)
    return [*said, *(other for other in errors if other is not error)]
