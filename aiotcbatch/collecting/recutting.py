"""Cutting a chunk again: its records, between which it is cut into smaller chunks."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aiotcbatch.collecting.chunk import FRAME_BYTES, Chunk, records
from aiotcbatch.collecting.segments import NONE, Cut, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Records"]


class Records:
    """
    The records of a chunk by their positions: groups, then indicators, then associations.

    Smaller chunks are made of slices of its slices, so that nothing is encoded or copied anew.
    Groups that point to each other in a circle stay together. Making it reads the whole chunk,
    so it belongs in a worker thread.

    Args:
        chunk: The chunk.
    """

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        #: Where each record begins if they were all joined; one more than there are records.
        self._starts = array("Q", [0])
        #: The positions at which it can be cut, its end included.
        self.seams = array("Q")
        groups = [data for piece in chunk.groups.slices for data in self._read(piece)]
        self.seams.extend(_seams(groups))
        for cut in (chunk.indicators, chunk.associations):
            for piece in cut.slices:
                count = len(self._read(piece))
                self.seams.extend(range(len(self) - count + 1, len(self) + 1))

    def _read(self, piece: Any) -> list[dict[str, Any]]:
        """Read some records, and note how long each is: encoded again it is what it was."""
        found = records(piece)
        before = self._starts[-1]
        for data in found:
            self._starts.append(self._starts[-1] + len(encode(data)) + 1)
        if self._starts[-1] - before != len(piece) + 1:
            raise AssertionError(f"records of {len(piece)} bytes are not as they were encoded")
        return found

    def __len__(self) -> int:
        return len(self._starts) - 1

    def within(self, max_bytes: int) -> list[Chunk]:
        """
        Cut it into chunks that are no larger than so many bytes.

        Returns:
            The chunks. One of them is larger if it is a single record, or groups that point to
            each other in a circle.
        """
        room = max_bytes - FRAME_BYTES + 1
        bounds: list[int] = []
        begin = last = 0
        for seam in self.seams:
            if last > begin and self._starts[seam] - self._starts[begin] > room:
                bounds.append(last)
                begin = last
            last = seam
        return self.parts(bounds)

    def halves(self) -> list[Chunk]:
        """Cut it in the middle; the whole is given if it cannot be cut."""
        inner = self.seams[:-1]
        if not inner:
            return [self._chunk]
        at = min(bisect_right(inner, len(self) // 2), len(inner)) - 1
        return self.parts([inner[max(at, 0)]])

    def around(self, position: int) -> tuple[Chunk, Chunk, Chunk]:
        """
        Cut it before and behind a record, or the circle of groups that it stands in.

        Returns:
            What stands before it, which may be nothing, it, and what comes after it.
        """
        after = bisect_right(self.seams, position)
        start, stop = self.seams[after - 1] if after else 0, self.seams[after]
        return self._part(0, start), self._part(start, stop), self._part(stop, len(self))

    def parts(self, bounds: Iterable[int]) -> list[Chunk]:
        """
        Cut it at some positions.

        Args:
            bounds: Some of the seams, in their order; its beginning and end are none of them.
        """
        return [self._part(start, stop) for start, stop in pairwise((0, *bounds, len(self)))]

    def _part(self, start: int, stop: int) -> Chunk:
        part = Chunk(number=self._chunk.number)
        at = 0
        for cut, into in zip(self._chunk.cuts, part.cuts, strict=True):
            self._copy(cut, into, at, range(start, stop))
            at += cut.count
        return part

    def _copy(self, cut: Cut, into: Cut, at: int, wanted: range) -> None:
        """Copy what is wanted of a cut whose records begin at a position."""
        for number, (piece, places) in enumerate(zip(cut.slices, cut.places, strict=True)):
            start, stop = max(at, wanted.start), min(at + len(places), wanted.stop)
            if start < stop:
                first, end = (self._starts[edge] - self._starts[at] for edge in (start, stop))
                sources, begin = cut.sources.get(number, (NONE, 0))
                part = piece[first : end - 1]
                into.add(part, stop - start, places[start - at], sources, begin + start - at)
            at += len(places)
        into.refers = cut.refers and bool(into.count)
        for item, place in zip(cut.files, cut.file_places, strict=True):
            if any(place in places for places in into.places):
                into.files.append(item)
                into.file_places.append(place)


def _seams(groups: Sequence[Mapping[str, Any]]) -> Iterable[int]:
    """Give the positions behind which no group is that one before them points to."""
    positions = {data["xid"]: position for position, data in enumerate(groups)}
    reach = 0
    for position, data in enumerate(groups):
        links = data.get("associatedGroupXid")
        for xid in links if isinstance(links, list) else ():
            reach = max(reach, positions.get(xid, 0))
        if reach <= position:
            yield position + 1
