"""Shelves: which entities are encoded before drain(), and which are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aiotcbatch.collecting.shelf import CROWD, LinkRules
from aiotcbatch.collecting.typed import TypedBuilder
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiotcbatch.entities.indicator import Address


@pytest.fixture
def builder() -> TypedBuilder:
    """Give an empty builder that validates."""
    return TypedBuilder()


def add(builder: TypedBuilder, number: int) -> Address:
    """Add an address of its own for each number."""
    return builder.address(f"10.0.{number >> 8}.{number & 255}", xid=f"x{number}")


async def sent(builder: TypedBuilder) -> list[dict[str, Any]]:
    """Drain, and read back the indicators that are sent."""
    await builder.drain()
    chunk = builder._cut()
    assert chunk is not None
    return chunk.decode()["indicator"]


async def test_few_are_open_at_once(builder: TypedBuilder) -> None:
    """However many are added before drain(), few stay open, and all are sent in their order."""
    for number in range(20 * CROWD):
        add(builder, number).tag("t")
        assert len(builder._indicators.open) <= CROWD
    assert len(builder) == 20 * CROWD

    indicators = await sent(builder)

    assert [data["xid"] for data in indicators] == [f"x{number}" for number in range(20 * CROWD)]
    assert all(data["tag"] == [{"name": "t"}] for data in indicators)


async def test_nothing_is_sent_before_drain(builder: TypedBuilder) -> None:
    """What is encoded early is sealed by drain() as all else, and sent after it only."""
    for number in range(3 * CROWD):
        add(builder, number)

    assert builder._cut() is None
    assert len(await sent(builder)) == 3 * CROWD


async def test_what_is_held_stays_open(builder: TypedBuilder) -> None:
    """A handle that somebody has is the entity itself until drain(), whatever comes after it."""
    held = [add(builder, number) for number in range(3 * CROWD)]
    for number in range(3 * CROWD, 6 * CROWD):
        add(builder, number)

    assert all(add(builder, number) is held[number] for number in range(len(held)))
    for address in held:
        address.tag("later")

    indicators = await sent(builder)
    assert [data["xid"] for data in indicators] == [f"x{number}" for number in range(6 * CROWD)]
    assert sum("tag" in data for data in indicators) == len(held)


async def test_a_part_holds_its_entity(builder: TypedBuilder) -> None:
    """An attribute or a label that somebody has can be changed until drain()."""
    attribute = add(builder, 0).attribute("Description", "d")
    for number in range(1, 3 * CROWD):
        add(builder, number)
    label = add(builder, number + 1).security_label("L")
    for further in range(number + 2, number + 3 * CROWD):
        add(builder, further)
    attribute.source = "s"
    label.color = "ffffff"

    indicators = await sent(builder)

    assert indicators[0]["attribute"] == [{"type": "Description", "value": "d", "source": "s"}]
    assert indicators[number + 1]["securityLabel"] == [{"name": "L", "color": "ffffff"}]


async def test_naming_it_again_continues_it(builder: TypedBuilder) -> None:
    """An entity that was encoded early is opened again by its xid."""
    add(builder, 0).tag("first")
    for number in range(1, 3 * CROWD):
        add(builder, number)
    assert "x0" not in builder._indicators.open
    add(builder, 0).tag("second")
    assert len(builder) == 3 * CROWD

    found = [data for data in await sent(builder) if data["xid"] == "x0"]

    assert [[tag["name"] for tag in data["tag"]] for data in found] == [["first", "second"]]


async def test_what_cannot_be_sent_is_said_by_drain() -> None:
    """An entity that is larger than a job is refused at drain(), and no sooner; others are sent."""
    builder = TypedBuilder(max_bytes_per_job=5000)
    for number in range(3 * CROWD):
        add(builder, number).attribute("Description", "d" * (5000 if number == CROWD else 1))
    builder.group("Email", "e", "e")
    assert builder.refused == []

    for _ in range(2):
        with pytest.raises(ValidationError, match=r"subject.*discard") as caught:
            await builder.drain()

    assert "max_bytes_per_job, 4" in caught.value.__notes__[0]
    assert "discard" in caught.value.__notes__[0]
    assert list(builder._indicators.open) == [f"x{CROWD}"]
    assert len(builder) == 3 * CROWD + 1
    assert [entity.xid for entity in builder.refused] == ["e", f"x{CROWD}"]

    for entity in builder.refused:
        builder.discard(entity)
    await builder.drain()

    assert builder.refused == []
    assert len(builder) == 3 * CROWD - 1


@pytest.mark.parametrize("validate", [True, False])
async def test_a_dict_that_is_too_large_is_refused_where_it_is_given(validate: bool) -> None:
    """It is whole, so nobody has to wait for drain() to be told, and nothing is added."""
    builder = TypedBuilder(max_bytes_per_job=5000, validate=validate)
    large: list[dict[str, Any]] = [
        {"type": "Host", "summary": "a.example", "xid": "h"},
        {"type": "Adversary", "name": "a", "xid": "a"},
    ]
    for data in large:
        data["attribute"] = [{"type": "Description", "value": "d" * 5000}]
        with pytest.raises(ValidationError, match=rf"'{data['xid']}': data .* max_bytes_per_job"):
            builder.add(data)
    refused: list[Any] = []
    await builder.extend(large, on_refused=lambda item, _: refused.append(item))

    assert refused == large
    assert len(builder) == 0


async def test_links_that_wait_are_no_part_of_the_size() -> None:
    """What is larger than a job by its links alone is left to drain(), where these may wait."""
    builder = TypedBuilder(max_bytes_per_job=5000)
    links = [{"groupXid": f"group-{number}"} for number in range(500)]
    builder.add({"type": "Host", "summary": "a.example", "xid": "h", "associatedGroups": links})

    with pytest.raises(ValidationError, match="max_bytes_per_job"):
        await builder.drain()


async def test_large_ones_are_encoded_one_by_one(builder: TypedBuilder) -> None:
    """Entities larger than a page are neither lost nor put in disorder."""
    for number in range(3 * CROWD):
        add(builder, number).attribute("Description", "d" * 5000)

    indicators = await sent(builder)

    assert [data["xid"] for data in indicators] == [f"x{number}" for number in range(3 * CROWD)]


async def test_dicts_among_others_are_encoded_too(builder: TypedBuilder) -> None:
    """Dicts that come while entities are open wait behind these, and few of them are open."""
    for number in range(0, 6 * CROWD, 2):
        add(builder, number)
        data = {"type": "Address", "summary": f"10.1.{number >> 8}.{number & 255}"}
        builder.add_indicator({**data, "xid": f"x{number + 1}"})
        assert len(builder._indicators.open) <= CROWD + 1

    indicators = await sent(builder)

    assert [data["xid"] for data in indicators] == [f"x{number}" for number in range(6 * CROWD)]


async def test_a_discarded_one_is_not_sent(builder: TypedBuilder) -> None:
    """What is discarded is forgotten, encoded early or not."""
    for number in range(3 * CROWD):
        add(builder, number)
    builder.discard(add(builder, 0))

    assert "x0" not in {data["xid"] for data in await sent(builder)}


class WaitsForGroups(LinkRules):
    """Lets whatever is linked to a group wait until drain()."""

    def indicator_waits(self, data: Mapping[str, Any]) -> bool:
        return True


async def test_what_waits_for_a_group_stays_open() -> None:
    """An indicator whose group may yet come stays open, and all that came after it."""
    builder = TypedBuilder()
    builder._indicators._links = WaitsForGroups()
    add(builder, 0)
    add(builder, 1).association("g")
    for number in range(2, 3 * CROWD):
        add(builder, number)

    assert next(iter(builder._indicators.open)) == "x1"
    assert len(await sent(builder)) == 3 * CROWD


async def test_a_group_that_is_open_again_is_so_until_it_is_drained() -> None:
    """Whether it is encoded, refused or discarded then; jobs wait for those that are left."""
    builder = TypedBuilder(max_bytes_per_job=1000)
    for xid in ("encoded", "refused", "discarded"):
        builder.adversary("a", xid=xid)
    await builder.drain()
    for xid in ("encoded", "refused", "discarded", "new"):
        builder.adversary("a", xid=xid)
    assert builder._groups.reopened == {"encoded", "refused", "discarded"}

    builder.adversary("a", xid="refused").attribute("Description", "d" * 1000)
    builder.discard(builder.adversary("a", xid="discarded"))
    with pytest.raises(ValidationError, match="max_bytes_per_job"):
        await builder.drain()

    assert builder._groups.reopened == set()
