"""The steps of a job's life, each of which can be left at any moment and taken again."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from aiotcbatch.checking import checked_kind
from aiotcbatch.collecting.recutting import Records
from aiotcbatch.errors import (
    AiotcbatchError,
    CriticalError,
    JobError,
    JournalError,
    NotFoundError,
    PollTimeoutError,
    RequestRefusedError,
    UploadTooLargeError,
)
from aiotcbatch.results.lookup import EntityLookup
from aiotcbatch.results.status import BatchError
from aiotcbatch.submitting.files import upload_files
from aiotcbatch.submitting.isolating import Search, blamed, given_up, isolate
from aiotcbatch.submitting.job import Job, Phase
from aiotcbatch.submitting.job_api import UNKNOWN_OUTCOME, JobApi
from aiotcbatch.submitting.job_events import JobEvents
from aiotcbatch.submitting.producers import is_read_once
from aiotcbatch.submitting.recorder import NO_RECORDER
from aiotcbatch.transport.retry import was_refused_unseen
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiotcbatch.collecting.chunk import Chunk
    from aiotcbatch.entities.contents import FileItem
    from aiotcbatch.results.status import BatchStatus
    from aiotcbatch.submitting.job import JobSettings
    from aiotcbatch.submitting.polling import PollSchedule
    from aiotcbatch.submitting.recorder import Recorder
    from aiotcbatch.transport.http import Transport

__all__ = ["NOT_KNOWN", "Clock", "Nap", "Steps", "checked_clock"]

#: A document whose arrival the job's status denies is sent this many times.
UPLOAD_ATTEMPTS = 3
#: A job that the server forgot is made anew this many times.
REMAKES = 1
#: The error list can lag behind the job: it is asked for again after these seconds.
ERROR_LAG_SECONDS = (0.2, 1.0, 4.0)
#: The least that is waited for a job whose time is nearly over.
_LEAST_NAP = 0.001

_QUEUED = {"status": "Queued"}
#: Of a job that is lost.
NOT_KNOWN = (
    "whether the server has the entities of {job} is not known, and they are not sent again, since"
    " Append would add their attributes twice; look on the server before you add them again"
)


class Clock(Value):
    """Time as jobs see it, so that tests can have their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep


def checked_clock(clock: Clock | None) -> Clock:
    """
    Give the clock, this machine's time if there is none.

    Raises:
        ConfigurationError: When it is something else.
    """
    return Clock() if clock is None else checked_kind("clock", clock, Clock, "a Clock, or None")


#: Sleeps so many seconds, or less; True says that what is waited for can be left for later.
Nap = Callable[[float], Awaitable[bool]]


