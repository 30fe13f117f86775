"""Chunks: exact bytes, limits that are never exceeded, and the order of what they hold."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.collecting.buffer import Buffer, xid_of
from aiotcbatch.collecting.chunk import FRAME_BYTES, Chunk, cut_chunk
from aiotcbatch.collecting.group_buffer import GroupBuffer
from aiotcbatch.collecting.segments import encode
from aiotcbatch.collecting.spool import Spool
from aiotcbatch.entities.metadata import Association
from aiotcbatch.errors import ConfigurationError

SIZES = st.lists(st.integers(0, 60), max_size=8)


class Held:
    """Buffers with groups, indicators and associations of given sizes."""

    def __init__(self, groups: list[int], indicators: list[int], associations: list[int]) -> None:
        self.groups, self.indicators = GroupBuffer(), Buffer(xid_of)
        self.associations = Buffer(lambda data: Association.from_dict(data).key)
        for number, size in enumerate(groups):
            data = {"xid": f"g{number}", "pad": "p" * size}
            self.groups.add_group(data["xid"], encode(data), (), None)
        for number, size in enumerate(indicators):
            data = {"xid": f"i{number}", "pad": "p" * size}
            self.indicators.add(data["xid"], encode(data))
        for number, size in enumerate(associations):
            link = Association(ref_1=f"a{number}" + "p" * size, ref_2="b")
            self.associations.add(link.key, encode(link.data))

    def cut(self, max_count: int = 25_000, max_bytes: int = 75_000_000) -> Chunk | None:
        return cut_chunk(
            self.groups,
            self.indicators,
            self.associations,
            max_count=max_count,
            max_bytes=max_bytes,
        )


async def body(chunk: Chunk) -> bytes:
    """Join what is sent for a chunk."""
    return b"".join([bytes(block) async for block in chunk.blocks()])


@given(SIZES, SIZES, SIZES, st.integers(1, 10), st.integers(250, 600))
async def test_chunks_hold_everything_within_the_limits(
    groups: list[int], indicators: list[int], associations: list[int], count: int, nbytes: int
) -> None:
    """However it is cut, everything is sent once, in order, and no chunk exceeds a limit."""
    held = Held(groups, indicators, associations)
    sent: dict[str, list[Any]] = {"group": [], "indicator": [], "association": []}
    order = []
    while (chunk := held.cut(count, nbytes)) is not None:
        text = await body(chunk)
        document = orjson.loads(text)

        assert len(text) == chunk.size <= nbytes
        assert sum(map(len, document.values())) == chunk.count <= count
        assert list(document) == [kind for kind in sent if kind in document]
        assert document == chunk.decode()
        for kind, entities in document.items():
            sent[kind] += entities
            order += [kind] * len(entities)

    assert [group["xid"] for group in sent["group"]] == [f"g{n}" for n in range(len(groups))]
    assert [i["xid"] for i in sent["indicator"]] == [f"i{n}" for n in range(len(indicators))]
    assert len(sent["association"]) == len(associations)
    assert order == sorted(order, key=["group", "indicator", "association"].index)


async def test_a_chunk_is_sent_again_from_the_start() -> None:
    """Blocks can be asked for as often as need be."""
    chunk = Held([3], [4, 5], [6]).cut()
    assert chunk is not None

    assert await body(chunk) == await body(chunk)


async def test_what_is_sent_is_not_copied() -> None:
    """The records of a segment go out as one slice of it."""
    chunk = Held([], [1] * 100, []).cut()
    assert chunk is not None

    blocks = [block async for block in chunk.blocks()]

    assert [type(block) for block in blocks] == [bytes, memoryview, bytes]


def test_nothing_held_gives_no_chunk() -> None:
    """An empty builder has no job to make."""
    assert Held([], [], []).cut() is None


def test_a_limit_that_holds_no_entity_is_an_error() -> None:
    """When not even one entity fits, that is said instead of looping or sending nothing."""
    with pytest.raises(ConfigurationError, match="max_bytes_per_job") as caught:
        Held([], [50], []).cut(max_bytes=FRAME_BYTES + 10)

    assert caught.value.value == FRAME_BYTES + 10


def test_severed_links_are_sent_as_associations() -> None:
    """When a circle of groups is larger than a chunk, its links still arrive."""
    held = Held([], [], [])
    for xid, target in {"a": "b", "b": "c", "c": "a"}.items():
        data = {"xid": xid, "associatedGroupXid": [target]}
        held.groups.add_group(xid, encode(data), [target], None)

    documents = []
    while (chunk := held.cut(max_count=2)) is not None:
        documents.append(chunk.decode())

    links = {
        frozenset((group["xid"], target))
        for document in documents
        for group in document.get("group", [])
        for target in group["associatedGroupXid"]
    } | {
        frozenset((link["ref_1"], link["ref_2"]))
        for document in documents
        for link in document.get("association", [])
    }
    assert links == {frozenset("ab"), frozenset("bc"), frozenset("ac")}


async def test_what_is_on_disk_is_sent_alike() -> None:
    """A chunk whose records were spilled has the same bytes, cut at the same places."""
    sizes = [10, 20, 30, 40]
    held, spilled, spool = Held([3], sizes, [5]), Held([3], sizes, [5]), Spool()
    for buffer in (spilled.groups, spilled.indicators, spilled.associations):
        before = buffer.memory_bytes
        assert await buffer.spill(spool, before) == before - 1 > 0
        assert buffer.memory_bytes == 0
    assert spilled.indicators.remove("i1") == held.indicators.remove("i1")

    while (chunk := held.cut(max_count=2)) is not None:
        other = spilled.cut(max_count=2)
        assert other is not None
        assert await body(other) == await body(chunk)
        assert other.size == chunk.size
        assert other.decode() == chunk.decode()
    assert spilled.cut() is None
