"""Chunks to jobs to files: order, concurrency, and what happens when a step fails."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from aiotcbatch.errors import AiotcbatchError, CriticalError, NotFoundError, PollTimeoutError
from aiotcbatch.files import UploadResult, upload_files
from aiotcbatch.job import UNKNOWN_OUTCOME, Job, JobApi, Phase
from aiotcbatch.results import BatchError, EntityLookup, tie_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from aiotcbatch.chunk import Chunk
    from aiotcbatch.http import Transport
    from aiotcbatch.polling import PollSchedule
    from aiotcbatch.results import BatchStatus

__all__ = ["Clock", "Halt", "Pipeline", "SubmitOptions", "wait_for_job"]

#: The error list can lag behind the job: it is asked for again after these seconds.
ERROR_LAG_SECONDS = (0.2, 1.0, 4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time as the pipeline sees it, so that tests can have their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Which failing steps end a submit; the others are noted in the result."""

    batch: bool = True
    poll: bool = True
    file: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOptions:
    """What a submit does, and how far it goes."""

    poll: bool = True
    errors: bool = True
    process_files: bool = True
    halt: Halt = Halt()
    #: Seconds that a job may take before the server has done its work.
    poll_timeout: float = 3600.0
    #: Jobs that the server has at once: one to work at, the others so that it never waits.
    max_jobs: int = 3
    file_concurrency: int = 8
    create_and_upload: bool = False


class _End:
    """What a source of jobs gives when there will be no more."""


_END = _End()


