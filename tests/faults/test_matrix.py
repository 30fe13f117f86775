"""Every cell of the matrix: what comes of it is what the table says, and nothing is lost."""

from __future__ import annotations

import asyncio
import re
import traceback
from typing import TYPE_CHECKING

import pytest
from faults.cells import ATTEMPTS, CONTENT, LOOKUPS, Cell, Place, Told, all_cells
from faults.mishaps import RETRY_AFTER
from faults.outcomes import (
    AGAIN,
    ANEW,
    ARRIVED,
    ASKED,
    FINE,
    PARTS,
    PUT,
    RENEWED,
    REPORTED,
    UNNAMED,
    Fails,
)
from support.leaping import LeapingClock
from support.submitting import CREATE, OWNER, UPLOAD

from aiotcbatch.errors import FileUploadError
from aiotcbatch.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

    from aiotcbatch.errors import AiotcbatchError

ALL = frozenset({"d-1", "i-1", "bad", "i-3"})
GOOD = ALL - {"bad"}
#: What every error asks of its reader.
ADVICE = re.compile(
    r"\b([Cc]heck|[Tt]ry|[Ss]end|[Aa]sk|[Ss]et|[Rr]aise|[Ll]ower|[Ll]ook|[Pp]oll|[Cc]orrect|must)\b"
)


@pytest.fixture
async def place(cell: Cell) -> AsyncIterator[Place]:
    """Give a sandbox and a client, in a loop whose time can leap."""
    clock = LeapingClock(asyncio.get_running_loop())
    try:
        async with Sandbox(owners=[OWNER], clock=clock, synchronous_limit=0) as sandbox:
            place = Place(cell, sandbox)
            clock.line = place.line
            yield place
            await place.aclose()
    finally:
        clock.restore()


