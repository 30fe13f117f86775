"""Chunks that are cut again: nothing is lost, the order is kept, circles stay together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import orjson
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.collecting.recutting import Records
from aiotcbatch.collecting.typed import TypedBuilder

if TYPE_CHECKING:
    from aiotcbatch.collecting.chunk import Chunk


async def chunk_of(
    links: list[int | None], indicators: int = 0, associations: int = 0, files: int = 0
) -> Chunk:
    """Make a chunk of groups, each of which may point to another one, and so on."""
    builder = TypedBuilder()
    for number, target in enumerate(links):
        group: Any
        if number < files:
            group = builder.document(f"g{number}", "f.txt", xid=f"g{number}", file_content=b"x")
        else:
            group = builder.adversary(f"g{number}", f"g{number}")
        if target is not None:
            group.association(f"g{target}")
    for number in range(indicators):
        builder.host(f"h{'x' * number}.example.com", xid=f"i{number}").association("g0")
    for number in range(associations):
        builder.add_association(ref_1="g0", ref_2=f"far-{number}")
    await builder.drain()
    chunk = builder._cut()
    assert chunk is not None
    return chunk


async def body(chunk: Chunk) -> bytes:
    """Give a chunk's document, as it is sent."""
    return b"".join([bytes(block) async for block in chunk.blocks()])


def flat(document: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    """Give the records of a document in their order."""
    return [(kind, record) for kind, records in document.items() for record in records]


@st.composite
def shapes(draw: st.DrawFn) -> tuple[list[int | None], int, int, int]:
    """Choose what is in a chunk."""
    count = draw(st.integers(0, 7))
    link = st.none() | st.integers(0, count - 1) if count else st.none()
    links = draw(st.lists(link, min_size=count, max_size=count))
    indicators = draw(st.integers(0 if count else 1, 5))
    return links, indicators, draw(st.integers(0, 3)), draw(st.integers(0, count))


@given(shapes(), st.integers(60, 800), st.booleans())
def test_parts_are_the_whole(
    shape: tuple[list[int | None], int, int, int], limit: int, halve: bool
) -> None:
    """Joined they have the same records in the same order, places and files included."""

    async def check() -> None:
        chunk = await chunk_of(*shape)
        records = Records(chunk)
        parts = records.halves() if halve else records.within(limit)
        documents = [orjson.loads(await body(part)) for part in parts]

        assert len(records) == chunk.count
        assert [one for document in documents for one in flat(document)] == flat(chunk.decode())
        for number, cut in enumerate(chunk.cuts):
            places = [place for part in parts for run in part.cuts[number].places for place in run]
            assert places == [place for run in cut.places for place in run]
        assert [item.xid for part in parts for item in part.files] == sorted(
            (item.xid for item in chunk.files),
            key=[group["xid"] for group in chunk.decode()["group"]].index if shape[0] else None,
        )
        for part, document in zip(parts, documents, strict=True):
            here = {group["xid"] for group in document.get("group", ())}
            assert {item.xid for item in part.files} <= here
            assert part.number == chunk.number
            assert not part.indicators.count or part.indicators.refers
            if not halve and part.size > limit:
                assert len(Records(part).seams) == 1

    anyio.run(check)


@given(shapes())
def test_nothing_points_to_a_later_part(shape: tuple[list[int | None], int, int, int]) -> None:
    """However small the parts, a group is in the part of what it points to, or in a later one."""

    async def check() -> None:
        chunk = await chunk_of(*shape)
        come: set[str] = set()
        for part in Records(chunk).within(1):
            groups = part.decode().get("group", [])
            come |= {group["xid"] for group in groups}
            for group in groups:
                assert come.issuperset(group.get("associatedGroupXid", ()))

    anyio.run(check)


async def test_the_most_that_fits() -> None:
    """A part takes what the limit allows, to the byte that is kept for its frame."""
    chunk = await chunk_of([None] * 10)
    size = (await chunk_of([None] * 4)).size + len(',"indicator":[],"association":[]')

    assert [part.count for part in Records(chunk).within(size)] == [4, 4, 2]
    assert [part.count for part in Records(chunk).within(size - 1)] == [3, 3, 3, 1]


async def test_halves_are_about_equal() -> None:
    """The middle is found, beside a circle too; what cannot be cut is given as it is."""
    assert [part.count for part in Records(await chunk_of([None] * 9)).halves()] == [4, 5]
    assert [part.count for part in Records(await chunk_of([None, None])).halves()] == [1, 1]
    circle = await chunk_of([None, *[2, 3, 4, 5, 1], None])
    assert [part.count for part in Records(circle).halves()] in ([1, 6], [6, 1])
    alone = await chunk_of([1, 0])
    assert Records(alone).halves() == [alone]