class Pipeline:
    """
    Takes jobs through their phases: one is uploaded while the server works on those before it.

    Three workers share the jobs: one creates and uploads, in order; one polls the oldest job
    and fetches its errors; one uploads the files of completed jobs. A job with entities that
    may point to an earlier job's groups is not uploaded before that one has completed.

    Everything is in the jobs themselves, so a run that was cancelled or has failed can be
    followed by another.

    Args:
        transport: Where to send.
        schedule: When to poll.
        options: What to do.
        jobs: The jobs in their order, those that were begun before first; it is asked for the
            next one when there is room for it. None says that there is none until `wake`.
        clock: The time.
    """

    def __init__(
        self,
        transport: Transport,
        schedule: PollSchedule,
        options: SubmitOptions,
        jobs: Iterator[Job | None],
        clock: Clock,
    ) -> None:
        self._transport = transport
        self._api = JobApi(transport)
        self._schedule = schedule
        self._options = options
        self._source = jobs
        self._clock = clock
        self._on_server: deque[Job] = deque()
        self._filing: deque[Job] = deque()
        self._all_sent = False
        self._all_polled = False
        self._changed = anyio.Event()
        self._pausing = False
        self._nap = anyio.CancelScope()
        self._failure: Exception | None = None
        #: Every job that was begun, in order.
        self.jobs: list[Job] = []
        #: Jobs whose end has not been told yet.
        self.finished: deque[Job] = deque()

    @property
    def over(self) -> bool:
        """Whether every job has come to its end and has been told."""
        return self._all_sent and self._all_polled and not (self._filing or self.finished)

    async def run(self, *, until_one: bool = False) -> None:
        """
        Take all jobs to their end.

        Args:
            until_one: Return when a job has come to its end; what is under way on the way to
                the server is finished first, and the next run goes on.

        Raises:
            AiotcbatchError: The first failure that halts.
        """
        self._pausing = False
        async with anyio.create_task_group() as workers:
            for worker in (self._send, self._poll, self._file):
                workers.start_soon(self._guard, worker, workers.cancel_scope)
            if until_one:
                while not self.finished and not self.over:
                    await self._wait()
                self._pausing = True
                self._nap.cancel()
                self._notify()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    async def changed(self) -> None:
        """Wait until something has happened: a job got further, or `wake` was called."""
        await self._wait()

    def wake(self) -> None:
        """Look for jobs again, after there was none."""
        self._notify()

    def close(self) -> None:
        """Give back the jobs that were not begun."""
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    async def _guard(self, worker: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        try:
            await worker()
        except Exception as error:  # noqa: BLE001 - raised by run(), not in a group of one
            if self._failure is None:
                self._failure = error
            scope.cancel()
        finally:
            self._notify()

    async def _wait(self) -> None:
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _end(self, job: Job) -> None:
        self.finished.append(job)
        self._notify()

    def _fail(self, job: Job, error: AiotcbatchError, *, halt: bool) -> None:
        """Raise, or note in the job that it gets no further."""
        job.failed(error)
        if halt:
            raise error
        self._end(job)

    # The worker that creates and uploads

    async def _send(self) -> None:
        while not self._pausing and not self._all_sent:
            if len(self._on_server) >= self._options.max_jobs:
                await self._wait()
                continue
            job = next(self._source, _END)
            if isinstance(job, _End):
                self._all_sent = True
                break
            if job is None:
                await self._wait()
                continue
            self.jobs.append(job)
            await self._begin(job)
            self._notify()

    async def _begin(self, job: Job) -> None:
        job.retried()
        try:
            if job.phase in {Phase.CUT, Phase.CREATED}:
                await self._upload(job)
        except AiotcbatchError as error:
            self._fail(job, error, halt=self._options.halt.batch)
            return
        if job.phase is Phase.COMPLETED:
            await self._complete(job)
        elif self._options.poll:
            self._on_server.append(job)
        else:
            self._end(job)

    async def _upload(self, job: Job) -> None:
        if job.chunk.refers:
            while self._on_server:
                await self._wait()
        if self._options.create_and_upload and job.settings.action != "Delete":
            await self._upload_at_once(job)
            return
        for last in (False, True):
            if job.batch_id is None:
                job.created(await self._api.create(job.settings))
            try:
                await self._api.upload(job.id, job.chunk)
            except NotFoundError:
                # The server forgot the job, as one does that restarts: it is made anew, once.
                job.forgotten()
                if last:
                    raise
            else:
                job.uploaded(self._clock.now())
                return

    async def _upload_at_once(self, job: Job) -> None:
        try:
            status = await self._api.create_and_upload(job.settings, job.chunk)
        except UNKNOWN_OUTCOME as error:
            if job.settings.attribute_write_type == "Append":
                job.phase = Phase.LOST
                error.add_note(
                    "whether the server has these entities is not known, and they are not sent"
                    " again, since Append would add their attributes twice"
                )
            raise
        job.batch_id = status.id
        if status.completed:
            job.completed(status)
        else:
            job.uploaded(self._clock.now())

    # The worker that polls

    async def _poll(self) -> None:
        while not self._pausing:
            if self._on_server:
                await self._watch(self._on_server[0])
            elif self._all_sent:
                self._all_polled = True
                break
            else:
                await self._wait()

    async def _watch(self, job: Job) -> None:
        try:
            status = await wait_for_job(
                self._api,
                job.id,
                entities=job.chunk.entity_count,
                since=job.uploaded_at,
                limit=self._options.poll_timeout,
                schedule=self._schedule,
                clock=self._clock,
                pause=self._pause,
            )
        except AiotcbatchError as error:
            self._on_server.popleft()
            if isinstance(error, NotFoundError):
                # The server forgot it after the upload: what it wrote until then is not known.
                job.phase = Phase.LOST
            self._fail(job, error, halt=self._options.halt.poll)
            return
        if status is None:
            return
        job.completed(status)
        self._on_server.popleft()
        if self._on_server:
            # The next one was waiting for this one until now.
            self._on_server[0].uploaded_at = self._clock.now()
        self._notify()
        await self._complete(job)

    async def _pause(self, seconds: float) -> bool:
        """Sleep, less long if the run is to pause; True if it is."""
        if self._pausing:
            return True
        with anyio.CancelScope() as self._nap:
            await self._clock.sleep(seconds)
        return self._pausing

    async def _complete(self, job: Job) -> None:
        """Fetch the errors, then hand the job on to have its files uploaded."""
        try:
            if self._options.errors or (job.files and job.status.error_count):
                job.status["errors"] = await self._errors(job)
        except AiotcbatchError as error:
            self._fail(job, error, halt=self._options.halt.poll)
            return
        critical = [error for error in job.status.errors if error.critical]
        if critical:
            job.phase = Phase.DONE
            gave_up = CriticalError(
                f"the server gave up on job {job.batch_id}: {critical[0].message}",
                batch_id=job.batch_id,
            )
            self._fail(job, gave_up, halt=self._options.halt.batch)
        elif job.files and self._options.process_files:
            self._filing.append(job)
            self._notify()
        else:
            if not job.files:
                job.phase = Phase.DONE
            self._end(job)

    async def _errors(self, job: Job) -> list[BatchError]:
        status = job.status
        refused = bool(status.error_count or status.error_association_count)
        found = [dict(error) for error in status.errors]
        if job.batch_id is not None:
            found = await self._api.results(job.batch_id)
            for seconds in ERROR_LAG_SECONDS:
                if found or not refused:
                    break
                found = await self._api.errors(job.batch_id)
                if not found:
                    await self._clock.sleep(seconds)
        if not found:
            return []
        return await tie_to_chunk(found, job.chunk)

    # The worker that uploads files

    async def _file(self) -> None:
        while not self._pausing:
            if self._filing:
                job = self._filing[0]
                try:
                    await self._upload_files(job)
                except AiotcbatchError as error:
                    self._filing.popleft()
                    self._fail(job, error, halt=True)
                self._filing.popleft()
                job.phase = Phase.DONE
                self._end(job)
            elif self._all_sent and self._all_polled:
                break
            else:
                await self._wait()

    async def _upload_files(self, job: Job) -> None:
        refused = {error.xid: error for error in job.status.errors if error.severity != "Warning"}
        for xid in [xid for xid in job.files if xid in refused]:
            why = f"the group was refused: {refused[xid]}"
            job.filed(UploadResult(uploaded=False, xid=xid, error=why, bytes=0))
        await upload_files(
            self._transport,
            list(job.files.values()),
            owner=job.settings.owner,
            concurrency=self._options.file_concurrency,
            halt_on_error=self._options.halt.file,
            on_result=job.filed,
        )


async def tie_to_chunk(errors: list[dict[str, object]], chunk: Chunk) -> list[BatchError]:
    """Tie errors to the entities of a chunk, in a worker thread since it reads them all."""
    return await to_thread.run_sync(lambda: tie_errors(errors, EntityLookup(chunk.decode())))


async def wait_for_job(
    api: JobApi,
    batch_id: int,
    *,
    entities: int,
    since: float,
    limit: float,
    schedule: PollSchedule,
    clock: Clock,
    pause: Callable[[float], Awaitable[bool]] | None = None,
) -> BatchStatus | None:
    """
    Poll until the server has done a job.

    Args:
        api: The requests.
        batch_id: The job.
        entities: How many it has, from which its time is guessed.
        since: When the server could begin, on the clock.
        limit: Seconds from then on.
        schedule: When to look next; it learns from how long this one took.
        clock: The time.
        pause: Sleeps instead of the clock, and says whether to stop waiting.

    Returns:
        The status, None if pause said to stop.

    Raises:
        PollTimeoutError: When it has not completed in time.
    """
    while True:
        elapsed = clock.now() - since
        if elapsed > limit:
            raise PollTimeoutError(
                f"job {batch_id} has not completed in {limit:g} seconds; it may still complete:"
                " poll it again, or submit again to go on waiting",
                batch_id=batch_id,
            )
        delay = min(schedule.next_delay(elapsed, entities), max(limit - elapsed, 0.0) + 0.001)
        if pause is None:
            await clock.sleep(delay)
        elif await pause(delay):
            return None
        status = await api.status(batch_id)
        if status.completed:
            schedule.completed(entities, clock.now() - since)
            return status
