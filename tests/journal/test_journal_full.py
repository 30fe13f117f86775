"""A disk that gets full under a journal: what a batch or a stream says, and what is kept."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from support.submitting import OWNER, Place

from aiotcbatch.errors import JournalError
from aiotcbatch.stream import Stream
from aiotcbatch.submitting.job import JobSettings, Phase

if TYPE_CHECKING:
    from pathlib import Path

    from aiotcbatch.batch import Batch
    from aiotcbatch.results.status import BatchStatus


def set_room(batch: Batch, pages: int) -> None:
    """Set how many pages the journal of a batch has at most; no fewer than it has."""
    assert batch._resumed is not None
    batch._resumed.journal._file._usable().execute(f"PRAGMA max_page_count = {pages}")


def stream_of(place: Place, path: Path, **options: Any) -> Stream:
    """Make a stream that goes on after failures."""
    return Stream(
        place.wire,
        JobSettings(owner=OWNER),
        journal=path,
        halt_on_failure=False,
        poll_timeout=1e12,
        clock=place.time.clock,
        **options,
    )


def fail(_: Any) -> None:
    """Write nothing, as the disk is full."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


def addresses(builder: Batch | Stream, first: int, count: int = 1000) -> None:
    """Add addresses, so many that they need room."""
    for number in range(first, first + count):
        builder.address(f"10.0.{number >> 8}.{number & 255}")


async def test_a_drain_that_has_no_room(place: Place, tmp_path: Path) -> None:
    """It says so and what to do, and the same again keeps all when there is room."""
    async with place.batch(journal=tmp_path / "journal") as batch:
        addresses(batch, 0)
        await batch.drain()
        set_room(batch, 1)
        addresses(batch, 1000)
        with pytest.raises(JournalError, match="full") as raised:
            await batch.drain()
        set_room(batch, 1 << 30)
        await batch.drain()
        status = await batch.submit()

    assert any("When there is room, call drain()" in said for said in raised.value.advice)
    assert status.success_count == 2000


@pytest.mark.parametrize("phase", [Phase.CUT, Phase.CREATED, Phase.COMPLETED, Phase.DONE])
async def test_a_step_that_cannot_be_noted_ends_a_stream(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    """Also one that goes on after failures; no job is told, and what was drained is kept."""
    path = tmp_path / "journal"
    told: list[BatchStatus] = []
    with pytest.raises(JournalError, match="full") as raised:
        async with stream_of(place, path, max_entities_per_job=500, on_job=told.append) as stream:
            recorder, journal = stream._recorder, stream._resumed.journal  # type: ignore[union-attr]
            note = recorder.note

            async def note_until(job: Any) -> None:
                if job.phase is phase:
                    journal._file._transact = fail  # type: ignore[method-assign]
                await note(job)

            monkeypatch.setattr(recorder, "note", note_until)
            addresses(stream, 0)
            await stream.drain()
            await stream.flush()

    assert told == []
    assert any("who opens its journal" in said for said in raised.value.advice)
    async with stream_of(place, path) as again:
        pass
    assert again.status.success_count == 1000
    assert not path.exists()


@pytest.mark.parametrize("call", ["submit", "submit_data"])
async def test_a_step_that_cannot_be_noted_ends_a_submit(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Also one that is to go on after failures; when there is room the next one does all."""
    async with place.batch(journal=tmp_path / "journal") as batch:
        addresses(batch, 0)
        await batch.drain()
        assert batch._resumed is not None
        with monkeypatch.context() as patch, pytest.raises(JournalError, match="full"):
            patch.setattr(batch._resumed.journal._file, "_transact", fail)
            if call == "submit":
                await batch.submit(halt_on_error=False)
            else:
                await batch.submit_data(await batch.submit_job() or 0, halt_on_error=False)
        status = await batch.submit()

    assert status.success_count == 1000
