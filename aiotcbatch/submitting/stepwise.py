"""Submitting step by step, as the documents of TcEx show it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio

from aiotcbatch.checking import checked_seconds, checked_whole
from aiotcbatch.collecting.typed import TypedBuilder
from aiotcbatch.errors import (
    AiotcbatchError,
    JournalError,
    NotFoundError,
    UploadTooLargeError,
    UsageError,
)
from aiotcbatch.results.status import BatchStatus
from aiotcbatch.submitting.backlog import Backlog
from aiotcbatch.submitting.job import Job, Phase
from aiotcbatch.submitting.options import Configurable
from aiotcbatch.submitting.polling import PollSchedule
from aiotcbatch.submitting.steps import Steps, checked_clock, tied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiotcbatch.results.status import BatchError, UploadResult
    from aiotcbatch.submitting.job import JobSettings
    from aiotcbatch.submitting.options import SubmitOptions
    from aiotcbatch.submitting.steps import Clock
    from aiotcbatch.transport.http import Transport

__all__ = ["StepByStep"]


class StepByStep(TypedBuilder, Configurable):
    """
    A builder whose entities are sent by one call for each step of a job.

    Args:
        transport: Where to send.
        settings: How the server treats jobs.
        options: How jobs are submitted.
        clock: The time.
        **building: Settings of the builder.
    """

    def __init__(
        self,
        transport: Transport,
        settings: JobSettings,
        options: SubmitOptions,
        clock: Clock | None,
        **building: Any,
    ) -> None:
        TypedBuilder.__init__(self, **building)
        Configurable.__init__(self, settings, options)
        self._transport = transport
        self._clock = checked_clock(clock)
        self._schedule = PollSchedule()
        self._steps = Steps(transport, self._schedule, self._clock)
        self._backlog = Backlog()
        self._submitting = False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse what would send the same things twice."""
        self._refuse_closed()
        if self._submitting:
            raise UsageError("this batch is being submitted already; await that first")
        self._submitting = True
        try:
            yield
        finally:
            self._submitting = False

    def _new_job(self) -> Job | None:
        chunk = self._cut(self._transport.document_limit)
        return None if chunk is None else Job(self._settings, chunk)

    # What waits

    @property
    def group_len(self) -> int:
        """Groups that the server does not have yet, as far as is known."""
        return super().group_len + sum(job.group_count for job in self._backlog.unsent)

    @property
    def indicator_len(self) -> int:
        """Indicators that the server does not have yet, as far as is known."""
        return super().indicator_len + sum(job.indicator_count for job in self._backlog.unsent)

    @property
    def association_len(self) -> int:
        """Associations of ``add_association`` that the server does not have yet."""
        jobs = self._backlog.unsent
        return super().association_len + sum(job.association_count for job in jobs)

    @property
    def file_len(self) -> int:
        """File contents that wait to be uploaded."""
        return super().file_len + self._backlog.file_count

    @property
    def _pending(self) -> str:
        """What waits, as text; "" if nothing does."""
        counts = (
            (len(self), "entity", "entities"),
            (self.association_len, "association", "associations"),
            (self.file_len, "file", "files"),
        )
        return ", ".join(
            f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count
        )

    # The steps

    async def submit_job(self, halt_on_error: bool | None = None) -> int | None:
        """
        Create a job; the server does nothing until it gets its data.

        Args:
            halt_on_error: False returns None where True or None raises.

        Returns:
            The job's id.

        Raises:
            ResponseError: When the server does not create it.
            TransportError: When no answer came.
        """
        self._refuse_closed()
        halt = self._halt(halt_on_error).batch
        try:
            return await self._steps.create(self._settings)
        except AiotcbatchError:
            if halt:
                raise
            return None

    create_job = submit_job

    async def submit_data(self, batch_id: int, halt_on_error: bool | None = None) -> dict[str, Any]:
        """
        Give a job what is pending, as much as one job takes; that starts it.

        When the server says that it is too much, the job gets a part, and the rest stays pending.

        Args:
            batch_id: As returned by `submit_job`.
            halt_on_error: False returns {} where True or None raises, but for a `JournalError`.

        Returns:
            The server's answer.

        Raises:
            UsageError: When nothing is pending.
            ValidationError: When an entity cannot be sent.
            AiotcbatchError: When the server does not take it; it stays pending. When it is not
                known whether it does, the next call with this id finds out, or the next submit.
        """
        checked_whole("batch_id", batch_id, 1)
        halt = self._halt(halt_on_error).batch
        with self._alone():
            await self.drain()
            job = self._backlog.for_data(batch_id)
            if job is None:
                job = next(self._backlog.source(self._new_job), None)
            if job is None or not job.unsent:
                raise UsageError(f"nothing is pending, so job {batch_id} has no data to be given")
            try:
                answer = None
                while answer is None:
                    job.retried()
                    try:
                        answer = await self._upload(job, batch_id)
                    except UploadTooLargeError as error:
                        job = await self._first_part(job, error)
            except AiotcbatchError as error:
                await self._steps.failed(job, error)
                self._backlog.drop_lost()
                if halt or isinstance(error, JournalError):
                    raise
                return {}
            self._backlog.send(job)
            return answer

    async def _upload(self, job: Job, batch_id: int) -> dict[str, Any]:
        if job.phase is not Phase.UPLOADING:
            job.created(batch_id)
        await self._steps.recorder.note(job)
        try:
            return await self._steps.upload(job)
        except NotFoundError as error:
            self._steps.forgotten(job, error)
            raise
        finally:
            if job.phase is Phase.CREATED:
                # Another submit makes its own job.
                job.withdrawn()
            await self._noted(job)

    async def _first_part(self, job: Job, error: UploadTooLargeError) -> Job:
        """Cut a job that is too large, and give the first part; the others stay pending."""
        parts = await self._steps.recut(job, error)
        if not parts:
            raise error
        self._backlog.replace(job, parts)
        return parts[0]

    async def _noted(self, job: Job) -> None:
        """Note how far a job is that is followed step by step; where it is over, that it is."""
        if job in self._backlog.sent and job.phase is Phase.COMPLETED and not job.files:
            # Whoever polls or uploads knows what it came to. Its document stays, for errors().
            job.phase = Phase.DONE
        with anyio.CancelScope(shield=True):
            await self._steps.recorder.note(job)
            await self._steps.recorder.told([job])

    async def poll(
        self,
        batch_id: int,
        interval: float | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the name in TcEx
        halt_on_error: bool | None = None,
    ) -> dict[str, Any]:
        """
        Wait until the server has done a job.

        Args:
            batch_id: As returned by `submit_job`.
            interval: Seconds between two looks; None looks early and then backs off.
            timeout: Seconds; None takes `poll_timeout`. It is looked at once in any case.
            halt_on_error: False returns {} where True or None raises.

        Returns:
            The server's answer, ``{"status": "Success", "data": {"batchStatus": {...}}}``.

        Raises:
            PollTimeoutError: When it has not completed in time, whatever halt_on_error says.
            AiotcbatchError: When the server cannot be asked.
        """
        job = self._backlog.find(checked_whole("batch_id", batch_id, 1))
        halt = self._halt(halt_on_error).poll
        limit = self.poll_timeout if timeout is None else checked_seconds("timeout", timeout)
        if interval is not None:
            checked_seconds("interval", interval)
        try:
            status = await self._steps.completion(
                batch_id,
                count=job.count if job else 0,
                since=self._clock.now(),
                limit=limit,
                interval=interval,
                nap=self._nap,
                learn=False,
            )
        except AiotcbatchError as error:
            if isinstance(error, TimeoutError) or halt:
                raise
            return {}
        if status is None:
            raise AssertionError("polling was left, though nothing asked for that")
        if job is not None and job.phase is Phase.UPLOADED:
            job.completed(status)
            await self._noted(job)
        return {"status": "Success", "data": {"batchStatus": status}}

    async def _nap(self, seconds: float) -> bool:
        await self._clock.sleep(seconds)
        return False

    async def errors(self, batch_id: int, halt_on_error: bool | None = None) -> list[BatchError]:
        """
        Fetch what went wrong in a completed job.

        Args:
            batch_id: As returned by `submit_job`.
            halt_on_error: False returns [] where True or None raises.

        Returns:
            The errors; [] if there are none. Each names the xid of its entity where the answer
            allows and the data was sent by `submit_data`, as one of the last 16 jobs.

        Raises:
            RequestRefusedError: When the job has not completed.
            NotFoundError: When the server does not know it.
            AiotcbatchError: When the server cannot be asked.
        """
        job = self._backlog.find(checked_whole("batch_id", batch_id, 1))
        halt = self._halt(halt_on_error).poll
        try:
            if job is None or not job.status.completed:
                found = await self._errors_of(batch_id)
            else:
                found = await self._steps.errors(batch_id, job.status, self._nap) or []
        except AiotcbatchError:
            if halt:
                raise
            return []
        if job is not None and found:
            if job.chunk is not None:
                found = await tied(found, job.chunk)
            job.status["errors"] = found
        return found

    async def _errors_of(self, batch_id: int) -> list[BatchError]:
        """Fetch the errors of a job of which nothing is known here."""
        found = await self._steps.api.errors(batch_id)
        if found:
            return found
        # That there are none, yet or at all, is answered like that there is no such job.
        status = await self._steps.api.status(batch_id)
        if not (status.error_count or status.error_association_count):
            return []
        return await self._steps.errors(batch_id, status, self._nap) or []

    async def submit_files(self, halt_on_error: bool | None = None) -> list[UploadResult]:
        """
        Upload the contents of the documents and reports that are on the server.

        Those are the ones of `submit_data`, of a submit without ``poll`` or ``process_files``,
        and those that are left of a submit that failed. Groups that were refused, as far as
        `errors` has told, are left out.

        Args:
            halt_on_error: False notes a failure in its result where True or None raises.

        Returns:
            One result a file: whether it is on the server, and if not why.

        Raises:
            FileUploadError: The first file that failed; it and those that were not begun stay in
                the batch, the others are in ``partial``.
        """
        halt = self._halt(halt_on_error).file
        with self._alone():
            jobs = {job: list(job.files) for job in self._backlog.with_files}
            try:
                for job in jobs:
                    await self._steps.upload_files(
                        job,
                        concurrency=self._options.file_concurrency,
                        halt=halt,
                    )
                    await self._noted(job)
            except AiotcbatchError as error:
                error.partial = BatchStatus.total([job.result for job in jobs])
                raise
            results = [job.uploads[xid] for job, xids in jobs.items() for xid in xids]
            return [result for result in results if result is not None]
