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
from itertools import accumulate, count
from operator import add
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.ordering import dependencies_first
from aiotcbatch.spool import StoredSlice
from aiotcbatch.xid_index import SHARD_MASK, SegmentIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aiotcbatch.contents import FileItem
    from aiotcbatch.spool import Spool

__all__ = ["Buffer", "Cut", "GroupBuffer", "Piece", "encode", "loaded", "xid_of"]

#: Records are joined into a segment when they are this many bytes together.
SEGMENT_BYTES = 256 * 1024

#: Records as they are held, in memory, in the spool or in the journal.
Piece = memoryview | StoredSlice

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
    #: The places of the groups that they belong to.
    file_places: list[int] = field(default_factory=list)
    #: The places of the records, in the order of the slices.
    places: list[range] = field(default_factory=list)

    def add(self, piece: Piece, count: int, place: int) -> None:
        """Append a slice that holds some records, the first of them from a place."""
        self.slices.append(piece)
        self.places.append(range(place, place + count))
        self.count += count
        self.nbytes += len(piece) + 1


class Segment:
    """
    Records joined by commas, where each begins, and which are gone.

    While it fills it is a list of records, since joining them once costs half of what appending
    each to a bytearray does.
    """

    __slots__ = (
        "body",
        "first",
        "gone",
        "hashes",
        "kept",
        "left",
        "records",
        "refers",
        "starts",
        "taken",
    )

    def __init__(self, first: int) -> None:
        #: The place of the first record; the others follow.
        self.first = first
        self.records: list[bytes] = []
        #: Of the keys, in the order of the records.
        self.hashes: array[int] = array("q")
        #: Whether a record may point to groups.
        self.refers = False
        #: Records that were taken out by themselves.
        self.gone: set[int] = set()
        #: Records before this one are gone too.
        self.taken = 0
        self.left = 0
        self.body: Piece = memoryview(b"")
        #: What stands for the body in the journal.
        self.kept: StoredSlice | None = None
        #: Record i is ``body[starts[i] : starts[i + 1] - 1]``.
        self.starts: array[int] = array("I")

    def close(self) -> None:
        """Join the records; those that are gone leave a comma, which is never sent."""
        records = self.records
        self.body = memoryview(b",".join(records))
        # Where the records end if there were no commas, and how many commas are before that.
        self.starts = array("I", map(add, accumulate(map(len, records), initial=0), count()))
        self.left = len(records) - len(self.gone)
        self.records = []

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def stored_body(self) -> bytes | memoryview:
        """The records that the journal is to keep."""
        return loaded(self.body)

    def has(self, at: int) -> bool:
        return self.taken <= at < len(self) and at not in self.gone

    def find(self, number: int) -> Iterator[int]:
        """Tell where records are whose key has this hash."""
        at = -1
        while True:
            try:
                at = self.hashes.index(number, at + 1)
            except ValueError:
                return
            if self.has(at):
                yield at

    def record(self, at: int) -> bytes | memoryview:
        return self.records[at] if self.records else loaded(self.slice(at, at + 1))

    def slice(self, start: int, stop: int) -> Piece:
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
        self._segments: list[Segment] = []
        self._count = 0
        self._nbytes = 0
        #: Bytes of the segments that are in memory.
        self._segment_bytes = 0
        #: From here on records are not to be taken yet.
        self._held_from: int | None = None
        self._index = SegmentIndex()
        self._shards = self._index.shards
        self._compacted = False
        #: The same, since the journal does not have them; None if there is no journal.
        self._kept_until: int | None = None
        #: What the journal does not have yet; None if there is no journal.
        self._unkept: list[Segment] | None = None
        self._unkept_gone: list[int] = []
        self._begin_segment(0)

    def _begin_segment(self, first: int) -> None:
        """Begin the segment that fills; what it is made of is at hand for `add`."""
        self._filling = Segment(first)
        self._first = first
        self._records = self._filling.records
        self._hashes = self._filling.hashes
        #: Bytes of its records.
        self._filling_bytes = 0

    @property
    def count(self) -> int:
        """Records that are there."""
        return self._count + len(self._records)

    @property
    def nbytes(self) -> int:
        """Their bytes, with a comma after each."""
        return self._nbytes + self._filling_bytes + len(self._records)

    @property
    def memory_bytes(self) -> int:
        """Bytes that are held in memory, records and what is taken of their segments."""
        return self._segment_bytes + self._filling_bytes + len(self._records)

    @property
    def _next_place(self) -> int:
        return self._first + len(self._records)

    @property
    def _end(self) -> int:
        """The place before which records can be taken."""
        end = self._next_place if self._held_from is None else self._held_from
        return end if self._kept_until is None else min(end, self._kept_until)

    @property
    def ready(self) -> bool:
        """Whether there is a record that can be taken."""
        self._close_segment()
        if not self._segments:
            return False
        segment = self._segments[0]
        start, _ = segment.next_run(1, 0)
        return segment.first + start < self._end

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
                spooled = segment.kept or await spool.write(body)
                moved += len(body)
                if segment.left:  # it was not sent meanwhile
                    segment.body = spooled
                    self._segment_bytes -= len(body)
                    self._index.compact(segment.hashes, segment.first)
                    self._compacted = True
        return moved

    def __contains__(self, key: str) -> bool:
        return self._find(key) is not None

    def add(self, key: str, record: bytes, *, refers: bool = False) -> None:
        """Put in a record whose key is not there."""
        number = hash(key)
        self._shards[number & SHARD_MASK][number] = self._first
        self._hashes.append(number)
        self._records.append(record)
        self._filling_bytes += len(record)
        if refers:
            self._filling.refers = True
        if self._filling_bytes >= SEGMENT_BYTES:
            self._close_segment()

    def add_all(self, keys: Sequence[str], records: Sequence[bytes], *, refers: bool) -> None:
        """Put in records whose keys are not there; together they should fit in a segment."""
        shards, first = self._shards, self._first
        for number in map(hash, keys):
            shards[number & SHARD_MASK][number] = first
        self._hashes.extend(map(hash, keys))
        self._records.extend(records)
        self._filling_bytes += sum(map(len, records))
        if refers:
            self._filling.refers = True
        if self._filling_bytes >= SEGMENT_BYTES:
            self._close_segment()

    def add_held(self, key: str, record: bytes, *, refers: bool = False) -> bool:
        """Put in a record that is not taken before `release`; False if its key may be there."""
        number = hash(key)
        shard = self._shards[number & SHARD_MASK]
        if number in shard or (self._compacted and self._index.compact_has(number)):
            return False
        if self._held_from is None:
            self._held_from = self._next_place
        # As in `add`, which is a call and a look-up more: 0.1 of 0.3 µs.
        shard[number] = self._first
        self._hashes.append(number)
        self._records.append(record)
        self._filling_bytes += len(record)
        if refers:
            self._filling.refers = True
        if self._filling_bytes >= SEGMENT_BYTES:
            self._close_segment()
        return True

    def may_have(self, key: str) -> bool:
        """Whether a key may be there; False is certain."""
        number = hash(key)
        return number in self._shards[number & SHARD_MASK] or (
            self._compacted and self._index.compact_has(number)
        )

    def release(self) -> None:
        """Let all records be taken."""
        self._held_from = None

    def remove(self, key: str) -> dict[str, Any] | None:
        """Take one record out by its key and decode it; None if it is not there."""
        found = self._find(key)
        if found is None:
            return None
        segment, at, data = found
        if segment is self._filling:
            # What is left of it is a comma, until the segment is sent.
            self._filling_bytes -= len(segment.records[at])
            segment.records[at] = b""
            segment.gone.add(at)
            self._count -= 1
            self._nbytes -= 1
        else:
            segment.gone.add(at)
            self._forget(segment, 1, segment.nbytes(at, at + 1))
        if self._unkept is not None:
            self._unkept_gone.append(segment.first + at)
        self._removed(key, segment.first + at)
        return data

    def _removed(self, key: str, place: int) -> None:
        """Forget what else is known of a record that was taken out."""

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
            stop = min(stop, self._end - segment.first)
            if stop <= start:
                break
            cut.add(segment.slice(start, stop), stop - start, segment.first + start)
            cut.refers = cut.refers or segment.refers
            segment.taken = stop
            self._forget(segment, stop - start, segment.nbytes(start, stop))
        return cut

    def _forget(self, segment: Segment, count: int, nbytes: int) -> None:
        """Count records that are gone, and let go of a segment of which nothing is left."""
        self._count -= count
        self._nbytes -= nbytes
        segment.left -= count
        if segment.left == 0:
            self._segments.remove(segment)
            if isinstance(segment.body, memoryview):
                self._segment_bytes -= len(segment.body)
            self._drop(segment)

    def _drop(self, segment: Segment) -> None:
        if self._segments or self._records:
            self._index.drop(segment.hashes, segment.first)
        else:
            self._index = SegmentIndex()
            self._shards = self._index.shards
            self._compacted = False

    def _close_segment(self) -> None:
        segment = self._filling
        if not segment.records:
            return
        self._count += len(segment.records)
        self._nbytes += self._filling_bytes + len(segment.records)
        segment.close()
        self._begin_segment(segment.first + len(segment))
        if self._unkept is not None:
            self._unkept.append(segment)
        if segment.left:
            self._segments.append(segment)
            self._segment_bytes += len(segment.body)
        else:
            self._drop(segment)

    # What the journal is told, and what it gives back

    def track(self) -> None:
        """Take from now on only what the journal has; all that is there it has."""
        self._unkept = []
        self._kept_until = self._next_place

    def unkept(self) -> tuple[list[Segment], list[int]]:
        """Give the segments, and the places of removed records, that the journal lacks."""
        self._close_segment()
        segments, gone = self._unkept or [], self._unkept_gone
        self._unkept, self._unkept_gone = [], []
        return segments, gone

    def kept(self, segments: list[Segment]) -> None:
        """Note that the journal has these segments, and all before them."""
        if segments:
            last = segments[-1]
            self._kept_until = max(self._kept_until or 0, last.first + len(last))

    def unkept_again(self, segments: list[Segment], gone: list[int]) -> None:
        """Take back what could not be written to the journal."""
        self._unkept = segments + (self._unkept or [])
        self._unkept_gone = gone + self._unkept_gone

    def set_aside(self, record: bytes) -> int:
        """Give a record a place at which it is kept, and from which it is never taken."""
        self._close_segment()
        segment = Segment(self._first)
        segment.records.append(record)
        segment.hashes.append(0)
        segment.close()
        self._begin_segment(segment.first + 1)
        if self._unkept is not None:
            self._unkept.append(segment)
        return segment.first

    def drop_aside(self, place: int) -> None:
        """Note that a record that was set aside is needed no more."""
        if self._unkept is not None:
            self._unkept_gone.append(place)

    def restore(
        self,
        first: int,
        starts: array[int],
        body: StoredSlice,
        records: dict[int, dict[str, Any]],
        *,
        refers: bool,
    ) -> None:
        """
        Put in a segment from the journal.

        Args:
            first: The place of its first record, behind all that are there.
            starts: Where its records begin.
            body: Its records.
            records: Those that wait, decoded, by place.
            refers: Whether one may point to groups.
        """
        segment = Segment(first)
        segment.starts, segment.body, segment.kept = starts, body, body
        segment.refers = refers
        for place in range(first, first + len(starts) - 1):
            data = records.get(place)
            if data is None:
                segment.gone.add(place - first)
                segment.hashes.append(0)
            else:
                number = hash(self._key_of(data))
                segment.hashes.append(number)
                self._shards[number & SHARD_MASK][number] = first
                self._count += 1
                self._nbytes += segment.nbytes(place - first, place - first + 1)
        segment.left = len(records)
        self._segments.append(segment)
        self._begin_segment(first + len(segment))

    def begin_at(self, place: int) -> None:
        """Give the next record this place at least."""
        if place > self._first:
            self._begin_segment(place)

    def _find(self, key: str) -> tuple[Segment, int, dict[str, Any]] | None:
        number = hash(key)
        found = self._index.get(number)
        segment = self._locate(found[0]) if found is not None else None
        if found is None or segment is None:
            return None
        place, exact = found
        for at in (place - segment.first,) if exact else segment.find(number):
            if segment.has(at):
                # The index knows hashes only: the record has the last word.
                data: dict[str, Any] = orjson.loads(segment.record(at))
                if self._key_of(data) == key:
                    return segment, at, data
        return None

    def _locate(self, place: int) -> Segment | None:
        """Find the segment to which a place belongs."""
        if place >= self._first:
            return self._filling
        after = bisect_right(self._segments, place, key=lambda segment: segment.first)
        return self._segments[after - 1] if after else None


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
        if links or item is not None:
            self._marked[self._next_place] = key
        self.add(key, record)

    def add_held_group(self, key: str, record: bytes, links: Sequence[str]) -> bool:
        """Put in a group without a file, as `add_held` does."""
        place = self._next_place
        if not self.add_held(key, record):
            return False
        if links:
            self._links[key] = links
            self._marked[place] = key
        return True

    def mark(self, place: int, xid: str, links: Sequence[str], item: FileItem | None) -> None:
        """Note the links and the file of a group that was restored."""
        if links:
            self._links[xid] = links
        if item is not None:
            self._files[xid] = item
        if links or item is not None:
            self._marked[place] = xid

    def files_from(self, place: int) -> list[tuple[int, FileItem]]:
        """Give the files of the groups that stand at a place or behind it."""
        found = []
        for marked in reversed(self._marked):
            if marked < place:
                break
            item = self._files.get(self._marked[marked])
            if item is not None:
                found.append((marked, item))
        return found

    @property
    def file_count(self) -> int:
        """Contents that are to be uploaded."""
        return len(self._files)

    def detach(self, xid: str) -> FileItem | None:
        """Take back the file that belongs to a group."""
        return self._files.pop(xid, None)

    def release(self) -> None:
        """Let all records be taken."""
        if self._held_from is not None:
            self._planned_until = -1
        super().release()

    def kept(self, segments: list[Segment]) -> None:
        """Note that the journal has these segments, and all before them."""
        super().kept(segments)
        self._planned_until = -1

    def _removed(self, key: str, place: int) -> None:
        """Forget the links of a group; its file is taken back by `detach`."""
        self._marked.pop(place, None)
        if self._links.pop(key, None) is not None:
            self._planned_until = -1

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
                cut.file_places.append(place)

    def _take_linked(self, max_count: int, max_bytes: int) -> Cut:
        if self._planned_until != self._next_place:
            self._plan = self._order()
            self._planned_until = self._next_place
        cut = Cut(refers=True)
        while self._plan and cut.count < max_count:
            places = self._plan[0]
            nbytes = sum(self._nbytes_at(place) for place in places)
            if cut.count + len(places) > max_count or cut.nbytes + nbytes > max_bytes:
                if not cut.count:
                    self._open_circle(cut, max_count, max_bytes)
                break
            self._plan.popleft()
            for place in places:
                self._take_place(cut, place)
        return cut

    def _order(self) -> deque[list[int]]:
        """Every place that can be taken, in sets, what is pointed to first."""
        end = self._end
        by_hash: dict[int, int] = {}
        for segment in self._segments:
            by_hash.update(zip(segment.hashes, range(segment.first, end), strict=False))
        links: dict[int, list[int]] = {}
        for place, xid in self._marked.items():
            found = (by_hash.get(hash(target)) for target in self._links.get(xid, ()))
            links[place] = [target for target in found if target is not None and self._has(target)]
        places = (
            place
            for segment in self._segments
            for place in range(segment.first, min(segment.first + len(segment), end))
            if segment.has(place - segment.first)
        )
        return deque(dependencies_first(places, lambda place: links.get(place, ())))

    def _has(self, place: int) -> bool:
        segment, at = self._at(place)
        return segment.has(at)

    def _at(self, place: int) -> tuple[Segment, int]:
        segment = self._locate(place)
        if segment is None:
            raise AssertionError(f"place {place} was planned and is not there")
        return segment, place - segment.first

    def _nbytes_at(self, place: int) -> int:
        segment, at = self._at(place)
        return segment.nbytes(at, at + 1)

    def _take_place(self, cut: Cut, place: int, later: frozenset[str] = frozenset()) -> None:
        segment, at = self._at(place)
        record = segment.slice(at, at + 1)
        nbytes = segment.nbytes(at, at + 1)
        severs = later and not later.isdisjoint(self._links.get(self._marked.get(place, ""), ()))
        self._take_mark(cut, place)
        if severs:
            record = self._sever(cut, orjson.loads(loaded(record)), later)
            place = self._rewrite(cut, place, record)
        cut.add(record, 1, place)
        segment.gone.add(at)
        self._forget(segment, 1, nbytes)

    def _rewrite(self, cut: Cut, place: int, record: memoryview) -> int:
        """Have the journal keep a record as it is sent, in place of the one before."""
        if self._unkept is None:
            return place
        self._unkept_gone.append(place)
        new = self.set_aside(bytes(record))
        cut.file_places = [new if marked == place else marked for marked in cut.file_places]
        return new

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
            nbytes += self._nbytes_at(places[stop])
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
