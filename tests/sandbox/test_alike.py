"""Elements that say the same are read once, and yet each becomes what it would be alone."""

from __future__ import annotations

import json

import pytest

from aiotcbatch.sandbox.catalog import Catalog
from aiotcbatch.sandbox.engine import alike, writer
from aiotcbatch.sandbox.engine.incoming import RefusedError
from aiotcbatch.sandbox.engine.indicators import IndicatorReader
from aiotcbatch.sandbox.store import entities


def host(number, **more):
    """Return a Host as a document has it."""
    return {"type": "Host", "summary": f"{number}.example", "xid": f"x-{number}", **more}


@pytest.fixture
def reader():
    """Return a reader that has not read anything."""
    return IndicatorReader(Catalog())


def test_what_is_the_same_is_read_once(reader):
    """Two that differ in nothing but their name share the rest, and one that differs does not."""
    one, same, other = (
        reader.read(host(number, rating=rating, tag=[{"name": "t"}]), number)
        for number, rating in enumerate((3, 3, 4))
    )

    assert one.details is same.details
    assert (one.summary, same.summary) == ("0.example", "1.example")
    assert (one.details.rating, other.details.rating) == (3, 4)


@pytest.mark.parametrize(("good", "bad"), [(1, True), (1, 1.5), (None, float("inf"))])
def test_what_only_looks_the_same_is_not(reader, good, bad):
    """Values of other types, and an infinite number that JSON writes as null, are refused."""
    reader.read(host(1, confidence=good), 1)

    with pytest.raises(RefusedError, match="invalid confidence"):
        reader.read(host(2, confidence=bad), 2)


def test_a_number_that_is_too_large_is_read_alone(reader):
    """A number of more than 64 bits has no short form, and is refused as ever."""
    for _ in range(2):
        with pytest.raises(RefusedError, match="invalid confidence"):
            reader.read(host(1, confidence=1 << 70), 1)


def test_a_refusal_is_not_remembered(reader):
    """What is refused is refused again, each time by its own name."""
    for number in (1, 2):
        with pytest.raises(RefusedError, match=f"Host {number}.example has an invalid rating"):
            reader.read(host(number, rating=6), number)


def test_very_many_different_ones(reader):
    """However many differ, each is read as what it is, also where none is looked for any more."""
    ratings = [reader.read(host(i, rating=i % 5, firstSeen="2026-01-01", n=i), i) for i in range(5)]
    many = [reader.read(host(i, rating=i % 5, source=f"s-{i}"), i) for i in range(5000)]

    assert [one.details.rating for one in ratings] == [0, 1, 2, 3, 4]
    assert [one.details.rating for one in many] == [i % 5 for i in range(5000)]
    assert [one.details.attributes[0]["value"] for one in many] == [f"s-{i}" for i in range(5000)]
    assert sum(one.details.remembered for one in many) < 1000


async def test_a_label_that_comes_to_exist(call):
    """One that lost a label does not take it from those that say the same after it exists."""
    label = {"name": "Mine"}
    document = {
        "indicator": [
            host(1, securityLabel=[label]),
            host(2, securityLabel=[{**label, "description": "d", "color": "FF0000"}]),
            host(3, securityLabel=[label]),
        ]
    }
    _, status = await call.job(json.dumps(document).encode())
    labels = {one.summary: one.labels for one in call.sandbox.entities()}

    assert (status["successCount"], status["errorCount"]) == (2, 1)
    assert labels == {"1.example": [], "2.example": ["Mine"], "3.example": ["Mine"]}


async def test_what_is_remembered_has_a_bound(call, monkeypatch):
    """When there is more of it, remembering begins anew, and nothing is mixed up."""
    monkeypatch.setattr(alike, "_MOST", 2)
    monkeypatch.setattr(writer, "_MOST", 2)
    monkeypatch.setattr(entities, "_CACHED_NAMES", 2)
    tags = [[{"name": f"t{number % 5}"}] for number in range(20)]
    sent = [host(number, tag=tag) for number, tag in enumerate(tags)]
    _, status = await call.job({"indicator": sent})

    assert status["successCount"] == 20
    assert [[{"name": name} for name in one.tags] for one in call.sandbox.entities()] == tags
