"""
Encoded entities in segments, and what is cut from them.

An entity is encoded once. Its record is joined with others into a segment, chunks are slices
of segments, and the slices are what is sent, as often as need be.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.ordering import dependencies_first
from aiotcbatch.spool import SpooledSlice
from aiotcbatch.xid_index import XidIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiotcbatch.contents import FileItem
    from aiotcbatch.spool import Spool

__all__ = ["Buffer", "Cut", "GroupBuffer", "Piece", "encode", "loaded", "xid_of"]

#: Records are joined into a segment when they are this many bytes together.
SEGMENT_BYTES = 256 * 1024

#: Records as they are held, in memory or on disk.
Piece = memoryview | SpooledSlice

#: Encodes one wire dict; the only way in which entities become bytes.
encode = orjson.dumps


@dataclass(slots=True)
class Cut:
    """What one buffer gives to one chunk."""

    #: Records joined by commas; between two slices a comma is missing.
    slices: list[Piece] = field(default_factory=list)
    count: int = 0
    #: Bytes of the records, with a comma after each.
    nbytes: int = 0
    #: Whether a record may point to groups.
    refers: bool = False
    #: Contents to upload once these records are on the server.
    files: list[FileItem] = field(default_factory=list)
    #: Links that were taken out of records since their circle does not fit: xid to xid.
    severed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, piece: Piece, count: int) -> None:
        """Append a slice that holds some records."""
        self.slices.append(piece)
        self.count += count
        self.nbytes += len(piece) + 1


class _Segment:
    """Records joined by commas, where each begins, and which are gone."""

    __slots__ = ("body", "first", "gone", "left", "refers", "starts", "taken")

    def __init__(self, first: int, records: Sequence[bytes], *, refers: bool) -> None:
        self.first = first
        self.body: Piece = memoryview(b",".join(records))
        #: Record i is ``body[starts[i] : starts[i + 1] - 1]``.
        self.starts = array("I", accumulate((len(record) + 1 for record in records), initial=0))
        #: Records before this one are gone.
        self.taken = 0
        #: So are these, each taken out by itself.
        self.gone: set[int] = set()
        self.left = len(records)
        self.refers = refers

    def __len__(self) -> int:
        return len(self.starts) - 1

    def has(self, at: int) -> bool:
        return self.taken <= at < len(self) and at not in self.gone

    def records(self, start: int, stop: int) -> Piece:
        return self.body[self.starts[start] : self.starts[stop] - 1]

    def nbytes(self, start: int, stop: int) -> int:
        """Bytes of some records, with a comma after each."""
        return self.starts[stop] - self.starts[start]

    def next_run(self, max_count: int, max_bytes: int) -> tuple[int, int]:
        """The first run of records that are there, as far as it fits."""
        start = self.taken
        while start in self.gone:
            start += 1
        stop = min(len(self), start + max_count)
        if self.gone:
            stop = min((at for at in self.gone if start < at < stop), default=stop)
        fitting = bisect_right(self.starts, self.starts[start] + max_bytes) - 1
        return start, min(stop, fitting)


class Buffer:
    """
    Encoded records of one kind in the order of their coming, found again by key.

    Each record has a place, a number that grows by one and is never used twice.

    Args:
        key_of: Gives the key of a decoded record.
    """

    def __init__(self, key_of: Callable[[dict[str, Any]], Any]) -> None:
        self._key_of = key_of
        self._segments: list[_Segment] = []
        #: What is not yet in a segment, by key.
        self._recent: dict[str, bytes] = {}
        self._recent_bytes = 0
        self._recent_refers = False
        self._index = XidIndex()
        self._next_place = 0
        #: Records that are there.
        self.count = 0
        #: Their bytes, with a comma after each.
        self.nbytes = 0
        #: Bytes of the segments that are in memory.
        self._segment_bytes = 0

    @property
    def memory_bytes(self) -> int:
        """Bytes that are held in memory, records and what is taken of their segments."""
        return self._segment_bytes + self._recent_bytes

    async def spill(self, spool: Spool, nbytes: int) -> int:
        """
        Move records to the spool, the last ones first since they are sent last.

        Args:
            spool: Where to.
            nbytes: How many bytes of memory to give back.

        Returns:
            How many were given back; less than asked for if no more are there.
        """
        self._close_segment()
        moved = 0
        for segment in reversed(self._segments):
            if moved >= nbytes:
                break
            body = segment.body
            if isinstance(body, memoryview):
                spooled = await spool.write(body)
                moved += len(body)
                if segment.left:  # it was not sent meanwhile
                    segment.body = spooled
                    self._segment_bytes -= len(body)
        return moved

    def __contains__(self, key: str) -> bool:
        return key in self._recent or self._find(key) is not None

    def add(self, key: str, record: bytes, *, refers: bool = False) -> None:
        """Put in a record whose key is not there."""
        self._recent[key] = record
        size = len(record) + 1
        self.count += 1
        self.nbytes += size
        self._recent_bytes += size
        if refers:
            self._recent_refers = True
        if self._recent_bytes >= SEGMENT_BYTES:
            self._close_segment()

    def remove(self, key: str) -> dict[str, Any] | None:
        """Take one record out by its key and decode it; None if it is not there."""
        record = self._recent.pop(key, None)
        if record is not None:
            data: dict[str, Any] = orjson.loads(record)
            size = len(record) + 1
            self._recent_bytes -= size
        else:
            found = self._find(key)
            if found is None:
                return None
            segment, at, data = found
            size = segment.nbytes(at, at + 1)
            segment.gone.add(at)
            self._consume(segment, 1)
        self.count -= 1
        self.nbytes -= size
        return data

    def take(self, max_count: int, max_bytes: int) -> Cut:
        """
        Cut off the first records, as many as fit.

        Args:
            max_count: Records at most.
            max_bytes: Bytes at most, with a comma after each record.
        """
        self._close_segment()
        cut = Cut()
        while self._segments and cut.count < max_count:
            segment = self._segments[0]
            start, stop = segment.next_run(max_count - cut.count, max_bytes - cut.nbytes)
            if stop <= start:
                break
            cut.add(segment.records(start, stop), stop - start)
            cut.refers = cut.refers or segment.refers
            segment.taken = stop
            self._forget(segment, stop - start, segment.nbytes(start, stop))
        return cut

    def _forget(self, segment: _Segment, count: int, nbytes: int) -> None:
        self.count -= count
        self.nbytes -= nbytes
        self._consume(segment, count)

    def _consume(self, segment: _Segment, count: int) -> None:
        segment.left -= count
        if segment.left == 0:
            self._segments.remove(segment)
            if isinstance(segment.body, memoryview):
                self._segment_bytes -= len(segment.body)
            if not self._segments:
                self._index = XidIndex()

    def _close_segment(self) -> None:
        if not self._recent:
            return
        first = self._next_place
        records = list(self._recent.values())
        segment = _Segment(first, records, refers=self._recent_refers)
        self._segments.append(segment)
        self._segment_bytes += len(segment.body)
        self._index.put_all(self._recent, first)
        self._next_place += len(records)
        self._recent = {}
        self._recent_bytes = 0
        self._recent_refers = False

    def _find(self, key: str) -> tuple[_Segment, int, dict[str, Any]] | None:
        place = self._index.get(key)
        if place is None:
            return None
        segment, at = self._locate(place)
        if segment is None or not segment.has(at):
            return None
        # The index knows hashes only: the record has the last word.
        data: dict[str, Any] = orjson.loads(loaded(segment.records(at, at + 1)))
        return (segment, at, data) if self._key_of(data) == key else None

    def _locate(self, place: int) -> tuple[_Segment | None, int]:
        after = bisect_right(self._segments, place, key=lambda segment: segment.first)
        if after == 0:
            return None, 0
        segment = self._segments[after - 1]
        return segment, place - segment.first


class GroupBuffer(Buffer):
    """
    Encoded groups, which may point to each other and have files.

    They are cut so that a group is never sent before one that it points to. Groups that point
    to each other in a circle stay together; a circle larger than a chunk is cut open, and the
    links that this takes out are given back as `Cut.severed`.
    """

    def __init__(self) -> None:
        super().__init__(xid_of)
        self._links: dict[str, Sequence[str]] = {}
        self._files: dict[str, FileItem] = {}
        #: The xids of those that have links or a file, by place.
        self._marked: dict[int, str] = {}
        #: The sets still to be taken, and up to which place they were ordered.
        self._plan: deque[list[int]] = deque()
        self._planned_until = -1

    def add_group(
        self, key: str, record: bytes, links: Sequence[str], item: FileItem | None
    ) -> None:
        """Put in a group, the xids that it points to, and the file that belongs to it."""
        if links:
            self._links[key] = links
        if item is not None:
            self._files[key] = item
        self.add(key, record)

    @property
    def file_count(self) -> int:
        """Contents that are to be uploaded."""
        return len(self._files)

    def detach(self, xid: str) -> FileItem | None:
        """Take back the file that belongs to a group."""
        return self._files.pop(xid, None)

    def remove(self, key: str) -> dict[str, Any] | None:
        """Take one group out by its xid and decode it; None if it is not there."""
        place = self._place(key)
        data = super().remove(key)
        if place is not None and data is not None:
            self._marked.pop(place, None)
        if data is not None and self._links.pop(key, None) is not None:
            self._planned_until = -1
        return data

    def take(self, max_count: int, max_bytes: int) -> Cut:
        """Cut off groups, none before one that it points to."""
        self._close_segment()
        if self._links:
            return self._take_linked(max_count, max_bytes)
        cut = super().take(max_count, max_bytes)
        if self._marked:
            first_left = self._first_place()
            for place in [place for place in self._marked if place < first_left]:
                self._take_mark(cut, place)
        return cut

    def _first_place(self) -> int:
        if not self._segments:
            return self._next_place
        segment = self._segments[0]
        return segment.first + segment.taken

    def _take_mark(self, cut: Cut, place: int) -> None:
        xid = self._marked.pop(place, None)
        if xid is not None:
            self._links.pop(xid, None)
            item = self._files.pop(xid, None)
            if item is not None:
                cut.files.append(item)

    def _close_segment(self) -> None:
        if self._links or self._files:
            for place, xid in enumerate(self._recent, self._next_place):
                if xid in self._links or xid in self._files:
                    self._marked[place] = xid
        super()._close_segment()

    def _take_linked(self, max_count: int, max_bytes: int) -> Cut:
        if self._planned_until != self._next_place:
            self._plan = self._order()
            self._planned_until = self._next_place
        cut = Cut(refers=True)
        while self._plan and cut.count < max_count:
            places = self._plan[0]
            nbytes = sum(self._nbytes(place) for place in places)
            if cut.count + len(places) > max_count or cut.nbytes + nbytes > max_bytes:
                if not cut.count:
                    self._open_circle(cut, max_count, max_bytes)
                break
            self._plan.popleft()
            for place in places:
                self._take_place(cut, place)
        return cut

    def _order(self) -> deque[list[int]]:
        """Every place that is there, in sets, what is pointed to first."""
        links: dict[int, list[int]] = {}
        for place, xid in self._marked.items():
            found = (self._place(target) for target in self._links.get(xid, ()))
            links[place] = [target for target in found if target is not None]
        places = (
            segment.first + at
            for segment in self._segments
            for at in range(len(segment))
            if segment.has(at)
        )
        return deque(dependencies_first(places, lambda place: links.get(place, ())))

    def _place(self, xid: str) -> int | None:
        place = self._index.get(xid)
        if place is None:
            return None
        segment, at = self._locate(place)
        return place if segment is not None and segment.has(at) else None

    def _at(self, place: int) -> tuple[_Segment, int]:
        segment, at = self._locate(place)
        if segment is None:
            raise AssertionError(f"place {place} was planned and is not there")
        return segment, at

    def _nbytes(self, place: int) -> int:
        segment, at = self._at(place)
        return segment.nbytes(at, at + 1)

    def _take_place(self, cut: Cut, place: int, later: frozenset[str] = frozenset()) -> None:
        segment, at = self._at(place)
        record = segment.records(at, at + 1)
        nbytes = segment.nbytes(at, at + 1)
        if later and not later.isdisjoint(self._links.get(self._marked.get(place, ""), ())):
            record = self._sever(cut, orjson.loads(loaded(record)), later)
        cut.add(record, 1)
        self._take_mark(cut, place)
        segment.gone.add(at)
        self._forget(segment, 1, nbytes)

    @staticmethod
    def _sever(cut: Cut, data: dict[str, Any], later: frozenset[str]) -> memoryview:
        """Take the links to later groups out of a group."""
        links = data["associatedGroupXid"]
        cut.severed += [(data["xid"], xid) for xid in links if xid in later]
        data["associatedGroupXid"] = [xid for xid in links if xid not in later]
        return memoryview(encode(data))

    def _open_circle(self, cut: Cut, max_count: int, max_bytes: int) -> None:
        """Take as much of a circle as fits; its links to the rest are severed."""
        places = self._plan[0]
        nbytes, stop = 0, 0
        while stop < min(len(places), max_count):
            nbytes += self._nbytes(places[stop])
            if nbytes > max_bytes:
                break
            stop += 1
        later = frozenset(self._marked[place] for place in places[stop:])
        for place in places[:stop]:
            self._take_place(cut, place, later)
        # What is left may be a circle no more, so it is ordered anew.
        self._planned_until = -1


def xid_of(data: dict[str, Any]) -> Any:
    """Give the key of an entity's wire dict."""
    return data.get("xid")


def loaded(piece: Piece) -> bytes | memoryview:
    """Give the bytes of some records, reading them if they are on disk."""
    return piece if isinstance(piece, memoryview) else piece.read()
