"""What goes into a journal and comes back out of it, as values."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import orjson
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

    from aiotcbatch.collecting.origins import Source
    from aiotcbatch.journal.bodies import JournalSlice
    from aiotcbatch.submitting.job import Phase

__all__ = ["Kind", "Restored", "Run", "Segment", "StoredFile", "StoredJob", "StoredSegment"]

#: Records are decoded in pieces of about this many bytes, since decoding holds every thread.
DECODED_BYTES = 256 * 1024


class Kind(IntEnum):
    """What a record is; places are counted for each kind by itself."""

    GROUP = 1
    INDICATOR = 2
    ASSOCIATION = 3

    @property
    def array_name(self) -> str:
        """The array of a job's document that it belongs to."""
        return self.name.lower()


@dataclass(frozen=True, order=True, slots=True)
class Run:
    """Consecutive places of one kind."""

    kind: Kind
    first: int
    count: int = 1

    @property
    def stop(self) -> int:
        """The place after the last one."""
        return self.first + self.count

    @property
    def places(self) -> range:
        """The places."""
        return range(self.first, self.stop)


@dataclass(frozen=True, slots=True)
class Segment:
    """Encoded records that are to be kept: joined by commas, with consecutive places."""

    kind: Kind
    #: The place of the first one.
    first: int
    #: Record i is ``body[starts[i] : starts[i + 1] - 1]``; one more than there are records.
    starts: array[int]
    body: bytes | memoryview
    #: Whether a record may point to groups.
    refers: bool = False
    #: Where they come from, as JSON joined by commas, one for each; empty if none says so.
    sources: bytes | memoryview = b""

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(
        cls, kind: Kind, first: int, records: Iterable[bytes], *, refers: bool = False
    ) -> Segment:
        """Join records, as a buffer does."""
        starts = array("I", [0])
        joined = bytearray()
        for record in records:
            joined += record
            joined += b","
            starts.append(len(joined))
        return cls(kind, first, starts, memoryview(joined)[:-1] if joined else b"", refers)


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment as the journal has it: its records are on disk until they are asked for."""

    kind: Kind
    first: int
    starts: array[int]
    body: JournalSlice
    refers: bool
    #: The places of those that are neither gone nor in a job.
    waiting: tuple[range, ...]
    #: As in `Segment`.
    sources: memoryview

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def stop(self) -> int:
        """The place after the last one."""
        return self.first + len(self)

    def piece(self, places: range) -> JournalSlice:
        """Give some of the records, joined by commas."""
        first, stop = places.start - self.first, places.stop - self.first
        return self.body[self.starts[first] : self.starts[stop] - 1]

    def split(self, places: range) -> Iterator[range]:
        """Cut some places into runs whose records are about as large as is decoded at once."""
        start, stop = places.start - self.first, places.stop - self.first
        while start < stop:
            after = bisect_right(self.starts, self.starts[start] + DECODED_BYTES) - 1
            after = min(max(after, start + 1), stop)
            yield range(self.first + start, self.first + after)
            start = after

    async def decoded(self) -> AsyncIterator[tuple[int, list[dict[str, Any]]]]:
        """
        Decode the records that wait, in worker threads and bounded in memory.

        Yields:
            The place of the first one, and consecutive records.
        """
        for places in self.waiting:
            for part in self.split(places):
                data = await self.piece(part).fetch()
                yield part.start, await to_thread.run_sync(_decode, data)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job that has not come to its end, or whose end has not been told."""

    number: int
    #: Its id at the server, None if it has none.
    batch_id: int | None
    phase: Phase
    #: The fields of `JobSettings`.
    settings: Mapping[str, Any]
    #: Its records, in the order of its document.
    runs: tuple[Run, ...]
    #: What the server said about it.
    status: Mapping[str, Any]
    #: How often it has failed.
    attempts: int
    #: Why it did not get further, None if it has not failed since.
    failure: str | None
    #: When it came into its phase, in seconds since 1970.
    since: float


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A content that belongs to a group."""

    #: The place of the group.
    place: int
    xid: str
    #: ``Document`` or ``Report``.
    type: str
    file_name: str | None
    source: Source
    #: The number of the job that its group is in, None if that waits.
    job: int | None
    #: What became of it, as an `UploadResult`; None while it waits.
    result: Mapping[str, Any] | None

    @property
    def state(self) -> str:
        """``waiting``, ``uploaded`` or ``failed``."""
        if self.result is None:
            return "waiting"
        return "uploaded" if self.result.get("uploaded") else "failed"


@dataclass(frozen=True, slots=True)
class Restored:
    """Everything that is still to be done."""

    owner: str
    #: The settings with which the journal was opened last, before this time.
    settings: Mapping[str, Any]
    #: By kind, then in the order of their places.
    segments: tuple[StoredSegment, ...]
    #: In the order of their numbers, which is that of their cutting.
    jobs: tuple[StoredJob, ...]
    files: tuple[StoredFile, ...]
    _keys: list[tuple[int, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = [(int(segment.kind), segment.first) for segment in self.segments]
        object.__setattr__(self, "_keys", keys)

    @property
    def empty(self) -> bool:
        """Whether everything is done."""
        return not (self.segments or self.jobs or self.files)

    def next_place(self, kind: Kind) -> int:
        """The first place of a kind that is not used."""
        return max((part.stop for part in self.segments if part.kind is kind), default=0)

    def segment(self, kind: Kind, place: int) -> StoredSegment:
        """
        Find the segment that has a place.

        Raises:
            KeyError: When no segment has it.
        """
        at = bisect_right(self._keys, (int(kind), place)) - 1
        if at >= 0:
            segment = self.segments[at]
            if segment.kind is kind and place < segment.stop:
                return segment
        raise KeyError(Run(kind, place))

    def pieces(self, job: StoredJob) -> Iterator[tuple[Run, JournalSlice]]:
        """
        Give the records of a job in the order of its document.

        Yields:
            Runs that are in one segment each, and their records joined by commas.
        """
        for run in job.runs:
            place = run.first
            while place < run.stop:
                segment = self.segment(run.kind, place)
                stop = min(run.stop, segment.stop)
                yield Run(run.kind, place, stop - place), segment.piece(range(place, stop))
                place = stop


def _decode(data: bytes) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = orjson.loads(b"".join((b"[", data, b"]")))
    return records


def starts_to_bytes(starts: array[int]) -> bytes:
    """Give starts as they are kept: 32 bits each, the least significant byte first."""
    if sys.byteorder == "big":  # pragma: no cover
        starts = array("I", starts)
        starts.byteswap()
    return starts.tobytes()


def starts_size(count: int) -> int:
    """How many bytes the starts of so many records take."""
    return (count + 1) * array("I").itemsize


def sources_of(sources: bytes | memoryview, count: int) -> list[Any]:
    """Decode the sources of a segment with so many records, None where there is none."""
    found: list[Any] = orjson.loads(b"".join((b"[", sources, b"]")))
    return found or [None] * count


def starts_from_bytes(data: bytes) -> array[int]:
    """Read starts back."""
    starts = array("I")
    starts.frombytes(data)
    if sys.byteorder == "big":  # pragma: no cover
        starts.byteswap()
    return starts


def merged(runs: Sequence[Run]) -> list[Run]:
    """Sort runs, and join those that follow each other."""
    joined: list[Run] = []
    for run in sorted(runs):
        if joined and joined[-1].kind is run.kind and joined[-1].stop == run.first:
            joined[-1] = Run(run.kind, joined[-1].first, joined[-1].count + run.count)
        elif run.count:
            joined.append(run)
    return joined
