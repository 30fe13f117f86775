"""What is in a journal as lines of JSON, for people and for other programs."""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.collecting.origins import Origin
from aiotcbatch.journal.bodies import Extent, JournalSlice, Readers
from aiotcbatch.journal.opening import damage, looked_into, told_settings
from aiotcbatch.journal.records import sources_of
from aiotcbatch.journal.schema import FileRow, JobRow, MetaRow, place_of, unpack_runs
from aiotcbatch.journal.survey import DAMAGED, SPENT, Survey, SurveyedSegment

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

__all__ = ["export"]


def export(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """
    Read everything that is still to be done, whether somebody is at work on it or not.

    It blocks, and can be used in one thread only. Nothing is changed. What is damaged is left
    out, and at the end that is raised.

    Args:
        path: The journal.

    Yields:
        A line for each entity and association: a JSON object with ``kind`` (``group``,
        ``indicator``, ``association``), ``state`` (``waiting``, or the phase of its job: ``cut``,
        ``created``, ``uploading``, ``uploaded``, ``completed``, ``filing``, ``lost``), ``owner``
        and ``action`` as far as the journal tells them, ``job`` (the id at the server) if there is
        one, ``errors`` (the server's, about this xid) if there are any, ``file`` if it has one that
        is not uploaded, ``source`` if one was given, and ``entity``, as it is sent. Of what is
        ``waiting`` or ``cut`` the server has nothing. A file is as dead letters have it:
        ``file_name``, and ``text``, ``base64`` or ``path``, or ``lost``, which says what became of
        a content that is not in the journal, and ``error`` if its upload failed.

    Raises:
        ConfigurationError: When there is no journal, but something else or nothing.
        JournalDamagedError: After the last line that can be given, when the journal is not as it
            was written, so that some may be missing.
        JournalError: When it cannot be read.
    """
    with looked_into(path) as (resolved, db, found):
        lines = _Lines(found, Readers(resolved, db))
        for segment in found.segments.values():
            yield from lines.of(segment)
        if found.faults:
            raise damage(resolved, found)


class _Lines:
    def __init__(self, found: Survey, readers: Readers) -> None:
        self._found = found
        self._readers = readers
        self._target = {} if found.meta is None else _target(found.meta)
        self._files = {file.place: file for file in found.files}
        self._errors = {job.number: _errors_by_xid(job) for job in found.jobs}
        owned = sorted(
            (place_of(run.kind, run.first), run.count, job.number)
            for job in found.jobs
            for run in unpack_runs(job.runs)
        )
        self._owned = owned
        self._jobs = {job.number: job for job in found.jobs}
        self._firsts = [first for first, _, _ in owned]

    def of(self, segment: SurveyedSegment) -> Iterator[bytes]:
        row = segment.row
        crcs = self._found.extent_crcs(row.block + 1, row.nbytes)
        extent = Extent(row.block + 1, row.nbytes, crcs)
        body = JournalSlice(self._readers, extent, 0, row.nbytes)
        sources = sources_of(segment.sources, row.length)
        for at, state in enumerate(segment.states):
            if state == SPENT or not segment.is_whole(at):
                continue
            record = body[segment.starts[at] : segment.starts[at + 1] - 1].read()
            yield self._line(segment, row.place + at, record, sources[at])

    def _job(self, place: int) -> JobRow | None:
        at = bisect_right(self._firsts, place) - 1
        if at >= 0:
            first, count, number = self._owned[at]
            if place < first + count:
                return self._jobs[number]
        return None

    def _line(self, segment: SurveyedSegment, place: int, record: bytes, source: Any) -> bytes:
        about: dict[str, Any] = {"kind": segment.kind.array_name, "state": "waiting"} | self._target
        job = self._job(place)
        if job is not None:
            about["state"] = job.phase.lower()
            about["job"] = job.batch_id
            errors = self._errors[job.number]
            xid = orjson.loads(record).get("xid") if errors else None
            if xid in errors:
                about["errors"] = errors[xid]
        file = self._files.get(place)
        if file is not None:
            about |= self._file(file)
        if source is not None:
            about["source"] = source
        about["entity"] = orjson.Fragment(record)
        return orjson.dumps(about, option=orjson.OPT_APPEND_NEWLINE)

    def _file(self, file: FileRow) -> dict[str, Any]:
        """Give what is still to be uploaded, and nothing of what is up."""
        result = {} if file.result is None else orjson.loads(file.result)
        if result.get("uploaded"):
            return {}
        said = {} if file.name is None else {"file_name": file.name}
        said |= self._content(file)
        if result.get("error"):
            said["error"] = result["error"]
        return {"file": said}

    def _content(self, file: FileRow) -> dict[str, str]:
        origin = Origin(file.origin)
        if origin is Origin.PATH:
            return {"path": file.detail}
        if origin is Origin.CALLABLE:
            return {"lost": f"the function {file.detail}, of which the journal has only the name"}
        if origin is Origin.OPAQUE:
            return {"lost": file.detail}
        if file.place in self._found.damaged_files:
            return {"lost": DAMAGED}
        extent = Extent(file.block, file.nbytes, self._found.extent_crcs(file.block, file.nbytes))
        kept = JournalSlice(self._readers, extent, 0, file.nbytes).read()
        if origin is Origin.TEXT:
            return {"text": kept.decode()}
        return {"base64": base64.b64encode(kept).decode()}


def _target(meta: MetaRow) -> dict[str, str]:
    """Say where everything in the journal belongs."""
    action = told_settings(meta)[0].get("action")
    return {"owner": meta.owner} | ({} if action is None else {"action": action})


def _errors_by_xid(job: JobRow) -> dict[str, list[Any]]:
    errors = defaultdict(list)
    for error in orjson.loads(job.status).get("errors") or ():
        if isinstance(error, dict) and "xid" in error:
            errors[error["xid"]].append(error)
    return errors
