"""Segments: encoded records side by side, in memory or on disk, and what is cut from them."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.collecting.spool import StoredSlice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableSequence

    from aiotcbatch.entities.contents import FileItem

__all__ = ["Cut", "Piece", "Segment", "SourceReader", "encode", "loaded"]

#: Records as they are held, in memory, in the spool or in the journal.
Piece = memoryview | StoredSlice

#: Where there is nothing.
NONE = memoryview(b"")

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
    #: Of slices whose records have sources, by number: those of their segment, and at which of
    #: them the slice begins.
    sources: dict[int, tuple[Piece, int]] = field(default_factory=dict)

    def add(
        self, piece: Piece, count: int, place: int, sources: Piece = NONE, first: int = 0
    ) -> None:
        """Append a slice that holds some records, the first of them from a place."""
        if sources:
            self.sources[len(self.slices)] = (sources, first)
        self.slices.append(piece)
        self.places.append(range(place, place + count))
        self.count += count
        self.nbytes += len(piece) + 1


class Segment:
    """
    Records joined by commas, where each begins, and which are gone.

    While it fills, each is copied behind the others at once, and its own memory is used again
    for the next: an encoder's buffer takes a page, and page after page would be written to.
    """

    __slots__ = (
        "body",
        "first",
        "gone",
        "growing",
        "hashes",
        "kept",
        "left",
        "refers",
        "sourced",
        "sources",
        "starts",
        "taken",
    )

    def __init__(self, first: int) -> None:
        #: The place of the first record; the others follow.
        self.first = first
        #: While it fills, its records, a comma after each.
        self.growing = bytearray()
        #: Of the keys, in the order of the records.
        self.hashes: MutableSequence[int] = []
        #: Whether a record may point to groups.
        self.refers = False
        #: Records that were taken out by themselves.
        self.gone: set[int] = set()
        #: Records before this one are gone too.
        self.taken = 0
        self.left = 0
        self.body: Piece = NONE
        #: What stands for the body in the journal.
        self.kept: StoredSlice | None = None
        #: Record i is ``body[starts[i] : starts[i + 1] - 1]``.
        self.starts: MutableSequence[int] = [0]
        #: The encoded sources of records that have one, while it fills.
        self.sourced: dict[int, bytes] | None = None
        #: One for each record, joined by commas, if any has one.
        self.sources: Piece = NONE

    def append(self, record: bytes, number: int) -> None:
        """Put in a record whose key has this hash."""
        self.growing += record
        self.growing += b","
        self.starts.append(len(self.growing))
        self.hashes.append(number)

    def close(self) -> None:
        """Take no more records; those that are gone stay, and are never sent."""
        self.body = memoryview(self.growing)[:-1].toreadonly()
        self.growing = bytearray()
        # While it fills they are lists, which are quicker to append to.
        self.hashes, self.starts = array("q", self.hashes), array("I", self.starts)
        self.left = len(self) - len(self.gone)
        if self.sourced:
            given = self.sourced
            self.sources = memoryview(b",".join(given.get(at, b"null") for at in range(len(self))))
            self.sourced = None

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def stored_body(self) -> bytes | memoryview:
        """The records that the journal is to keep."""
        return loaded(self.body)

    @property
    def stored_starts(self) -> array[int]:
        """Where they begin."""
        return array("I", self.starts)

    def has(self, at: int) -> bool:
        """Whether a record is there."""
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
        """Give one record, whether the segment still fills or not."""
        if self.growing:
            return bytes(self.growing[self.starts[at] : self.starts[at + 1] - 1])
        return loaded(self.slice(at, at + 1))

    def source(self, at: int) -> bytes | None:
        """Give the encoded source of a record, None if it has none."""
        if self.sourced is not None:
            return self.sourced.get(at)
        found = _decoded(self.sources)[at] if self.sources else None
        return None if found is None else encode(found)

    @property
    def memory_bytes(self) -> int:
        """Bytes of what is joined and in memory."""
        parts = (self.body, self.sources)
        return sum(len(part) for part in parts if isinstance(part, memoryview))

    def slice(self, start: int, stop: int) -> Piece:
        """Give some records, joined by commas."""
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


def loaded(piece: Piece) -> bytes | memoryview:
    """Give the bytes of some records, reading them if they are on disk."""
    return piece if isinstance(piece, memoryview) else piece.read()


def _decoded(piece: Piece) -> list[Any]:
    decoded: list[Any] = orjson.loads(b"".join((b"[", loaded(piece), b"]")))
    return decoded


class SourceReader:
    """
    Reads the sources of a cut, slice by slice.

    Args:
        sources: As `Cut.sources`.
    """

    def __init__(self, sources: Mapping[int, tuple[Piece, int]]) -> None:
        self._sources = sources
        self._piece: Piece = NONE
        self._decoded: list[Any] = []

    def of(self, number: int, count: int) -> Iterable[Any]:
        """Give the source of each record of a slice, None where there is none."""
        found = self._sources.get(number)
        if found is None:
            return repeat(None, count)
        piece, first = found
        if piece is not self._piece:  # of one segment there may be many slices
            self._piece, self._decoded = piece, _decoded(piece)
        return self._decoded[first : first + count]
