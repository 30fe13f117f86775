"""Order: of an entity that several jobs have the last values stay, whatever is sent again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from support.submitting import OWNER, STATUS, UPLOAD, Place, Points

from aiotcbatch.errors import UnavailableError
from aiotcbatch.sandbox import PoisonedJob, Status, StuckJob, unavailable
from aiotcbatch.stream import Stream
from aiotcbatch.submitting.job import Job, JobSettings, Phase
from aiotcbatch.submitting.overtaking import put_in_order
from aiotcbatch.submitting.recorder import NO_RECORDER
from aiotcbatch.submitting.steps import Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiotcbatch.batch import Batch
    from aiotcbatch.results.status import BatchStatus

LONG = 1e9
TWICE = "twice.bad.example"


def stream_of(place: Place, halt: bool = False, **options: Any) -> Stream:
    """Make a stream of jobs of two entities."""
    options.setdefault("clock", clock_of(place))
    settings = JobSettings(owner=OWNER, halt_on_error=False)
    return Stream(
        place.wire,
        settings,
        linger=1e12,
        poll_timeout=1e12,
        max_entities_per_job=2,
        halt_on_failure=halt,
        **options,
    )


def clock_of(place: Place) -> Clock:
    """Make a clock on which all passes at once but the time until a job is due."""

    async def sleep(seconds: float) -> None:
        if seconds > LONG:
            await anyio.sleep_forever()
        await place.time.sleep(seconds)

    return Clock(now=place.time.clock.now, sleep=sleep)


def let_go_wrong(place: Place, what: str) -> None:
    """Have the server forget the first job, or give up on it, whose part is in another one."""
    if what == "forgotten":
        place.sandbox.faults.add("status", Status(404), times=1)
    else:
        place.sandbox.faults.add("job", PoisonedJob("bad", what))


def after_uploads(place: Place, count: int) -> None:
    """Let no job be asked about before so many are on the server."""
    there, done = 0, anyio.Event()

    async def at(asked: str, is_done: bool) -> None:
        nonlocal there
        if asked == UPLOAD and is_done:
            there += 1
            if there == count:
                done.set()
        elif asked == STATUS and not is_done:
            await done.wait()

    place.wire.at = at


def add_first(builder: Batch | Stream) -> None:
    """Add the first job: an entity that comes again, and one that may be bad."""
    builder.host(TWICE, 1, 10)
    builder.host("bad.bad.example", xid="bad")


def add_second(builder: Batch | Stream) -> None:
    """Add the second job, with newer values of the same entity, and one of its own."""
    builder.host(TWICE, 2, 20)
    builder.host("other.bad.example")


async def sent(stream: Stream, add: Callable[[Stream], object]) -> None:
    """Add something, and wait until a job is made of it."""
    add(stream)
    await stream.drain()
    while len(stream):
        await checkpoint()


def rating(place: Place) -> float | None:
    """Give the value that the server has in the end."""
    (found,) = [entity for entity in place.sandbox.entities() if entity.summary == TWICE]
    return found.rating


WRONG = pytest.mark.parametrize("what", ["forgotten", "right", "none"])


@WRONG
@pytest.mark.parametrize("halt", [True, False])
async def test_a_stream(place: Place, what: str, halt: bool) -> None:
    """The later job is sent again behind the earlier one, and told once."""
    told: list[BatchStatus] = []
    let_go_wrong(place, what)
    after_uploads(place, 3)
    async with stream_of(place, halt, on_job=told.append) as stream:
        for add in (add_first, add_second):
            await sent(stream, add)
        stream.host("third.bad.example")

    assert rating(place) == 2
    assert stream.status.success_count == (5 if what == "forgotten" else 4)
    assert sum(status.success_count for status in told) == stream.status.success_count
    summaries = [host["summary"] for doc in place.documents() for host in doc["indicator"]]
    assert summaries.count("other.bad.example") == 2
    assert summaries.count("third.bad.example") == 1  # that job has nothing of the first one


@WRONG
@pytest.mark.parametrize("call", ["submit", "submit_all", "submit_iter"])
async def test_a_batch(place: Place, what: str, call: str) -> None:
    """What another task drains while a submit runs comes after what it has sent."""
    let_go_wrong(place, what)
    after_uploads(place, 2)
    batch = place.batch(max_entities_per_job=2)
    add_first(batch)
    batch.host("third.bad.example")
    wait = place.wire.at
    added = []

    async def at(asked: str, is_done: bool) -> None:
        if asked == UPLOAD and is_done and not added:
            added.append(batch.host(TWICE, 2, 20))
            await batch.drain()
        if wait is not None:
            await wait(asked, is_done)

    place.wire.at = at
    if call == "submit_iter":
        told = [status async for status in batch.submit_iter()]
    elif call == "submit_all":
        told = await batch.submit_all()
    else:
        told = [await batch.submit()]

    assert rating(place) == 2
    assert sum(status.success_count for status in told) == (4 if what == "forgotten" else 3)


async def test_one_that_may_be_forgotten_is_not_overtaken(place: Place) -> None:
    """While the server cannot be asked about a job, what has links to its groups waits for it."""
    resting, rested = anyio.Event(), anyio.Event()

    async def sleep(seconds: float) -> None:
        if 1 <= seconds < LONG:  # before a job is tried again
            resting.set()
            await rested.wait()
        await clock_of(place).sleep(seconds)

    place.sandbox.faults.add("job", StuckJob(), times=1)
    place.sandbox.faults.add("status", unavailable(), times=1)
    place.sandbox.faults.add("status", Status(404), times=1)
    clock = Clock(now=place.time.clock.now, sleep=sleep)
    async with stream_of(place, clock=clock) as stream:
        stream.adversary("g", "g")
        stream.adversary("h", "h")
        await stream.drain()
        await resting.wait()
        stream.host(TWICE).association("g")
        stream.host("other.bad.example").association("h")
        await stream.drain()
        await anyio.wait_all_tasks_blocked()
        rested.set()

    assert stream.status.success_count == 4
    assert stream.status.ok
    (twice,) = [entity for entity in place.sandbox.entities() if entity.summary == TWICE]
    assert len(twice.associations) == 1


async def test_one_of_which_nothing_can_be_told_is_passed(place: Place) -> None:
    """After three times at which the server has answered, others go on without it."""
    passed = anyio.Event()

    def on_job(status: BatchStatus) -> None:
        if status.id == 2:
            passed.set()

    request = place.wire.request

    async def refuse(method: str, path: str, **rest: Any) -> Any:
        if (method, path) == ("GET", "/v2/batch/1") and not passed.is_set():
            raise UnavailableError("not now", status=503)
        return await request(method, path, **rest)

    place.wire.request = refuse  # type: ignore[method-assign]
    async with stream_of(place, on_job=on_job) as stream:
        for add in (add_first, add_second):
            await sent(stream, add)
        with anyio.fail_after(200):
            await passed.wait()
        await stream.flush()  # at the end a job is tried once more only

    assert stream.status.success_count == 4


def add_about(value: str, other: str, stream: Stream) -> None:
    """Add something about an entity, and another entity."""
    stream.host(TWICE).attribute("Description", value)
    stream.host(f"{other}.bad.example", xid=other)


async def test_appended_attributes_are_not_added_twice(place: Place) -> None:
    """With Append the later job is not sent again, whatever is sent after it."""
    let_go_wrong(place, "right")
    after_uploads(place, 2)
    settings = JobSettings(owner=OWNER, halt_on_error=False, attribute_write_type="Append")
    async with Stream(
        place.wire, settings, linger=1e12, max_entities_per_job=2, clock=clock_of(place)
    ) as stream:
        for value, other in (("first", "bad"), ("second", "other")):
            await sent(stream, partial(add_about, value, other))

    (found,) = [entity for entity in place.sandbox.entities() if entity.summary == TWICE]
    assert sorted(attribute.value for attribute in found.attributes) == ["first", "second"]


async def test_one_that_may_be_there_is_sent_again(place: Place) -> None:
    """A later job whose upload was broken off may have arrived, and comes after all the same."""
    batch = place.batch(max_entities_per_job=2)
    jobs = []
    for add in (add_first, add_second):
        add(batch)
        await batch.drain()
        chunk = batch._cut()
        assert chunk is not None
        jobs.append(Job(JobSettings(owner=OWNER), chunk))
    jobs[1].created(1)
    jobs[1].uploading()
    await put_in_order(jobs, NO_RECORDER)
    await batch.aclose()

    assert jobs[1].phase is Phase.CUT
    assert jobs[1].waits_for(jobs[0])


class TestJournal:
    """Whoever goes on with a journal goes on in its order."""

    @WRONG
    async def test_every_moment(self, place: Place, tmp_path: Path, what: str) -> None:
        """Broken off at whichever request, the last values stay, by a batch or a stream."""
        stop = 0
        broken_off = True
        while broken_off:
            stop += 1
            await place.sandbox.reset()
            place.sandbox.faults.clear()
            let_go_wrong(place, what)
            path = tmp_path / f"journal-{stop}"
            wait, drained = uploads(place, 2), False
            with anyio.CancelScope() as scope:
                points = Points(scope.cancel, stop)

                async def at(
                    asked: str,
                    is_done: bool,
                    points: Points = points,
                    wait: Callable[[str, bool], Any] = wait,
                ) -> None:
                    await wait(asked, is_done)
                    await points.at(asked, is_done)

                place.wire.at = at
                async with stream_of(place, journal=path) as stream:
                    await sent(stream, add_first)
                    add_second(stream)
                    await stream.drain()
                    drained = True
                    await stream.flush()
            broken_off = scope.cancelled_caught
            place.wire.at = None
            if stop % 2:
                async with place.batch(journal=path) as batch:
                    await batch.submit()
            else:
                async with stream_of(place, journal=path):
                    pass

            assert rating(place) == 2 or not drained, points.where
            assert not path.exists()
        assert stop > 10


def uploads(place: Place, count: int) -> Callable[[str, bool], Any]:
    """Give what lets no job be asked about before so many are on the server."""
    after_uploads(place, count)
    assert place.wire.at is not None
    return place.wire.at
