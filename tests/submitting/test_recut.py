"""Jobs that are larger than the server takes: they are cut again, and the limit is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from support.submitting import CREATE, OWNER, UPLOAD, Place, Points, Time, Wire, fill

from aiotcbatch.client import Client
from aiotcbatch.errors import ConnectionLostError, UploadTooLargeError
from aiotcbatch.events import ClientEvent, JobRecut
from aiotcbatch.sandbox import Sandbox, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

#: Bytes of a document: about seven addresses.
LIMIT = 800


@pytest.fixture
async def told() -> list[ClientEvent]:
    """Give what the wire tells."""
    return []


@pytest.fixture
async def place(told: list[ClientEvent]) -> AsyncIterator[Place]:
    """Give a sandbox that takes small documents only, and a wire to it."""
    async with Sandbox(owners=[OWNER], upload_limit=LIMIT) as sandbox:
        wire = Wire(sandbox.api_url, sandbox.auth)
        wire.events._listener = told.append
        yield Place(sandbox, wire, Time(sandbox))
        await wire.aclose()


def sizes(place: Place) -> list[int]:
    """Give the sizes of the documents that the server has taken."""
    return [len(job.body) for job in place.sandbox.jobs if job.body is not None]


def linked(batch: Any, count: int) -> None:
    """Add groups of which each points to the one before it, with hosts that point to them."""
    for number in range(count):
        group = batch.adversary(f"a{number}", f"a{number}")
        if number:
            group.association(f"a{number - 1}")
        batch.host(f"h{number}.example.com", xid=f"h{number}").association(f"a{number}")
    batch.add_association(ref_1="a0", ref_2=f"a{count - 1}")


@pytest.mark.parametrize("at_once", [False, True])
async def test_it_is_cut_again(place: Place, told: list[ClientEvent], at_once: bool) -> None:
    """Everything arrives once, in jobs within the limit, and an event says so."""
    batch = place.batch(create_and_upload=at_once, attribute_write_type="Append")
    fill(batch, 40)
    jobs = await batch.submit_all()

    assert all(status.ok for status in jobs)
    assert sum(status.success_count for status in jobs) == len(place.sent()) == 40
    assert len(place.stored()) == 40
    assert max(sizes(place)) <= LIMIT
    (recut,) = [event for event in told if isinstance(event, JobRecut)]
    assert (recut.limit, recut.error, recut.jobs) == (LIMIT, "UploadTooLargeError", len(jobs))
    assert place.wire.document_limit == LIMIT


async def test_order_and_links(place: Place) -> None:
    """What is pointed to comes first, so that all links are made."""
    batch = place.batch()
    linked(batch, 12)
    batch.document("d", "f.txt", xid="d", file_content=b"text").association("a11")
    status = await batch.submit()

    assert status.ok
    assert (status.success_count, status.success_association_count) == (25, 1)
    assert len(status.jobs) == 3
    assert place.sandbox.files["d"].content == b"text"


async def test_it_is_remembered(place: Place) -> None:
    """Of this client, no other batch or stream sends one that is too large."""
    batch = place.batch()
    fill(batch, 20)
    await batch.submit()
    place.wire.asked.clear()
    again = place.batch()
    fill(again, 40)
    jobs = await again.submit_all()

    assert sum(status.success_count for status in jobs) == 40
    assert place.wire.asked.count(UPLOAD) == place.wire.asked.count(CREATE) == len(jobs)


async def test_one_by_one(place: Place) -> None:
    """submit_iter gives a status for each job that was made of it."""
    batch = place.batch()
    fill(batch, 40)
    told = [status.success_count async for status in batch.submit_iter()]

    assert len(told) > 3
    assert sum(told) == 40


async def test_a_stream() -> None:
    """A stream does likewise, and counts everything once."""
    async with (
        Sandbox(owners=[OWNER], upload_limit=LIMIT) as sandbox,
        Client(sandbox.api_url, sandbox.auth) as client,
    ):
        async with client.stream(OWNER, linger=0) as stream:
            linked(stream, 20)
        assert stream.status.success_count == 40
        assert (stream.status.error_count, stream.status.error_association_count) == (0, 0)
        assert stream.statistics().memory_bytes == 0
        assert len(list(sandbox.entities())) == 40
        refused = [job for job in sandbox.jobs if job.body is None]
        assert len(refused) == 1


async def test_step_by_step(place: Place) -> None:
    """The job gets as much as the server takes, and the rest stays pending."""
    batch = place.batch()
    fill(batch, 20)
    number = await batch.submit_job()
    assert number is not None
    await batch.submit_data(number)

    assert 0 < len(batch) < 20
    assert place.wire.asked.count(CREATE) == 1
    await batch.poll(number)
    await batch.submit()
    assert len(place.sent()) == len(place.stored()) == 20


async def test_one_that_is_too_large_alone(place: Place) -> None:
    """It is refused and named, its file too, and the rest is there; nothing is raised."""
    batch = place.batch()
    fill(batch, 10)
    batch.document("big", "f.txt", xid="big", file_content=b"text").attribute(
        "Description", "x" * LIMIT
    )
    fill(batch, 10, first=10)
    status = await batch.submit()

    assert (status.success_count, status.error_count) == (20, 1)
    (error,) = status.errors
    assert (error.xid, error.refused) == ("big", True)
    assert error.reason == f"File size greater than allowable limit of {LIMIT}"
    (upload,) = status.uploads
    assert (upload.uploaded, upload.error) == (False, "the server refused its group")
    assert not status.ok
    assert (len(batch), batch.file_len) == (0, 0)


async def test_step_by_step_too_large_alone(place: Place) -> None:
    """It is raised there, as it cannot be cut, and stays pending."""
    batch = place.batch()
    batch.adversary("big", "big").attribute("Description", "x" * LIMIT)
    number = await batch.submit_job()
    assert number is not None
    with pytest.raises(UploadTooLargeError, match=f"allowable limit of {LIMIT}"):
        await batch.submit_data(number)

    assert len(batch) == 1


async def test_a_circle_stays_together(place: Place) -> None:
    """Groups that point to each other are not cut apart: where they do not fit, all are named."""
    batch = place.batch()
    for number in range(20):
        batch.adversary(f"c{number}", f"c{number}").association(f"c{(number + 1) % 20}")
    fill(batch, 5)
    status = await batch.submit()

    assert (status.success_count, status.error_count) == (5, 20)
    assert sorted(str(error.xid) for error in status.errors) == sorted(f"c{n}" for n in range(20))


async def test_a_proxy_that_names_no_limit(place: Place) -> None:
    """A 413 without a number has the job cut in halves until it fits."""
    place.sandbox.configure(upload_limit=100_000)
    place.sandbox.faults.add("upload", Status(413, b"<html>", "text/html"), times=2)
    batch = place.batch()
    fill(batch, 40)
    status = await batch.submit()

    assert status.ok
    assert len(place.sent()) == len(place.stored()) == 40
    assert place.wire.document_limit is not None
    assert place.wire.document_limit < 2000


async def test_after_an_answer_that_was_lost(place: Place) -> None:
    """It is cut only when the server is known not to have it."""
    place.wire.fail(UPLOAD, ConnectionLostError("lost"), done=False)
    batch = place.batch(attribute_write_type="Append")
    fill(batch, 20)

    assert (await batch.submit()).success_count == 20
    assert len(place.sent()) == 20


async def submit_until(place: Place, path: Path, stop: int) -> bool:
    """Submit from a journal, and be cancelled at one of the requests; say whether that was so."""
    with anyio.CancelScope() as scope:
        points = Points(scope.cancel, stop)
        place.wire.at = points.at
        async with place.batch(journal=path, attribute_write_type="Append") as batch:
            fill(batch, 16)
            batch.document("d", "f.txt", xid="d", file_content=b"text")
            await batch.drain()
            await batch.submit()
    place.wire.at = None
    return scope.cancelled_caught


async def test_every_moment_in_a_journal(place: Place, tmp_path: Path) -> None:
    """Broken off at whichever request, another batch brings the rest, each entity once."""
    stop = 0
    broken_off = True
    while broken_off:
        stop += 1
        await place.sandbox.reset()
        place.wire.document_limit = None
        path = tmp_path / f"journal-{stop}"
        broken_off = await submit_until(place, path, stop)
        async with place.batch(journal=path, attribute_write_type="Append") as batch:
            await batch.submit()

        assert len(place.sent()) == len(set(place.sent())) == 17
        assert place.sandbox.files["d"].content == b"text"
        assert not path.exists()
    assert stop > 10
