"""Stream: submitting as it fills, backpressure, links held back, and leaving it."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aiotcbatch.auth import TokenAuth
from aiotcbatch.client import Client
from aiotcbatch.collecting.extending import DRAIN_ITEMS
from aiotcbatch.errors import (
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    RequestRefusedError,
    UsageError,
    ValidationError,
)
from aiotcbatch.sandbox import ManualClock, StuckJob, storage_full
from aiotcbatch.stream import Stream
from aiotcbatch.streaming.reports import UNREAD_JOBS
from aiotcbatch.submitting.job import Job, JobSettings
from aiotcbatch.submitting.pipeline import Clock
from aiotcbatch.transport.http import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from aiotcbatch.results.status import BatchStatus
    from aiotcbatch.sandbox import Sandbox

OWNER = "MyOrg"


class Time:
    """A clock on which nothing waits but what is held: short sleeps pass at once."""

    def __init__(self, held_from: float = 1e9) -> None:
        self.now = 0.0
        self.held_from = held_from
        self.held = anyio.Event()
        self.waiting = anyio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds >= self.held_from:
            self.waiting.set()
            await self.held.wait()
        self.now += seconds
        await anyio.lowlevel.checkpoint()

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)


class Gate(Transport):
    """A transport that lets nothing to the server while it is shut, or fails instead."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox.api_url, sandbox.auth)
        self.open = anyio.Event()
        self.open.set()
        self.asked = anyio.Event()
        self.failures: list[Exception] = []
        #: Method and path of a request that never gets an answer.
        self.refused: tuple[str, str] | None = None

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.set()
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        if args[:2] == self.refused:
            raise ConnectionLostError("too much")
        return await super().request(*args, **kwargs)

    def shut(self) -> None:
        self.open = anyio.Event()


@pytest.fixture
async def gate(sandbox: Sandbox) -> AsyncIterator[Gate]:
    """Give a transport to the sandbox that can be shut."""
    gate = Gate(sandbox)
    yield gate
    await gate.aclose()


@pytest.fixture
def make(gate: Gate) -> Callable[..., Stream]:
    """Give a way to make streams whose time passes at once."""

    def make(**options: Any) -> Stream:
        options.setdefault("clock", Time().clock)
        options.setdefault("linger", 1e12)
        options.setdefault("poll_timeout", 1e12)  # the sandbox needs time that does not pass here
        return Stream(gate, JobSettings(owner=OWNER), **options)

    return make


def sizes(sandbox: Sandbox) -> list[int]:
    """Count the entities of each job that the sandbox has got."""
    return [
        sum(len(document.get(kind, ())) for kind in ("group", "indicator", "association"))
        for document in (job.document for job in sandbox.jobs)
    ]


def fill(stream: Stream, count: int, first: int = 0) -> None:
    """Add some addresses."""
    for number in range(first, first + count):
        stream.address(f"10.0.{number >> 8}.{number & 255}")


