"""Submits that are broken off at every point: the next one brings the rest, and nothing twice."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint
from support.submitting import OWNER, UPLOAD, Place, Points, Time, Wire, fill

from aiotcbatch.errors import AiotcbatchError, ConnectionLostError, JobError
from aiotcbatch.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiotcbatch.batch import Batch
    from aiotcbatch.results.status import BatchStatus

#: The entities of `build`.
SENT = 8


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """Give a sandbox and a wire to it."""
    async with Sandbox(owners=[OWNER], synchronous_limit=0) as sandbox:
        wire = Wire(sandbox.api_url, sandbox.auth)
        yield Place(sandbox, wire, Time(sandbox))
        await wire.aclose()


def build(place: Place, **options: object) -> Batch:
    """Make a batch of three jobs, of which each points to the one before it, and three files."""
    batch = place.batch(max_entities_per_job=3, max_jobs=2, **options)
    first = batch.document("first", "first.txt", xid="d-1", file_content=b"one")
    batch.document("second", "second.txt", xid="d-2", file_content=lambda xid: f"of {xid}")
    third = batch.report("third", "third.txt", xid="r-3", file_content="three")
    third.association(first.xid)
    batch.campaign("fourth", xid="c-4").association(third.xid)
    fill(batch, 3)
    batch.address("10.9.9.9").association("c-4")
    return batch


def assert_all_there(place: Place) -> None:
    """Check that everything of `build` is on the server, linked, with its files."""
    stored = {entity.xid or entity.summary: entity for entity in place.sandbox.entities()}
    assert len(stored) == SENT
    assert {xid: file.content for xid, file in place.sandbox.files.items()} == {
        "d-1": b"one",
        "d-2": b"of d-2",
        "r-3": b"three",
    }
    linked = sum(len(entity.associations) for entity in stored.values())
    assert linked == 6  # three links, seen from both ends


async def submit(batch: Batch) -> list[BatchStatus]:
    """Submit everything, telling all jobs at the end."""
    return await batch.submit_all()


async def iterate(batch: Batch) -> list[BatchStatus]:
    """Submit everything, telling each job as it ends."""
    return [status async for status in batch.submit_iter()]


def some_of(points: int) -> range:
    """Choose every third point, from another one in each run; all of them if asked to look hard."""
    if os.environ.get("HYPOTHESIS_PROFILE") == "thorough":
        return range(1, points + 1)
    return range(random.randint(1, 3), points + 1, 3)


WAYS = pytest.mark.parametrize("way", [submit, iterate])


async def broken_off(
    place: Place, way: Callable, at: int, **options: object
) -> tuple[Batch, Points]:
    """Cancel a submit at a point, 0 for none; give the batch and the points."""
    batch = build(place, **options)
    with anyio.CancelScope() as scope:
        points = Points(scope.cancel, at)
        place.wire.at, place.time.on_sleep = points.at, points.count
        await way(batch)
    place.wire.at = place.time.on_sleep = None
    return batch, points


@WAYS
async def test_what_is_cancelled_is_gone_on_with(place: Place, way: Callable) -> None:
    """Cancelled before or after any request, a second submit brings the rest, and nothing twice."""
    _, points = await broken_off(place, way, 0)
    assert_all_there(place)
    assert points.passed > 30
    for at in some_of(points.passed):
        await place.sandbox.reset()
        batch, cut = await broken_off(place, way, at)
        if not cut.where:
            continue  # a poll less than the first time
        told = await way(batch)

        assert_all_there(place)
        assert len(place.sent()) == SENT, cut.where
        assert (len(batch), batch.file_len) == (0, 0), cut.where
        if way is submit:
            assert sum(status.success_count for status in told) == SENT, cut.where
            assert sum(len(status.uploads) for status in told) == 3, cut.where


@WAYS
async def test_a_broken_connection_is_gone_on_with(place: Place, way: Callable) -> None:
    """The connection lost before or after any request: an error at worst, and nothing twice."""
    _, points = await broken_off(place, way, 0)
    for at in some_of(points.passed):
        await place.sandbox.reset()
        batch = build(place)
        place.wire.at = Points(lose, at).at
        with suppress(AiotcbatchError):
            await way(batch)
        place.wire.at = None
        await way(batch)

        assert_all_there(place)
        assert len(place.sent()) == SENT


def lose() -> None:
    """Break a connection."""
    raise ConnectionLostError("lost")


async def test_at_once_nothing_is_lost(place: Place) -> None:
    """In the one-request form a submit that was cancelled is sent again, as Replace allows."""
    _, points = await broken_off(place, submit, 0, create_and_upload=True)
    for at in some_of(points.passed):
        await place.sandbox.reset()
        batch, _ = await broken_off(place, submit, at, create_and_upload=True)
        await submit(batch)

        assert_all_there(place)
        assert (len(batch), batch.file_len) == (0, 0)


async def test_at_once_append_is_never_repeated(place: Place) -> None:
    """With Append what may be there is not sent again, and that is said."""
    options = {"create_and_upload": True, "attribute_write_type": "Append"}
    _, points = await broken_off(place, submit, 0, **options)
    told: list[str] = []
    for at in some_of(points.passed):
        await place.sandbox.reset()
        batch, _ = await broken_off(place, submit, at, **options)
        while len(batch) or batch.file_len:
            try:
                await submit(batch)
            except JobError as error:
                told.append(str(error))

        assert len(place.sent()) == len(set(place.sent()))
        assert (len(batch), batch.file_len) == (0, 0)
    assert told
    assert all("Append" in text for text in told)


async def test_leaving_a_loop_leaves_the_rest_pending(place: Place) -> None:
    """After a break, without closing the iterator, another submit can begin at once."""
    batch = build(place)
    async for status in batch.submit_iter():
        assert status.completed
        break
    told = await batch.submit_all()

    assert_all_there(place)
    assert len(place.sent()) == SENT
    assert sum(status.success_count for status in told) == SENT - 3


def cancel_upload(scope: anyio.CancelScope, *, is_done: bool) -> Callable:
    """Make what cancels a scope before or after an upload."""

    async def at(asked: str, now_done: bool) -> None:
        if (asked, now_done) == (UPLOAD, is_done):
            scope.cancel()
            await checkpoint()

    return at


async def test_an_upload_that_was_broken_off_is_asked_about_first(place: Place) -> None:
    """Nothing is uploaded again before the job's status says that it has not come."""
    for is_done in (False, True):
        await place.sandbox.reset()
        batch = place.batch()
        fill(batch, 2)
        with anyio.CancelScope() as scope:
            place.wire.at = cancel_upload(scope, is_done=is_done)
            await batch.submit()
        place.wire.at = None
        place.wire.asked.clear()
        assert len(batch) == 2
        await batch.submit()

        assert place.wire.asked[0] == "GET /v2/batch/{id}"
        assert (UPLOAD in place.wire.asked) is not is_done
        assert len(place.sent()) == 2
        assert len(place.sandbox.jobs) == 1
