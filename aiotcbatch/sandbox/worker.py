"""The background worker: jobs one after the other, in the order in which their data came."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from aiotcbatch.sandbox.engine import config as job_config
from aiotcbatch.sandbox.engine.batch import Readers
from aiotcbatch.sandbox.engine.report import Report
from aiotcbatch.sandbox.engine.run import Run
from aiotcbatch.sandbox.misbehaviour import PoisonedJob, StuckJob
from aiotcbatch.sandbox.store import jobs
from aiotcbatch.sandbox.store.jobs import State

if TYPE_CHECKING:
    from aiotcbatch.sandbox.instance import Instance
    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.jobs import Job

__all__ = ["Worker"]

_log = logging.getLogger("aiotcbatch.sandbox")

#: How many jobs are remembered outside of the database.
_REMEMBERED = 1000
#: The longest that a slow job works before it waits, in seconds.
_SLICE = 0.02


class Worker:
    """
    Processes jobs at the speed that the settings ask for.

    Args:
        instance: What it works for.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._readers = Readers(instance.catalog)
        self._queue: deque[int] = deque()
        self._wake = anyio.Event()
        self._idle = anyio.Event()
        self._idle.set()
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self._stuck: list[int] = []
        self._current: anyio.CancelScope | None = None
        self._stopped = anyio.Event()
        self._runs: dict[int, Run] = {}
        #: Seconds, on the sandbox's clock, in which a job was in work.
        self.busy = 0.0
        #: Groups and indicators that were looked at.
        self.entities = 0

    def remember(self, job: Job) -> None:
        """Keep a job at hand, so that looking at its status asks nobody."""
        self._jobs[job.id] = job
        while len(self._jobs) > _REMEMBERED:
            oldest = next(iter(self._jobs.values()))
            if oldest.state is not State.COMPLETED:
                break
            del self._jobs[oldest.id]

    def recall(self, job_id: int) -> Job | None:
        """Return a job that is at hand."""
        return self._jobs.get(job_id)

    def forget(self) -> None:
        """Forget all jobs, since the database was changed."""
        self._queue.clear()
        self._stuck.clear()
        self._jobs.clear()
        self.busy = 0.0
        self.entities = 0
        self._idle.set()

    def enqueue(self, job_id: int) -> None:
        """Put a job that has its data at the end of the queue."""
        self._queue.append(job_id)
        self._idle = anyio.Event() if self._idle.is_set() else self._idle
        self._wake.set()

    def share(self, job_id: int) -> float | None:
        """Return how much of a job's document has been read, None if it is not in work."""
        run = self._runs.get(job_id)
        return None if run is None else run.share

    @property
    def waiting(self) -> int:
        """How many jobs are queued or in work."""
        return len(self._queue)

    async def idle(self) -> None:
        """Wait until no job is queued or in work."""
        while self._queue:
            await self._idle.wait()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while not self._queue:  # also where it was emptied since there was a job
                self._idle.set()
                self._wake = anyio.Event()
                await self._wake.wait()
            job_id = self._queue[0]
            with anyio.CancelScope() as self._current:
                await self.process(job_id)
            self._current = None
            self._stopped.set()
            if self._queue and self._queue[0] == job_id:
                self._queue.popleft()

    async def halt(self) -> None:
        """Drop all jobs from the queue, and the one that is in work as it is."""
        self._queue.clear()
        if self._current is not None:
            self._stopped = anyio.Event()
            self._current.cancel()
            await self._stopped.wait()
        self._idle.set()

    def release(self) -> int:
        """Put stuck jobs back into the queue and return how many there were."""
        stuck, self._stuck = self._stuck, []
        for job_id in stuck:
            self.enqueue(job_id)
        return len(stuck)

    async def process(self, job_id: int) -> Job | None:
        """
        Do one job from its beginning, or from where it was left, to its end.

        Returns:
            The job, None if it is gone.
        """
        database = self._instance.store.database
        job = self.recall(job_id) or await database.run(jobs.get, job_id)
        if job is None or job.state is State.COMPLETED:
            return job
        self.remember(job)
        began = await self._instance.moment(f"job {job_id} started")
        job.started = job.started or began
        job.state = State.RUNNING
        fault = self._instance.faults.of_job()
        if isinstance(fault, StuckJob):
            self._stuck.append(job_id)  # at once: whoever sees it run can release it
            await database.run(jobs.save, job)
            return job
        reason = None
        if isinstance(fault, PoisonedJob):
            reason = fault.found_in(await self._body(job))
        elif fault is not None:
            reason = fault.reason
        if fault is not None and reason is not None:
            await database.run(_fail, job, fault.code, reason)
        else:
            await self._work(job, began)
        job.completed = await self._instance.moment(f"job {job_id} completed")
        self.busy += job.completed - began
        job.state = State.COMPLETED
        await self._finish(job)
        return job

    async def _work(self, job: Job, began: float) -> None:
        try:
            run = self._runs[job.id] = await self._prepare(job)
            await self._steps(run, began)
        except Exception as error:  # noqa: BLE001  (reported in the job, as a server does)
            _log.exception("batch job %d failed inside the sandbox", job.id)
            reason = f"An unknown error occurred: {error!r}"
            store = self._instance.store
            await store.database.run(store.refresh)  # what was counted is not what was rolled back
            await store.database.run(_fail, job, "0x1004", reason)
        finally:
            self._runs.pop(job.id, None)

    async def _prepare(self, job: Job) -> Run:
        return await self._instance.store.database.run(self._begin, job, await self._body(job))

    async def _body(self, job: Job) -> bytes:
        body, file = await self._instance.store.database.run(jobs.body, job.id)
        if file is not None:
            body = await anyio.to_thread.run_sync(self._instance.store.spool.read, file)
        return body or b""

    def _begin(self, connection: Connection, job: Job, body: bytes) -> Run:
        instance = self._instance
        config = job_config.read(job.config)
        run = Run(
            instance.store,
            instance.catalog,
            self._readers,
            instance.settings,
            job,
            config,
            body,
        )
        run.resume(connection)
        jobs.save(connection, job)
        return run

    async def _steps(self, run: Run, began: float) -> None:
        """Step through a job, and wait where the settings make it slow."""
        instance = self._instance
        done = 0
        while not run.over:
            rate = instance.settings.entities_per_second
            chunk = instance.settings.chunk
            if rate is not None:
                chunk = max(1, min(chunk, int(rate * _SLICE)))
            now = await instance.moment(f"job {run.job.id} goes on")
            number = await instance.store.database.run(run.step, chunk, now)
            done += number
            self.entities += number
            if rate is not None and number:
                due = began + done / rate
                await instance.clock.sleep(max(0.0, due - instance.clock.time()))
        for file in run.unneeded:
            await anyio.to_thread.run_sync(instance.store.spool.remove, file)

    async def _finish(self, job: Job) -> None:
        store = self._instance.store
        keep = self._instance.settings.keep_bodies
        files = await store.database.run(_complete, job, keep)
        for file in files:
            await anyio.to_thread.run_sync(store.spool.remove, file)


def _fail(connection: Connection, job: Job, code: str, reason: str) -> None:
    """Note an error about a job as a whole."""
    report = Report(job)
    report.whole(code, reason, reason)
    jobs.add_errors(connection, job.id, report.taken())
    jobs.save(connection, job)


def _complete(connection: Connection, job: Job, keep: int | None) -> list[str]:
    jobs.save(connection, job)
    return [] if keep is None else jobs.forget_bodies(connection, keep)
