"""The pipeline: order, overlap, bounds, pausing, and whatever happens at whichever request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st
from support.simulated import MISHAPS, Simulated, entities
from support.submitting import Time

from aiotcbatch.batch import Batch
from aiotcbatch.collecting.typed import TypedBuilder
from aiotcbatch.errors import AiotcbatchError, JobError, RequestRefusedError
from aiotcbatch.results.status import BatchStatus
from aiotcbatch.submitting.job import Job, JobSettings
from aiotcbatch.submitting.pipeline import Clock, Halt, Pipeline, SubmitOptions
from aiotcbatch.submitting.polling import PollSchedule

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = JobSettings(owner="MyOrg")


async def jobs_of(count: int, *, linked: bool = False, files: bool = False) -> list[Job]:
    """Make jobs of one group each, of which each may point to the one before it."""
    builder = TypedBuilder(max_entities_per_job=1)
    for number in range(count):
        if files:
            content = {"file_content": f"{number}".encode()}
            builder.document(f"g{number}", "f.txt", xid=f"g{number}", **content)
        else:
            group = builder.adversary(f"g{number}", f"g{number}")
            if linked and number:
                group.association(f"g{number - 1}")
    await builder.drain()
    chunks = [builder._cut() for _ in range(count)]
    return [Job(SETTINGS, chunk) for chunk in chunks if chunk is not None]


def pipeline_of(
    server: Any, jobs: Iterator[Job | None] | list[Job], clock: Clock | None = None, **options: Any
) -> Pipeline:
    """Make a pipeline to a simulated server."""
    chosen = SubmitOptions(**options)
    return Pipeline(server, PollSchedule(), chosen, iter(jobs), clock or Time().clock)


class TestOrder:
    """Which job when."""

    async def test_jobs_overlap(self) -> None:
        """While the server works at one, others wait there, as many as allowed."""
        server = Simulated(looks=5)
        pipeline = pipeline_of(server, await jobs_of(6), max_jobs=2)
        await pipeline.run()

        assert server.most_queued == 2
        assert [document["group"][0]["xid"] for document in server.taken] == [
            f"g{number}" for number in range(6)
        ]
        assert len(pipeline.finished) == 6
        assert pipeline.jobs == []

    async def test_what_points_to_an_earlier_job_does_not_overtake_it(self) -> None:
        """It is uploaded when that one has completed."""
        server = Simulated(looks=3)
        await pipeline_of(server, await jobs_of(4, linked=True), max_jobs=3).run()

        # That nothing is written before what it points to, the server itself asserts.
        assert server.most_queued == 1
        assert len(server.written) == 4

    async def test_what_points_to_groups_waits_only_for_groups(self) -> None:
        """Jobs of linked indicators are on the server at once, behind the groups; links wait."""
        server = Simulated(looks=3)
        builder = TypedBuilder(max_entities_per_job=2)
        for xid in ("g0", "g1"):
            builder.adversary(xid, xid)
        for number in range(6):
            builder.address(f"10.0.0.{number}", xid=f"i{number}").association("g0")
        builder.add_association(ref_1="g0", ref_2="g1")
        await builder.drain()
        jobs = [Job(SETTINGS, chunk) for _ in range(5) if (chunk := builder._cut()) is not None]
        queued: list[int] = []
        upload = server._upload

        def note(*args: Any) -> Any:
            answer = upload(*args)
            queued.append(len(server._queue()))
            return answer

        server._upload = note  # type: ignore[method-assign]
        await pipeline_of(server, jobs, max_jobs=5).run()

        assert [job.document is not None for job in server.jobs.values()] == [True] * 5
        assert queued == [1, 1, 2, 3, 1]

    async def test_slow_files_hold_up_the_sender(self) -> None:
        """Jobs whose files wait are as bounded as those on the server."""
        server = Simulated(looks=1)
        gate = anyio.Event()
        jobs = await jobs_of(12, files=True)

        async def slow(xid: str) -> bytes:
            await gate.wait()
            return b"x"

        for job in jobs:
            (xid,) = job.files
            job.files[xid] = job.files[xid]._replace(content=slow)
        pipeline = pipeline_of(server, jobs, max_jobs=2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.wait_all_tasks_blocked()
            begun = len(server.taken)
            gate.set()

        assert 2 <= begun <= 5
        assert len(server.files) == 12

    async def test_a_source_that_waits(self) -> None:
        """None says that there is no job yet; wake() has it asked again."""
        server = Simulated()
        waiting: list[Job | None] = [None]
        jobs = await jobs_of(2)

        def source() -> Iterator[Job | None]:
            while waiting:
                yield waiting.pop(0)
                if not waiting and jobs:
                    waiting.append(None)

        pipeline = pipeline_of(server, source())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.wait_all_tasks_blocked()
            assert server.taken == []
            waiting[:] = [*jobs]
            jobs.clear()
            pipeline.wake()

        assert len(server.written) == 2

    async def test_a_forgotten_job_goes_before_those_that_wait_for_it(self) -> None:
        """A server that is started anew between upload and completion loses nothing."""
        server = Simulated(["", "", "forget"], looks=3)
        pipeline = pipeline_of(server, await jobs_of(3, linked=True))
        await pipeline.run()

        assert [document["group"][0]["xid"] for document in server.taken] == [
            "g0",
            "g0",
            "g1",
            "g2",
        ]
        assert server.written == {"g0", "g1", "g2"}


class SlowRecorder:
    """Takes its time for each note, in which all others are woken and go first."""

    def __init__(self) -> None:
        self.wake = lambda: None

    async def note(self, job: Job) -> None:
        """Let all others go first."""
        for _ in range(5):
            self.wake()
            await checkpoint()

    async def recut(self, job: Job, parts: Any) -> None:
        """Let all others go first."""
        await self.note(job)

    async def failed(self, job: Job, error: Exception) -> None:
        """Let all others go first."""
        await self.note(job)

    async def told(self, jobs: Any) -> None:
        """Note nothing."""

    def leave(self, job: Job) -> None:
        """Note nothing."""


async def test_nothing_overtakes_while_a_recorder_writes() -> None:
    """A job that waits for one that was forgotten waits also while that is noted."""
    server, recorder = Simulated(["", "", "forget"], looks=3), SlowRecorder()
    pipeline = Pipeline(
        server,  # type: ignore[arg-type]
        PollSchedule(),
        SubmitOptions(),
        iter(await jobs_of(3, linked=True)),
        Time().clock,
        recorder,
    )
    recorder.wake = pipeline.wake
    await pipeline.run()

    # That nothing is written before what it points to, the server itself asserts.
    assert server.written == {"g0", "g1", "g2"}


class TestPausing:
    """Running until a job has ended."""

    @pytest.mark.parametrize("linked", [False, True])
    async def test_one_at_a_time(self, linked: bool) -> None:
        """Each run ends with at least one more, also while others wait for their turn."""
        server = Simulated(looks=3)
        pipeline = pipeline_of(server, await jobs_of(7, linked=linked))
        told = []
        while not pipeline.over:
            await pipeline.run(until_one=True)
            assert pipeline.finished
            while pipeline.finished:
                told.append(pipeline.finished.popleft().id)

        assert told == sorted(told)
        assert len(server.written) == 7

    async def test_a_sleeper_is_woken(self) -> None:
        """It does not take as long as the next look."""
        time = Time()
        server = Simulated(looks=1)
        asleep = anyio.Event()

        async def sleep(seconds: float) -> None:
            if server.written:
                asleep.set()
                await anyio.sleep_forever()
            await time.sleep(seconds)

        jobs = await jobs_of(2)
        pipeline = pipeline_of(server, jobs, Clock(now=lambda: time.now, sleep=sleep))
        with anyio.fail_after(60):
            await pipeline.run(until_one=True)

        assert len(pipeline.finished) == 1

    async def test_files_wait(self) -> None:
        """Files that are not begun are left for the next run."""
        server = Simulated(looks=1)
        (first,) = await jobs_of(1)
        gate = anyio.Event()
        made: list[str] = []

        async def slow(xid: str) -> bytes:
            made.append(xid)
            await gate.wait()
            return b"x"

        builder = TypedBuilder()
        for xid in ("d0", "d1", "d2"):
            builder.document(xid, "f.txt", xid=xid, file_content=slow)
        await builder.drain()
        second = Job(SETTINGS, builder._cut())
        pipeline = pipeline_of(server, [second, first], file_concurrency=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: pipeline.run(until_one=True))
            await anyio.wait_all_tasks_blocked()
            gate.set()
        assert list(pipeline.finished) == [first]
        assert made == ["d0"]
        await pipeline.run()

        assert list(pipeline.finished) == [first, second]
        assert made == ["d0", "d1", "d2"]
        assert len(server.files) == 3


class TestHalting:
    """What a failing step does."""

    @pytest.mark.parametrize("halt", [True, False])
    async def test_a_job_that_cannot_be_made(self, halt: bool) -> None:
        """It ends the run, or is noted in the job; the others go on then."""
        server = Simulated()
        jobs = await jobs_of(3)
        refusal = RequestRefusedError("no", status=400)
        refuse_first(server, refusal)
        pipeline = pipeline_of(server, jobs, halt=Halt(batch=halt))
        if halt:
            with pytest.raises(RequestRefusedError):
                await pipeline.run()
            assert pipeline.jobs[0].failure is refusal
        else:
            await pipeline.run()
            assert pipeline.finished[0].failure is refusal
            assert [job.failure for job in list(pipeline.finished)[1:]] == [None, None]
            assert len(server.written) == 2

    @pytest.mark.parametrize("halt", [True, False])
    async def test_a_job_that_is_stuck(self, halt: bool) -> None:
        """Each job is looked at before it is said to be late, however late the one before it."""
        server = Simulated(looks=10**6)
        jobs = await jobs_of(3)
        pipeline = pipeline_of(server, jobs, halt=Halt(poll=halt), poll_timeout=60.0)
        if halt:
            with pytest.raises(JobError, match="after 60 seconds"):
                await pipeline.run()
            server.looks = 1
            for job in server.jobs.values():
                job.looks = 1
        else:
            for late in list(server.jobs.values())[1:]:
                late.looks = 1
            await pipeline.run()
            assert [type(job.failure).__name__ for job in pipeline.finished] == [
                "PollTimeoutError"
            ] * 3
            for job in server.jobs.values():
                job.looks = 1
        again = pipeline_of(server, [job for job in jobs if job.unfinished])
        await again.run()

        assert len(server.taken) == len(server.written) == 3

    async def test_the_time_of_one_that_waited_begins_when_it_is_its_turn(self) -> None:
        """What the server is busy with before a job is not held against it."""
        time = Time()
        server = Simulated(looks=40)
        pipeline = pipeline_of(server, await jobs_of(3), time.clock, poll_timeout=40.0)
        begun = time.now
        await pipeline.run()

        assert time.now - begun > 40.0
        assert all(job.failure is None for job in pipeline.finished)

    async def test_it_is_cancelled_like_anything(self) -> None:
        """Cancellation gets out as it is."""
        server = Simulated()
        with anyio.CancelScope() as scope:
            server.cancel = scope.cancel
            server.mishaps = ["", "cancel after"]
            await pipeline_of(server, await jobs_of(2)).run()

        assert scope.cancelled_caught

    async def test_what_is_no_error_of_ours_gets_out(self) -> None:
        """A bug, here or in what the user gave, is raised as it is and not noted in a job."""
        server = Simulated()
        refuse_first(server, ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await pipeline_of(server, await jobs_of(1), halt=Halt(batch=False)).run()


def refuse_first(server: Simulated, error: Exception) -> None:
    """Raise an error at the first request."""
    request = server.request
    errors = [error]

    async def refuse(*args: Any, **kwargs: Any) -> Any:
        await checkpoint()
        if errors:
            raise errors.pop()
        return await request(*args, **kwargs)

    server.request = refuse  # type: ignore[method-assign]


@st.composite
def courses(draw: st.DrawFn) -> dict[str, Any]:
    """Choose a batch, how it is submitted, and what happens meanwhile."""
    return {
        "mishaps": draw(st.lists(st.sampled_from(MISHAPS), max_size=25)),
        "looks": draw(st.integers(1, 4)),
        "iterate": draw(st.booleans()),
        "halt_on_error": draw(st.booleans()),
        "recorded": draw(st.booleans()),
        # One entity always fits.
        "limit": draw(st.sampled_from([None, 250, 400])),
        "groups": draw(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=6)),
        "indicators": draw(st.integers(0, 4)),
        "options": {
            "attribute_write_type": draw(st.sampled_from(["Replace", "Append"])),
            "create_and_upload": draw(st.booleans()),
            "max_jobs": draw(st.integers(1, 3)),
            "max_entities_per_job": draw(st.integers(1, 4)),
            "file_concurrency": draw(st.integers(1, 2)),
        },
    }


def build(course: dict[str, Any], server: Simulated, time: Time) -> tuple[Batch, list[str]]:
    """Make the batch of a course; give it and its xids."""
    batch = Batch(server, "MyOrg", clock=time.clock, **course["options"])  # type: ignore[arg-type]
    if course["recorded"]:
        batch._recorder = batch._steps.recorder = SlowRecorder()
    xids: list[str] = []
    for number, (linked, filed) in enumerate(course["groups"]):
        xid = f"g{number}"
        group: Any
        if filed:
            group = batch.document(xid, "f.txt", xid=xid, file_content=lambda xid: xid)
        else:
            group = batch.adversary(xid, xid)
        if linked and xids:
            group.association(xids[-1])
        xids.append(xid)
    for number in range(course["indicators"]):
        address = batch.address(f"10.0.0.{number}", xid=f"i{number}")
        if course["groups"]:
            address.association(xids[number % len(course["groups"])])
        xids.append(address.xid)
    return batch, xids


async def submit(course: dict[str, Any], batch: Batch, server: Simulated) -> list[BatchStatus]:
    """Submit once, however that ends; give what was told."""
    told: list[BatchStatus] = []
    halt = course["halt_on_error"]
    with anyio.CancelScope() as scope:
        server.cancel = scope.cancel
        try:
            if course["iterate"]:
                async for status in batch.submit_iter(halt_on_error=halt):
                    told.append(status)  # noqa: PERF401 (kept when the loop is broken off)
            else:
                told += await batch.submit_all(halt_on_error=halt)
        except AiotcbatchError as error:
            told += (error.partial or BatchStatus()).jobs
    return told


async def run(course: dict[str, Any]) -> None:
    """Submit until nothing is left, and look at what has become of it."""
    is_append = course["options"]["attribute_write_type"] == "Append"
    # Of what is lost, and of what failed and did not halt, the rest goes on without.
    ordered = course["halt_on_error"] and not is_append
    server = Simulated(
        list(course["mishaps"]), course["looks"], ordered=ordered, limit=course["limit"]
    )
    batch, xids = build(course, server, Time())
    told: list[BatchStatus] = []
    for _ in range(60):
        told += await submit(course, batch, server)
        if not (server.mishaps or len(batch) or batch.file_len):
            break
    told += await submit(course, batch, server)

    assert (len(batch), batch.file_len) == (0, 0)
    taken = [entity["xid"] for document in server.taken for entity in entities(document)]
    at_once = course["options"]["create_and_upload"]
    if course["halt_on_error"] and not at_once:
        assert server.most_queued <= course["options"]["max_jobs"]
    if is_append or not (at_once or server.has_forgotten):
        assert len(taken) == len(set(taken))
    if any(status.status == "Unknown" for status in told):
        assert is_append
        return
    assert server.written == set(xids)
    files = {f"g{number}" for number, (_, filed) in enumerate(course["groups"]) if filed}
    if not course["halt_on_error"]:
        files -= {upload.xid for status in told for upload in status.uploads if upload.error}
    assert files <= set(server.files)
    assert all(content.decode() == xid for xid, content in server.files.items())


@given(courses())
def test_whatever_happens_everything_arrives(course: dict[str, Any]) -> None:
    """
    Connections that break, servers that are started anew, cancellation, at any requests.

    Everything arrives; nothing is sent twice that must not be; what points to an earlier job
    comes after it; no more jobs are on the server than allowed; and what is lost is told.
    """
    anyio.run(run, course)
