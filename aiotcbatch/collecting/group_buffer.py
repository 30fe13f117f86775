"""The buffer of groups: none is sent before one that it points to, and files go with them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.collecting.buffer import Buffer, xid_of
from aiotcbatch.collecting.ordering import dependencies_first
from aiotcbatch.collecting.segments import Cut, encode, loaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiotcbatch.collecting.segments import Segment
    from aiotcbatch.entities.contents import FileItem

__all__ = ["GroupBuffer"]


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
        if self.held_from is not None:
            self._planned_until = -1
        super().release()

    def kept(self, segments: list[Segment]) -> None:
        """Note that the journal has these segments, and all before them."""
        super().kept(segments)
        self._planned_until = -1

    def _removed(self, key: str, place: int) -> None:
        """Forget the links of a group; its file is taken back by `detach`."""
        self._marked.pop(place, None)
        self._links.pop(key, None)
        self._planned_until = -1  # it may be planned, with links or without

    def take(self, max_count: int, max_bytes: int) -> Cut:
        """Cut off groups, none before one that it points to."""
        self.close_segment()
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
        cut.add(record, 1, place, segment.sources, at)
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