@pytest.mark.parametrize("cell", list(all_cells()), ids=str)
async def test_cell(cell: Cell, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The outcome is that of the table, and when all is well again, the rest arrives."""
    caplog.set_level("DEBUG")
    place.break_()
    first = await place.attempt(halts=cell.halts)

    assert place.hits == 1 or (cell.lasting and place.hits)
    check_told(cell, place, first)
    check_texts(place, first, caplog.text)
    if cell.name in LOOKUPS:
        check_requests(cell, place)
        place.mend()
        assert (await place.attempt(halts=None)).value
        return
    check_requests(cell, place)
    check_kept(cell, place)
    place.mend()
    second = await place.attempt(halts=True)
    check_rest(cell, place, first, second)


# What is told -----------------------------------------------------------------------------------


def check_told(cell: Cell, place: Place, told: Told) -> None:
    """Check what the user gets: a value, an error, or failures in the value."""
    outcome = cell.outcome
    if not isinstance(outcome, Fails):
        assert told.error is None
        check_value(cell, told)
        return
    if cell.halts is not False:
        assert told.value is None
        assert type(cause(cell, told.error)) is outcome.error
        return
    assert told.error is None
    assert not told.value.ok
    if cell.is_about_file:
        (upload,) = told.value.uploads
        assert (upload.uploaded, upload.xid) == (False, "d-1")
        assert ADVICE.search(upload.error)
        return
    # The first job that gets there fails; for good, all of them, but for those without errors.
    failed = len(told.failures)
    assert failed == 1 or (failed == 2 and cell.lasting)
    assert failed == 2 or not cell.lasting or cell.name in {"results", "errors"}
    assert {type(failure) for failure in told.failures} == {outcome.error}
    if outcome.unknown:
        assert sum(job.status == "Unknown" for job in told.jobs) == failed


def cause(cell: Cell, error: AiotcbatchError | None) -> BaseException | None:
    """Give the error of the request, out of that of a file."""
    if not cell.is_about_file:
        return error
    assert type(error) is FileUploadError
    assert error.xid == "d-1"
    return error.__cause__


def check_value(cell: Cell, told: Told) -> None:
    """Check the value where nothing failed."""
    if cell.name in LOOKUPS:
        assert told.value
        return
    status = told.value
    assert told.failures == []
    if cell.outcome == REPORTED:
        return
    assert (status.success_count, status.error_count, status.unprocess_count) == (3, 1, 0)
    assert [upload.uploaded for upload in status.uploads] == [True]
    assert [error.xid for error in status.errors] == ([] if cell.outcome == UNNAMED else ["bad"])


def check_requests(cell: Cell, place: Place) -> None:
    """Check that what the table says was done was done, and not more."""
    outcome, asked = cell.outcome, place.line.asked
    uploads, creates = asked.count(UPLOAD), asked.count(CREATE)
    if outcome == AGAIN:
        assert len(place.naps) == 1
    elif not isinstance(outcome, Fails):
        assert place.naps == []
    if outcome == RENEWED:
        assert len(place.tokens) == 2
    if "Retry-After" in cell.fault or cell.fault == "429":
        assert set(place.naps) == {RETRY_AFTER}
    if outcome in {FINE, AGAIN, RENEWED, ARRIVED, UNNAMED} and "POST" in cell.endpoint.request:
        assert uploads in {0, 2}
    if outcome == ASKED:
        assert (creates, uploads) == (2, 3)
    if outcome == ANEW:
        assert creates == 3
    if outcome == PUT:
        assert any(request.startswith("PUT") for request in asked)
    # However long it lasts, each of the two jobs asks so many times at most.
    most = ATTEMPTS * ATTEMPTS
    assert place.hits <= 2 * most or cell.name == "job"


# What is kept -----------------------------------------------------------------------------------


def check_kept(cell: Cell, place: Place) -> None:
    """Check that what is not on the server is in the batch, unless that is not known."""
    assert place.batch is not None
    missing = ALL - set(place.sent)
    unknown = isinstance(cell.outcome, Fails) and cell.outcome.unknown
    assert len(place.batch) >= len(missing) or unknown
    assert place.stored <= GOOD


def check_rest(cell: Cell, place: Place, first: Told, second: Told) -> None:
    """Check what is there when everything works again, and what the user knows of it."""
    batch, outcome = place.batch, cell.outcome
    assert batch is not None
    assert second.error is None
    assert second.failures == []
    assert (len(batch), batch.association_len, batch.file_len) == (0, 0, 0)
    lost = given_up(cell)
    assert place.stored >= GOOD - lost
    check_file(cell, place, first, second)
    check_duplicates(cell, place)
    check_counts(place, first, second)
    if outcome != UNNAMED and "bad" not in lost:
        named = [error.xid for told in (first, second) for job in told.jobs for error in job.errors]
        assert "bad" in named


def given_up(cell: Cell) -> frozenset[str]:
    """Give the entities that are not sent again, since they were reported."""
    outcome = cell.outcome
    if outcome == REPORTED:
        return ALL
    if not (isinstance(outcome, Fails) and outcome.unknown):
        return frozenset()
    # Where it halts, the second job was not begun.
    return ALL if cell.lasting and cell.halts is False else cell.handed[0]


def check_file(cell: Cell, place: Place, first: Told, second: Told) -> None:
    """Check that the content is on the server, or that it is told why not."""
    if place.files:
        assert place.files == {"d-1": CONTENT}
        return
    uploads = [upload for told in (first, second) for job in told.jobs for upload in job.uploads]
    assert "d-1" in given_up(cell) or (cell.is_about_file and cell.halts is False)
    assert [upload.uploaded for upload in uploads] == [False]
    assert uploads[0].error


def check_duplicates(cell: Cell, place: Place) -> None:
    """Check that no entity came to the server in two jobs, unless the table says so."""
    outcome, sent = cell.outcome, place.sent
    twice = {xid for xid in sent if sent.count(xid) > 1}
    may_be = outcome == ANEW and cell.endpoint.rule != "upload"
    if isinstance(outcome, Fails) and outcome.twice:
        assert twice
    elif may_be or outcome == PARTS:
        assert twice == cell.handed[0]
    elif outcome == REPORTED:
        assert twice == ALL
    else:
        assert twice == set()
    assert len(place.written) <= 1  # two of the same are what Append makes of two jobs


def check_counts(place: Place, first: Told, second: Told) -> None:
    """Check that the last word about each job is right."""
    last = {job.id: job for told in (first, second) for job in told.jobs if job.id is not None}
    known = {job.id: job for job in place.sandbox.jobs}
    for number, status in last.items():
        if status.completed:
            counts = known[number].counts
            assert status.success_count == counts.success
            assert status.error_count == counts.error
    told_of = sum(status.success_count for status in last.values())
    assert told_of <= len(place.stored) or len(place.sent) > len(set(place.sent))


# What is said -----------------------------------------------------------------------------------


def check_texts(place: Place, told: Told, log: str) -> None:
    """Check that errors say what to do in a line or two, and that nothing shows a secret."""
    errors = [error for error in (told.error, *told.failures) if error is not None]
    for error in errors:
        assert any(map(ADVICE.search, (str(error), *error.advice))), str(error)
        assert "\n" not in str(error)
    if told.error is not None and place.batch is not None and (len(place.batch)):
        assert "submit() again" in told.error.advice[-1]
        assert set(told.error.advice) < set(told.error.__notes__)
    texts = [log, repr(told.value), repr(place.client), repr(place.batch)]
    for error in errors:
        texts += traceback.format_exception(error)
        texts += [repr(vars(error)), *locals_of(error)]
    everything = "\n".join(texts)
    assert [secret for secret in place.secrets() if secret in everything] == []


def locals_of(error: BaseException | None) -> Iterator[str]:
    """Give what tools that show local variables would show of our functions."""
    while error is not None:
        at: TracebackType | None = error.__traceback__
        while at is not None:
            name = at.tb_frame.f_code.co_filename
            if "aiotcbatch/" in name and "/sandbox/" not in name:
                yield from map(repr, list(at.tb_frame.f_locals.values()))
            at = at.tb_next
        error = error.__cause__
