"""The journal as a batch or a stream uses it: each step is awaited, and is safe from then on."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread
from anyio.lowlevel import checkpoint_if_cancelled

from aiotcbatch.errors import ClosedError
from aiotcbatch.journal.bodies import JournalSlice
from aiotcbatch.journal.file import JournalFile, Step, look_at
from aiotcbatch.journal.opening import Opener
from aiotcbatch.journal.salvage import salvage
from aiotcbatch.value import Value

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from aiotcbatch.entities.contents import FileItem
    from aiotcbatch.journal.bodies import Extent
    from aiotcbatch.journal.ledger import Ledger
    from aiotcbatch.journal.records import Restored, Run, Segment
    from aiotcbatch.journal.salvage import Salvaged
    from aiotcbatch.submitting.job import JobSettings

__all__ = ["Journal"]

R = TypeVar("R")


class Journal:
    """
    What is still to be done, in a file that survives whatever happens to the process.

    It is made by `open`. Each method that is awaited is one step, written as a whole or not at
    all and in the order of the calls; steps that are awaited at the same time share a
    transaction, and so its fsync. A step that is cancelled has not begun, or is finished first:
    then it returns, and the next await is cancelled.

    Args:
        file: The file, which is open.
    """

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._steps: deque[Step[Any]] = deque()
        self._turn = Lock()
        self._limiter = CapacityLimiter(1)
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        owner: str | None,
        settings: Mapping[str, Any] | None = None,
        instance: str | None = None,
        moved_from: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """
        Open a journal, or make it if there is none.

        One that is there is read and checked as a whole, about a second for each gigabyte.

        Args:
            path: The file; ``-wal``, ``-shm`` and ``-lock`` files are made beside it. All of them
                can be read by this user only.
            owner: Whom it is for; None takes any, and makes none.
            settings: What is kept with it, to be told the next time.
            instance: The URL of the API that jobs are sent to, without credentials; it is kept
                too. None leaves the one that is there, and takes jobs of any.
            moved_from: A URL that this instance had before.
            clock: Seconds since 1970.

        Raises:
            JournalLockedError: When somebody has it, in this process or another one.
            JournalDamagedError: When it is not as it was written.
            JournalError: When the disk does not let it be used.
            ConfigurationError: When it is another owner's, has entities for another ``action`` of
                the settings or jobs that were begun at another instance, or is no journal.
        """
        opener = Opener(
            owner=owner, settings=dict(settings or {}), instance=instance, moved_from=moved_from
        )
        opening = partial(JournalFile.open, path, opener, clock)
        return cls(await _to_end(opening, CapacityLimiter(1)))

    @staticmethod
    async def look(path: str | os.PathLike[str]) -> Restored:
        """
        Read what is still to be done, while somebody may be at work on it.

        All of it is read and checked, about a second for each gigabyte. The records
        themselves cannot be read from what this returns; `export` gives them.

        Raises:
            JournalDamagedError: When it is not as it was written.
            ConfigurationError: When there is no journal.
        """
        return await to_thread.run_sync(look_at, path)

    @staticmethod
    async def salvage(
        path: str | os.PathLike[str],
        *,
        owner: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Salvaged:
        """
        Copy what can be read of a damaged journal into a new one, which takes its place.

        Every record that is saved is as it was written. Records that were done may be among
        them, if what said so is lost.

        Args:
            path: The damaged journal; it is kept beside the new one.
            owner: Whom it is for, if it does not tell that any more.
            clock: Seconds since 1970.

        Raises:
            JournalLockedError: When somebody has it.
            ConfigurationError: When there is no file, or none that tells the owner.
            JournalError: When the disk does not let it be done.
        """
        call = partial(salvage, path, owner, clock)
        return await _to_end(call, CapacityLimiter(1))

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
        """Close it and keep it; closing twice is harmless."""
        await self._close(remove_if_done=False)

    async def remove_if_done(self) -> bool:
        """
        Close it, and delete it if nothing is left to do.

        Returns:
            Whether it is deleted.
        """
        return await self._close(remove_if_done=True)

    async def _close(self, *, remove_if_done: bool) -> bool:
        self._closed = True
        closing = partial(self._file.close, remove_if_done=remove_if_done)
        return await _to_end(closing, self._limiter)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def owner(self) -> str:
        """Whom it is for."""
        return self._file.owner

    async def load(self) -> Restored:
        """
        Read what is still to be done.

        Raises:
            JournalDamagedError: When it is not as it was written.
        """
        self._refuse_closed()
        return await to_thread.run_sync(self._file.load, limiter=self._limiter)

    # The steps. Each raises JournalError when it could not be written, as when the disk is full:
    # then it has not happened, and can be tried again.

    async def drained(
        self,
        segments: Sequence[Segment],
        gone: Sequence[Run] = (),
        files: Sequence[tuple[int, FileItem]] = (),
    ) -> list[JournalSlice]:
        """
        Keep what is drained.

        Args:
            segments: The records.
            gone: Records, of these segments or earlier ones, that were continued or discarded.
            files: Contents, each with the place of its group.

        Returns:
            What stands for the bodies of the segments from now on, in their order.
        """
        if not (segments or gone or files):
            return []
        extents: list[Extent] = await self._do(lambda ledger: ledger.drained(segments, gone, files))
        readers = self._file.readers
        return [JournalSlice(readers, extent, 0, extent.nbytes) for extent in extents]

    async def cut(
        self,
        settings: JobSettings | Mapping[str, Any],
        runs: Sequence[Run],
        *,
        segments: Sequence[Segment] = (),
        gone: Sequence[Run] = (),
        files: Sequence[tuple[int, FileItem]] = (),
    ) -> int:
        """
        Make a job.

        Args:
            settings: How the server is to treat it.
            runs: Its records, in the order of its document.
            segments: Records that its cutting has made: links of a circle that was too large,
                and groups without them. They may be in the runs.
            gone: Those that these groups take the place of.
            files: The contents of these groups.

        Returns:
            The number of the job in this journal.
        """
        fields = _fields(settings)
        return await self._do(lambda ledger: ledger.cut(fields, runs, segments, gone, files))

    async def recut(
        self,
        job: int,
        parts: Sequence[Sequence[Run]],
        *,
        settings: Sequence[JobSettings | Mapping[str, Any]] | None = None,
    ) -> list[int]:
        """
        Replace a job by others that have some of its records each.

        Args:
            job: Its number.
            parts: The records of each; those that are in none wait again.
            settings: How the server is to treat each; None for all as that job.

        Returns:
            The numbers of the jobs.
        """
        fields = None if settings is None else [_fields(one) for one in settings]
        return await self._do(lambda ledger: ledger.recut(job, parts, fields))

    async def created(self, job: int, batch_id: int) -> None:
        """Note that the server gave a job an id."""
        await self._do(lambda ledger: ledger.created(job, batch_id))

    async def uploading(self, job: int) -> None:
        """
        Note that from now on the server may have a job's document.

        It is to be noted before a job is made in one request, since then nothing else tells. In
        two requests, the status of a job that was created tells the same.
        """
        await self._do(lambda ledger: ledger.uploading(job))

    async def uploaded(self, job: int, batch_id: int | None = None) -> None:
        """Note that the server has a job's document, and its id if that is new."""
        await self._do(lambda ledger: ledger.uploaded(job, batch_id))

    async def completed(
        self, job: int, status: Mapping[str, Any], batch_id: int | None = None
    ) -> None:
        """Note that the server has done its work, and what it says about it."""
        await self._do(lambda ledger: ledger.completed(job, status, batch_id))

    async def explained(self, job: int, status: Mapping[str, Any]) -> None:
        """Note what a job came to, its errors included, when only its files are left to do."""
        await self._do(lambda ledger: ledger.explained(job, status))

    async def forgotten(self, job: int) -> None:
        """Note that the server does not have a job's document, so that it is made anew."""
        await self._do(lambda ledger: ledger.forgotten(job))

    async def lost(self, job: int) -> None:
        """Note that what became of a job cannot be told, so that it is not sent again."""
        await self._do(lambda ledger: ledger.lost(job))

    async def failed(self, job: int, why: str) -> None:
        """Note why a job does not get further for now."""
        await self._do(lambda ledger: ledger.failed(job, why))

    async def filed(self, job: int, xid: str, result: Mapping[str, Any]) -> None:
        """Note what became of a file of a job; its content is kept until it is uploaded."""
        await self._do(lambda ledger: ledger.filed(job, xid, result))

    async def done(self, *jobs: int) -> None:
        """
        Forget jobs whose outcome has been told, and all that only they need.

        A job that is not done is told again when the journal is opened the next time.
        """
        if jobs:
            await self._do(lambda ledger: ledger.done(jobs))

    async def _do(self, work: Callable[[Ledger], R]) -> R:
        self._refuse_closed()
        await checkpoint_if_cancelled()
        step = Step(work)
        self._steps.append(step)
        await _to_end(partial(self._write, step), self._limiter)
        return step.outcome()

    def _write(self, step: Step[Any]) -> None:
        """Write all steps that wait, unless somebody has written this one meanwhile."""
        with self._turn:
            if not step.done:
                steps = []
                while self._steps:
                    steps.append(self._steps.popleft())
                self._file.write(steps)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ClosedError(f"the journal {self.path} is closed")

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Journal {str(self.path)!r} of {self.owner!r}: {state}>"


