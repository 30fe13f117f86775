"""
Encoded entities in segments, found again by their keys.

An entity is encoded once. Its record is joined with others into a segment, chunks are slices
of segments, and the slices are what is sent, as often as need be.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import orjson
from anyio.lowlevel import checkpoint

from aiotcbatch.collecting.segments import Cut, Segment
from aiotcbatch.collecting.xid_index import SHARD_MASK, SHARDS, XidIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiotcbatch.collecting.segments import Piece
    from aiotcbatch.collecting.spool import Spool, StoredSlice

__all__ = ["Buffer", "xid_of"]

#: Records are joined into a segment when they are this many bytes together.
SEGMENT_BYTES = 256 * 1024
#: What an entry of the index takes that is not compact.
ENTRY_BYTES = 90
#: The index is swept when it has so many entries more than twice as many as there are records.
_SPARE_ENTRIES = 8_192


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
        #: The first places of segments, by the hashes of their keys.
        self.index = XidIndex()
        #: From here on records are not to be taken yet.
        self.held_from: int | None = None
        #: The same, since the journal does not have them; None if there is no journal.
        self._kept_until: int | None = None
        #: What the journal does not have yet; None if there is no journal.
        self._unkept: list[Segment] | None = None
        self._unkept_gone: list[int] = []
        #: The journal has, or is given, what stands before this place.
        self._handed_until = 0
        #: The places of records that it has and that were taken out to be changed, by key: it
        #: is to have the new ones when it forgets these.
        self._reopened: dict[str, int] = {}
        #: The encoded sources of records that are to be put in, or were taken out, by key.
        self.sources: dict[Any, bytes] = {}
        #: The last segment, into which records are put.
        self.filling = Segment(0)

    @property
    def count(self) -> int:
        """Records that are there."""
        return self._count + len(self.filling.hashes)

    @property
    def nbytes(self) -> int:
        """Their bytes, with a comma after each."""
        return self._nbytes + len(self.filling.growing)

    @property
    def memory_bytes(self) -> int:
        """Bytes that are held in memory, records and what is taken of their segments."""
        return self._segment_bytes + len(self.filling.growing)

    @property
    def index_bytes(self) -> int:
        """Bytes by which records are found, but for those that are compact."""
        return self.index.entries * ENTRY_BYTES

    @property
    def _next_place(self) -> int:
        return self.filling.first + len(self.filling.hashes)

    @property
    def _end(self) -> int:
        """The place before which records can be taken."""
        end = self._next_place if self.held_from is None else self.held_from
        return end if self._kept_until is None else min(end, self._kept_until)

    @property
    def ready(self) -> bool:
        """Whether there is a record that can be taken."""
        self.close_segment()
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
        self.close_segment()
        moved = 0
        for segment in reversed(self._segments):
            if moved >= nbytes:
                break
            body = segment.body
            if isinstance(body, memoryview):
                spooled = segment.kept or await spool.write(body)
                sources = segment.sources
                if isinstance(sources, memoryview) and sources:
                    sources = await spool.write(sources)
                held = segment.memory_bytes
                moved += held
                if segment.left:  # it was not sent meanwhile
                    segment.body, segment.sources = spooled, sources
                    self._segment_bytes -= held
        return moved

    async def tidy(self) -> None:
        """Forget what the index has of records that are gone, giving way to other tasks."""
        # Once round is enough: what is left then is of segments that are there still.
        for _ in range(SHARDS):
            if not self.sweep():
                return
            await checkpoint()

    async def compact(self, nbytes: int) -> int:
        """
        Make smaller what finds the records, giving way to other tasks.

        Args:
            nbytes: How many bytes of memory to give back.

        Returns:
            How many were given back; less than asked for if no more are there.
        """
        before = self.index_bytes
        least = max(0, before - nbytes)
        while self.index_bytes > least:
            self.index.compact(self._alive)
            await checkpoint()
        return before - self.index_bytes

    @property
    def _alive(self) -> set[int]:
        """The places by which the index knows the segments that there are."""
        alive = {segment.first for segment in self._segments}
        if self.filling.hashes:
            alive.add(self.filling.first)
        return alive

    def __contains__(self, key: str) -> bool:
        return self._find(key) is not None

    def add(self, key: str, record: bytes, *, refers: bool = False) -> None:
        """Put in a record whose key is not there."""
        if self.sources:
            self._attach((key,))
        number = hash(key)
        self.index.shards[number & SHARD_MASK][number] = self.filling.first
        self.filling.append(record, number)
        if refers:
            self.filling.refers = True
        if len(self.filling.growing) >= SEGMENT_BYTES:
            self.close_segment()

    def add_all(self, keys: Sequence[str], records: Sequence[bytes], *, refers: bool) -> None:
        """Put in records whose keys are not there; together they should fit in a segment."""
        if self.sources:
            self._attach(keys)
        shards, first = self.index.shards, self.filling.first
        hashes = [*map(hash, keys)]
        for number in hashes:
            shards[number & SHARD_MASK][number] = first
        self.filling.hashes.extend(hashes)
        growing, starts = self.filling.growing, self.filling.starts
        for record in records:
            growing += record
            growing += b","
            starts.append(len(growing))
        if refers:
            self.filling.refers = True
        if len(growing) >= SEGMENT_BYTES:
            self.close_segment()

    def note(self, key: Any, source: bytes | None) -> None:
        """Note the encoded source of a record that is to be put in; None leaves it."""
        if source is not None:
            self.sources[key] = source

    def _attach(self, keys: Sequence[Any]) -> None:
        """Give records that are put in next the sources that wait for them."""
        for at, key in enumerate(keys, len(self.filling.hashes)):
            source = self.sources.pop(key, None)
            if source is not None:
                if self.filling.sourced is None:
                    self.filling.sourced = {}
                self.filling.sourced[at] = source

    def add_held(self, key: str, record: bytes, refers: bool = False) -> bool:
        """Put in a record that is not taken before `release`; False if its key may be there."""
        if self.may_have(key):
            return False
        self.hold()
        self.add(key, record, refers=refers)
        return True

    def may_have(self, key: str) -> bool:
        """Whether a key may be there; False is certain."""
        number = hash(key)
        return number in self.index.shards[number & SHARD_MASK] or (
            self.index.compacted and self.index.get_compact(number) is not None
        )

    def hold(self) -> None:
        """Let no record be taken that is put in from now on, until `release`."""
        if self.held_from is None:
            self.held_from = self._next_place

    def release(self) -> None:
        """Let all records be taken."""
        self.held_from = None

    def remove(self, key: str) -> dict[str, Any] | None:
        """Take one record out by its key and decode it; None if it is not there."""
        found = self._find(key)
        if found is None:
            return None
        segment, at, data = found
        source = segment.source(at)
        if source is not None:
            self.sources.setdefault(key, source)
        segment.gone.add(at)
        if segment is self.filling:
            self._count -= 1
            self._nbytes -= segment.nbytes(at, at + 1)
        else:
            self._forget(segment, 1, segment.nbytes(at, at + 1))
            self.sweep()
        place = segment.first + at
        if place < self._handed_until:
            self._reopened[key] = place
        elif self._unkept is not None:
            self._unkept_gone.append(place)
        self._removed(key, place)
        return data

    def dropped(self, key: str) -> None:
        """Note that a record that was taken out does not come again."""
        place = self._reopened.pop(key, None)
        if place is not None:
            self._unkept_gone.append(place)

    def _removed(self, key: str, place: int) -> None:
        """Forget what else is known of a record that was taken out."""

    def take(self, max_count: int, max_bytes: int) -> Cut:
        """
        Cut off the first records, as many as fit.

        Args:
            max_count: Records at most.
            max_bytes: Bytes at most, with a comma after each record.
        """
        self.close_segment()
        cut = Cut()
        while self._segments and cut.count < max_count:
            segment = self._segments[0]
            start, stop = segment.next_run(max_count - cut.count, max_bytes - cut.nbytes)
            stop = min(stop, self._end - segment.first)
            if stop <= start:
                break
            piece = segment.slice(start, stop)
            cut.add(piece, stop - start, segment.first + start, segment.sources, start)
            cut.refers = cut.refers or segment.refers
            segment.taken = stop
            self._forget(segment, stop - start, segment.nbytes(start, stop))
        self.sweep()  # once, since all of this is one step of the event loop
        return cut

    def _forget(self, segment: Segment, count: int, nbytes: int) -> None:
        """Count records that are gone, and let go of a segment of which nothing is left."""
        self._count -= count
        self._nbytes -= nbytes
        segment.left -= count
        if segment.left == 0:
            self._segments.remove(segment)
            self._segment_bytes -= segment.memory_bytes

    def sweep(self) -> bool:
        """Forget a bit of what the index has of segments that are gone; False if that is little."""
        if self.index.entries > 2 * self.count + _SPARE_ENTRIES:
            self.index.sweep(self._alive)
            return True
        empty = not self._segments and not self.filling.hashes
        if empty and (self.index.entries or self.index.compacted):
            self.index = XidIndex()
        return False

    def close_segment(self) -> None:
        """Begin another segment, if there is anything in the one that fills."""
        segment = self.filling
        if not segment.growing:
            return
        self._count += len(segment)
        self._nbytes += len(segment.growing)
        segment.close()
        self.filling = Segment(segment.first + len(segment))
        if self._unkept is not None:
            self._unkept.append(segment)
        if segment.left:
            self._segments.append(segment)
            self._segment_bytes += segment.memory_bytes
        self.index.entries += len(segment)
        self.sweep()

    # What the journal is told, and what it gives back

    def track(self) -> None:
        """Take from now on only what the journal has; all that is there it has."""
        self._unkept = []
        self._kept_until = self._handed_until = self._next_place

    def unkept(self) -> tuple[list[Segment], list[int]]:
        """Give the segments, and the places of removed records, that the journal lacks."""
        self.close_segment()
        changed = [key for key in self._reopened if key in self]
        gone = self._unkept_gone + [self._reopened.pop(key) for key in changed]
        segments = self._unkept or []
        self._unkept, self._unkept_gone = [], []
        self._handed_until = self._next_place
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
        self.close_segment()
        segment = Segment(self.filling.first)
        segment.append(record, 0)
        # It is a link that waits for a group, or a group of a circle. Of other links it is False.
        segment.refers = True
        segment.close()
        self.filling = Segment(segment.first + 1)
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
        sources: Piece,
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
            sources: One for each record, joined by commas; empty if none has one.
            refers: Whether one may point to groups.
        """
        segment = Segment(first)
        segment.starts, segment.body, segment.kept = starts, body, body
        segment.sources = sources
        segment.refers = refers
        segment.hashes = array("q")
        for place in range(first, first + len(starts) - 1):
            data = records.get(place)
            if data is None:
                segment.gone.add(place - first)
                segment.hashes.append(0)
            else:
                segment.hashes.append(hash(self._key_of(data)))
                self._count += 1
                self._nbytes += segment.nbytes(place - first, place - first + 1)
        self.index.put(segment.hashes, first)
        segment.left = len(records)
        self._segments.append(segment)
        self._segment_bytes += segment.memory_bytes  # its sources are there, its body is not
        self.filling = Segment(first + len(segment))

    def begin_at(self, place: int) -> None:
        """Give the next record this place at least."""
        if place > self.filling.first:
            self.filling = Segment(place)

    def _find(self, key: str) -> tuple[Segment, int, dict[str, Any]] | None:
        number = hash(key)
        first = self.index.get(number)
        segment = None if first is None else self._locate(first)
        if segment is None:
            return None
        for at in segment.find(number):
            # The index knows hashes only: the record has the last word.
            data: dict[str, Any] = orjson.loads(segment.record(at))
            if self._key_of(data) == key:
                return segment, at, data
        return None

    def _locate(self, place: int) -> Segment | None:
        """Find the segment to which a place belongs."""
        if place >= self.filling.first:
            return self.filling
        after = bisect_right(self._segments, place, key=lambda segment: segment.first)
        return self._segments[after - 1] if after else None


def xid_of(data: dict[str, Any]) -> Any:
    """Give the key of an entity's wire dict."""
    return data.get("xid")