class TestWhenItSends:
    """What makes a job."""

    async def test_by_count(self, sandbox: Sandbox, make: Callable[..., Stream]) -> None:
        """A job is made as soon as it is full, and the rest is sent on leaving."""
        async with make(max_entities_per_job=40) as stream:
            for first in range(0, 100, 10):
                fill(stream, 10, first)
                await stream.drain()

        assert sizes(sandbox) == [40, 40, 20]
        assert stream.status.success_count == 100

    async def test_by_bytes(self, sandbox: Sandbox, make: Callable[..., Stream]) -> None:
        """Bytes fill a job as well as entities do."""
        async with make(max_bytes_per_job=1000) as stream:
            fill(stream, 20)
            await stream.drain()

        assert len(sizes(sandbox)) > 1
        assert all(len(job.body) <= 1000 for job in sandbox.jobs)
        assert sum(sizes(sandbox)) == 20

    async def test_by_time_once(self, sandbox: Sandbox, make: Callable[..., Stream]) -> None:
        """What comes after a job that was due lingers anew, though the job is still on its way."""
        time = Time(held_from=5.0)
        async with make(clock=time.clock, linger=5.0, max_entities_per_job=40) as stream:
            fill(stream, 1)
            await stream.drain()
            await time.waiting.wait()
            time.waiting, held, time.held = anyio.Event(), time.held, anyio.Event()
            held.set()
            while not sandbox.jobs:
                await anyio.lowlevel.checkpoint()
            for number in range(1, 41):
                fill(stream, 1, number)
                await stream.drain()
                await anyio.wait_all_tasks_blocked()
            time.held.set()

        assert sizes(sandbox) == [1, 40]

    async def test_by_time(self, sandbox: Sandbox, make: Callable[..., Stream]) -> None:
        """What was drained is sent after linger seconds, though the job is not full."""
        time, ended = Time(held_from=5.0), anyio.Event()

        def on_job(status: BatchStatus) -> None:
            ended.set()

        async with make(clock=time.clock, linger=5.0, on_job=on_job) as stream:
            fill(stream, 3)
            await stream.drain()
            await time.waiting.wait()
            assert sandbox.jobs == []
            time.held.set()
            await ended.wait()

            assert sizes(sandbox) == [3]
            assert stream.statistics().jobs_done == 1

    async def test_flush(self, sandbox: Sandbox, make: Callable[..., Stream]) -> None:
        """flush() sends at once and returns when it is done."""
        async with make() as stream:
            fill(stream, 3)
            await stream.flush()

            assert stream.status.success_count == 3
            assert stream.statistics().pending == 0

    async def test_flush_does_not_wait_for_what_comes_later(
        self, make: Callable[..., Stream]
    ) -> None:
        """It returns when that is done which was pending, though others never stop to add."""
        fed = 0

        async def feed(stream: Stream) -> None:
            nonlocal fed
            while True:
                fill(stream, 1, fed)
                stream.adversary(f"a {fed}", f"a {fed}")
                fed += 1
                await stream.drain()
                await stream._pipeline.changed()

        async with make(linger=0.0) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(feed, stream)
            while fed < 5:
                await anyio.lowlevel.checkpoint()
            before = fed
            await stream.flush()
            done = stream.status.success_count
            tasks.cancel_scope.cancel()

        assert done >= 2 * before

    async def test_two_that_flush_do_not_wake_each_other(
        self, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """While the server is waited for, both rest until something happens."""
        gate.shut()
        async with make(max_entities_per_job=1) as stream, anyio.create_task_group() as tasks:
            fill(stream, 3)
            tasks.start_soon(stream.flush)
            tasks.start_soon(stream.flush)
            await gate.asked.wait()
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            waited_for = stream._pipeline._changed
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert stream._pipeline._changed is waited_for
            gate.open.set()

        assert stream.statistics().jobs_done == 3

    @pytest.mark.parametrize("others_add", [False, True])
    async def test_flush_of_what_is_discarded(
        self, make: Callable[..., Stream], gate: Gate, others_add: bool
    ) -> None:
        """What is taken back is not waited for any more, nor what others have put in its place."""
        gate.shut()
        async with make(max_entities_per_job=1) as stream, anyio.create_task_group() as tasks:
            fill(stream, 1)
            await stream.drain()
            await gate.asked.wait()
            host = stream.host("bad.example")
            tasks.start_soon(stream.flush)
            await anyio.wait_all_tasks_blocked()
            stream.discard(host)
            if others_add:
                stream.add({"type": "Host", "summary": "other.bad.example", "xid": "other"})
            gate.open.set()

        assert stream.statistics().jobs_done == 1 + others_add

    @pytest.mark.parametrize("in_task", [False, True])
    async def test_flush_by_on_job(self, make: Callable[..., Stream], in_task: bool) -> None:
        """It would wait for itself, so it is refused; to a task that it waits for as well."""

        async def on_job(status: BatchStatus) -> None:
            await (asyncio.create_task(stream.flush()) if in_task else stream.flush())

        with pytest.raises(UsageError, match="on_job cannot wait"):
            async with make(on_job=on_job) as stream:
                fill(stream, 1)

    async def test_extend(self, sandbox: Sandbox, make: Callable[..., Stream]) -> None:
        """Groups, indicators and associations come from iterables of either kind."""
        items = [
            {"type": "Adversary", "name": "a", "xid": "a"},
            {"type": "Address", "summary": "1.2.3.4", "xid": "i"},
            {"ref_1": "a", "ref_2": "1.2.3.4", "type_2": "Address"},
        ]

        async def feed() -> AsyncIterator[dict[str, Any]]:
            for item in items:
                yield item

        async with make() as stream:
            assert await stream.extend(items) == 3
            assert await stream.extend(feed()) == 3

        assert stream.status.success_count == 2
        assert stream.status.success_association_count == 1

    async def test_flush_drains_what_others_have_named_again(
        self, sandbox: Sandbox, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """Jobs wait for that, and it is not left to who may not drain it for long."""
        async with make() as stream, anyio.create_task_group() as tasks:
            gate.shut()
            fill(stream, 1)
            tasks.start_soon(stream.flush)
            await gate.asked.wait()
            stream.campaign("c", xid="c")
            fill(stream, 1, 1)
            tasks.start_soon(stream.flush)
            await anyio.wait_all_tasks_blocked()
            stream.campaign("c", xid="c").tag("again")
            gate.open.set()

        assert [tag["name"] for tag in sandbox.jobs[1].document["group"][0]["tag"]] == ["again"]


class TestFeeds:
    """What comes from an async iterable that waits for more."""

    @pytest.mark.parametrize(
        "item",
        [
            {"type": "Address", "summary": "1.2.3.4", "xid": "i"},
            {"type": "Document", "name": "d", "xid": "d", "fileName": "d.txt"},
            {"id_1": 5, "type_1": "Adversary", "id_2": 6, "type_2": "Address"},
        ],
    )
    async def test_what_a_feed_has_given_does_not_wait_for_more(
        self, sandbox: Sandbox, make: Callable[..., Stream], item: dict[str, Any]
    ) -> None:
        """It is sent within the time that it may linger, while the feed is still asked for more."""
        time, ended, more = Time(held_from=2.5), anyio.Event(), anyio.Event()

        async def feed() -> AsyncIterator[dict[str, Any]]:
            yield item
            await more.wait()

        def on_job(status: BatchStatus) -> None:
            ended.set()

        async with (
            make(clock=time.clock, linger=5.0, on_job=on_job) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(stream.extend, feed())
            await time.waiting.wait()
            assert time.now == 0.0
            assert sandbox.jobs == []
            time.held.set()
            await ended.wait()
            assert sizes(sandbox) == [1]
            more.set()

    async def test_a_feed_that_goes_on_is_left_alone(
        self, sandbox: Sandbox, make: Callable[..., Stream]
    ) -> None:
        """What comes fast is drained by the feed itself, and lingers as all else."""
        clock, given = ManualClock(), anyio.Event()

        async def feed() -> AsyncIterator[dict[str, Any]]:
            for number in range(DRAIN_ITEMS + 1):
                yield {"type": "Host", "summary": f"h{number}.example", "xid": f"h{number}"}
                if number == 0:
                    await clock.sleeping()
                    clock.advance(2.4)
            given.set()
            await anyio.sleep_forever()

        with pytest.raises(ZeroDivisionError):
            async with make(clock=Clock(now=clock.time, sleep=clock.sleep), linger=5.0) as stream:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(stream.extend, feed())
                    await given.wait()
                    clock.advance(0.2)
                    await anyio.wait_all_tasks_blocked()
                    tasks.cancel_scope.cancel()
                assert stream.statistics().pending == DRAIN_ITEMS + 1
                raise ZeroDivisionError

        assert sandbox.jobs == []

    async def test_a_feed_that_waits_is_left_when_a_step_fails(
        self, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """The failure is raised at once, not when the feed has given some hundred more."""
        gate.failures = [RequestRefusedError("no")]
        ended = False

        async def feed() -> AsyncIterator[dict[str, Any]]:
            nonlocal ended
            try:
                yield {"type": "Address", "summary": "1.2.3.4", "xid": "i"}
                await anyio.sleep_forever()
            finally:
                ended = True

        with pytest.raises(RequestRefusedError):
            async with make(linger=0.0) as stream:
                await stream.extend(feed())
        with pytest.raises(RequestRefusedError):
            await stream.extend(feed())

        assert ended

    async def test_a_feed_that_is_cancelled(self, make: Callable[..., Stream]) -> None:
        """That is the caller's affair, and what came before is sent."""

        async def feed() -> AsyncIterator[dict[str, Any]]:
            yield {"type": "Address", "summary": "1.2.3.4", "xid": "i"}
            scope.cancel()
            await anyio.sleep_forever()

        async with make() as stream:
            with anyio.CancelScope() as scope:
                await stream.extend(feed())

        assert scope.cancelled_caught
        assert stream.status.success_count == 1


class TestHeldLinks:
    """Links to groups that come later."""

    async def test_a_link_waits_for_its_group(
        self, sandbox: Sandbox, make: Callable[..., Stream]
    ) -> None:
        """Links of every kind to a later group are made once it is sent, and none is lost."""
        async with make() as stream:
            stream.campaign("early", xid="early").association("late")
            stream.address("1.2.3.4").association("late")
            stream.add_association(ref_1="early", ref_2="late")
            stream.add_association(ref_1="late", ref_2="1.2.3.4", type_2="Address")
            await stream.flush()
            assert stream.statistics().held_links == 4
            assert "associatedGroupXid" not in sandbox.jobs[0].document["group"][0] or (
                sandbox.jobs[0].document["group"][0]["associatedGroupXid"] == []
            )
            stream.adversary("late", "late")
            await stream.flush()
            assert stream.statistics().held_links == 0

        assert stream.status.error_count == 0
        assert stream.status.error_association_count == 0
        # early-late came twice, in two forms, and is one association; so is the other.
        assert len(sandbox.jobs[1].document["association"]) == 2

    async def test_links_within_one_drain_go_with_their_entity(
        self, sandbox: Sandbox, make: Callable[..., Stream]
    ) -> None:
        """A group that is open counts as come, whichever of the two was named first."""
        async with make() as stream:
            stream.campaign("c", xid="c").association("a")
            stream.address("1.2.3.4").association("a")
            stream.adversary("a", "a")
            await stream.flush()

            assert stream.statistics().held_links == 0
        assert "association" not in sandbox.jobs[0].document

    async def test_what_never_comes_is_linked_at_the_end(
        self, sandbox: Sandbox, make: Callable[..., Stream]
    ) -> None:
        """A group may be in the owner already, so its link is made in any case."""
        async with make() as stream:
            stream.adversary("there", "there")
        async with make() as stream:
            stream.campaign("c", xid="c").association("there")
            await stream.flush()

        assert sandbox.jobs[-1].document == {"association": [{"ref_1": "c", "ref_2": "there"}]}
        assert stream.status.success_association_count == 1


class TestBackpressure:
    """drain() waits while too much is in memory."""

    async def test_drain_waits_for_room(
        self, sandbox: Sandbox, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """While the server takes nothing drain() does not return; then it does."""
        async with make(memory_limit=40_000, max_jobs=3) as stream:
            gate.shut()
            drained = 0

            async def feed() -> None:
                nonlocal drained
                for first in range(0, 1000, 50):
                    fill(stream, 50, first)
                    await stream.drain()
                    drained += 1

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed)
                await gate.asked.wait()
                await anyio.wait_all_tasks_blocked()
                assert 0 < drained < 20
                assert stream.memory_bytes < 60_000
                gate.open.set()

        assert stream.status.success_count == 1000

    async def test_drain_waits_for_what_a_journal_had(
        self, make: Callable[..., Stream], tmp_path: Path
    ) -> None:
        """What earlier streams have left counts too, else it would grow with each of them."""
        path = tmp_path / "journal.db"
        with pytest.raises(ZeroDivisionError):
            async with make(journal=path, linger=1000) as stream:
                fill(stream, 1000)
                await stream.drain()
                raise ZeroDivisionError

        async with make(journal=path, memory_limit=40_000) as stream:
            fill(stream, 1, 1000)
            await stream.drain()
            pending = len(stream)

        assert pending < 500
        assert stream.status.success_count == 1001

    async def test_an_entity_that_cannot_be_sent_takes_no_bounds_away(
        self, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """Who goes on though drain() raises each time is held back like all others."""
        async with make(memory_limit=40_000, max_jobs=3) as stream:
            gate.shut()
            email, drained = stream.group("Email", "e"), 0

            async def feed() -> None:
                nonlocal drained
                for first in range(0, 1000, 50):
                    fill(stream, 50, first)
                    with pytest.raises(ValidationError, match="subject"):
                        await stream.drain()
                    drained += 1

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed)
                await gate.asked.wait()
                await anyio.wait_all_tasks_blocked()
                assert 0 < drained < 20
                gate.open.set()
            stream.discard(email)

        assert stream.status.success_count == 1000

    async def test_what_was_discarded_is_no_load(self, make: Callable[..., Stream]) -> None:
        """Where nothing is left to be sent, nothing is waited for."""
        async with make(memory_limit=40_000) as stream:
            fill(stream, 1000)
            for number in range(1000):
                stream.discard(stream.address(f"10.0.{number >> 8}.{number & 255}"))
            assert stream.memory_bytes > 40_000
            await stream.drain()

            assert stream.memory_bytes == 0

    async def test_it_needs_its_block(self, make: Callable[..., Stream]) -> None:
        """Outside its block a stream cannot send, so drain() would wait for ever."""
        stream = make()
        with pytest.raises(UsageError, match="async with"):
            await stream.drain()


class TestNamedAgain:
    """A group that was drained, was not sent, and is named again."""

    async def test_what_is_linked_to_it_goes_with_it(
        self, sandbox: Sandbox, make: Callable[..., Stream]
    ) -> None:
        """No job is made while it is open, as what has links to it would be refused."""
        time = Time(held_from=5.0)
        async with make(clock=time.clock, linger=5.0) as stream:
            stream.campaign("c", xid="c")
            stream.host("a.example").association("c")
            await stream.drain()
            await time.waiting.wait()
            stream.campaign("c", xid="c").tag("again")
            time.held.set()
            await anyio.wait_all_tasks_blocked()
            assert sandbox.jobs == []
            await stream.flush()

        assert sizes(sandbox) == [2]
        assert stream.status.success_count == 2
        assert [tag["name"] for tag in sandbox.jobs[0].document["group"][0]["tag"]] == ["again"]

    async def test_who_waits_for_room_lets_others_drain_it(
        self, sandbox: Sandbox, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """One task may wait while another has the group open, and nothing stands still."""
        async with make(memory_limit=40_000, max_jobs=3) as stream:
            gate.shut()
            stream.campaign("c", xid="c")
            await stream.drain()
            fill(stream, 500)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.drain)
                await gate.asked.wait()
                stream.campaign("c", xid="c").tag("again")
                gate.open.set()
                await stream.drain()

        assert stream.status.success_count >= 501

    @pytest.mark.parametrize("drains", [True, False])
    async def test_it_does_not_hold_up_who_waits_for_room(
        self, make: Callable[..., Stream], drains: bool
    ) -> None:
        """Whoever waits drains what others have added since, so that there is room again."""
        async with make(memory_limit=40_000, max_jobs=3) as stream:

            async def add() -> None:
                for _ in range(50):
                    stream.campaign("c", xid="c").tag("again")
                    await anyio.lowlevel.checkpoint()
                    if drains:
                        await stream.drain()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(add)
                for first in range(0, 1000, 100):
                    fill(stream, 100, first)
                    await stream.drain()

        assert stream.status.success_count > 1000
        assert stream.status.error_count == 0

    async def test_a_discarded_one_holds_up_nothing(
        self, sandbox: Sandbox, make: Callable[..., Stream]
    ) -> None:
        """What is given up is not waited for."""
        async with make() as stream:
            stream.campaign("c", xid="c")
            fill(stream, 1)
            await stream.drain()
            stream.discard(stream.campaign("c", xid="c"))
            stream.adversary("a").tag("opened for the first time")
            await stream.flush()

        assert sum(sizes(sandbox)) == 2


async def test_on_job_may_drain_though_there_is_no_room(make: Callable[..., Stream]) -> None:
    """It does not wait for room that comes only when it returns."""

    async def on_job(status: BatchStatus) -> None:
        if status.success_count > 1:
            stream.adversary(f"seen {status.id}")
            await stream.drain()

    async with make(memory_limit=40_000, max_jobs=1, on_job=on_job) as stream:
        for first in range(0, 1000, 100):
            fill(stream, 100, first)
            await stream.drain()

    assert stream.status.success_count > 1000


async def test_tasks_of_on_job_may_drain_too(make: Callable[..., Stream]) -> None:
    """That waits for them as for what it does itself."""

    async def on_job(status: BatchStatus) -> None:
        if status.success_count > 1:
            stream.adversary(f"seen {status.id}")
            await asyncio.gather(stream.drain())

    async with make(memory_limit=40_000, max_jobs=1, on_job=on_job) as stream:
        for first in range(0, 1000, 100):
            fill(stream, 100, first)
            await stream.drain()

    assert stream.status.success_count > 1000


class TestReports:
    """How jobs that have ended are told."""

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_a_callback(self, make: Callable[..., Stream], is_async: bool) -> None:
        """Each job that has ended is told once, by a plain or an async function."""
        told: list[int] = []

        def on_job(status: BatchStatus) -> Awaitable[None] | None:
            async def later() -> None:
                told.append(status.success_count)

            if is_async:
                return later()
            told.append(status.success_count)
            return None

        async with make(max_entities_per_job=4, on_job=on_job) as stream:
            fill(stream, 10)

        assert told == [4, 4, 2]

    async def test_a_callback_that_fails_ends_the_stream(self, make: Callable[..., Stream]) -> None:
        """What the user's function raises is raised to the user."""

        def on_job(status: BatchStatus) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            async with make(on_job=on_job) as stream:
                fill(stream, 1)

    async def test_a_callback_that_awaits_what_was_cancelled(
        self, make: Callable[..., Stream]
    ) -> None:
        """It fails as any other, and does not end the watching of jobs unseen."""

        async def on_job(status: BatchStatus) -> None:
            cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled

        with pytest.raises(UsageError, match="on_job has raised CancelledError"):
            async with make(on_job=on_job) as stream:
                fill(stream, 1)

    async def test_who_leaves_while_another_is_waited_for(
        self, make: Callable[..., Stream]
    ) -> None:
        """Who follows no more is not told, and costs the stream and the others nothing."""
        async with (
            make(max_entities_per_job=1) as stream,
            AsyncExitStack() as one,
            AsyncExitStack() as other,
        ):
            jobs = await one.enter_async_context(stream.following())
            await other.enter_async_context(stream.following())
            fill(stream, 2 * UNREAD_JOBS)
            await stream.drain()
            while stream.statistics().jobs_done <= UNREAD_JOBS:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            assert stream.statistics().jobs_done == UNREAD_JOBS + 1
            await other.aclose()
            followed = [await anext(jobs) for _ in range(2 * UNREAD_JOBS)]

        assert [status.success_count for status in followed] == [1] * (2 * UNREAD_JOBS)

    async def test_following(self, make: Callable[..., Stream]) -> None:
        """Those who follow get every job, and an end when the stream ends."""
        followed: list[int] = []
        begun = anyio.Event()

        async def follow(stream: Stream) -> None:
            async with stream.following() as jobs:
                begun.set()
                followed.extend([status.success_count async for status in jobs])

        async with (
            anyio.create_task_group() as tasks,
            make(max_entities_per_job=4) as stream,
        ):
            tasks.start_soon(follow, stream)
            await begun.wait()
            fill(stream, 10)

        assert followed == [4, 4, 2]

    @pytest.mark.parametrize("way", ["drain", "flush"])
    async def test_who_follows_may_wait_for_jobs(
        self, make: Callable[..., Stream], way: str
    ) -> None:
        """The stream does not wait for one who waits for it; else it waits after some jobs."""
        read, behind = 0, []

        async def follow(jobs: AsyncIterator[BatchStatus]) -> None:
            nonlocal read
            async for status in jobs:
                read += 1
                behind.append(stream.statistics().jobs_done - read)
                if status.success_indicator_count and not stream._ending:
                    stream.adversary(f"seen {status.id}")
                    await getattr(stream, way)()

        async with (
            make(memory_limit=40_000, max_jobs=1, max_entities_per_job=20) as stream,
            stream.following() as jobs,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(follow, jobs)
            for first in range(0, 1000, 100):
                fill(stream, 100, first)
                await stream.drain()
            await stream.flush()
            tasks.cancel_scope.cancel()

        assert stream.status.success_count > 1000
        assert way == "flush" or max(behind) <= UNREAD_JOBS

    async def test_following_when_it_is_over(self, make: Callable[..., Stream]) -> None:
        """Who comes too late is told so."""
        async with make() as stream:
            fill(stream, 1)
        async with stream.following() as jobs:
            followed = [status async for status in jobs]

        assert followed == []

    async def test_following_what_is_left_at_once(self, make: Callable[..., Stream]) -> None:
        """Who has come before it began is told the end."""
        stream = make()
        async with stream.following() as jobs:
            with pytest.raises(ZeroDivisionError):
                async with stream:
                    raise ZeroDivisionError
            followed = [status async for status in jobs]

        assert followed == []

    async def test_following_when_a_step_fails(
        self, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """No more jobs come, so who waits for one in the stream's own block can go on."""
        followed: list[BatchStatus] = []
        with pytest.raises(RequestRefusedError):
            async with make() as stream, stream.following() as jobs:
                fill(stream, 1)
                await stream.flush()
                gate.failures = [RequestRefusedError("no")]
                fill(stream, 1, 1)
                await stream.drain()
                stream._send_now()
                followed.extend([status async for status in jobs])
                await stream.drain()

        assert [status.success_count for status in followed] == [1]


class TestFailure:
    """What a failing step does."""

    async def test_it_is_raised_at_the_next_drain(
        self, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """With halt_on_failure the user hears of it where the stream is awaited."""
        gate.failures = [RequestRefusedError("no")]
        with pytest.raises(RequestRefusedError) as caught:
            async with make(max_entities_per_job=2) as stream:
                fill(stream, 5)
                await stream.drain()
                while True:
                    await anyio.lowlevel.checkpoint()
                    await stream.drain()

        assert caught.value.partial is not None

    async def test_what_time_may_heal_is_tried_again(
        self, sandbox: Sandbox, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """Without halt_on_failure a server that is away for a while costs nothing but time."""
        gate.failures = [ConnectError("away") for _ in range(4)]
        async with make(halt_on_failure=False) as stream:
            fill(stream, 5)
            await stream.flush()

        assert stream.status.success_count == 5
        assert sizes(sandbox) == [5]

    async def test_a_job_that_could_not_be_sent_is_not_overtaken(
        self, sandbox: Sandbox, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """What came later waits for it, so that old values do not take the place of new ones."""
        time = Time(held_from=1.0)
        gate.failures = [ConnectError("away")]
        async with make(halt_on_failure=False, max_entities_per_job=1, clock=time.clock) as stream:
            stream.address("1.2.3.4", rating=1)
            await stream.drain()
            await time.waiting.wait()  # for its second try
            for rating in (2, 3):
                stream.address("1.2.3.4", rating=rating)
                await stream.drain()
                await anyio.wait_all_tasks_blocked()
            assert sandbox.jobs == []
            time.held.set()

        sent = [job.document["indicator"][0]["rating"] for job in sandbox.jobs]
        assert sent == [1.0, 2.0, 3.0]
        assert stream.status.success_count == 3

    async def test_a_job_that_never_ends_holds_up_no_other(
        self, sandbox: Sandbox, make: Callable[..., Stream]
    ) -> None:
        """Those behind it are looked at as well, long before its time is over."""
        told: list[int | None] = []
        second = anyio.Event()

        def on_job(status: BatchStatus) -> None:
            told.append(status.id)
            second.set()

        sandbox.faults.add("job", StuckJob(), times=1)
        async with make(max_entities_per_job=1, on_job=on_job) as stream:
            fill(stream, 2)
            await stream.drain()
            await second.wait()
            sandbox.release_jobs()

        assert told == [2, 1]
        assert stream.status.success_count == 2

    async def test_a_job_that_the_server_does_not_take_holds_up_no_other(
        self, sandbox: Sandbox, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """Where it answers all else, later jobs pass it after some tries."""
        told: list[BatchStatus] = []
        passed = anyio.Event()

        def on_job(status: BatchStatus) -> None:
            told.append(status)
            passed.set()

        gate.refused = ("POST", "/v2/batch/1")
        async with make(halt_on_failure=False, max_entities_per_job=1, on_job=on_job) as stream:
            fill(stream, 3)
            await stream.drain()
            await passed.wait()
            assert told[0].id == 2
            gate.refused = None
            await stream.flush()  # at the end a job is tried once more only

        assert sorted(status.id or 0 for status in told) == [1, 2, 3]
        assert stream.status.success_count == 3

    async def test_what_it_does_not_heal_is_told(
        self, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """A refusal is in the job's status, and the stream goes on."""
        told: list[BatchStatus] = []
        gate.failures = [RequestRefusedError("no")]
        async with make(halt_on_failure=False, on_job=told.append) as stream:
            fill(stream, 1)
            await stream.flush()
            fill(stream, 2, 10)

        assert [type(status.failure) for status in told] == [RequestRefusedError, type(None)]
        assert stream.status.success_count == 2
        assert stream.status.failure is told[0].failure
        assert (stream.status.ok, stream.status.status) == (False, "Failed")

    async def test_what_a_journal_goes_on_with_is_not_held_in_memory(
        self, make: Callable[..., Stream], gate: Gate, tmp_path: Path
    ) -> None:
        """A stream that is refused again and again keeps none of what it has told of."""
        gate.failures = [RequestRefusedError("no") for _ in range(20)]
        options: dict[str, Any] = {"journal": tmp_path / "journal.db", "max_entities_per_job": 1}
        async with make(halt_on_failure=False, **options) as stream:
            fill(stream, 20)
            await stream.flush()
            gc.collect()
            jobs = [held for held in gc.get_objects() if isinstance(held, Job)]
            own = [job for job in jobs if job.settings is stream._settings]
            # The total has the first failure, and so where it was; and the last is in hand.
            assert len(own) <= 2
        async with make(**options) as stream:
            pass

        assert stream.status.success_count == 20

    async def test_what_a_journal_goes_on_with_is_no_dead_letter(
        self, make: Callable[..., Stream], gate: Gate, tmp_path: Path
    ) -> None:
        """It would be sent twice, by who opens the journal and by who reads the dead letters."""
        options: dict[str, Any] = {
            "journal": tmp_path / "journal.db",
            "dead_letters": tmp_path / "dead.ndjson",
        }
        gate.failures = [RequestRefusedError("no")]
        async with make(halt_on_failure=False, **options) as stream:
            fill(stream, 1)
        assert stream.status.failure is not None
        assert not options["dead_letters"].exists()
        async with make(**options) as stream:
            pass

        assert stream.status.success_count == 1

    async def test_a_file_that_is_not_there_is_in_the_total(
        self, sandbox: Sandbox, make: Callable[..., Stream]
    ) -> None:
        """Of many files that were not uploaded the total keeps the first, and is not ok."""
        sandbox.faults.add("file_upload", storage_full())
        async with make(halt_on_failure=False, max_entities_per_job=1) as stream:
            for number in range(3):
                stream.document(f"d {number}", "d.txt", "text", xid=f"d-{number}")

        assert stream.status.success_count == 3
        assert [upload.uploaded for upload in stream.status.uploads] == [False]
        assert not stream.status.ok

    async def test_leaving_with_a_dead_server_ends(
        self, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """At the end each job is tried once more, then told as failed; nothing hangs."""
        told: list[BatchStatus] = []
        gate.failures = [ConnectError("away") for _ in range(100)]
        async with make(halt_on_failure=False, on_job=told.append) as stream:
            fill(stream, 5)

        assert [type(status.failure) for status in told] == [ConnectError]

    async def test_a_bad_entity_is_raised_and_the_rest_goes_on(
        self, make: Callable[..., Stream]
    ) -> None:
        """What cannot be drained stays open, and can be mended or discarded."""
        async with make() as stream:
            email = stream.group("Email", "e")
            fill(stream, 3)
            with pytest.raises(ValidationError, match="subject"):
                await stream.drain()
            stream.discard(email)

        assert stream.status.success_count == 3


class TestLeaving:
    """How a stream ends."""

    async def test_by_an_exception(
        self, sandbox: Sandbox, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """The block's own exception comes out single, and nothing more is sent."""
        gate.shut()
        with pytest.raises(ZeroDivisionError):
            async with make() as stream:
                fill(stream, 3)
                await stream.drain()
                raise ZeroDivisionError
        gate.open.set()

        assert sandbox.jobs == []
        with pytest.raises(ClosedError):
            stream.address("1.2.3.4")

    @pytest.mark.parametrize("way", ["drain", "flush"])
    async def test_who_waits_elsewhere_is_told(
        self, make: Callable[..., Stream], gate: Gate, way: str
    ) -> None:
        """A task that waits for jobs, or does so later, hears that none come any more."""
        gate.shut()
        stream = make(memory_limit=40_000)

        async def wait() -> None:
            with pytest.raises(ClosedError):
                await getattr(stream, way)()

        async with anyio.create_task_group() as tasks:
            with pytest.raises(ZeroDivisionError):
                async with stream:
                    fill(stream, 1000)
                    tasks.start_soon(wait)
                    await gate.asked.wait()
                    await anyio.wait_all_tasks_blocked()
                    raise ZeroDivisionError
            await wait()

    async def test_by_cancellation(self, make: Callable[..., Stream], gate: Gate) -> None:
        """Cancelled while it waits for the server, it ends at once."""
        gate.shut()
        with anyio.CancelScope() as scope:
            async with make() as stream:
                fill(stream, 3)
                await stream.drain()
                stream._send_now()
                await gate.asked.wait()
                scope.cancel()
                await stream.drain()

        assert scope.cancelled_caught

    async def test_an_entity_that_cannot_be_sent_takes_no_other_with_it(
        self, make: Callable[..., Stream]
    ) -> None:
        """What was drained is sent, and so is what else is open; then the error comes out."""
        with pytest.raises(ValidationError, match="subject"):
            async with make() as stream:
                fill(stream, 3)
                await stream.drain()
                stream.group("Email", "e")
                fill(stream, 2, 10)

        assert stream.status.success_count == 5

    async def test_what_on_job_adds_at_the_end(self, make: Callable[..., Stream]) -> None:
        """It is sent like all else, also by its last call and though it does not drain."""

        def on_job(status: BatchStatus) -> None:
            if status.success_count > 1:
                stream.campaign("late").association("never")

        async with make(on_job=on_job) as stream:
            fill(stream, 2)

        assert stream.status.success_count == 3
        assert stream.statistics().held_links == 0
        assert stream.status.error_association_count == 1

    @pytest.mark.parametrize("form", ["call", "dict"])
    async def test_what_on_job_adds_while_the_end_drains(
        self, make: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch, form: str
    ) -> None:
        """It is sent, too, where drain() gives way to it after it has seen that all is encoded."""
        now = count()
        monkeypatch.setattr("aiotcbatch.collecting.builder.perf_counter", lambda: next(now))

        def on_job(status: BatchStatus) -> None:
            if status.success_count > 1 and form == "call":
                stream.campaign("late")
            elif status.success_count > 1:
                stream.add({"type": "Host", "summary": "late.bad.example", "xid": "late"})

        async with make(on_job=on_job) as stream:
            fill(stream, 2)

        assert stream.status.success_count == 3

    async def test_what_others_name_again_at_the_end(
        self, sandbox: Sandbox, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """What is linked to a group that is open again waits for it there as well."""
        gate.shut()
        async with anyio.create_task_group() as tasks:

            async def name_again() -> None:
                await anyio.wait_all_tasks_blocked()
                stream.campaign("c", xid="c").tag("again")
                gate.open.set()

            async with make(max_entities_per_job=2) as stream:
                fill(stream, 2)
                await stream.drain()
                await gate.asked.wait()
                stream.campaign("c", xid="c")
                stream.host("bad.example").association("c")
                tasks.start_soon(name_again)

        assert sizes(sandbox) == [2, 2]
        assert stream.status.success_count == 4

    async def test_what_others_add_at_the_end(
        self, make: Callable[..., Stream], gate: Gate
    ) -> None:
        """A task that goes on to add while the block is left, and waits then, holds up nothing."""
        gate.shut()
        async with anyio.create_task_group() as tasks:

            async def add() -> None:
                await gate.asked.wait()
                stream.add_indicator({"type": "Host", "summary": "bad.example", "xid": "h"})
                gate.open.set()
                await anyio.sleep_forever()

            async with make() as stream:
                fill(stream, 2)
                tasks.start_soon(add)
            tasks.cancel_scope.cancel()

        assert stream.status.success_count == 3

    async def test_after_a_cancellation_that_was_caught(self, make: Callable[..., Stream]) -> None:
        """A service that is asked to stop ends its stream cleanly, and goes on behind it."""
        begun, ended = anyio.Event(), []

        async def service() -> None:
            async with make() as stream:
                begun.set()
                with suppress(asyncio.CancelledError):
                    await anyio.sleep_forever()
                fill(stream, 2)
            ended.append(stream.status.success_count)

        task = asyncio.create_task(service())
        await begun.wait()
        task.cancel()
        await task

        assert ended == [2]

    async def test_an_error_after_a_cancellation_that_was_caught(
        self, make: Callable[..., Stream]
    ) -> None:
        """It comes out as it is."""
        begun = anyio.Event()

        async def service() -> None:
            async with make() as stream:
                begun.set()
                with suppress(asyncio.CancelledError):
                    await anyio.sleep_forever()
                stream.group("Email", "e")

        task = asyncio.create_task(service())
        await begun.wait()
        task.cancel()
        with pytest.raises(ValidationError, match="subject"):
            await task

    async def test_by_what_fails_first(
        self, make: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Where jobs of a journal cannot be gone on with, it is let go of all the same."""
        path = tmp_path / "journal.db"
        with pytest.raises(ZeroDivisionError):
            async with make(journal=path) as stream:
                fill(stream, 1)
                await stream.drain()
                raise ZeroDivisionError

        async def fail(*_: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr("aiotcbatch.stream.put_in_order", fail)
            async with make(journal=path):
                pass
        async with make(journal=path) as stream:
            pass

        assert stream.status.success_count == 1

    async def test_it_is_entered_once(self, make: Callable[..., Stream]) -> None:
        """A stream that is over cannot be entered again."""
        async with make() as stream:
            pass
        with pytest.raises(UsageError, match="entered once"):
            await stream.__aenter__()


@pytest.mark.parametrize("kind", ["batch", "stream"])
def test_an_association_is_told_in_one_way(kind: str) -> None:
    """Keywords beside an association are refused, and not left out."""
    client = Client("https://tc.example/api", TokenAuth("token"))
    builder: Any = getattr(client, kind)(OWNER)

    with pytest.raises(ValidationError, match="either an association or keywords"):
        builder.add_association({"ref_1": "a", "ref_2": "b"}, type_1="Host")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("linger", -1),
        ("linger", None),
        ("linger", float("nan")),
        ("on_job", 5),
        ("contents", 5),
        ("journal", "\0"),
        ("memory_limit", 1),
        ("memory_limit", None),
        ("memory_limit", 183),
        ("max_bytes_per_job", None),
        ("max_bytes_per_job", 1),
        ("max_jobs", None),
    ],
)
def test_a_setting_that_cannot_be_right(setting: str, value: Any) -> None:
    """It is refused by its own name when the stream is made."""
    client = Client("http://127.0.0.1:1/api", TokenAuth("token"))
    options: dict[str, Any] = {setting: value}
    with pytest.raises(ConfigurationError) as raised:
        client.stream(OWNER, **options)

    assert (raised.value.field, raised.value.value) == (setting, value)


def test_the_least_memory() -> None:
    """The error about too little memory names what is accepted."""
    client = Client("http://127.0.0.1:1/api", TokenAuth("token"))
    with pytest.raises(ConfigurationError, match=r"4 jobs \(max_jobs and one\), at least 184"):
        client.stream(OWNER, memory_limit=183)

    assert client.stream(OWNER, memory_limit=184).max_bytes_per_job == 46


def test_settings_are_checked() -> None:
    """A setting of its jobs that cannot be right is refused by its name."""
    client = Client("http://127.0.0.1:1/api", TokenAuth("token"))
    with pytest.raises(ConfigurationError, match="action"):
        client.stream(OWNER, "create")
