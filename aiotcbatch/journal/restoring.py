"""What was read from a journal, as what is still to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.collecting.origins import Origin, Source
from aiotcbatch.journal.bodies import Extent, JournalSlice, Readers
from aiotcbatch.journal.records import Restored, StoredFile, StoredJob, StoredSegment
from aiotcbatch.journal.schema import FileRow, JobRow, run_at, unpack_runs
from aiotcbatch.journal.survey import WAITING, Survey, SurveyedSegment
from aiotcbatch.submitting.job import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["restored"]


def restored(found: Survey, readers: Readers, owner: str, settings: Mapping[str, Any]) -> Restored:
    """
    Give what is still to be done.

    Args:
        found: What was read.
        readers: They read the records when they are asked for.
        owner: Whom the journal is for.
        settings: Those that are told.
    """
    making = _Restoring(found, readers)
    return Restored(
        owner=owner,
        settings=settings,
        segments=tuple(map(making.segment, found.segments.values())),
        jobs=tuple(map(making.job, found.jobs)),
        files=tuple(map(making.file, found.files)),
    )


class _Restoring:
    def __init__(self, found: Survey, readers: Readers) -> None:
        self._found = found
        self._readers = readers

    def _slice(self, block: int, nbytes: int) -> JournalSlice:
        extent = Extent(block, nbytes, self._found.extent_crcs(block, nbytes))
        return JournalSlice(self._readers, extent, 0, nbytes)

    def segment(self, segment: SurveyedSegment) -> StoredSegment:
        return StoredSegment(
            kind=segment.kind,
            first=segment.first,
            starts=segment.starts,
            body=self._slice(segment.row.block + 1, segment.row.nbytes),
            refers=bool(segment.row.refers),
            waiting=tuple(segment.runs(WAITING)),
            sources=memoryview(segment.sources),
        )

    def job(self, row: JobRow) -> StoredJob:
        return StoredJob(
            number=row.number,
            batch_id=row.batch_id,
            phase=Phase[row.phase],
            settings=orjson.loads(row.settings),
            runs=tuple(unpack_runs(row.runs)),
            status=orjson.loads(row.status),
            attempts=row.attempts,
            failure=row.failure,
            since=row.since,
        )

    def file(self, row: FileRow) -> StoredFile:
        origin = Origin(row.origin)
        result = None if row.result is None else orjson.loads(row.result)
        uploaded = result is not None and result.get("uploaded")
        is_kept = origin in {Origin.BYTES, Origin.TEXT} and not uploaded
        kept = self._slice(row.block, row.nbytes) if is_kept else None
        return StoredFile(
            place=run_at(row.place, 1).first,
            xid=row.xid,
            type=row.type,
            file_name=row.name,
            source=Source(origin, row.detail, kept),
            job=row.job,
            result=result,
        )
