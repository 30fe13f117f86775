"""Stream: the same builder, which submits as it fills."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, TypedDict

import anyio
from anyio.lowlevel import checkpoint

from aiotcbatch.checking import (
    checked_bool,
    checked_callable,
    checked_file,
    checked_path,
    checked_seconds,
    checked_types,
)
from aiotcbatch.collecting.holding import HoldingBuilder
from aiotcbatch.errors import AiotcbatchError, UsageError, ValidationError
from aiotcbatch.events import BatchAbandoned
from aiotcbatch.retrying import Retrying
from aiotcbatch.streaming.background import Background
from aiotcbatch.streaming.feeds import Feeds
from aiotcbatch.streaming.linger import Linger
from aiotcbatch.streaming.reports import Reports
from aiotcbatch.submitting.job import Job
from aiotcbatch.submitting.options import share_of_memory
from aiotcbatch.submitting.overtaking import put_in_order
from aiotcbatch.submitting.pipeline import Halt, Pipeline, SubmitOptions
from aiotcbatch.submitting.polling import PollSchedule
from aiotcbatch.submitting.recorder import NO_RECORDER
from aiotcbatch.submitting.steps import checked_clock
from aiotcbatch.transport.retry import is_transient
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Iterator,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from aiotcbatch.collecting.buffer import Buffer
    from aiotcbatch.collecting.group_buffer import GroupBuffer
    from aiotcbatch.entities.contents import FileContent
    from aiotcbatch.journal.keeper import Resumed
    from aiotcbatch.results.status import BatchStatus
    from aiotcbatch.submitting.job import JobSettings
    from aiotcbatch.submitting.steps import Clock
    from aiotcbatch.transport.http import Transport

__all__ = ["Stream", "StreamOptions", "StreamStatistics"]

#: A job that failed is tried again after as many seconds as it was tried, and at most after these.
LONGEST_PAUSE = 30.0


class StreamOptions(TypedDict, total=False):
    """The further settings of a `Stream`, as keyword arguments."""

    linger: float
    memory_limit: int
    max_entities_per_job: int
    max_bytes_per_job: int
    max_jobs: int
    file_concurrency: int
    create_and_upload: bool
    poll_timeout: float
    halt_on_failure: bool
    on_job: Callable[[BatchStatus], Awaitable[None] | None] | None
    journal: str | PathLike[str] | None
    contents: Callable[[str], FileContent | None] | None
    dead_letters: str | PathLike[str] | None
    validate: bool
    indicator_types: Mapping[str, int | Sequence[str]] | None
    clock: Clock | None


class StreamStatistics(Value):
    """What a stream holds and has done, at one moment."""

    #: Groups and indicators that are not on their way to the server.
    pending: int
    #: Links that wait for a group to come.
    held_links: int
    #: Bytes of encoded entities in memory, those of jobs that have not ended included.
    memory_bytes: int
    #: Jobs that have begun and not ended.
    jobs_in_flight: int
    #: Jobs that have ended.
    jobs_done: int
    #: Groups and indicators that were written.
    success_count: int
    #: Groups and indicators that were refused.
    error_count: int
    #: Groups and indicators that the server did not look at, after a halt.
    unprocess_count: int


class Stream(HoldingBuilder, Retrying):
    """
    Collects entities for one owner, and submits them as they come.

    It is made by `Client.stream`, and is used as a context manager::

        async with client.stream("MyOrg") as stream:
            async for line in feed:
                stream.address(line.ip).tag(line.tag)
                await stream.drain()

    A job is made when ``max_entities_per_job`` or ``max_bytes_per_job`` is reached, or ``linger``
    seconds after something was drained. ``drain()`` is where backpressure is felt: it waits while
    more than ``memory_limit`` bytes are in memory, or still to be sent of what a journal had.

    Leaving the block normally drains, sends what is left, and waits until every job has ended;
    an entity that cannot be sent is raised after that.
    Leaving it by an exception or by cancellation ends everything at once: what is not on the
    server is given up, which an event tells, jobs that are there run on without being watched.
    With a ``journal`` they are not: the next stream or batch that opens it goes on from there.

    A link to a group that has not come yet is held back, and is made once the group is sent; if
    the group never comes it is made at the end, since it may be in the owner already.

    Memory: ``memory_limit``, one megabyte for each kilobyte-sized entity out of a thousand that
    are open, 90 bytes for each group that was ever sent, 16 from the 65,536th on, and each link
    that is held back.

    Args:
        transport: Where to send.
        settings: How the server treats the jobs.
        linger: Seconds after which what was drained is sent though the job is not full; and what
            ``extend()`` was given by an async iterable that waits for more.
        memory_limit: Bytes of encoded entities in memory at most, bodies in flight included.
        max_entities_per_job: Groups, indicators and associations in one job at most.
        max_bytes_per_job: Bytes of one job's document at most. A job takes no more than its share
            of ``memory_limit`` either, which is that by ``max_jobs`` and one.
        max_jobs: Jobs that the server has at once.
        file_concurrency: Files that are open and uploading at once.
        create_and_upload: Make jobs in one request.
        poll_timeout: Seconds that the server may take for one job.
        halt_on_failure: True ends the stream at the first step that fails: the next ``drain()``
            raises, and so does ``extend()`` where it waits for an async iterable, which is
            cancelled there. False goes on: jobs of which that may be a matter of time are tried
            again for as long as the stream lives, before any that came later, and once more at its
            end; other failures, and files that were not uploaded, are in the job's status.
        on_job: Called, and awaited if need be, with the status of each job that has ended; the next
            one is told when it has returned, so it must not wait for jobs.
        journal: A file in which everything that was drained survives the process until it is
            done; entering the block goes on with what is there.
        contents: Called with the xid of a group whose file was not to be kept there, a callable
            or an open file, when the journal is opened again or dead letters are read; gives its
            content, or None.
        dead_letters: A file to which is appended, as lines of JSON, what is not on the server with
            all its parts when its job has ended, and what was drained and is given up at the end;
            what a journal goes on with is neither. See `Batch.add_failed`. Only its user can read
            it.
        validate: False takes every value that can be encoded, as it is given.
        indicator_types: The types that the instance knows, with the number of their values or
            the labels of these.
        clock: The time, for tests.

    Raises:
        ConfigurationError: When a setting is not one of those that are accepted.
    """

    def __init__(
        self,
        transport: Transport,
        settings: JobSettings,
        *,
        linger: float = 1.0,
        memory_limit: int = 64 * 1024 * 1024,
        max_entities_per_job: int = 25_000,
        max_bytes_per_job: int = 75_000_000,
        max_jobs: int = 3,
        file_concurrency: int = 8,
        create_and_upload: bool = False,
        poll_timeout: float = 3600.0,
        halt_on_failure: bool = True,
        on_job: Callable[[BatchStatus], Awaitable[None] | None] | None = None,
        journal: str | PathLike[str] | None = None,
        contents: Callable[[str], FileContent | None] | None = None,
        dead_letters: str | PathLike[str] | None = None,
        validate: bool = True,
        indicator_types: Mapping[str, int | Sequence[str]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        checked_bool("halt_on_failure", halt_on_failure)
        options = SubmitOptions(
            max_jobs=max_jobs,
            file_concurrency=file_concurrency,
            create_and_upload=create_and_upload,
            poll_timeout=poll_timeout,
            halt=Halt(batch=halt_on_failure, poll=halt_on_failure, file=halt_on_failure),
        )
        super().__init__(
            validate=checked_bool("validate", validate),
            max_entities_per_job=max_entities_per_job,
            max_bytes_per_job=share_of_memory(max_bytes_per_job, memory_limit, max_jobs),
            memory_limit=memory_limit,
            indicator_types=checked_types("indicator_types", indicator_types),
        )
        self._settings = settings
        self._clock = checked_clock(clock)
        self._linger = Linger(checked_seconds("linger", linger), self._clock)
        self._feeds = Feeds(linger, self._clock)
        self._reports = Reports(checked_callable("on_job", on_job), self._wake)
        self._beside = Background(self._failed)
        self._journal_path = checked_path("journal", journal)
        self._contents = checked_callable("contents", contents)
        self._dead_letters = checked_file("dead_letters", dead_letters)
        self._resumed: Resumed | None = None
        self._recorder = NO_RECORDER
        self._transport = transport
        self._new_pipeline = partial(
            Pipeline,
            transport,
            PollSchedule(),
            options,
            clock=self._clock,
            on_recut=self._replace,
            retries=self._is_retried,
        )
        self._pipeline = self._new_pipeline(self._next_jobs())
        #: How many groups, indicators and associations were cut off for jobs.
        self._cut_off = [0, 0, 0]
        self._ending = False
        #: The jobs that have begun and not ended, with the bytes of each that are in memory.
        self._sending: dict[Job, int] = {}
        #: Those of them that a journal had.
        self._again: deque[Job] = deque()
        #: The job that is told of, once what failed in it is written down.
        self._buried: Job | None = None
        # With a journal it is open in its block only.
        self._closed = journal is not None
        #: The counts of all jobs that have ended, added up; with the first failure and the first
        #: file that was not uploaded, if there are any.
        self.status = self._reports.total

    async def __aenter__(self) -> Self:
        if self._beside.has_begun:
            raise UsageError("a stream is entered once; make another one with client.stream()")
        if self._journal_path is not None:
            await self._resume(self._journal_path)
        watch_feeds = partial(self._feeds.watch, lambda: self._indicators.term, self._send_stale)
        await self._beside.begin(self._run, self._watch_linger, watch_feeds, self._tell_of_jobs)
        return self

    def _refuse_closed(self) -> None:
        if self._journal_path is not None and self._resumed is None:
            raise UsageError(
                "a stream with a journal is used inside its block:"
                " async with client.stream(..., journal=...) as stream"
            )
        super()._refuse_closed()

    async def _resume(self, path: str | PathLike[str]) -> None:
        """Open the journal, and go on with what it has."""
        # imported here, since SQLite and the journal take as long as half of all else
        from aiotcbatch.journal.keeper import resume  # noqa: PLC0415

        instance = str(self._transport.base)
        resumed = await resume(path, self._settings, self._all_buffers, self._contents, instance)
        self._resumed, self._keep = resumed, resumed.keeper.keep
        self._closed = False
        self._recorder = resumed.recorder
        self._pipeline = self._new_pipeline(self._next_jobs(), recorder=resumed.recorder)
        self._hold_again(resumed.groups, resumed.held)
        for job in resumed.jobs:
            self._sending[job] = 0  # its records are on disk
            self._again.append(job)
        if self._buffered:
            self._linger.begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._beside.has_begun:
            return
        try:
            if error is None:
                await self._finish()
        finally:
            self._closed = True
            self._wake()  # others may wait for jobs that do not come any more
            try:
                await self._beside.end()
            finally:
                self._pipeline.close()
                with anyio.CancelScope(shield=True):
                    if self._resumed is not None:
                        await self._resumed.journal.remove_if_done()
                    else:
                        self._release_links()
                        self._tell_abandoned()
                        await self._give_up(job for job in self._sending if job is not self._buried)

    def _tell_abandoned(self) -> None:
        """Tell how much is given up of which the server has nothing."""
        jobs = self._sending
        unsent = [job for job in jobs if job.unsent]
        abandoned = BatchAbandoned(
            owner=self._settings.owner,
            entities=len(self) + sum(job.entity_count for job in unsent),
            associations=self.association_len + sum(job.association_count for job in unsent),
            files=self.file_len + sum(len(job.files) for job in jobs),
        )
        if abandoned.entities or abandoned.associations or abandoned.files:
            self._transport.events.tell(abandoned)

    async def _finish(self) -> None:
        """Send all that is there, and what `on_job` or other tasks add until nothing is left."""
        while True:
            refused: ValidationError | None = None
            try:
                await self.drain()
            except ValidationError as error:
                refused = error  # all others are drained, and are sent
            self._ending = True
            if self._links:
                self._release_links()
            elif self._sending or any(buffer.ready for buffer in self._all_buffers):
                self._wake()
                await self._progress()
            elif not self._buffered and len(self) == len(self.refused):
                break  # else some were added while drain() gave way
        self._beside.raise_failure()
        if refused is not None:
            raise refused

    def _taking(self, items: object) -> AbstractContextManager[None]:
        return self._feed() if isinstance(items, AsyncIterable) else nullcontext()

    @contextmanager
    def _feed(self) -> Iterator[None]:
        self._check_open()
        with self._feeds.taken():
            yield
        self._check_open()

    async def flush(self) -> None:
        """
        Send what is pending without lingering, and wait until that is done.

        It does not wait for what other tasks add meanwhile, nor for links that are held back.

        Raises:
            ValidationError: When an entity cannot be sent.
            UsageError: When ``on_job`` calls it, whose own job has not ended until it returns.
            ClosedError: When the block is left, be it meanwhile by an exception.
            AiotcbatchError: When a step failed, with ``halt_on_failure``.
        """
        if self._reports.is_calling:
            raise UsageError("on_job cannot wait for all jobs, as its own ends when it returns")
        await self.drain()
        buffers = self._all_buffers
        until = [cut + held.count for cut, held in zip(self._cut_off, buffers, strict=True)]
        with self._reports.not_waiting():
            # Where none is ready nothing of it is left: what was named again is at its end, and
            # what others have not drained may have come in the place of what is gone.
            while any(
                held.ready and cut < stop
                for held, cut, stop in zip(buffers, self._cut_off, until, strict=True)
            ):
                if self._groups.reopened:  # by others, and jobs wait for that
                    await super().drain()
                self._send_now()
                await self._progress()
            last = max((job.number for job in self._sending), default=0)
            while any(job.number <= last for job in self._sending):
                await self._progress()

    async def drain(self) -> None:
        """
        Encode what is open, and wait while too much is in memory.

        Where ``on_job`` calls it, or who follows and is more than 16 jobs behind, it does not wait:
        room may come only when they go on.

        Raises:
            ValidationError: When an entity cannot be sent, since a required field is missing
                or it is larger than a job. It stays open, all others are drained.
            ClosedError: When the block is left, be it meanwhile by an exception.
            AiotcbatchError: When a step failed, with ``halt_on_failure``.
        """
        if not self._beside.has_begun:
            raise UsageError("a stream sends only inside its block: async with client.stream(...)")
        self._check_open()
        refused: ValidationError | None = None
        try:
            await super().drain()
        except ValidationError as error:
            refused = error  # raised when there is room, or nothing would hold who goes on
        # Not in there: who waits would keep all others from draining what the jobs wait for.
        if self._held_bytes > self._memory_limit:
            await self._wait_for_room()
        self._beside.raise_failure()
        if refused is not None:
            raise refused

    async def _spill(self) -> None:
        """Have it sent: a stream sends what is too much instead of keeping it on disk."""
        if self._buffered:
            self._linger.begin()
        if self._ready:
            self._wake()

    def _send_now(self) -> None:
        """Have what is drained sent, though no job is full."""
        # Jobs that end wake all, and of two that wait each would wake the other for ever.
        if not (self._linger.is_over and self._sending):
            self._linger.cut_short()
            self._wake()

    async def _wait_for_room(self) -> None:
        # Who is waited for brings the room by going on.
        while self._held_bytes > self._memory_limit and not self._reports.waits_for_caller:
            if self._is_undrained or not self._sending:
                # What others have added since may be what the jobs wait for.
                with suppress(ValidationError):  # their next drain() tells them
                    await super().drain()
            if self._sending:
                await self._progress()
            else:
                # A few records may keep the memory of many: they do not wait for more.
                self._send_now()
                await checkpoint()
                self._check_open()

    def _wake(self) -> None:
        """Have all that wait look again."""
        self._pipeline.wake()

    async def _progress(self) -> None:
        """Wait until something has happened, or raise why nothing does any more."""
        self._check_open()
        await self._pipeline.changed()

    def _check_open(self) -> None:
        self._beside.raise_failure()
        self._refuse_closed()

    def following(self) -> AbstractAsyncContextManager[AsyncIterator[BatchStatus]]:
        """
        Follow the jobs that end from now on.

        ::

            async with stream.following() as jobs:
                async for status in jobs:
                    print(status.id, status.success_count)

        The iterator ends with the stream, or when a step failed. Whoever follows and does not read
        makes the stream wait, after 16 jobs, but for while it is in ``flush()``; until they are
        read, their statuses hold what the jobs sent, beside ``memory_limit``.

        Returns:
            What gives, when it is entered, the statuses of the jobs as they end.
        """
        return self._reports.following()

    @property
    def _all_buffers(self) -> tuple[GroupBuffer, Buffer, Buffer]:
        """In the order of a document."""
        return self._groups.buffer, self._indicators.buffer, self._associations

    @property
    def memory_bytes(self) -> int:
        """Bytes of encoded entities in memory, those of jobs that have not ended included."""
        held = sum(buffer.memory_bytes for buffer in self._all_buffers)
        return held + sum(self._sending.values())

    @property
    def _held_bytes(self) -> int:
        """The same, with what was found in the journal, or that would grow with each restart."""
        held = sum(max(buffer.memory_bytes, buffer.nbytes) for buffer in self._all_buffers)
        return held + sum(self._sending.values())

    def statistics(self) -> StreamStatistics:
        """Say what the stream holds and has done."""
        return StreamStatistics(
            pending=len(self),
            held_links=len(self._links),
            memory_bytes=self.memory_bytes,
            jobs_in_flight=len(self._sending),
            jobs_done=self._reports.count,
            success_count=self.status.success_count,
            error_count=self.status.error_count,
            unprocess_count=self.status.unprocess_count,
        )

    # What runs beside

    def _failed(self, error: Exception) -> None:
        """Let all that wait see that it is over."""
        if isinstance(error, AiotcbatchError):
            error.partial = self.status
        self._feeds.give_up()
        self._wake()

    async def _run(self) -> None:
        await put_in_order(list(self._again), self._recorder)
        await self._pipeline.run()

    def _next_jobs(self) -> Iterator[Job | None]:
        """Jobs as they are ready, None while none is."""
        while True:
            job = self._again.popleft() if self._again else self._cut_job()
            if not self._buffered:  # what comes from now on lingers anew
                self._linger.end()
            yield job

    def _cut_job(self) -> Job | None:
        """Make a job of what is drained, if it is full or due."""
        if not self._ready:
            return None
        if self._groups.reopened:
            # What is linked to such a group would be sent without it. Who waits for jobs drains it.
            self._wake()
            return None
        chunk = self._cut(self._transport.document_limit)
        if chunk is None:
            return None
        self._cut_off = [n + cut.count for n, cut in zip(self._cut_off, chunk.cuts, strict=True)]
        job = Job(self._settings, chunk)
        self._sending[job] = chunk.size
        return job

    def _replace(self, job: Job, parts: list[Job]) -> None:
        """Take jobs over into which one was cut."""
        in_memory = self._sending.pop(job)
        for part in parts:
            self._sending[part] = part.document.size if in_memory else 0

    @property
    def _buffered(self) -> int:
        return sum(buffer.count for buffer in self._all_buffers)

    @property
    def _ready(self) -> bool:
        """Whether a job is full, or due."""
        return (
            self._linger.is_over
            or self._ending
            or self._buffered >= self._max_entities
            or sum(buffer.nbytes for buffer in self._all_buffers) >= self._max_bytes
        )

    async def _watch_linger(self) -> None:
        while True:
            await self._linger.passed()
            self._wake()

    async def _send_stale(self) -> None:
        """Drain and send what feeds have given."""
        if self._is_undrained or (self._buffered and not self._linger.has_begun):
            with suppress(ValidationError):  # what cannot be sent is raised where the feed ends
                await super().drain()
            self._send_now()

    async def _tell_of_jobs(self) -> None:
        """Tell of jobs as they end, until there are no more since a step failed."""
        try:
            while True:
                while self._pipeline.finished:
                    job = self._pipeline.finished.popleft()
                    if job in self._pipeline.away:
                        self._beside.add(partial(self._try_again, job))
                    else:
                        await self._told(job)
                if self._beside.failure is not None:
                    return
                await self._pipeline.changed()
        finally:
            self._reports.close()

    async def _try_again(self, job: Job) -> None:
        """Hand a job in once more after a pause."""
        await self._clock.sleep(min(job.attempts, LONGEST_PAUSE))
        self._pipeline.again(job)

    async def _told(self, job: Job) -> None:
        """Count a job that has ended, and tell those who follow."""
        if self._resumed is None or not job.unfinished:  # else the journal goes on with it
            await self._bury([job])
            self._buried = job
        if self._resumed is not None:
            await self._keep_records([job])
            await self._resumed.keep_contents([job], self._spool)
        await self._reports.tell(job.result)
        await self._recorder.told([job])
        self._recorder.leave(job)
        del self._sending[job]
        self._buried = None
        self._wake()

    def _is_retried(self, job: Job) -> bool:
        """Whether trying a job again may help: as long as the stream lives, once at its end."""
        failure = job.failure
        if failure is None or not job.unfinished or not is_transient(failure):
            return False
        return not self._ending or job.attempts <= 1