class Steps:
    """
    Takes one job from one phase to the next.

    What each step has reached is in the job, whichever exception it is left by: taken again, it
    goes on from there, and nothing is sent to the server twice that it may have already, unless
    that does no harm.

    Args:
        transport: Where to send.
        schedule: When to poll.
        clock: The time.
        recorder: Told how far each job is, before the next thing is done with it.
    """

    def __init__(
        self,
        transport: Transport,
        schedule: PollSchedule,
        clock: Clock,
        recorder: Recorder = NO_RECORDER,
    ) -> None:
        self.api = JobApi(transport)
        self.recorder = recorder
        self.tell = JobEvents(transport.events, clock.now)
        self._transport = transport
        self._schedule = schedule
        self._clock = clock

    # The document to the server

    async def create(self, settings: JobSettings) -> int:
        """Create a job, and give its id; see `JobApi.create`."""
        began = self._clock.now()
        batch_id = await self.api.create(settings)
        self.tell.created(batch_id, settings, self._clock.now() - began)
        return batch_id

    async def send(self, job: Job, *, at_once: bool = False) -> list[Job]:
        """
        Bring a job's document to the server.

        Args:
            job: One that is not there yet, or may be.
            at_once: Create and upload in one request.

        Returns:
            Nothing, or the jobs that take its place, since it is larger than the server takes.

        Raises:
            JobError: When it may be there, and must not be sent twice.
            AiotcbatchError: When it is not there, or when that cannot be told now.
        """
        await self.recorder.note(job)
        limit = self._transport.document_limit
        if limit is not None and job.phase is Phase.CUT and job.document.size > limit:
            parts = await self._recut_within(job, limit)
            if parts:
                return parts
        too_large: UploadTooLargeError | None = None
        try:
            await self._send(job, at_once=at_once)
        except UploadTooLargeError as error:
            too_large = error
        finally:
            with anyio.CancelScope(shield=True):
                await self.recorder.note(job)
        if too_large is None:
            return []
        parts = await self.recut(job, too_large)
        if not parts:
            await self._refuse(job, too_large)
        return parts

    async def recut(self, job: Job, error: UploadTooLargeError) -> list[Job]:
        """
        Cut a job that was refused as too large, and remember what the server takes.

        Returns:
            The jobs that take its place; none if it cannot be cut, since it is one entity, or
            groups that point to each other in a circle.
        """
        size = job.document.size
        # A limit that this is within is in another unit, or of the form around the document.
        limit = error.limit if 0 < error.limit < size else size // 2
        parts = await self._recut_within(job, limit)
        if parts:
            known = self._transport.document_limit
            self._transport.document_limit = limit if known is None else min(limit, known)
        return parts

    async def _refuse(self, job: Job, error: UploadTooLargeError) -> None:
        """End a job that is too large and cannot be cut, with an error for each record."""
        document = await to_thread.run_sync(job.document.decode)
        job.refused([_about(record, error) for record in chain(*document.values())])
        await self.recorder.note(job)

    async def _recut_within(self, job: Job, limit: int) -> list[Job]:
        chunk = job.document
        chunks = await to_thread.run_sync(lambda: Records(chunk).within(limit))
        if len(chunks) == 1:
            return []
        parts = [Job(job.settings, chunk) for chunk in chunks]
        await self.recorder.recut(job, parts)
        self.tell.recut(job, len(parts), UploadTooLargeError.__name__, limit)
        return parts

    async def _send(self, job: Job, *, at_once: bool) -> None:
        if job.phase is Phase.UPLOADING and job.batch_id is None:
            self._begun_at_once(job)
        if at_once and job.phase is Phase.CUT:
            await self._send_at_once(job)
            return
        while True:
            if job.phase is Phase.CUT:
                job.created(await self.create(job.settings))
                await self.recorder.note(job)
            try:
                await self.upload(job)
            except NotFoundError as error:
                self.forgotten(job, error)
                await self.recorder.note(job)
            else:
                return

    async def upload(self, job: Job) -> dict[str, Any]:
        """
        Upload until the server has the document.

        After an attempt that ended without an answer the job's status decides: ``Created`` says
        that the server still waits for the document, everything else that it has come.

        Args:
            job: One that has an id.

        Returns:
            The server's answer, or what it would have been where it was lost.

        Raises:
            NotFoundError: When the server does not know the id.
            AiotcbatchError: When the server refuses the document, or when it cannot be told now
                whether it has come.
        """
        began = self._clock.now()
        answer = await self._upload(job)
        self.tell.uploaded(job, self._clock.now() - began)
        return answer

    async def _upload(self, job: Job) -> dict[str, Any]:
        doubt: Exception | None = None
        for _ in range(UPLOAD_ATTEMPTS):
            in_doubt = job.phase is Phase.UPLOADING
            if in_doubt and await self._has_arrived(job, doubt):
                return dict(_QUEUED)
            job.uploading()
            try:
                answer = await self.api.upload(job.id, job.document)
            except UNKNOWN_OUTCOME as error:
                doubt = error
            except AiotcbatchError as error:
                if not in_doubt:
                    job.created(job.id)
                elif isinstance(error, RequestRefusedError) and await self._has_arrived(job, error):
                    # What was in doubt arrived after all, so this one was refused.
                    return dict(_QUEUED)
                raise
            else:
                job.uploaded(self._clock.now())
                return answer
        if not await self._has_arrived(job, doubt):
            job.times_denied += 1
            raise doubt or AssertionError("an upload was in doubt for no reason")
        return dict(_QUEUED)

    async def _has_arrived(self, job: Job, doubt: Exception | None) -> bool:
        try:
            status = await self.api.status(job.id)
        except NotFoundError:
            raise
        except AiotcbatchError as error:
            if doubt is None:
                raise
            doubt.add_note(f"the status of job {job.id} could not be asked for either: {error}")
            raise doubt from error
        if status.status.lower() == "created":
            return False
        job.uploaded(self._clock.now())
        return True

    async def _send_at_once(self, job: Job) -> None:
        began = self._clock.now()
        job.uploading()
        await self.recorder.note(job)
        try:
            status = await self.api.create_and_upload(job.settings, job.document)
        except UNKNOWN_OUTCOME as error:
            job.times_denied += not was_refused_unseen(error)
            if job.settings.repeatable or was_refused_unseen(error):
                job.withdrawn()
            else:
                job.lost()
                error.add_note(NOT_KNOWN.format(job="a job"))
            raise
        except AiotcbatchError:
            job.withdrawn()
            raise
        job.batch_id = status.id
        job.uploaded(self._clock.now())
        self.tell.uploaded(job, job.uploaded_at - began)
        if status.completed:
            self.tell.polled(None, status, job.uploaded_at - began)
            job.completed(status)

    @staticmethod
    def _begun_at_once(job: Job) -> None:
        """Decide about a job whose one request was broken off."""
        if job.settings.repeatable:
            job.withdrawn()
            return
        job.lost()
        raise JobError(NOT_KNOWN.format(job="a job whose submit was broken off"))

    @staticmethod
    def forgotten(job: Job, error: NotFoundError) -> None:
        """
        Make a job that the server does not know any more one that was not sent.

        Raises:
            JobError: When the server may have worked at it, and must not do so twice.
            NotFoundError: When it was forgotten before.
        """
        may_be_there = job.phase is not Phase.CREATED
        if may_be_there and not job.settings.repeatable:
            batch_id = job.id
            job.lost()
            what = f"job {batch_id}, which the server forgot,"
            raise JobError(NOT_KNOWN.format(job=what), batch_id=batch_id) from error
        job.forgotten()
        if job.times_forgotten > REMAKES:
            raise error

    async def failed(self, job: Job, error: AiotcbatchError) -> None:
        """Tell and note why a job does not get further, until it is taken up again."""
        self.tell.failed(job, error)
        job.failed(error)
        with suppress(JournalError):  # the failure is what matters
            await self.recorder.failed(job, error)

    # The end of the server's work

    async def completion(
        self,
        batch_id: int,
        *,
        count: int,
        since: float,
        limit: float,
        nap: Nap,
        learn: bool = True,
        interval: float | None = None,
    ) -> BatchStatus | None:
        """
        Poll until the server has done a job; it is looked at once at least.

        Args:
            batch_id: The job.
            count: How many groups, indicators and associations it has, from which its time is
                guessed; 0 if that is not known.
            since: When the server could begin, on the clock.
            limit: Seconds from then on.
            nap: How to wait.
            learn: Whether its time tells something about other jobs.
            interval: Seconds between two looks; None adapts them.

        Returns:
            The status, None if the nap was left.

        Raises:
            PollTimeoutError: When it has not completed in time.
            NotFoundError: When the server does not know it.
        """
        elapsed = self._clock.now() - since
        while True:
            delay = interval
            if delay is None:
                delay = self._schedule.next_delay(elapsed, count)
            if await nap(min(delay, max(limit - elapsed, _LEAST_NAP))):
                return None
            status = await self.api.status(batch_id)
            elapsed = self._clock.now() - since
            self.tell.polled(batch_id, status, elapsed)
            if status.completed:
                if learn:
                    self._schedule.completed(count, elapsed)
                return status
            if elapsed >= limit:
                error = PollTimeoutError(
                    f"job {batch_id} is {status.status} after {limit:g} seconds; it may still"
                    " complete",
                    batch_id=batch_id,
                )
                error.advise("Call poll() to wait for it once more, as submit() does too.")
                raise error

    async def look(self, batch_id: int, elapsed: float) -> BatchStatus:
        """
        Look once how far the server is with a job.

        Args:
            batch_id: The job.
            elapsed: Seconds since its upload, for events.

        Raises:
            AiotcbatchError: When that cannot be told now.
        """
        status = await self.api.status(batch_id)
        self.tell.polled(batch_id, status, elapsed)
        return status

    # What went wrong in it

    async def explain(self, job: Job, nap: Nap) -> list[Job] | None:
        """
        Fetch the errors of a completed job, tied to its entities.

        Args:
            job: A completed one.
            nap: How to wait for errors that the counts speak of and the list does not have yet.

        Returns:
            Nothing, or the jobs that take its place, since the server gave up on the whole
            document; None if the nap was left.

        Raises:
            AiotcbatchError: When they cannot be fetched.
        """
        found: list[BatchError] | None = job.status.errors
        if job.batch_id is not None:
            found = await self.errors(job.batch_id, job.status, nap)
        if found is None:
            return None
        errors = await tied(found, job.document) if found else []
        gave_up = given_up(job, errors)
        if gave_up and not job.settings.halt_on_error:
            parts = await self._isolate(job, errors)
            if parts:
                return parts
            if parts is not None:
                errors = await to_thread.run_sync(blamed, job.document, job.status, errors)
        job.explained(errors)
        if job.search is not None:
            job.search.saw(landed=not gave_up, expected=job.expected)
        await self.recorder.note(job)
        return []

    async def _isolate(self, job: Job, errors: list[BatchError]) -> list[Job] | None:
        """Cut a job that the server gave up on; see `isolate`."""
        search = job.search or Search()
        if not search.goes_on:
            return None
        found = await to_thread.run_sync(isolate, job, errors, search)
        parts = [
            Job(part.settings, part.chunk, search=search, expected=part.expected)
            for part in found or ()
        ]
        if not parts:
            return None if found is None else []
        await self.recorder.recut(job, parts)
        search.saw(landed=False, expected=job.expected)
        self.tell.recut(job, len(parts), CriticalError.__name__)
        return parts

    async def errors(self, batch_id: int, status: BatchStatus, nap: Nap) -> list[BatchError] | None:
        """
        Fetch the errors of a completed job, as the server sends them.

        Args:
            batch_id: The job.
            status: Its status, which says whether there are any.
            nap: How to wait for errors that the list does not have yet.

        Returns:
            The errors, None if the nap was left.

        Raises:
            AiotcbatchError: When they cannot be fetched.
        """
        if not (status.error_count or status.error_association_count):
            return await self.api.results(batch_id)
        found = await self.api.errors(batch_id)
        for seconds in ERROR_LAG_SECONDS:
            if found:
                break
            if await nap(seconds):
                return None
            found = await self.api.errors(batch_id)
        return found

    # Its files

    async def upload_files(
        self, job: Job, *, concurrency: int, halt: bool, stop: Callable[[], bool] | None = None
    ) -> None:
        """
        Upload the contents of a job's groups, but for groups that were refused.

        Args:
            job: One whose errors are known, if there are any.
            concurrency: Contents that are open at once.
            halt: Whether the first failure ends it.
            stop: Says whether to leave those that are not begun for later; None begins all.

        Raises:
            FileUploadError: The first failure, with `halt`. What is not uploaded stays in the job.
        """
        refused = {error.xid: error for error in job.status.errors if error.refused}
        for item in list(job.files.values()):
            if item.xid in refused:
                why = f"the server refused the group: {refused[item.xid]}"
                job.unsendable(item.xid, why)
            elif item.xid in job.opened and is_read_once(item.content):
                why = (
                    "its content can be read only once, and an upload that did not end has read"
                    " of it: hand over a callable that makes it"
                )
                job.unsendable(item.xid, why)
        some_refused = bool(job.status.error_count or job.status.unprocess_count)
        try:
            await upload_files(
                self._transport,
                _until(stop, job),
                owner=job.settings.owner,
                batch_id=job.batch_id,
                concurrency=concurrency,
                halt_on_error=halt,
                on_result=job.filed,
                absent_halts=not some_refused,
            )
        finally:
            with anyio.CancelScope(shield=True):
                await self.recorder.note(job)


def _until(stop: Callable[[], bool] | None, job: Job) -> Iterator[FileItem]:
    for item in list(job.files.values()):
        if stop is not None and stop():
            return
        job.opened.add(item.xid)
        yield item


def _about(record: Mapping[str, Any], error: UploadTooLargeError) -> BatchError:
    """Say of one record that the server does not take it."""
    said = BatchError(severity="Error", errorReason=error.server_message, errorMessage=str(error))
    if "xid" in record:
        said["xid"] = record["xid"]
    else:
        said["association"] = dict(record)
    return said


async def tied(errors: list[BatchError], chunk: Chunk) -> list[BatchError]:
    """Tie errors to the entities of a chunk, in a worker thread since it reads them all."""

    def tie() -> list[BatchError]:
        lookup = EntityLookup(chunk.decode())
        return [lookup.tie(error) for error in errors]

    return await to_thread.run_sync(tie)
