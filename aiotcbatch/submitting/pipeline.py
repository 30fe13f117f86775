"""Chunks to jobs to files: order, concurrency, and what happens when a step fails."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING

import anyio

from aiotcbatch.errors import AiotcbatchError, CriticalError, JournalError, NotFoundError
from aiotcbatch.submitting.job import Phase
from aiotcbatch.submitting.options import Halt, SubmitOptions
from aiotcbatch.submitting.overtaking import overtakers
from aiotcbatch.submitting.recorder import NO_RECORDER
from aiotcbatch.submitting.steps import Clock, Steps
from aiotcbatch.transport.retry import was_refused_unseen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from aiotcbatch.results.status import BatchStatus
    from aiotcbatch.submitting.job import Job
    from aiotcbatch.submitting.polling import PollSchedule
    from aiotcbatch.submitting.recorder import Recorder
    from aiotcbatch.transport.http import Transport

__all__ = ["Clock", "Halt", "Pipeline", "SubmitOptions"]


#: Seconds after which others are looked at too while the oldest job is waited for.
PATIENCE = 60.0


class _End:
    """What a source of jobs gives when there will be no more."""


_END = _End()


class Pipeline:
    """
    Takes jobs through their phases: one is uploaded while the server works on those before it.

    Four workers share the jobs: one creates and uploads, in order; one polls the oldest job on
    the server, and the others too once it takes long; one fetches the errors of completed jobs;
    one uploads their files. A job with entities that may point to an earlier job's groups is not
    uploaded before what is to be there of that one is there. A job that the server cannot do with
    is cut into smaller ones, which take its place.

    Of an entity that several jobs have the last values stay. So none overtakes one that is to be
    handed in `again`; but for one about which the server has answered three times, and neither
    taken it nor told what became of it, which would hold up all others for ever. Where one that
    was sent must be sent again, since the server forgot it or gave up on it, later ones that are
    there already and have some of its entities are sent again after it, if that does no harm.
    None of them is looked into before it is known whether that will be.

    Everything is in the jobs themselves, so a run that was cancelled or has failed can be
    followed by another, of this pipeline or of another one.

    Bounds: at most ``max_jobs`` jobs are on the server, and no further one is sent while as many
    again wait for their errors or their files.

    Args:
        transport: Where to send.
        schedule: When to poll.
        options: What to do.
        jobs: The jobs in their order, those that were begun before first; it is asked for the
            next one when there is room for it. None says that there is none until `wake`.
        clock: The time.
        recorder: Told how far each job is, before the next thing is done with it.
        on_recut: Called with a job and those that take its place; the source does not give them.
        retries: Says of a job that has ended with a failure whether it is handed in `again`.
    """

    def __init__(
        self,
        transport: Transport,
        schedule: PollSchedule,
        options: SubmitOptions,
        jobs: Iterator[Job | None],
        clock: Clock,
        recorder: Recorder = NO_RECORDER,
        on_recut: Callable[[Job, list[Job]], None] | None = None,
        retries: Callable[[Job], bool] = lambda _: False,
    ) -> None:
        self._steps = Steps(transport, schedule, clock, recorder)
        self._on_recut = on_recut
        self._retries = retries
        self._options = options
        self._source = jobs
        self._clock = clock
        #: Nothing more comes from the source.
        self._dry = False
        #: The next job, if it waits for its turn.
        self._next: Job | None = None
        #: Jobs to be taken up before all others: those that the server forgot after their upload,
        #: those into which one was cut, and those that were handed in again.
        self._again: set[Job] = set()
        #: Jobs that ended with a failure and will be handed in again.
        self.away: set[Job] = set()
        #: In the order of `jobs`, as the next one is.
        self._on_server: list[Job] = []
        self._completed: list[Job] = []
        #: The one whose errors are being fetched.
        self._explaining: Job | None = None
        self._filing: deque[Job] = deque()
        #: When the oldest job on the server became the oldest.
        self._oldest_since = clock.now()
        self._began = self._oldest_since
        self._changed = anyio.Event()
        self._pausing = False
        self._naps: set[anyio.CancelScope] = set()
        self._failure: Exception | None = None
        #: Jobs that were begun and have not ended, in their order.
        self.jobs: list[Job] = []
        #: Jobs that have ended, for the caller to take away.
        self.finished: deque[Job] = deque()

    @property
    def over(self) -> bool:
        """Whether every job has come to its end and was taken away."""
        return self._over and not self.finished

    @property
    def _over(self) -> bool:
        return self._dry and not self.jobs

    async def run(self, *, until_one: bool = False) -> None:
        """
        Take all jobs to their end.

        Args:
            until_one: Return when a job has come to its end; requests that are under way are
                finished first, and the next run goes on.

        Raises:
            AiotcbatchError: The first failure that halts.
        """
        self._pausing = False
        self._began = self._clock.now()
        with self._steps.tell.of_submit(lambda: not self.jobs):
            async with anyio.create_task_group() as workers:
                for worker in (self._send, self._poll, self._explain, self._file):
                    workers.start_soon(self._guard, worker, workers.cancel_scope)
                if until_one:
                    while not self.finished and not self._over:
                        await self.changed()
                    self._pause()
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure

    async def changed(self) -> None:
        """Wait until something has happened: a job got further, or `wake` was called."""
        await self._changed.wait()

    def wake(self) -> None:
        """Look for jobs again, after there was none."""
        self._changed.set()
        self._changed = anyio.Event()

    def again(self, job: Job) -> None:
        """Take up a job once more that is `away`, before all that come after it."""
        self.away.remove(job)
        at = bisect_left(self.jobs, job.number, key=lambda other: other.number)
        self.jobs.insert(at, job)
        job.retried()
        self._again.add(job)
        self.wake()

    def stop(self) -> None:
        """Take no further job up; those that were begun go on to their end."""
        waiting = {self._next, *self._again}
        self._dry, self._next = True, None
        self._again.clear()
        self.jobs = [job for job in self.jobs if job not in waiting]
        self.wake()

    def close(self) -> None:
        """Give back the jobs that were not begun."""
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    async def _guard(self, worker: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        try:
            await worker()
        except Exception as error:  # noqa: BLE001 - raised by run(), not in a group of one
            self._failure = self._failure or error
            scope.cancel()
        finally:
            self.wake()

    @property
    def _working(self) -> bool:
        return not (self._pausing or self._over)

    def _pause(self) -> None:
        self._pausing = True
        for nap in self._naps:
            nap.cancel()
        self.wake()

    async def _nap(self, seconds: float) -> bool:
        """Sleep, less long if the run is to pause; True if it is."""
        if self._pausing:
            return True
        with anyio.CancelScope() as scope:
            self._naps.add(scope)
            try:
                await self._clock.sleep(seconds)
            finally:
                self._naps.discard(scope)
        return self._pausing

    # How a job ends

    def _end(self, job: Job) -> None:
        self._steps.tell.ended(job)
        if job.failure is None:
            job.chunk = None  # nobody needs it any more, and it may be large
        self.jobs.remove(job)
        if job.failure is not None and self._retries(job):
            self.away.add(job)
        self.finished.append(job)
        self.wake()

    async def _fail(self, job: Job, error: AiotcbatchError, *, halt: bool) -> None:
        """Raise, or note in the job that it gets no further."""
        await self._steps.failed(job, error)
        if halt or isinstance(error, JournalError):  # nothing can be done unnoted
            raise error
        self._end(job)

    def _replace(self, job: Job, parts: list[Job]) -> None:
        """Have jobs sent in the place of one, before all that come after it."""
        at = self.jobs.index(job)
        self.jobs[at : at + 1] = parts
        self._again.update(parts)
        if self._on_recut is not None:
            self._on_recut(job, parts)
        self.wake()

    # The worker that creates and uploads

    async def _send(self) -> None:
        while self._working:
            job = self._take()
            if job is None:
                await self.changed()
            else:
                await self._begin(job)
                self.wake()

    def _take(self) -> Job | None:
        """Take the next job, None if there is none or if it must wait for others."""
        if self._again:
            first = next(job for job in self.jobs if job in self._again)
            if not self._has_turn(first):
                return None
            self._again.remove(first)
            return first
        job, self._next = self._next or self._ask_source(), None
        if job is not None and not self._has_turn(job):
            self._next = job
            return None
        return job

    def _ask_source(self) -> Job | None:
        job = _END if self._dry else next(self._source, _END)
        if isinstance(job, _End):
            if not self._dry:
                self._dry = True
                self.wake()
            return None
        if job is not None:
            self.jobs.append(job)
            job.retried()
        return job

    def _has_turn(self, job: Job) -> bool:
        """Whether a job can be begun; one that is on the server can at any time."""
        if not job.unsent:
            return True
        most = self._options.max_jobs
        if len(self._on_server) >= most:
            return False
        # Those that were sent before may be what the completed ones wait for.
        if job not in self._again and len(self._completed) + len(self._filing) >= most:
            return False
        if any(other.holds_up(job) for other in self.away):
            return False
        return not any(job.waits_for(other) for other in self._before(job))

    def _before(self, job: Job) -> Iterator[Job]:
        return takewhile(lambda other: other is not job, self.jobs)

    async def _take_back(self, job: Job) -> None:
        """Before a job is sent, have those sent again after it that have overtaken it."""
        later = self.jobs[self.jobs.index(job) + 1 :]
        later += [other for other in self.away if other.number > job.number]
        found = [other for other in await overtakers(job, later) if self._is_open(other)]
        for other in found:
            other.taken_back()
            if other not in self.away:
                self._again.add(other)
            for place in (self._on_server, self._completed):
                if other in place:
                    place.remove(other)
        for other in found:
            await self._steps.recorder.note(other)

    def _is_open(self, job: Job) -> bool:
        """Whether a job that was sent is neither over, nor about to be, nor looked into."""
        failing = job.failure is not None and job not in self.away
        return job.is_sent and not failing and job is not self._explaining

    async def _begin(self, job: Job) -> None:
        """Take a job up, in whichever phase it is."""
        if job.unsent:
            at_once = self._options.create_and_upload and job.settings.action != "Delete"
            try:
                await self._take_back(job)
                parts = await self._steps.send(job, at_once=at_once)
            except AiotcbatchError as error:
                await self._fail(job, error, halt=self._options.halt.batch)
                return
            if parts:
                self._replace(job, parts)
                return
        if job.phase is Phase.UPLOADED and self._options.poll:
            insort(self._on_server, job, key=self.jobs.index)
        elif job.phase is Phase.COMPLETED:
            insort(self._completed, job, key=self.jobs.index)
        elif job.phase is Phase.FILING and self._options.process_files:
            self._filing.append(job)
        else:
            self._end(job)

    # The worker that polls

    async def _poll(self) -> None:
        while self._working:
            if self._on_server:
                await self._watch(self._on_server[0])
            else:
                await self.changed()

    async def _watch(self, job: Job) -> None:
        """Wait for the oldest job on the server."""
        since = max(job.uploaded_at, self._oldest_since, self._began)
        batch_id = job.id

        async def nap(seconds: float) -> bool:
            if await self._nap(seconds):
                return True
            if self._clock.now() - since >= PATIENCE:
                await self._look_past(job)
            return False

        try:
            status = await self._steps.completion(
                batch_id,
                count=job.count,
                since=since,
                limit=self._options.poll_timeout,
                nap=nap,
                # Of a job that was there before this run it is not known when it began.
                learn=since > self._began,
            )
        except NotFoundError as error:
            if self._leave_server(job, batch_id):
                await self._forgotten(job, error)
        except AiotcbatchError as error:
            if self._leave_server(job, batch_id):
                await self._fail_to_ask(job, error)
        else:
            if status is not None and self._leave_server(job, batch_id):
                await self._complete(job, status)
        self.wake()

    async def _look_past(self, oldest: Job) -> None:
        """Look whether jobs are done though the oldest is not: it may never be."""
        for job in [job for job in self._on_server if job is not oldest]:
            if job not in self._on_server:
                continue
            since, batch_id = max(job.uploaded_at, self._began), job.id
            try:
                status = await self._steps.look(batch_id, self._clock.now() - since)
            except AiotcbatchError:  # so it is when it is the oldest, and is told then
                continue
            if status.completed and self._is_there(job, batch_id):
                self._on_server.remove(job)
                await self._complete(job, status)

    async def _complete(self, job: Job, status: BatchStatus) -> None:
        job.completed(status)
        await self._steps.recorder.note(job)
        if job.phase is Phase.COMPLETED:  # it was not taken back meanwhile
            insort(self._completed, job, key=self.jobs.index)
        self.wake()

    def _is_there(self, job: Job, batch_id: int) -> bool:
        """Whether a job was not taken back while the server was asked about it."""
        return job in self._on_server and job.batch_id == batch_id

    def _leave_server(self, job: Job, batch_id: int) -> bool:
        if not self._is_there(job, batch_id):
            return False
        self._on_server.remove(job)
        self._oldest_since = self._clock.now()
        return True

    async def _fail_to_ask(self, job: Job, error: AiotcbatchError) -> None:
        job.times_denied += not was_refused_unseen(error)
        await self._fail(job, error, halt=self._options.halt.poll)

    async def _forgotten(self, job: Job, error: NotFoundError) -> None:
        """Have a job that the server forgot, as one does that restarts, sent again."""
        try:
            self._steps.forgotten(job, error)
        except AiotcbatchError as lost:
            await self._fail(job, lost, halt=self._options.halt.poll)
        else:
            # At once, before anybody looks whether the jobs that wait for this one have a turn.
            self._again.add(job)

    # The worker that fetches errors

    async def _explain(self) -> None:
        while self._working:
            job = self._completed[0] if self._completed else None
            if job is None or self._may_be_taken_back(job):
                await self.changed()
                continue
            self._explaining = job
            try:
                await self._fetch_errors(job)
            finally:
                self._explaining = None

    def _may_be_taken_back(self, job: Job) -> bool:
        unsent = [other for other in self._before(job) if other.unsent]
        return any(other.holds_up(job) for other in (*self.away, *unsent))

    async def _fetch_errors(self, job: Job) -> None:
        parts: list[Job] | None = []
        try:
            if self._asks_errors(job):
                parts = await self._steps.explain(job, self._nap)
            else:
                job.explained()
                await self._steps.recorder.note(job)
        except AiotcbatchError as error:
            self._completed.remove(job)
            await self._fail_to_ask(job, error)
            return
        if parts is None:
            return
        self._completed.remove(job)
        if parts:
            self._replace(job, parts)
            return
        if isinstance(job.failure, CriticalError):
            await self._fail(job, job.failure, halt=self._options.halt.batch)
        elif job.files and self._options.process_files:
            self._filing.append(job)
            self.wake()
        else:
            self._end(job)

    def _asks_errors(self, job: Job) -> bool:
        inline_errors = job.batch_id is None and bool(job.status.errors)
        if self._options.errors or inline_errors:
            return True
        if job.may_be_given_up or job.search is not None:
            return True
        # Without them the files of refused groups would go up.
        return bool(job.files and job.status.error_count and self._options.process_files)

    # The worker that uploads files

    async def _file(self) -> None:
        while self._working:
            if self._filing:
                await self._upload_files(self._filing[0])
            else:
                await self.changed()

    async def _upload_files(self, job: Job) -> None:
        try:
            await self._steps.upload_files(
                job,
                concurrency=self._options.file_concurrency,
                halt=self._options.halt.file,
                stop=lambda: self._pausing,
            )
        except AiotcbatchError as error:
            self._filing.popleft()
            await self._fail(job, error, halt=self._options.halt.file)
            return
        if not job.files:
            self._filing.popleft()
            self._end(job)
