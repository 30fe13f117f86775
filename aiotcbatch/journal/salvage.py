"""Saving what can be read of a damaged journal."""

from __future__ import annotations

import os
from array import array
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from aiotcbatch.collecting.origins import Origin
from aiotcbatch.errors import ConfigurationError
from aiotcbatch.journal.ledger import Ledger
from aiotcbatch.journal.lock import FileLock
from aiotcbatch.journal.opening import (
    beside,
    connect,
    connect_locked,
    explained,
    has_log,
    make,
    refuse_other,
)
from aiotcbatch.journal.records import Run, Segment, sources_of
from aiotcbatch.journal.schema import (
    BLOCK_BYTES,
    FILES,
    JOBS,
    Connection,
    FileRow,
    JobRow,
    pack_runs,
    place_of,
    run_at,
    unpack_runs,
)
from aiotcbatch.journal.survey import (
    DAMAGED,
    IN_JOB,
    SPENT,
    WAITING,
    Places,
    Survey,
    SurveyedSegment,
    survey,
)
from aiotcbatch.submitting.job import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Salvaged", "salvage"]

#: States of records beside those that a survey knows: in a job that is saved, and lost.
_TAKEN, _LOST = 254, 255


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was saved of a damaged journal."""

    #: The new journal, in the place of the damaged one.
    path: Path
    #: The damaged one.
    damaged: Path
    #: Entities and associations that were saved; others may have been lost.
    record_count: int
    job_count: int
    file_count: int
    #: What was wrong, in words.
    faults: tuple[str, ...]


def salvage(
    name: str | os.PathLike[str], owner: str | None, clock: Callable[[], float]
) -> Salvaged:
    """
    Copy what can be read of a journal into a new one, which takes its place.

    Args:
        name: The path of the damaged journal.
        owner: Whom it is for, if it does not tell that any more.
        clock: Seconds since 1970.

    Returns:
        What was saved, and where the damaged journal is now.

    Raises:
        JournalLockedError: When somebody has it.
        ConfigurationError: When there is no file, one that never was a journal, or none that
            tells the owner.
        JournalError: When the disk does not let it be done.
    """
    path = Path(name).resolve()
    if not path.is_file():
        raise ConfigurationError("journal", str(path), "a journal that exists")
    lock = FileLock(path)
    with explained(path):
        noted = lock.acquire()
        try:
            refuse_other(path, noted)
            new = beside(path, "-salvage")
            with closing(connect_locked(path)) as source:
                found = survey(source, deep=True)
                counts = _copy(source, found, new, owner, clock)
            damaged = _set_aside(path)
            new.rename(path)
            _sync_directory(path.parent)
        except BaseException:
            _unlink(beside(path, "-salvage"))
            lock.release(remove=noted is None)
            raise
        lock.forget()
        lock.release(remove=True)
    return Salvaged(path, damaged, *counts, faults=tuple(found.faults))


def _copy(
    source: Connection, found: Survey, new: Path, owner: str | None, clock: Callable[[], float]
) -> tuple[int, int, int]:
    owner = found.meta.owner if found.meta is not None else owner
    if owner is None:
        raise ConfigurationError("owner", None, "the owner's name, which the file does not tell")
    _unlink(new)
    make(new, owner, "{}" if found.meta is None else found.meta.settings)
    with closing(connect(new)) as target:
        copying = _Copying(source, target, found, clock)
        target.execute("BEGIN IMMEDIATE")
        counts = copying.segments(), copying.jobs(), copying.files()
        target.execute("UPDATE seal SET commits = commits + 1")
        target.execute("COMMIT")
    return counts


class _Copying:
    """From one journal to another, whatever is whole."""

    def __init__(
        self, source: Connection, target: Connection, found: Survey, clock: Callable[[], float]
    ) -> None:
        self._source = source
        self._target = target
        self._found = found
        self._places = Places(found)
        self._ledger = Ledger(target, clock)
        #: The jobs of groups that have files.
        self._job_of: dict[int, int | None] = {file.place: None for file in found.files}

    def segments(self) -> int:
        """Copy the records that are not gone."""
        count, stop = 0, 0
        for segment in self._found.segments.values():
            whole: list[tuple[int, int]] = []
            # Where two segments are in one place nobody knows which is right: the first is taken.
            if segment.row.place >= stop:
                stop = segment.row.place + segment.row.length
                whole = list(_whole_runs(segment))
            lost = 0
            for first, after in (*whole, (segment.row.length, segment.row.length)):
                segment.states[lost:first] = bytes((_LOST,)) * (first - lost)
                lost = after
                if after > first:
                    count += self._segment(segment, first, after)
        return count

    def _segment(self, segment: SurveyedSegment, first: int, after: int) -> int:
        starts = segment.starts[first : after + 1]
        begin, end = starts[0], starts[-1] - 1
        body = self._read(segment.row.block + 1, begin, end)
        rebased = array("I", (start - begin for start in starts))
        refers = bool(segment.row.refers)
        sources = b""
        if segment.sources:
            part = sources_of(segment.sources, segment.row.length)[first:after]
            sources = orjson.dumps(part)[1:-1]
        copied = Segment(segment.kind, segment.first + first, rebased, body, refers, sources)
        gone = [
            Run(segment.kind, segment.first + at)
            for at in range(first, after)
            if segment.states[at] == SPENT
        ]
        self._ledger.drained([copied], gone, ())
        return after - first - len(gone)

    def _read(self, block: int, begin: int, end: int) -> bytes:
        """Read some bytes of consecutive blocks, which are known to be whole."""
        first, last = begin // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        query = "SELECT data FROM block WHERE number = ?"
        parts = [
            self._source.execute(query, (block + at,)).fetchone()[0]
            for at in range(first, last + 1)
        ]
        offset = first * BLOCK_BYTES
        return b"".join(parts)[begin - offset : end - offset]

    def jobs(self) -> int:
        """Copy the jobs, with those of their records that were saved."""
        return sum(map(self._job, self._found.jobs))

    def _job(self, job: JobRow) -> bool:
        claimed = [place for run in unpack_runs(job.runs) for place in self._claimed(run)]
        if not claimed and job.phase == Phase.CUT.name:
            return False
        for place in claimed:
            if place in self._job_of:
                self._job_of[place] = job.number
        JOBS.insert(self._target, job._replace(runs=pack_runs(_runs(claimed))))
        return True

    def _claimed(self, run: Run) -> Iterator[int]:
        """Take the records that a job still has, each for one job only."""
        first = place_of(run.kind, run.first)
        for place in range(first, first + run.count):
            segment, at = self._places.find(place)
            if segment is not None and segment.states[at] == IN_JOB:
                segment.states[at] = _TAKEN
                yield place

    def files(self) -> int:
        """Copy the contents; one that cannot be read is to be asked for."""
        return sum(map(self._file, self._found.files))

    def _file(self, file: FileRow) -> bool:
        if self._places.state(file.place) not in {WAITING, _TAKEN}:
            return False
        kept = b""
        if file.place in self._found.damaged_files:
            file = file._replace(origin=int(Origin.OPAQUE), detail=DAMAGED)
        elif file.nbytes:
            kept = self._read(file.block, 0, file.nbytes)
        extent = self._ledger.keep(kept)
        job = self._job_of[file.place]
        row = file._replace(job=job, block=extent.block, nbytes=extent.nbytes)
        FILES.insert(self._target, row)
        return True


def _runs(places: Iterable[int]) -> list[Run]:
    """Join places that follow each other, and keep their order."""
    runs: list[list[int]] = []
    for place in places:
        if runs and sum(runs[-1]) == place:
            runs[-1][1] += 1
        else:
            runs.append([place, 1])
    return [run_at(place, count) for place, count in runs]


def _whole_runs(segment: SurveyedSegment) -> Iterator[tuple[int, int]]:
    """Give the runs of records that lie in undamaged blocks."""
    first = 0
    for at in range(segment.row.length):
        if not segment.is_whole(at):
            if at > first:
                yield first, at
            first = at + 1
    if segment.row.length > first:
        yield first, segment.row.length


def _set_aside(path: Path) -> Path:
    """Rename a journal with its log; the log of one must never lie beside another."""
    number, aside = 1, beside(path, ".damaged")
    while aside.exists():
        number += 1
        aside = beside(path, f".damaged-{number}")
    path.rename(aside)
    if has_log(path):
        beside(path, "-wal").rename(beside(aside, "-wal"))
    _unlink(path)
    return aside


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlink(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        beside(path, suffix).unlink(missing_ok=True)
