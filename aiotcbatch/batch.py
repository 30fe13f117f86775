"""Batch: what a user holds to collect entities and then submit them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

from aiotcbatch.contents import FileItem
from aiotcbatch.errors import (
    AiotcbatchError,
    ConfigurationError,
    UsageError,
)
from aiotcbatch.files import upload_files
from aiotcbatch.job import Job, JobApi, JobSettings, Phase
from aiotcbatch.pipeline import Clock, Halt, Pipeline, SubmitOptions, tie_to_chunk, wait_for_job
from aiotcbatch.polling import PollSchedule
from aiotcbatch.results import BatchError, BatchStatus
from aiotcbatch.typed import TypedBuilder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from aiotcbatch.files import UploadResult
    from aiotcbatch.http import Transport

__all__ = ["Batch", "BatchOptions"]


class BatchOptions(TypedDict, total=False):
    """The further settings of a `Batch`, as keyword arguments."""

    file_merge_mode: str | None
    hash_collision_mode: str | None
    max_entities_per_job: int
    max_bytes_per_job: int
    memory_limit: int
    spool_directory: str | PathLike[str] | None
    max_jobs: int
    file_concurrency: int
    create_and_upload: bool
    poll_timeout: float
    validate: bool
    indicator_types: Mapping[str, int] | None
    clock: Clock | None


class Batch(TypedBuilder):
    """
    Collects entities for one owner, and submits them.

    It is made by `Client.batch`. Calls that add entities are plain methods; ``drain()``,
    ``submit()`` and everything else that does I/O is awaited. What is added stays in the batch
    until the server has it: after a failed or cancelled ``submit()``, another one goes on.

    Args:
        transport: Where to send.
        owner: The owner to write into.
        action: ``Create`` (which updates too) or ``Delete``.
        attribute_write_type: ``Replace``, ``Append``, ``Singleton`` or ``Static``.
        halt_on_error: The server stops a job at its first error.
        playbook_triggers_enabled: Fire playbook triggers for what is written.
        tag_write_type: ``Replace`` or ``Append``.
        security_label_write_type: ``Replace`` or ``Append``.
        file_merge_mode: ``Merge`` or ``Distribute``; None leaves it to the server.
        hash_collision_mode: ``FavorIncoming``, ``FavorExisting``, ``IgnoreIncoming``,
            ``IgnoreExisting`` or ``Split``; None leaves it to the server.
        max_entities_per_job: Groups, indicators and associations in one job at most.
        max_bytes_per_job: Bytes of one job's document at most.
        memory_limit: Bytes of encoded entities that are held in memory at most; what is more
            goes to a temporary file at ``drain()``.
        spool_directory: Where that file is made; None for the system's place.
        max_jobs: Jobs that the server has at once; while it works on one, the next are there.
        file_concurrency: Files that are open and uploading at once.
        create_and_upload: Make jobs in one request. It saves a round trip, and small jobs are
            answered at once; but when an answer is lost, nothing tells whether the server has
            the entities. Delete jobs are always made in two.
        poll_timeout: Seconds that the server may take for one job.
        validate: False takes every value that can be encoded, as it is given.
        indicator_types: The types that the instance knows, with the number of their values.
        clock: The time, for tests.

    Raises:
        ConfigurationError: When a setting is not one of those that are accepted.
    """

    def __init__(
        self,
        transport: Transport,
        owner: str,
        action: str = "Create",
        attribute_write_type: str = "Replace",
        halt_on_error: bool = True,
        playbook_triggers_enabled: bool = False,
        tag_write_type: str = "Replace",
        security_label_write_type: str = "Replace",
        *,
        file_merge_mode: str | None = None,
        hash_collision_mode: str | None = None,
        max_entities_per_job: int = 25_000,
        max_bytes_per_job: int = 75_000_000,
        memory_limit: int = 64 * 1024 * 1024,
        spool_directory: str | PathLike[str] | None = None,
        max_jobs: int = 3,
        file_concurrency: int = 8,
        create_and_upload: bool = False,
        poll_timeout: float = 3600.0,
        validate: bool = True,
        indicator_types: Mapping[str, int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            validate=validate,
            max_entities_per_job=max_entities_per_job,
            max_bytes_per_job=max_bytes_per_job,
            memory_limit=memory_limit,
            spool_directory=spool_directory,
            indicator_types=indicator_types,
        )
        self._transport = transport
        self._api = JobApi(transport)
        self._schedule = PollSchedule()
        self._clock = clock or Clock()
        self._settings = JobSettings(
            owner=owner,
            action=action,
            attribute_write_type=attribute_write_type,
            tag_write_type=tag_write_type,
            security_label_write_type=security_label_write_type,
            halt_on_error=halt_on_error,
            playbook_triggers_enabled=playbook_triggers_enabled,
            file_merge_mode=file_merge_mode,
            hash_collision_mode=hash_collision_mode,
        )
        self._options = SubmitOptions(
            max_jobs=max_jobs,
            file_concurrency=file_concurrency,
            create_and_upload=create_and_upload,
            poll_timeout=poll_timeout,
        )
        self._halt_overrides: dict[str, bool | None] = dict.fromkeys(("batch", "poll", "file"))
        #: Jobs that were begun and not ended, which the next submit takes up again.
        self._unfinished: list[Job] = []
        #: Jobs of submit_data(), for the errors and files that are asked for later.
        self._by_id: dict[int, Job] = {}
        self._submitting = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give everything up that was not submitted; closing twice is harmless."""
        self._closed = True
        self._unfinished.clear()
        self._by_id.clear()

    close = aclose

    # Settings that can be changed later

    @property
    def settings(self) -> JobSettings:
        """How the server treats the jobs that are made from now on."""
        return self._settings

    def _set(self, **change: Any) -> None:
        self._settings = replace(self._settings, **change)

    @property
    def owner(self) -> str:
        """The owner to write into."""
        return self._settings.owner

    @property
    def action(self) -> str:
        """``Create`` (which updates too) or ``Delete``."""
        return self._settings.action

    @action.setter
    def action(self, action: str) -> None:
        self._set(action=action)

    @property
    def attribute_write_type(self) -> str:
        """``Replace``, ``Append``, ``Singleton`` or ``Static``."""
        return self._settings.attribute_write_type

    @attribute_write_type.setter
    def attribute_write_type(self, write_type: str) -> None:
        self._set(attribute_write_type=write_type)

    @property
    def tag_write_type(self) -> str:
        """``Replace`` or ``Append``."""
        return self._settings.tag_write_type

    @tag_write_type.setter
    def tag_write_type(self, write_type: str) -> None:
        self._set(tag_write_type=write_type)

    @property
    def security_label_write_type(self) -> str:
        """``Replace`` or ``Append``."""
        return self._settings.security_label_write_type

    @security_label_write_type.setter
    def security_label_write_type(self, write_type: str) -> None:
        self._set(security_label_write_type=write_type)

    @property
    def halt_on_error(self) -> bool:
        """The server stops a job at its first error; what failed here is another matter."""
        return self._settings.halt_on_error

    @halt_on_error.setter
    def halt_on_error(self, halt: bool) -> None:
        self._set(halt_on_error=halt)

    @property
    def playbook_triggers_enabled(self) -> bool:
        """Fire playbook triggers for what is written."""
        return self._settings.playbook_triggers_enabled

    @playbook_triggers_enabled.setter
    def playbook_triggers_enabled(self, enabled: bool) -> None:
        self._set(playbook_triggers_enabled=enabled)

    @property
    def file_merge_mode(self) -> str | None:
        """``Merge`` or ``Distribute``; None leaves it to the server."""
        return self._settings.file_merge_mode

    @file_merge_mode.setter
    def file_merge_mode(self, mode: str | None) -> None:
        self._set(file_merge_mode=mode)

    @property
    def hash_collision_mode(self) -> str | None:
        """What is done when a hash differs from the one that is there; None: the server's way."""
        return self._settings.hash_collision_mode

    @hash_collision_mode.setter
    def hash_collision_mode(self, mode: str | None) -> None:
        self._set(hash_collision_mode=mode)

    @property
    def halt_on_batch_error(self) -> bool | None:
        """Over ``halt_on_error`` of submit, for creating and uploading jobs; None: not over it."""
        return self._halt_overrides["batch"]

    @halt_on_batch_error.setter
    def halt_on_batch_error(self, halt: bool | None) -> None:
        self._override("batch", halt)

    @property
    def halt_on_poll_error(self) -> bool | None:
        """Over ``halt_on_error`` of submit, for polling; None: not over it."""
        return self._halt_overrides["poll"]

    @halt_on_poll_error.setter
    def halt_on_poll_error(self, halt: bool | None) -> None:
        self._override("poll", halt)

    @property
    def halt_on_file_error(self) -> bool | None:
        """Over ``halt_on_error`` of submit, for uploading files; None: not over it."""
        return self._halt_overrides["file"]

    @halt_on_file_error.setter
    def halt_on_file_error(self, halt: bool | None) -> None:
        self._override("file", halt)

    def _override(self, step: str, halt: object) -> None:
        if halt is not None and not isinstance(halt, bool):
            raise ConfigurationError(f"halt_on_{step}_error", halt, "True, False or None")
        self._halt_overrides[step] = halt

    def _halt(self, halt_on_error: bool | None) -> Halt:
        default = True if halt_on_error is None else halt_on_error
        chosen = {
            step: default if override is None else override
            for step, override in self._halt_overrides.items()
        }
        return Halt(**chosen)

    @property
    def poll_timeout(self) -> float:
        """Seconds that the server may take for one job."""
        return self._options.poll_timeout

    @poll_timeout.setter
    def poll_timeout(self, seconds: float) -> None:
        self._options = replace(self._options, poll_timeout=seconds)

    # Everything at once

    async def submit(
        self,
        poll: bool = True,
        errors: bool = True,
        process_files: bool = True,
        halt_on_error: bool | None = None,
    ) -> BatchStatus:
        """
        Send everything that is pending, in as many jobs as the limits need.

        Args:
            poll: Wait until the server has done its work.
            errors: Fetch what went wrong.
            process_files: Upload the contents of documents and reports.
            halt_on_error: True or None raises at the first step that fails; False notes it in
                the result and goes on. An entity that the server refuses is no such failure.

        Returns:
            The counts of all jobs added up, with ``errors``, ``uploads`` and ``jobs``. Nothing
            pending gives zeros, and no request is made.

        Raises:
            ValidationError: When an entity cannot be sent; then nothing is.
            AiotcbatchError: A step that failed, with what had been done in ``partial``. What
                the server does not have stays in the batch.
        """
        return BatchStatus.total(await self.submit_all(poll, errors, process_files, halt_on_error))

    async def submit_all(
        self,
        poll: bool = True,
        errors: bool = True,
        process_files: bool = True,
        halt_on_error: bool | None = None,
    ) -> list[BatchStatus]:
        """
        Send everything that is pending; arguments and errors are those of `submit`.

        Returns:
            One status for each job, in the order of the jobs.
        """
        pipeline = await self._begin(poll, errors, process_files, halt_on_error)
        try:
            await pipeline.run()
        except AiotcbatchError as error:
            error.partial = BatchStatus.total([job.result for job in pipeline.jobs])
            raise
        finally:
            self._finish(pipeline)
        return [job.result for job in pipeline.jobs]

    async def submit_iter(
        self,
        poll: bool = True,
        errors: bool = True,
        process_files: bool = True,
        halt_on_error: bool | None = None,
    ) -> AsyncGenerator[BatchStatus, None]:
        """
        Send everything that is pending; arguments and errors are those of `submit`.

        While the caller looks at a status, the server works on the next jobs. Leaving the loop
        early leaves the rest pending.

        Yields:
            One status for each job, as they finish.
        """
        pipeline = await self._begin(poll, errors, process_files, halt_on_error)
        try:
            while not pipeline.over:
                await pipeline.run(until_one=True)
                while pipeline.finished:
                    yield pipeline.finished.popleft().result
        except AiotcbatchError as error:
            error.partial = BatchStatus.total([job.result for job in pipeline.jobs])
            raise
        finally:
            self._finish(pipeline)

    async def _begin(
        self, poll: bool, errors: bool, process_files: bool, halt_on_error: bool | None
    ) -> Pipeline:
        self._refuse_closed()
        if self._submitting:
            raise UsageError("this batch is being submitted already; await that first")
        self._submitting = True
        try:
            await self.drain()
        except BaseException:
            self._submitting = False
            raise
        options = replace(
            self._options,
            poll=poll,
            errors=errors,
            process_files=process_files,
            halt=self._halt(halt_on_error),
        )
        return Pipeline(self._transport, self._schedule, options, self._next_jobs(), self._clock)

    def _next_jobs(self) -> Iterator[Job]:
        """Jobs that were begun before, then new ones for what is drained."""
        unfinished, self._unfinished = self._unfinished, []
        try:
            while unfinished:
                yield unfinished.pop(0)
        finally:
            self._unfinished = unfinished + self._unfinished
        while (chunk := self._cut()) is not None:
            yield Job(self._settings, chunk)

    def _finish(self, pipeline: Pipeline) -> None:
        pipeline.close()
        self._unfinished = [job for job in pipeline.jobs if job.unfinished] + self._unfinished
        self._submitting = False

    def __len__(self) -> int:
        return super().__len__() + sum(
            job.chunk.entity_count
            for job in self._unfinished
            if job.phase in {Phase.CUT, Phase.CREATED}
        )

    # Step by step

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
        try:
            return await self._api.create(self._settings)
        except AiotcbatchError:
            if self._halt(halt_on_error).batch:
                raise
            return None

    create_job = submit_job

    async def submit_data(
        self, batch_id: int, halt_on_error: bool | None = None
    ) -> dict[str, Any] | None:
        """
        Give a job what is pending, as much as one job takes; that starts it.

        Args:
            batch_id: As returned by `submit_job`.
            halt_on_error: False returns None where True or None raises.

        Returns:
            The server's answer.

        Raises:
            UsageError: When nothing is pending.
            ValidationError: When an entity cannot be sent.
            AiotcbatchError: When the server does not take it; it stays pending.
        """
        self._refuse_closed()
        await self.drain()
        job = next(self._next_jobs(), None)
        if job is None:
            raise UsageError(f"nothing is pending, so job {batch_id} has no data to be given")
        job.created(batch_id)
        try:
            answer = await self._api.upload(batch_id, job.chunk)
        except BaseException as error:
            job.forgotten()
            self._unfinished.insert(0, job)
            if isinstance(error, AiotcbatchError) and not self._halt(halt_on_error).batch:
                return None
            raise
        job.uploaded(self._clock.now())
        self._by_id[batch_id] = job
        return answer

    async def poll(
        self,
        batch_id: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the name in TcEx
        halt_on_error: bool | None = None,
    ) -> dict[str, Any] | None:
        """
        Wait until the server has done a job.

        Args:
            batch_id: As returned by `submit_job`.
            timeout: Seconds; None takes `poll_timeout`.
            halt_on_error: False returns None where True or None raises.

        Returns:
            The server's answer, ``{"status": "Success", "data": {"batchStatus": {...}}}``.

        Raises:
            PollTimeoutError: When it has not completed in time, whatever halt_on_error says.
            AiotcbatchError: When the server cannot be asked.
        """
        job = self._by_id.get(batch_id)
        try:
            status = await wait_for_job(
                self._api,
                batch_id,
                entities=job.chunk.entity_count if job else 0,
                since=self._clock.now(),
                limit=self.poll_timeout if timeout is None else timeout,
                schedule=self._schedule,
                clock=self._clock,
            )
        except AiotcbatchError as error:
            if isinstance(error, TimeoutError) or self._halt(halt_on_error).poll:
                raise
            return None
        if job is not None and status is not None:
            job.completed(status)
        return {"status": "Success", "data": {"batchStatus": status}}

    async def errors(self, batch_id: int, halt_on_error: bool | None = None) -> list[BatchError]:
        """
        Fetch what went wrong in a completed job.

        Args:
            batch_id: As returned by `submit_job`.
            halt_on_error: False returns [] where True or None raises.

        Returns:
            The errors, each with the xid of its entity where the answer allows; [] if there
            are none.

        Raises:
            RequestRefusedError: When the job has not completed.
            AiotcbatchError: When the server cannot be asked.
        """
        try:
            found = await self._api.errors(batch_id)
        except AiotcbatchError:
            if self._halt(halt_on_error).poll:
                raise
            return []
        job = self._by_id.get(batch_id)
        if job is None or not found:
            return [BatchError(error) for error in found]
        job.status["errors"] = await tie_to_chunk(found, job.chunk)
        return job.status.errors

    async def submit_files(self, halt_on_error: bool | None = None) -> list[UploadResult]:
        """
        Upload the contents of the documents and reports that `submit_data` has sent.

        Args:
            halt_on_error: False notes a failure in its result where True or None raises.

        Returns:
            One result a file: whether it is on the server, and if not why.

        Raises:
            FileUploadError: The first file that failed.
        """
        self._refuse_closed()
        jobs = [job for job in (*self._unfinished, *self._by_id.values()) if job.files]
        results: list[UploadResult] = []
        for job in jobs:
            if job.phase not in {Phase.UPLOADED, Phase.COMPLETED}:
                continue
            results += await upload_files(
                self._transport,
                list[FileItem](job.files.values()),
                owner=job.settings.owner,
                concurrency=self._options.file_concurrency,
                halt_on_error=self._halt(halt_on_error).file,
                on_result=job.filed,
            )
        return results

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self)} pending"
        return (
            f"<Batch {self.action} in {self.owner!r}: {state}, {self.group_len} groups,"
            f" {self.indicator_len} indicators, {self.association_len} associations>"
        )