def _fields(settings: JobSettings | Mapping[str, Any]) -> dict[str, Any]:
    return settings.fields if isinstance(settings, Value) else dict(settings)


class _Once(Generic[R]):
    """A call that is made once, however often it is asked for."""

    def __init__(self, call: Callable[[], R]) -> None:
        self._call = call
        self._turn = Lock()
        self._result: R
        self._error: BaseException | None = None
        self.done = False

    def __call__(self) -> None:
        with self._turn:
            if not self.done:
                try:
                    self._result = self._call()
                except BaseException as error:  # noqa: BLE001 - raised by outcome()
                    self._error = error
                self.done = True

    def outcome(self) -> R:
        if self._error is not None:
            raise self._error
        return self._result


async def _to_end(call: Callable[[], R], limiter: CapacityLimiter) -> R:
    """
    Run something in a worker thread to its end; a cancellation takes effect after that.

    anyio's cancel scopes can be shielded from. Where asyncio itself cancels the task, as
    ``asyncio.timeout`` does, the thread is waited for again.
    """
    once = _Once(call)
    was_cancelled = False
    with CancelScope(shield=True):
        while not once.done:
            try:
                await to_thread.run_sync(once, limiter=limiter)
            except asyncio.CancelledError:
                was_cancelled = True
    task = asyncio.current_task()
    if was_cancelled and task is not None:
        # The next await is cancelled instead, and the count of requests stays what it was.
        task.uncancel()
        task.cancel()
    return once.outcome()
