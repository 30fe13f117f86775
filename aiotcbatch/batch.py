"""Batch: what a user holds to collect entities and then submit them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import anyio

from aiotcbatch.checking import (
    checked_bool,
    checked_callable,
    checked_file,
    checked_path,
    checked_types,
)
from aiotcbatch.errors import AiotcbatchError, DeadLettersError, FileUploadError, UsageError
from aiotcbatch.events import BatchAbandoned
from aiotcbatch.results.status import BatchStatus
from aiotcbatch.retrying import Retrying
from aiotcbatch.submitting.job import JobSettings
from aiotcbatch.submitting.options import SubmitOptions
from aiotcbatch.submitting.overtaking import put_in_order
from aiotcbatch.submitting.pipeline import Pipeline
from aiotcbatch.submitting.recorder import NO_RECORDER
from aiotcbatch.submitting.stepwise import StepByStep
from aiotcbatch.transport.settings import parse_api_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from aiotcbatch.collecting.buffer import Buffer
    from aiotcbatch.collecting.chunk import Chunk
    from aiotcbatch.entities.contents import FileContent
    from aiotcbatch.journal.keeper import Resumed
    from aiotcbatch.submitting.job import Job
    from aiotcbatch.submitting.steps import Clock
    from aiotcbatch.transport.http import Transport

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
    journal: str | PathLike[str] | None
    journal_moved_from: str | None
    contents: Callable[[str], FileContent | None] | None
    dead_letters: str | PathLike[str] | None
    validate: bool
    indicator_types: Mapping[str, int | Sequence[str]] | None
    clock: Clock | None


class Batch(StepByStep, Retrying):
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
        journal: A file in which everything that was drained survives the process until it is
            done. Such a batch is used with ``async with``: entering goes on with what is there,
            and is refused where the journal has jobs that were begun at another instance.
        journal_moved_from: The URL that the instance had when those jobs were begun, if it is
            the same one and has moved since; the journal has the new one from then on.
        contents: Called with the xid of a group whose file was not to be kept there, a callable
            or an open file, when the journal is opened again or dead letters are read; gives its
            content, or None.
        dead_letters: A file to which is appended, as lines of JSON, what a submit has told of and
            is not on the server with all its parts, and what was drained and is given up at the
            end; see `Batch.add_failed`. Only its user can read it.
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
        journal: str | PathLike[str] | None = None,
        journal_moved_from: str | None = None,
        contents: Callable[[str], FileContent | None] | None = None,
        dead_letters: str | PathLike[str] | None = None,
        validate: bool = True,
        indicator_types: Mapping[str, int | Sequence[str]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = JobSettings(
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
        options = SubmitOptions(
            max_jobs=max_jobs,
            file_concurrency=file_concurrency,
            create_and_upload=create_and_upload,
            poll_timeout=poll_timeout,
        )
        super().__init__(
            transport,
            settings,
            options,
            clock,
            validate=checked_bool("validate", validate),
            max_entities_per_job=max_entities_per_job,
            max_bytes_per_job=max_bytes_per_job,
            memory_limit=memory_limit,
            spool_directory=spool_directory,
            indicator_types=checked_types("indicator_types", indicator_types),
        )
        self._journal_path = checked_path("journal", journal)
        self._moved_from = _old_url(journal_moved_from)
        self._contents = checked_callable("contents", contents)
        self._dead_letters = checked_file("dead_letters", dead_letters)
        self._resumed: Resumed | None = None
        self._recorder = NO_RECORDER
        #: The run of the submit that is under way.
        self._pipeline: Pipeline | None = None
        self._stopping = False
        #: How many groups, indicators and associations the submit under way has still to take up.
        self._left = [0, 0, 0]
        # With a journal it is open in its block only.
        self._closed = journal is not None

    async def __aenter__(self) -> Self:
        if self._journal_path is not None and self._resumed is None:
            # imported here, since SQLite and the journal take as long as half of all else
            from aiotcbatch.journal.keeper import resume  # noqa: PLC0415

            buffers = (self._groups.buffer, self._indicators.buffer, self._associations)
            resumed = await resume(
                self._journal_path,
                self._settings,
                buffers,
                self._contents,
                str(self._transport.base),
                self._moved_from,
            )
            self._resumed, self._keep = resumed, resumed.keeper.keep
            self._closed = False
            self._recorder = self._steps.recorder = resumed.recorder
            self._backlog.pending += resumed.jobs
            for held in resumed.held:  # a batch waits for no group
                self.add_association(held.association)
                self._associations.drop_aside(held.place)
        return self

    async def drain(self) -> None:
        """
        Encode what is open, and seal it; with a journal, keep it there.

        Raises:
            ValidationError: As in every builder: an entity that cannot be sent stays open.
            UsageError: When the batch has a journal and is not inside its block.
        """
        if self._journal_path is not None and self._resumed is None:
            self._refuse_closed()
        await super().drain()

    def _refuse_closed(self) -> None:
        if self._journal_path is not None and self._resumed is None:
            raise UsageError(
                "a batch with a journal is used inside its block:"
                " async with client.batch(..., journal=...) as batch"
            )
        super()._refuse_closed()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """
        Give everything up that was not submitted, and log it; closing twice is harmless.

        With a journal, what was drained is not given up: who opens it next goes on with it.

        Raises:
            UsageError: When another task submits it: what that sends would be given up too.
        """
        if self._closed:
            return
        if self._submitting:
            raise UsageError(
                "this batch is being submitted; await or cancel that before it is closed"
            )
        self._closed = True
        with anyio.CancelScope(shield=True):
            if self._resumed is not None:
                await self._resumed.journal.remove_if_done()
            else:
                self._tell_abandoned()
                await self._give_up({*self._backlog.ended, *self._backlog.pending})
        self._backlog.clear()

    close = aclose

    def _tell_abandoned(self) -> None:
        if self._pending:
            self._transport.events.tell(
                BatchAbandoned(
                    owner=self.owner,
                    entities=len(self),
                    associations=self.association_len,
                    files=self.file_len,
                )
            )

    # Everything at once

    def stop(self) -> None:
        """
        Begin no further job: the submit that runs ends when the jobs that the server has are done.

        What is not sent stays pending, and the next submit goes on with it.
        """
        self._stopping = True
        if self._pipeline is not None:
            self._pipeline.stop()

    @property
    def in_flight(self) -> tuple[int, ...]:
        """The ids of the jobs that the server has, and that were not followed to their end."""
        jobs = self._backlog.on_server
        return tuple(job.batch_id for job in jobs if job.batch_id is not None)

    async def submit(
        self,
        poll: bool = True,
        errors: bool = True,
        process_files: bool = True,
        halt_on_error: bool | None = None,
    ) -> BatchStatus:
        """
        Send everything that is pending, in as many jobs as the limits need.

        It begins with the jobs that an earlier submit has left: by an error, by cancellation, or
        since they failed with ``halt_on_error=False``. They go on from where they were left.
        What other tasks drain meanwhile is left for the next submit, but for what fits into the
        last job.

        Args:
            poll: Wait until the server has done its work; without it files wait for
                `submit_files`.
            errors: Fetch what went wrong.
            process_files: Upload the contents of documents and reports; without it they wait for
                `submit_files`.
            halt_on_error: True or None raises at the first step that fails; False notes it in
                the result and goes on. An entity that the server refuses is no such failure.

        Returns:
            The counts of all jobs added up, with ``errors``, ``uploads`` and ``jobs``. Nothing
            pending gives zeros, and no request is made.

        Raises:
            ValidationError: When an entity cannot be sent; then nothing is.
            AiotcbatchError: A step that failed, with what had been done in ``partial`` and what
                is still pending in its notes. What the server does not have stays in the batch.
            DeadLettersError: When what failed cannot be written to ``dead_letters``; the next
                submit tells of the same jobs again, and tries it again.
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
        options = self._options_for(poll, errors, process_files, halt_on_error)
        with self._alone():
            self._stopping = False
            await self.drain()
            self._begin()
            await self._run(options)
            ended = list(self._backlog.ended)
            await self._bury_ended(ended)
        statuses = self._backlog.tell_all()
        await self._told(ended)
        return statuses

    async def submit_iter(
        self,
        poll: bool = True,
        errors: bool = True,
        process_files: bool = True,
        halt_on_error: bool | None = None,
    ) -> AsyncGenerator[BatchStatus, None]:
        """
        Send everything that is pending; arguments and errors are those of `submit`.

        While the caller looks at a status, the server works on the jobs that it has; nothing is
        sent meanwhile. The loop can be left at any time: what was not sent stays pending, and
        jobs that have ended without being told are told by the next submit.

        Yields:
            One status for each job, as they finish. In ``partial`` of an error are those that
            were not yielded.
        """
        options = self._options_for(poll, errors, process_files, halt_on_error)
        with self._alone():
            self._stopping = False
            await self.drain()
            self._begin()
        while True:
            # Nothing is under way at the yield, so that there is nothing to clean up after it.
            with self._alone():
                await self._run(options, until_one=True)
            if not self._backlog.ended:
                return
            while self._backlog.ended:
                job = self._backlog.ended[0]
                await self._bury_ended([job])
                status = self._backlog.tell()
                await self._told([job])
                if status is not None:
                    yield status

    async def retry(
        self,
        failed: BatchStatus | str | PathLike[str],
        poll: bool = True,
        errors: bool = True,
        process_files: bool = True,
        halt_on_error: bool | None = None,
    ) -> BatchStatus:
        """
        Send what failed once more, and everything that is pending: `add_failed`, then `submit`.

        Args:
            failed: As for `add_failed`: a result, or the path of a file of dead letters.
            poll: As for `submit`, like the next ones.
            errors: As for `submit`.
            process_files: As for `submit`.
            halt_on_error: As for `submit`.

        Returns:
            The result of the submit.

        Raises:
            ConfigurationError: When it is for another owner or another ``action``.
            ValidationError: As for `add_failed`.
            AiotcbatchError: As for `submit`.
        """
        self._options_for(poll, errors, process_files, halt_on_error)  # before anything is added
        await self.add_failed(failed)
        return await self.submit(poll, errors, process_files, halt_on_error)

    def _begin(self) -> None:
        """Note what is pending when a submit begins, which is to end though more is drained."""
        self._backlog.begin()
        self._left = [held.count for held in self._kinds]

    def _next_job(self) -> Job | None:
        """Make the next job of what was pending then; the last one may have what came later too."""
        if not any(
            held.count and left > 0 for held, left in zip(self._kinds, self._left, strict=True)
        ):
            return None
        job = self._new_job()
        if job is not None:
            cuts = job.document.cuts
            self._left = [left - cut.count for left, cut in zip(self._left, cuts, strict=True)]
        return job

    @property
    def _kinds(self) -> tuple[Buffer, Buffer, Buffer]:
        """What is encoded, in the order of a document."""
        return self._groups.buffer, self._indicators.buffer, self._associations

    def _has_still(self, chunk: Chunk) -> bool:
        return any(job.records is chunk for job in self._backlog.pending)

    def _options_for(
        self, poll: bool, errors: bool, process_files: bool, halt_on_error: bool | None
    ) -> SubmitOptions:
        return self._options.replace(
            poll=poll,
            errors=errors,
            process_files=process_files,
            halt=self._halt(halt_on_error),
        )

    async def _run(self, options: SubmitOptions, *, until_one: bool = False) -> None:
        """Take jobs to their end, all or until one is there that was not told."""
        if until_one and self._backlog.ended:
            return
        jobs = self._backlog
        source = jobs.begun() if self._stopping else jobs.source(self._next_job)
        pipeline = self._pipeline = Pipeline(
            self._transport,
            self._schedule,
            options,
            source,
            self._clock,
            self._recorder,
            self._backlog.replace,
        )
        try:
            await self._advance(pipeline, until_one=until_one)
        except AiotcbatchError as error:
            ended = list(self._backlog.ended)
            await self._bury_ended(ended)
            error.partial = self._backlog.tell_standing()
            self._note_standing(error, error.partial)
            await self._told(ended)
            raise

    async def _advance(self, pipeline: Pipeline, *, until_one: bool) -> None:
        try:
            if not self._stopping:
                await put_in_order(self._backlog.left, self._recorder)
            await pipeline.run(until_one=until_one)
            await self._tidy()
        finally:
            self._pipeline = None
            self._backlog.collect(pipeline.finished)

    async def _bury_ended(self, jobs: Sequence[Job]) -> None:
        """Write down what failed; where that cannot be, the next submit tells of the jobs again."""
        try:
            await self._bury(self._backlog.over(jobs))
        except DeadLettersError as error:
            known = {*self._backlog.ended, *self._backlog.pending}
            in_order = sorted(known, key=lambda job: job.number)
            error.partial = BatchStatus.total([job.result for job in in_order])
            self._note_standing(error, error.partial)
            error.advise("The next submit() tells of these jobs again, and writes what failed.")
            raise

    async def _told(self, jobs: Sequence[Job]) -> None:
        """Note that the caller knows of these jobs, who is given their results next."""
        with anyio.CancelScope(shield=True):
            if self._resumed is not None:
                await self._keep_records(jobs)
                await self._resumed.keep_contents(jobs, self._spool)
            await self._recorder.told(jobs)

    def _note_standing(self, error: AiotcbatchError, partial: BatchStatus) -> None:
        """Say what was done and what is still to be done, and how that is gone on with."""
        error.add_note(self._standing(partial))
        if self._pending or self.in_flight:
            error.advise(self._way_on(error))

    def _standing(self, partial: BatchStatus) -> str:
        done, accepted = sum(job.completed for job in partial.jobs), partial.success_count
        return (
            f"Until then {done} {'job' if done == 1 else 'jobs'} completed:"
            f" {accepted:,} {'entity' if accepted == 1 else 'entities'} accepted,"
            f" {partial.error_count:,} refused,"
            f" {partial.unprocess_count:,} not processed."
        )

    def _way_on(self, error: AiotcbatchError) -> str:
        left = []
        if self._pending:
            left.append(f"Still in the batch: {self._pending}.")
        if self.in_flight:
            left.append(f"On the server: job {', '.join(map(str, self.in_flight))}.")
        again = "Call submit() again to go on."
        if isinstance(error, FileUploadError):  # a content that is refused is so each time
            again = "Call submit() to try it again, or submit(halt_on_error=False) to go on."
        return " ".join([*left, again])

    def __repr__(self) -> str:
        opened = self._journal_path is None or self._resumed is not None
        state = "closed" if self._closed and opened else f"{len(self)} pending"
        return (
            f"<Batch {self.action} in {self.owner!r}: {state}, {self.group_len} groups,"
            f" {self.indicator_len} indicators, {self.association_len} associations>"
        )


def _old_url(url: str | None) -> str | None:
    """Check a URL that an instance had, and write it as it stands in a journal."""
    if url is None:
        return None
    return str(parse_api_url(url, allow_plain_http=True, name="journal_moved_from"))
