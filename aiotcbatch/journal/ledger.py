"""What happens to records, jobs and files: each step, written to the tables of the journal."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.collecting.origins import Origin, StoredContent, described
from aiotcbatch.entities.contents import LostContent
from aiotcbatch.errors import AiotcbatchError
from aiotcbatch.journal.bodies import Extent
from aiotcbatch.journal.records import Kind, Run, merged, starts_to_bytes
from aiotcbatch.journal.schema import (
    BLOCK_BYTES,
    FILES,
    GONE,
    JOBS,
    SEGMENTS,
    Connection,
    FileRow,
    GoneRow,
    JobRow,
    SegmentRow,
    block_crc,
    pack_runs,
    place_of,
    run_at,
    unpack_runs,
)
from aiotcbatch.submitting.job import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aiotcbatch.entities.contents import FileContent, FileItem
    from aiotcbatch.journal.records import Segment

__all__ = ["Ledger", "number_after", "numbers_within"]

_LAST_BEFORE = "WHERE place < ? ORDER BY place DESC LIMIT 1"
#: So far apart are the numbers of two jobs, for those between them into which one is cut.
_SPACE = 2**34


class Ledger:
    """
    The steps, as plain calls inside a transaction that somebody else begins and commits.

    A step that cannot be right raises an AssertionError: it is a bug, and a record that is
    forgotten by mistake would be worse than a program that ends.

    Args:
        db: The connection.
        clock: Seconds since 1970.
    """

    def __init__(self, db: Connection, clock: Callable[[], float]) -> None:
        self.db = db
        self._clock = clock
        # Neither is used twice in a process, so that a slice never gives another one's bytes.
        self._next_block = self._largest("SELECT max(number) FROM block") + 1
        self._next_job = number_after(self._largest("SELECT max(seq) FROM sqlite_sequence"))

    def _largest(self, query: str) -> int:
        (largest,) = self.db.execute(query).fetchone()
        return int(largest or 0)

    # Records

    def drained(
        self,
        segments: Sequence[Segment],
        gone: Sequence[Run],
        files: Sequence[tuple[int, FileItem]],
    ) -> list[Extent]:
        """Keep segments and contents, and forget records that were continued."""
        extents = [self._add_segment(segment) for segment in segments]
        moving = self._take_stored(gone, files)
        self._forget(gone)
        for place, item in files:
            file = moving.get(item.xid)
            if file is None:
                self._add_file(place, item)
            else:
                self._move_file(file, place, item)
        return extents

    def _add_segment(self, segment: Segment) -> Extent:
        place, count = place_of(segment.kind, segment.first), len(segment)
        if not count or segment.starts[-1] != len(segment.body) + 1:
            raise AssertionError(f"a segment of {count} records does not fit its body")
        before = SEGMENTS.first(self.db, _LAST_BEFORE, place + count)
        if before is not None and before.place + before.length > place:
            raise AssertionError(f"{run_at(place, count)} is in the journal already")
        block = self._next_block
        self._write_block(starts_to_bytes(segment.starts) + segment.sources)
        extent = self.keep(segment.body)
        row = SegmentRow(place, count, count, int(segment.refers), block, extent.nbytes)
        SEGMENTS.insert(self.db, row)
        return extent

    def keep(self, data: bytes | memoryview) -> Extent:
        """Write bytes to new blocks."""
        view = memoryview(data)
        first = self._next_block
        parts = (view[at : at + BLOCK_BYTES] for at in range(0, len(view), BLOCK_BYTES))
        return Extent(first, len(view), array("I", map(self._write_block, parts)))

    def _write_block(self, data: bytes | memoryview) -> int:
        number = self._next_block
        self._next_block += 1
        crc = block_crc(number, data)
        self.db.execute("INSERT INTO block VALUES (?, ?, ?)", (number, crc, data))
        return crc

    def _drop_blocks(self, first: int, count: int) -> None:
        self.db.execute(
            "DELETE FROM block WHERE number BETWEEN ? AND ?", (first, first + count - 1)
        )

    def _forget(self, runs: Iterable[Run]) -> None:
        """Note that records are gone, and delete segments of which nothing is left."""
        for run in merged(list(runs)):
            place, stop = place_of(run.kind, run.first), place_of(run.kind, run.stop)
            while place < stop:
                segment = self._segment_at(place)
                count = min(stop, segment.place + segment.length) - place
                self._forget_in(segment, place, count)
                place += count

    def _forget_in(self, segment: SegmentRow, place: int, count: int) -> None:
        self._require_there(place, count)
        for file in FILES.find(self.db, "WHERE place BETWEEN ? AND ?", place, place + count - 1):
            self._drop_file(file)
        remaining = segment.remaining - count
        if remaining:
            GONE.insert(self.db, GoneRow(place, count))
            SEGMENTS.update(self.db, segment._replace(remaining=remaining))
        else:
            GONE.delete(self.db, segment.place, segment.place + segment.length - 1)
            SEGMENTS.delete(self.db, segment.place)
            self._drop_blocks(segment.block, 1 + blocks_of(segment.nbytes))

    def _segment_at(self, place: int) -> SegmentRow:
        segment = SEGMENTS.first(self.db, _LAST_BEFORE, place + 1)
        if segment is None or segment.place + segment.length <= place:
            raise AssertionError(f"{run_at(place, 1)} is not in the journal")
        return segment

    def _require_there(self, place: int, count: int) -> None:
        """Check that none of some places in one segment is gone."""
        gone = GONE.first(self.db, _LAST_BEFORE, place + count)
        if gone is not None and gone.place + gone.length > place:
            raise AssertionError(f"some of {run_at(place, count)} are gone already")

    # Files

    def _take_stored(
        self, gone: Sequence[Run], files: Sequence[tuple[int, FileItem]]
    ) -> dict[str, FileRow]:
        """Take the rows of contents that are here, and whose groups are written anew."""
        stored = {item.xid for _, item in files if isinstance(item.content, StoredContent)}
        runs = [run for run in merged(list(gone)) if run.kind is Kind.GROUP] if stored else []
        taken: dict[str, FileRow] = {}
        for run in runs:
            places = _places(run)
            query = "WHERE place BETWEEN ? AND ?"
            for file in FILES.find(self.db, query, places.start, places.stop - 1):
                if file.xid in stored:
                    FILES.delete(self.db, file.place)
                    taken[file.xid] = file
        return taken

    def _move_file(self, file: FileRow, place: int, item: FileItem) -> None:
        """Have a content that is here belong to its group where that is now."""
        row = file._replace(
            place=place_of(Kind.GROUP, place), type=item.type, name=item.file_name, job=None
        )
        FILES.insert(self.db, row)

    def _add_file(self, place: int, item: FileItem) -> None:
        origin, detail, kept = _described(item.content)
        extent = self.keep(kept)
        row = FileRow(
            place=place_of(Kind.GROUP, place),
            xid=item.xid,
            type=item.type,
            name=item.file_name,
            origin=int(origin),
            detail=detail,
            block=extent.block,
            nbytes=extent.nbytes,
            job=None,
            result=None,
        )
        self._segment_at(row.place)
        self._require_there(row.place, 1)
        FILES.insert(self.db, row)

    def _drop_file(self, file: FileRow) -> None:
        FILES.delete(self.db, file.place)
        self._drop_blocks(file.block, blocks_of(file.nbytes))

    def filed(self, number: int, xid: str, result: Mapping[str, Any]) -> None:
        """Note what became of a content; one that is uploaded is not kept any longer."""
        file = FILES.first(self.db, "WHERE job = ? AND xid = ?", number, xid)
        if file is None:
            raise AssertionError(f"job {number} has no file {xid!r}")
        if result.get("uploaded"):
            self._drop_blocks(file.block, blocks_of(file.nbytes))
            file = file._replace(nbytes=0)
        FILES.update(self.db, file._replace(result=_json(result)))

    # Jobs

    def cut(
        self,
        settings: Mapping[str, Any],
        runs: Sequence[Run],
        segments: Sequence[Segment],
        gone: Sequence[Run],
        files: Sequence[tuple[int, FileItem]],
    ) -> int:
        """Make a job of records that wait, after what its cutting has changed in them."""
        self.drained(segments, gone, files)
        return self._add_job(self._new_number(), _json(settings), runs)

    def _new_number(self) -> int:
        number = self._next_job
        self._next_job = number_after(number)
        return number

    def _add_job(self, number: int, settings: str, runs: Sequence[Run]) -> int:
        has_files = FILES.first(self.db, "WHERE job IS NULL LIMIT 1") is not None
        for run in merged(runs):
            place, stop = place_of(run.kind, run.first), place_of(run.kind, run.stop)
            if has_files and run.kind is Kind.GROUP:
                self._claim_files(number, place, stop)
            while place < stop:
                segment = self._segment_at(place)
                count = min(stop, segment.place + segment.length) - place
                self._require_there(place, count)
                place += count
        row = JobRow(
            number=number,
            batch_id=None,
            phase=Phase.CUT.name,
            settings=settings,
            runs=pack_runs(runs),
            status="{}",
            attempts=0,
            failure=None,
            since=self._clock(),
        )
        JOBS.insert(self.db, row)
        return number

    def _claim_files(self, number: int | None, place: int, stop: int) -> None:
        for file in FILES.find(self.db, "WHERE place BETWEEN ? AND ?", place, stop - 1):
            FILES.update(self.db, file._replace(job=number))

    def recut(
        self,
        number: int,
        parts: Sequence[Sequence[Run]],
        settings: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[int]:
        """Replace a job by others, for some of its records each; the rest waits again."""
        job = self._job(number)
        was = {place for run in unpack_runs(job.runs) for place in _places(run)}
        becomes = [place for part in parts for run in part for place in _places(run)]
        if not was.issuperset(becomes) or len(becomes) != len(set(becomes)):
            raise AssertionError(f"job {number} does not have what it is cut into")
        for file in FILES.find(self.db, "WHERE job = ?", number):
            FILES.update(self.db, file._replace(job=None))
        JOBS.delete(self.db, number)
        kept = [job.settings] * len(parts) if settings is None else map(_json, settings)
        numbers = numbers_within(number, len(parts)) or [self._new_number() for _ in parts]
        return [
            self._add_job(own, one, part)
            for own, one, part in zip(numbers, kept, parts, strict=True)
        ]

    def created(self, number: int, batch_id: int) -> None:
        """Note that the server gave a job an id."""
        self._move(number, Phase.CREATED, batch_id=batch_id)

    def uploading(self, number: int) -> None:
        """Note that from now on the server may have the document."""
        self._move(number, Phase.UPLOADING)

    def uploaded(self, number: int, batch_id: int | None) -> None:
        """Note that the server has the document."""
        self._move(number, Phase.UPLOADED, **_known(batch_id))

    def completed(self, number: int, status: Mapping[str, Any], batch_id: int | None) -> None:
        """Note that the server has done its work, and what it says about it."""
        self._move(number, Phase.COMPLETED, status=_said(status), **_known(batch_id))

    def explained(self, number: int, status: Mapping[str, Any]) -> None:
        """Note that the errors are known, and only files are left to do."""
        self._move(number, Phase.FILING, status=_said(status))

    def forgotten(self, number: int) -> None:
        """Note that the server does not know the job any more."""
        self._move(number, Phase.CUT, batch_id=None, status="{}")

    def lost(self, number: int) -> None:
        """Note that it is not known whether the server has the document."""
        self._move(number, Phase.LOST)

    def failed(self, number: int, why: str) -> None:
        """Note why a job does not get further."""
        job = self._job(number)
        JOBS.update(self.db, job._replace(attempts=job.attempts + 1, failure=why))

    def done(self, numbers: Sequence[int]) -> None:
        """Delete what nobody needs when some jobs are at their end and that was told."""
        for number in numbers:
            job = self._job(number)
            self._forget(unpack_runs(job.runs))
            JOBS.delete(self.db, number)

    def _job(self, number: int) -> JobRow:
        job = JOBS.first(self.db, "WHERE number = ?", number)
        if job is None:
            raise AssertionError(f"job {number} is not in the journal")
        return job

    def _move(self, number: int, phase: Phase, **changes: Any) -> None:
        job = self._job(number)
        if job.phase != phase.name:
            changes["since"] = self._clock()
        JOBS.update(self.db, job._replace(phase=phase.name, failure=None, **changes))


def number_after(number: int) -> int:
    """Give the number of a job that is made after another one."""
    return (number // _SPACE + 1) * _SPACE


def numbers_within(number: int, count: int) -> list[int]:
    """
    Give numbers for jobs that one is cut into: behind its own, and before those of later jobs.

    A number has as many behind it as the largest power of two by which it can be divided, and of
    these each part has an equal share. So none is given twice, however often parts are cut again.

    Returns:
        The numbers, none if there is not room for so many.
    """
    share = min(number & -number, _SPACE) // (2 * max(count, 1))
    if not share:
        return []
    step = 1 << (share.bit_length() - 1)
    return [number + (2 * part + 1) * step for part in range(count)]


def blocks_of(nbytes: int) -> int:
    """How many blocks some bytes take."""
    return -(-nbytes // BLOCK_BYTES)


def _described(content: FileContent | None) -> tuple[Origin, str, bytes | memoryview]:
    """Say what is kept of a content; of one that ends with its process, why it is lost then."""
    if isinstance(content, LostContent):
        return Origin.OPAQUE, content.why, b""
    if isinstance(content, StoredContent):  # in another journal, or for a job that is done
        try:
            content = content.load()
        except AiotcbatchError as error:  # who uploads it is told the same
            return Origin.OPAQUE, str(error), b""
    origin, detail, kept = described(content)
    if origin is Origin.OPAQUE:
        detail = f"{detail}, which ended with its process"
    return origin, detail, kept


def _known(batch_id: int | None) -> dict[str, int]:
    return {} if batch_id is None else {"batch_id": batch_id}


def _places(run: Run) -> range:
    first = place_of(run.kind, run.first)
    return range(first, first + run.count)


def _said(status: Mapping[str, Any]) -> str:
    """What the server said, without the exception that is kept with it."""
    return _json({name: value for name, value in status.items() if name != "failure"})


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value, default=str).decode()
