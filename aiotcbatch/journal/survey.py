"""Reading a whole journal, with everything about it that cannot be right."""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from aiotcbatch.collecting.origins import Origin
from aiotcbatch.journal.ledger import blocks_of
from aiotcbatch.journal.records import Kind, starts_from_bytes, starts_size
from aiotcbatch.journal.schema import (
    BLOCK_BYTES,
    FILES,
    GONE,
    JOBS,
    META,
    SEGMENTS,
    UNREADABLE,
    Connection,
    FileRow,
    GoneRow,
    JobRow,
    MetaRow,
    SegmentRow,
    Table,
    block_crc,
    place_of,
    run_at,
    unpack_runs,
)
from aiotcbatch.submitting.job import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DAMAGED", "IN_JOB", "SPENT", "WAITING", "Places", "Survey", "SurveyedSegment", "survey"]

R = TypeVar("R", bound=tuple[Any, ...])

#: What a record is: it waits, it is gone, or it is in a job.
WAITING, SPENT, IN_JOB = 0, 1, 2
#: Why a content that was damaged is lost.
DAMAGED = "what the journal had of it is damaged"
_ORIGINS = frozenset(map(int, Origin))
#: Faults of one sort are told this often.
_FAULTS_TOLD = 10


@dataclass(slots=True)
class SurveyedSegment:
    """A segment whose starts could be read."""

    row: SegmentRow
    starts: array[int]
    #: One byte a record.
    states: bytearray
    #: As in `Segment`.
    sources: bytes
    #: The blocks of its body that are not as they were written, the first one being 0.
    damaged: set[int] = field(default_factory=set)

    @property
    def kind(self) -> Kind:
        """What its records are."""
        return run_at(self.row.place, 1).kind

    @property
    def first(self) -> int:
        """The place of its first record."""
        return run_at(self.row.place, 1).first

    @property
    def record_count(self) -> int:
        """Records that can be read and are not gone."""
        if not self.damaged:
            return len(self.states) - self.states.count(SPENT)
        return sum(s != SPENT and self.is_whole(at) for at, s in enumerate(self.states))

    def is_whole(self, at: int) -> bool:
        """Whether a record is as it was written."""
        if not self.damaged:
            return True
        begin, end = self.starts[at], self.starts[at + 1] - 1
        return self.damaged.isdisjoint(range(begin // BLOCK_BYTES, (end - 1) // BLOCK_BYTES + 1))

    def runs(self, state: int) -> Iterator[range]:
        """Give the places of the records in a state, in runs."""
        mark, stop = bytes((state,)), 0
        while (start := self.states.find(mark, stop)) >= 0:
            stop = start + 1
            while stop < len(self.states) and self.states[stop] == state:
                stop += 1
            yield range(self.first + start, self.first + stop)


@dataclass(slots=True)
class Survey:
    """What is in a journal, as far as it can be read."""

    meta: MetaRow | None = None
    commits: int = 0
    #: By kind and place, both in their order.
    segments: dict[int, SurveyedSegment] = field(default_factory=dict)
    gone: list[GoneRow] = field(default_factory=list)
    jobs: list[JobRow] = field(default_factory=list)
    files: list[FileRow] = field(default_factory=list)
    #: The checksum of every block that can be read, by its number.
    crcs: dict[int, int] = field(default_factory=dict)
    #: The files of which some is not as it was written, by the places of their groups.
    damaged_files: set[int] = field(default_factory=set)
    #: What is wrong, in words.
    faults: list[str] = field(default_factory=list)

    @property
    def record_count(self) -> int:
        """Records that can be read and are not gone."""
        return sum(segment.record_count for segment in self.segments.values())

    def extent_crcs(self, block: int, nbytes: int) -> array[int]:
        """The checksums of some bytes."""
        return array("I", (self.crcs[block + at] for at in range(blocks_of(nbytes))))


def survey(db: Connection, *, deep: bool) -> Survey:
    """
    Read a journal, and what is wrong with it.

    Args:
        db: A connection.
        deep: Whether to read every byte of it, so that every damage is found.
    """
    reading = _Reading(db)
    if deep:
        reading.check_pages()
    found = reading.found
    found.meta = next(iter(reading.rows(META)), None)
    segments = reading.rows(SEGMENTS)
    found.gone = reading.rows(GONE)
    found.jobs = [row for row in reading.rows(JOBS) if reading.makes_sense(row)]
    found.files = reading.rows(FILES)
    reading.read_crcs()
    for row in segments:
        reading.add_segment(row, deep=deep)
    if deep:
        for file in found.files:
            reading.check_file(file)
        reading.check_seal()
    reading.mark_records()
    found.faults = list(dict.fromkeys(found.faults))
    return found


class _Reading:
    """Reads one journal; what goes wrong is a fault, and what can be read is kept."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self.found = Survey()
        self._rows_seen = 0
        self._crc_seen = 0

    def _fault(self, what: str) -> None:
        self.found.faults.append(what)

    def check_pages(self) -> None:
        """Have SQLite look at the structure of the file."""
        try:
            for (line,) in self._db.execute(f"PRAGMA integrity_check({_FAULTS_TOLD})").fetchall():
                if line != "ok":
                    self._fault(str(line))
        except UNREADABLE as error:
            self._fault(str(error))

    def rows(self, table: Table[R]) -> list[R]:
        """Read the rows of a table from both ends, as far as they can be read."""
        found: dict[int, R] = {}
        for order in ("ASC", "DESC"):
            try:
                for values in self._db.execute(f"{table.select} ORDER BY {table.key} {order}"):
                    self._add_row(table, values, found)
                break
            except UNREADABLE as error:
                self._fault(f"the {table.name} table: {error}")
        return [found[key] for key in sorted(found)]

    def _add_row(self, table: Table[R], values: tuple[Any, ...], found: dict[int, R]) -> None:
        if len(values) == table.width:
            row = table.row(values[:-1])
            if table.crc(row) == values[-1]:
                if row[0] not in found:
                    self._rows_seen += 1
                    self._crc_seen += values[-1]
                found[row[0]] = row
                return
        self._fault(f"a row of the {table.name} table is damaged")

    def read_crcs(self) -> None:
        """Read the checksums of all blocks, without the blocks."""
        for order in ("ASC", "DESC"):
            try:
                query = f"SELECT number, crc FROM block ORDER BY number {order}"  # noqa: S608
                for number, crc in self._db.execute(query):
                    if isinstance(crc, int) and 0 <= crc < 1 << 32:
                        self.found.crcs[number] = crc
                    else:
                        self._fault(f"block {number} is damaged")
                break
            except UNREADABLE as error:
                self._fault(f"the block table: {error}")

    def add_segment(self, row: SegmentRow, *, deep: bool) -> None:
        """Read the starts of a segment, and look at its records."""
        data = self._block(row.block) or b""
        count = blocks_of(row.nbytes)
        end = starts_size(row.length)
        starts = starts_from_bytes(data[:end]) if len(data) >= end else array("I")
        if len(starts) != row.length + 1 or starts[0] or starts[-1] != row.nbytes + 1:
            self._fault(f"the starts of the segment at {run_at(row.place, row.length)} are damaged")
            return
        segment = SurveyedSegment(row, starts, bytearray(row.length), data[end:])
        for at in range(count):
            number = row.block + 1 + at
            if (self._block(number) is None) if deep else (number not in self.found.crcs):
                self._fault(f"block {number} is damaged")
                segment.damaged.add(at)
        self.found.segments[row.place] = segment

    def check_file(self, file: FileRow) -> None:
        """Look at what is kept of a content."""
        for at in range(blocks_of(file.nbytes)):
            if self._block(file.block + at) is None:
                self._fault(f"the content of {file.xid!r} is damaged")
                self.found.damaged_files.add(file.place)

    def _block(self, number: int) -> bytes | None:
        try:
            query = "SELECT data, crc FROM block WHERE number = ?"
            found = self._db.execute(query, (number,)).fetchall()
        except UNREADABLE:
            return None
        for data, crc in found:
            if isinstance(data, bytes) and block_crc(number, data) == crc:
                return data
        return None

    def check_seal(self) -> None:
        """Compare what was read with what was written, so that what is missing is missed."""
        try:
            query = "SELECT commits, row_count, crc_sum FROM seal WHERE number = 1"
            ((commits, row_count, crc_sum),) = self._db.execute(query).fetchall()
        except (sqlite3.Error, ValueError):  # which a UnicodeDecodeError is
            self._fault("the seal is damaged")
            return
        self.found.commits = commits if isinstance(commits, int) else 0
        seen = self._rows_seen + len(self.found.crcs)
        crc_seen = self._crc_seen + sum(self.found.crcs.values())
        if seen != row_count:
            self._fault(f"{seen} rows are there and {row_count} were written")
        elif crc_seen != crc_sum:
            self._fault("the rows that are there are not those that were written")

    def makes_sense(self, row: JobRow) -> bool:
        """Whether a job can be understood, beyond its checksum."""
        try:
            Phase[row.phase]
            unpack_runs(row.runs)
            orjson.loads(row.settings)
            orjson.loads(row.status)
        except (KeyError, ValueError, TypeError):
            self._fault(f"job {row.number} cannot be understood")
            return False
        return True

    def mark_records(self) -> None:
        """Note for each record whether it waits; each can be one thing only."""
        places = Places(self.found)
        for before, after in pairwise(self.found.segments.values()):
            if _stop(before) > after.row.place:
                self._fault(f"the segment at {run_at(after.row.place, 1)} is not the only one")
        for gone in self.found.gone:
            if not places.mark(gone.place, gone.length, SPENT):
                self._fault(f"{run_at(gone.place, gone.length)} cannot be gone")
        for job in self.found.jobs:
            for run in unpack_runs(job.runs):
                if not places.mark(place_of(run.kind, run.first), run.count, IN_JOB):
                    self._fault(f"{run} cannot be in job {job.number}")
        for segment in self.found.segments.values():
            if segment.row.remaining != len(segment.states) - segment.states.count(SPENT):
                self._fault(f"the segment at {run_at(segment.row.place, 1)} is miscounted")
        self._match_files(places)

    def _match_files(self, places: Places) -> None:
        numbers = {job.number for job in self.found.jobs}
        for file in self.found.files:
            state = WAITING if file.job is None else IN_JOB
            if places.state(file.place) != state or (state == IN_JOB and file.job not in numbers):
                self._fault(f"the file of {file.xid!r} belongs to no group")
            if file.origin not in _ORIGINS:
                self._fault(f"the file of {file.xid!r} cannot be understood")


class Places:
    """Finds records by their place, and notes what they are."""

    def __init__(self, found: Survey) -> None:
        self._segments = list(found.segments.values())
        self._firsts = list(found.segments)

    def find(self, place: int) -> tuple[SurveyedSegment | None, int]:
        """The segment of a record, and where in it that is; None if it is not there."""
        at = bisect_right(self._firsts, place) - 1
        if at < 0:
            return None, 0
        segment = self._segments[at]
        return (segment, place - segment.row.place) if place < _stop(segment) else (None, 0)

    def state(self, place: int) -> int | None:
        """What a record is, None if it is not there."""
        segment, at = self.find(place)
        return None if segment is None else segment.states[at]

    def mark(self, place: int, count: int, state: int) -> bool:
        """Note what some records are; False if one is not there, or is something else."""
        fine, stop = True, place + count
        while place < stop:
            segment, at = self.find(place)
            if segment is None:
                after = bisect_right(self._firsts, place)
                place = self._firsts[after] if after < len(self._firsts) else stop
                fine = False
                continue
            end = min(len(segment.states), at + stop - place)
            states = segment.states[at:end]
            fine = fine and not any(states)
            segment.states[at:end] = bytes(was or state for was in states)
            place += end - at
        return fine


def _stop(segment: SurveyedSegment) -> int:
    return segment.row.place + segment.row.length
