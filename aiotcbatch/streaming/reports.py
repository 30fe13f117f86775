"""The jobs of a stream that have ended: what they came to, and who is told."""

from __future__ import annotations

import inspect
import math
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import anyio

from aiotcbatch.cancelling import only_ours
from aiotcbatch.results.status import COUNTS, BatchStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from typing import Self

__all__ = ["Reports"]

#: Statuses that who follows may lag behind before the stream waits for it.
UNREAD_JOBS = 16

#: The call of ``on_job`` in which a task is, or in which it was begun.
_CALL: ContextVar[object] = ContextVar("_CALL")


class Reports:
    """
    What the jobs that have ended came to, told one by one to whoever wants to know.

    Args:
        on_job: Called, and awaited if need be, with the status of each; None calls nobody.
        on_lag: Called when somebody who follows is waited for.
    """

    def __init__(
        self,
        on_job: Callable[[BatchStatus], Awaitable[None] | None] | None,
        on_lag: Callable[[], None],
    ) -> None:
        self._on_job = on_job
        self._on_lag = on_lag
        #: The call of it that has not returned.
        self._calling: object = None
        self._readers: set[_Reader] = set()
        self._moved = anyio.Event()
        #: The tasks that wait for jobs.
        self._waiting: set[int] = set()
        self._is_over = False
        #: How many jobs have ended.
        self.count = 0
        #: Their counts, added up; with the first failure and the first file not uploaded.
        self.total = BatchStatus({"status": "Completed", **dict.fromkeys(COUNTS, 0)})

    @property
    def is_calling(self) -> bool:
        """Whether who asks is called by ``on_job``, for whose return all jobs wait."""
        return self._calling is not None and _CALL.get(None) is self._calling

    @property
    def waits_for_caller(self) -> bool:
        """Whether no further job ends before who asks goes on: it is called, or lags behind."""
        task = anyio.get_current_task().id
        return self.is_calling or any(r.lags and r.task == task for r in self._readers)

    @contextmanager
    def not_waiting(self) -> Iterator[None]:
        """Do not wait for the task that does this, though it lags behind: it waits for jobs."""
        task = anyio.get_current_task().id
        self._waiting.add(task)
        self._look_again()
        try:
            yield
        finally:
            self._waiting.discard(task)

    async def tell(self, status: BatchStatus) -> None:
        """
        Count a job that has ended, and tell of it.

        Raises:
            Exception: What ``on_job`` raises.
        """
        self._add_up(status)
        self.count += 1
        if self._on_job is not None:
            await self._call(self._on_job, status)
        for reader in self._readers:
            reader.put(status)
        while any(reader.lags and reader.task not in self._waiting for reader in self._readers):
            self._moved = anyio.Event()
            self._on_lag()
            await self._moved.wait()

    async def _call(
        self, on_job: Callable[[BatchStatus], Awaitable[None] | None], status: BatchStatus
    ) -> None:
        self._calling = object()
        before = _CALL.set(self._calling)
        try:
            with only_ours("on_job"):
                answer = on_job(status)
                if inspect.isawaitable(answer):
                    await answer
        finally:
            self._calling = None
            _CALL.reset(before)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[AsyncIterator[BatchStatus]]:
        """Give the statuses of jobs that end from now on, until `close`."""
        reader = _Reader(self._look_again)
        self._readers.add(reader)
        if self._is_over:
            reader.end()
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            reader.close()
            self._look_again()

    def _look_again(self) -> None:
        """See whether those who lag are still to be waited for."""
        self._moved.set()

    def close(self) -> None:
        """Tell those who follow, now or later, that no more jobs come."""
        self._is_over = True
        for reader in self._readers:
            reader.end()

    def _add_up(self, status: BatchStatus) -> None:
        total = self.total
        for name in COUNTS:
            total[name] += status.count(name)
        if total.completed and not status.completed:
            total["status"] = status.status
        if status.failure is not None:
            total.setdefault("failure", status.failure)
        failed = next((upload for upload in status.uploads if not upload.uploaded), None)
        if failed is not None:
            total.setdefault("uploads", [failed])


class _Reader:
    """
    The statuses that somebody who follows has not read.

    Args:
        moved: Called when one was read.
    """

    def __init__(self, moved: Callable[[], None]) -> None:
        self._moved = moved
        self._send, self._receive = anyio.create_memory_object_stream[BatchStatus](math.inf)
        #: The task that has read the last one.
        self.task: int | None = None

    @property
    def lags(self) -> bool:
        """Whether there are so many that it is to be waited for."""
        return self._send.statistics().current_buffer_used > UNREAD_JOBS

    def put(self, status: BatchStatus) -> None:
        """Add one."""
        self._send.send_nowait(status)

    def end(self) -> None:
        """Have it end behind those that there are."""
        self._send.close()

    def close(self) -> None:
        """Forget those that there are."""
        self._send.close()
        self._receive.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchStatus:
        self.task = anyio.get_current_task().id
        try:
            status = await self._receive.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None
        self._moved()
        return status
