"""Jobs that the server gives up on: what it gives up for is found, and the rest arrives."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.submitting import OWNER, Place, Points, Time, Wire, fill

from aiotcbatch.errors import CriticalError
from aiotcbatch.events import ClientEvent, JobRecut
from aiotcbatch.sandbox import FailedJob, PoisonedJob, Sandbox
from aiotcbatch.submitting.isolating import MOST_FAILED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiotcbatch.batch import Batch
    from aiotcbatch.results.status import BatchStatus

BATCH = {"validate": False}
#: Tags of a shape at which the server gives up.
ODD_TAGS = [{"name": {"no": "text"}}]
UNEXPECTED = "Encountered an unexpected Exception while processing batch job."


@asynccontextmanager
async def a_place() -> AsyncIterator[Place]:
    """Give a sandbox and a wire to it."""
    async with Sandbox(owners=[OWNER], synchronous_limit=0) as sandbox:
        wire = Wire(sandbox.api_url, sandbox.auth)
        try:
            yield Place(sandbox, wire, Time(sandbox))
        finally:
            await wire.aclose()


def add(batch: Any, groups: int, indicators: int, bad: set[str], *, linked: bool = False) -> None:
    """
    Add groups and indicators with an attribute each.

    Args:
        batch: Where to.
        groups: How many, ``g0`` and so on.
        indicators: How many, ``i0`` and so on.
        bad: Those that have odd tags.
        linked: Whether each points to the first group.
    """
    kinds = [(f"g{n}", "group") for n in range(groups)]
    kinds += [(f"i{n}", "indicator") for n in range(indicators)]
    for xid, kind in kinds:
        entity: dict[str, Any] = {
            "xid": xid,
            "attribute": [{"type": "Description", "value": f"about {xid}"}],
        }
        if xid in bad:
            entity["tag"] = ODD_TAGS
        if kind == "group":
            entity |= {"type": "Adversary", "name": xid}
            if linked and xid != "g0":
                entity["associatedGroupXid"] = ["g0"]
            batch.add_group(entity)
        else:
            entity |= {"type": "Host", "summary": f"{xid}.example.com"}
            if linked:
                entity["associatedGroups"] = [{"groupXid": "g0"}]
            batch.add_indicator(entity)


def names(groups: int, indicators: int) -> list[str]:
    """Give the xids of what `add` adds."""
    return [f"g{n}" for n in range(groups)] + [f"i{n}" for n in range(indicators)]


def stored(place: Place) -> dict[str, list[str]]:
    """Give the values of the attributes of what is on the server, by xid."""
    return {
        entity.summary.partition(".")[0]: [attribute.value for attribute in entity.attributes]
        for entity in place.sandbox.entities()
    }


def check(place: Place, status: BatchStatus, xids: list[str], bad: set[str]) -> None:
    """Check that all is there once but for what is bad, which is reported once."""
    assert stored(place) == {xid: [f"about {xid}"] for xid in xids if xid not in bad}
    assert sorted(str(error.xid) for error in status.errors) == sorted(bad)
    assert all(error.code == "0x1003" and error.refused for error in status.errors)
    assert all(job.failure is None for job in status.jobs)
    assert (status.success_count, status.error_count) == (len(xids) - len(bad), len(bad))
    assert status.ok is not bool(bad)


async def test_one_bad_entity(place: Place) -> None:
    """By the hint it costs three jobs more, and nothing but itself; events tell of it."""
    told: list[ClientEvent] = []
    place.wire.events._listener = told.append
    batch = place.batch(**BATCH)
    add(batch, 5, 20, {"i7"}, linked=True)
    status = await batch.submit()

    check(place, status, names(5, 20), {"i7"})
    assert len(place.documents()) == 4
    (recut,) = [event for event in told if isinstance(event, JobRecut)]
    assert (recut.jobs, recut.error, recut.limit) == (3, "CriticalError", None)
    assert (len(batch), batch.file_len) == (0, 0)


async def test_links_are_made(place: Place) -> None:
    """Also those of what was there already when the server gave up, which made none."""
    batch = place.batch(**BATCH, attribute_write_type="Append")
    add(batch, 3, 6, {"i5"}, linked=True)
    check(place, await batch.submit(), names(3, 6), {"i5"})

    links = [link for entity in place.sandbox.entities() for link in entity.associations]
    assert len(links) == 2 * (2 + 5)


async def test_what_points_to_it_waits(place: Place) -> None:
    """A later job whose entities point to its groups is not sent before they are all there."""
    place.sandbox.faults.add("job", PoisonedJob(frozenset({"g4"}), "none"))
    batch = place.batch(**BATCH, max_entities_per_job=6)
    add(batch, 6, 12, set(), linked=True)
    status = await batch.submit()

    check(place, status, names(6, 12), {"g4"})
    links = [link for entity in place.sandbox.entities() for link in entity.associations]
    assert len(links) == 2 * (4 + 12)


@given(
    st.integers(0, 12),
    st.integers(1, 30),
    st.data(),
    st.sampled_from(["right", "wrong", "none", "real"]),
    st.booleans(),
    st.sampled_from(["Replace", "Append"]),
)
@settings(max_examples=25)
def test_wherever_they_are(
    groups: int, indicators: int, data: st.DataObject, hint: str, linked: bool, write: str
) -> None:
    """
    However many, wherever, and whatever the server says about them: each is reported, once.

    All others are there, with their attributes once; and the number of jobs is bounded.
    """
    xids = names(groups, indicators)
    # What points to a bad group is no part of this.
    culprits = [xid for xid in xids if xid != "g0"] if linked else xids
    bad = data.draw(st.sets(st.sampled_from(culprits), max_size=4)) if culprits else set()

    async def run() -> None:
        async with a_place() as place:
            batch = place.batch(**BATCH, attribute_write_type=write, max_entities_per_job=20)
            add(
                batch,
                groups,
                indicators,
                bad if hint == "real" else set(),
                linked=linked and groups > 0,
            )
            if hint != "real":
                place.sandbox.faults.add("job", PoisonedJob(frozenset(bad), hint))
            first = -(-len(xids) // 20)
            check(place, await batch.submit(), xids, bad)

            most = first + len(bad) * (2 * math.ceil(math.log2(20)) + 3)
            assert len(place.documents()) <= most

    anyio.run(run)


async def test_a_large_job(place: Place) -> None:
    """Of thousands, one that the server does not name is found by halves."""
    place.sandbox.faults.add("job", PoisonedJob(frozenset({"i1234"}), "none"))
    batch = place.batch(**BATCH)
    add(batch, 0, 3000, set())
    check(place, await batch.submit(), names(0, 3000), {"i1234"})

    assert len(place.documents()) <= 1 + 2 * math.ceil(math.log2(3000))


async def test_a_server_that_always_gives_up(place: Place) -> None:
    """The search ends after so many parts; then it is a failure of the job, as it is of all."""
    place.sandbox.faults.add(
        "job",
        FailedJob("0x1003", "Encountered an unexpected Exception while processing batch job."),
    )
    batch = place.batch(**BATCH)
    add(batch, 0, 500, set())
    with pytest.raises(CriticalError, match="the server gave up on job"):
        await batch.submit()

    assert len(place.documents()) <= 2 * MOST_FAILED


async def test_a_server_that_gives_up_once(place: Place) -> None:
    """Nobody is blamed for what does not happen again."""
    place.sandbox.faults.add("job", FailedJob(), times=1)
    batch = place.batch(**BATCH)
    add(batch, 2, 5, set())
    check(place, await batch.submit(), names(2, 5), set())

    assert len(place.documents()) == 3


async def test_a_batch_that_is_to_halt(place: Place) -> None:
    """With halt_on_error of the batch nothing more is sent, as after every error of the server."""
    batch = place.batch(**BATCH, halt_on_error=True)
    add(batch, 0, 5, {"i2"})
    with pytest.raises(CriticalError):
        await batch.submit()

    assert len(place.documents()) == 1


@pytest.mark.parametrize("halt", [True, False, None])
@pytest.mark.parametrize("errors", [True, False])
async def test_whatever_a_submit_asks_for(place: Place, halt: bool | None, errors: bool) -> None:
    """It is no failing step, so it is not raised; and errors are fetched where it needs them."""
    batch = place.batch(**BATCH)
    add(batch, 0, 9, {"i4"})
    status = await batch.submit(errors=errors, halt_on_error=halt)

    check(place, status, names(0, 9), {"i4"})


async def test_a_file_of_what_is_bad(place: Place) -> None:
    """It is not uploaded, and that is said; those of all others are."""
    batch = place.batch(**BATCH)
    for xid in ("d0", "d1", "d2"):
        document = batch.document(xid, "f.txt", xid=xid, file_content=xid.encode())
        if xid == "d1":
            document.data["tag"] = ODD_TAGS
    status = await batch.submit()

    assert {upload.xid: upload.uploaded for upload in status.uploads} == {
        "d0": True,
        "d1": False,
        "d2": True,
    }
    assert {xid: file.content for xid, file in place.sandbox.files.items()} == {
        "d0": b"d0",
        "d2": b"d2",
    }


async def test_a_circle(place: Place) -> None:
    """Groups that point to each other are not cut apart: all are named, however many are there."""
    batch = place.batch(**BATCH)
    add(batch, 0, 4, set())
    for number in range(3):
        group = {"xid": f"c{number}", "type": "Adversary", "name": f"c{number}"}
        group |= {"associatedGroupXid": [f"c{(number + 1) % 3}"]}
        batch.add_group(group | ({"tag": ODD_TAGS} if number == 1 else {}))
    status = await batch.submit()

    assert {error.xid for error in status.errors} == {"c0", "c1", "c2"}
    assert (status.success_count, status.error_count, status.unprocess_count) == (5, 1, 1)


async def test_in_one_request(place: Place) -> None:
    """Without ids and errors the counts tell that the server gave up."""
    place.sandbox.configure(synchronous_limit=100)
    batch = place.batch(**BATCH, create_and_upload=True)
    add(batch, 0, 9, {"i4"})
    status = await batch.submit()

    assert stored(place).keys() == {f"i{n}" for n in range(9)} - {"i4"}
    assert (status.success_count, status.error_count) == (8, 1)


async def test_a_delete(place: Place) -> None:
    """Where nothing was done yet, it is cut again; where something was, it would be refused."""
    batch = place.batch(**BATCH)
    add(batch, 0, 8, set())
    await batch.submit()
    place.sandbox.faults.add("job", PoisonedJob(frozenset({"i3"})))
    batch = place.batch(**BATCH, action="Delete")
    add(batch, 0, 8, set())
    status = await batch.submit()

    assert list(stored(place)) == ["i3"]
    assert [error.xid for error in status.errors] == ["i3"]


async def test_append_where_it_is_not_known_what_is_there(place: Place) -> None:
    """An error before the place where it gave up: nothing is sent again, and the job has failed."""
    batch = place.batch(**BATCH, attribute_write_type="Append")
    batch.host("odd.example.com", xid="odd").attribute("No Such Type", "text")
    add(batch, 0, 9, {"i4"})
    fill(batch, 3)
    with pytest.raises(CriticalError, match="correct what is named, and add its entities again"):
        await batch.submit()

    assert len(place.documents()) == 1
    assert stored(place) == {"odd": [], **{f"i{n}": [f"about i{n}"] for n in range(4)}}
    assert len(batch) == 0


async def test_a_stream(place: Place) -> None:
    """A stream does likewise, whatever its halt_on_failure."""
    from aiotcbatch.client import Client  # noqa: PLC0415

    async with Client(place.sandbox.api_url, place.sandbox.auth) as client:
        async with client.stream(OWNER, halt_on_error=False, validate=False, linger=0) as stream:
            add(stream, 2, 9, {"g1", "i4"})
        assert (stream.status.success_count, stream.status.error_count) == (9, 2)
    assert stored(place).keys() == set(names(2, 9)) - {"g1", "i4"}


async def test_step_by_step(place: Place) -> None:
    """Who takes the steps decides by himself: nothing is cut, the error names the entity."""
    batch: Batch = place.batch(**BATCH)
    add(batch, 0, 5, {"i2"})
    number = await batch.submit_job()
    assert number is not None
    await batch.submit_data(number)
    await batch.poll(number)

    assert [error.xid for error in await batch.errors(number)] == ["i2"]
    assert len(place.documents()) == 1


@pytest.mark.parametrize("hint", ["real", "none"])
async def test_every_moment_in_a_journal(place: Place, tmp_path: Path, hint: str) -> None:
    """Broken off at whichever request, another batch brings the rest: nothing lost or doubled."""
    bad = {"i2"}
    stop = 0
    broken_off = True
    while broken_off:
        stop += 1
        await place.sandbox.reset()
        place.sandbox.faults.clear()
        if hint == "none":
            place.sandbox.faults.add("job", PoisonedJob(frozenset(bad), "none"))
        path = tmp_path / f"journal-{stop}"
        told: list[BatchStatus] = []
        options = {**BATCH, "journal": path, "attribute_write_type": "Append"}
        with anyio.CancelScope() as scope:
            points = Points(scope.cancel, stop)
            place.wire.at = points.at
            async with place.batch(**options) as batch:
                add(batch, 1, 4, bad if hint == "real" else set(), linked=True)
                await batch.drain()
                told += [status async for status in batch.submit_iter()]
        place.wire.at = None
        broken_off = scope.cancelled_caught
        async with place.batch(**options) as batch:
            told += await batch.submit_all()

        assert stored(place) == {xid: [f"about {xid}"] for xid in names(1, 4) if xid not in bad}
        assert {error.xid for status in told for error in status.errors} <= bad
        assert [status.failure for status in told if status.failure is not None] == []
        assert not path.exists()
    assert stop > 10
