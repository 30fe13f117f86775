"""Chunks: the document of one batch job, as slices of what is encoded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.collecting.segments import Cut, SourceReader, encode, loaded
from aiotcbatch.collecting.spool import SpooledSlice
from aiotcbatch.entities.metadata import Association
from aiotcbatch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aiotcbatch.collecting.buffer import Buffer
    from aiotcbatch.collecting.group_buffer import GroupBuffer
    from aiotcbatch.collecting.segments import Piece
    from aiotcbatch.collecting.spool import Spool
    from aiotcbatch.entities.contents import FileItem

__all__ = ["FRAME_BYTES", "Chunk", "cut_chunk", "records"]

#: What a document needs beside its records when all three arrays are there.
FRAME_BYTES = len(b'{"group":[],"indicator":[],"association":[]}')

_numbers = count(1)


@dataclass(slots=True, eq=False, kw_only=True)
class Chunk:
    """
    The document of one batch job: closed, countable, and sent again from the start if need be.

    It is ``{"group": [...], "indicator": [...], "association": [...]}`` with the arrays that
    have anything in them, associations last.
    Source: v2 Batch API, input document.
    """

    groups: Cut = field(default_factory=Cut)
    indicators: Cut = field(default_factory=Cut)
    associations: Cut = field(default_factory=Cut)
    #: Later chunks have higher numbers; those that one is cut into have its own.
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def cuts(self) -> tuple[Cut, Cut, Cut]:
        """Groups, indicators and associations, in the order of the document."""
        return self.groups, self.indicators, self.associations

    @property
    def count(self) -> int:
        """Groups, indicators and associations."""
        return self.groups.count + self.indicators.count + self.associations.count

    @property
    def entity_count(self) -> int:
        """Groups and indicators, which is what the server counts."""
        return self.groups.count + self.indicators.count

    @property
    def files(self) -> list[FileItem]:
        """Contents to upload once the job has completed."""
        return self.groups.files

    @property
    def refers(self) -> bool:
        """Whether a record may point to a group of an earlier chunk."""
        return self.groups.refers or self.indicators.refers or bool(self.associations.count)

    @property
    def replayable(self) -> bool:
        """Whether `blocks` can be sent again: always."""
        return True

    @property
    def size(self) -> int:
        """Bytes of the document."""
        return sum(len(part) for part in self._parts())

    async def blocks(self) -> AsyncIterator[bytes | memoryview]:
        """Give the document from its beginning, without joining or copying."""
        for part in self._parts():
            yield part if isinstance(part, bytes | memoryview) else await part.fetch()

    def _parts(self) -> Iterator[bytes | Piece]:
        opening = b'{"'
        for name, cut in self._arrays():
            yield opening + name + b'":['
            comma = b""
            for piece in cut.slices:
                if comma:
                    yield comma
                yield piece
                comma = b","
            opening = b'],"'
        yield b"]}" if opening != b'{"' else b"{}"

    def _arrays(self) -> Iterator[tuple[bytes, Cut]]:
        for name, cut in zip((b"group", b"indicator", b"association"), self.cuts, strict=True):
            if cut.count:
                yield name, cut

    def decode(self) -> dict[str, list[dict[str, Any]]]:
        """
        Read the document back, as dicts.

        It takes as long and as much memory as the document is large, so it belongs in a
        worker thread.
        """
        return {
            name.decode(): [data for piece in cut.slices for data in records(piece)]
            for name, cut in self._arrays()
        }

    def without_files(self) -> Chunk:
        """Give the same records, without the contents that belong to groups."""
        return replace(self, groups=replace(self.groups, files=[], file_places=[]))

    def records(self, kind: str) -> Iterator[tuple[dict[str, Any], Any]]:
        """
        Decode the groups, the indicators or the associations, one slice at a time.

        Yields:
            Each as a dict, and its source, None if it has none.
        """
        cuts = {"group": self.groups, "indicator": self.indicators}
        cut = cuts.get(kind, self.associations)
        sources = SourceReader(cut.sources)
        for number, piece in enumerate(cut.slices):
            decoded = records(piece)
            yield from zip(decoded, sources.of(number, len(decoded)), strict=True)

    async def keep(self, spool: Spool) -> None:
        """Copy to a spool what is in a journal, which is to forget it."""
        for cut in self.cuts:
            for number, piece in enumerate(cut.slices):
                if not isinstance(piece, memoryview | SpooledSlice):
                    cut.slices[number] = await spool.write(memoryview(await piece.fetch()))

    def __repr__(self) -> str:
        return (
            f"<Chunk {self.number}: {self.groups.count} groups, {self.indicators.count}"
            f" indicators, {self.associations.count} associations, {self.size} bytes>"
        )


def records(piece: Piece) -> list[dict[str, Any]]:
    """Read some records back, as dicts."""
    data: list[dict[str, Any]] = orjson.loads(b"".join((b"[", loaded(piece), b"]")))
    return data


def cut_chunk(
    groups: GroupBuffer,
    indicators: Buffer,
    associations: Buffer,
    *,
    max_count: int,
    max_bytes: int,
) -> Chunk | None:
    """
    Cut the next chunk: groups first, then indicators, and associations after all of them.

    Args:
        groups: Encoded groups.
        indicators: Encoded indicators.
        associations: Encoded associations; their ends may be in this chunk or an earlier one.
        max_count: Groups, indicators and associations at most.
        max_bytes: Bytes of the document at most.

    Returns:
        The chunk, None if there is nothing to send.

    Raises:
        ConfigurationError: When max_bytes does not hold even one record.
    """
    chunk = Chunk()
    # Each array has one comma less than it has records.
    room = max_bytes - FRAME_BYTES + 1
    chunk.groups = groups.take(max_count, room)
    _resolve_severed(chunk.groups, associations)
    if not groups.ready:
        room -= chunk.groups.nbytes
        chunk.indicators = indicators.take(max_count - chunk.count, room)
        if not indicators.ready:
            room -= chunk.indicators.nbytes
            chunk.associations = associations.take(max_count - chunk.count, room)
    if chunk.count:
        return chunk
    if groups.ready or indicators.ready or associations.ready:
        raise ConfigurationError(
            "max_bytes_per_job", max_bytes, "more than the largest entity that is held"
        )
    return None


def _resolve_severed(cut: Cut, associations: Buffer) -> None:
    """Send a link that was taken out of a group as an association of its own."""
    for first, second in cut.severed:
        association = Association(ref_1=first, ref_2=second)
        if association.key not in associations:
            associations.add(association.key, encode(association.data))
