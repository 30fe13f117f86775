"""The jobs of a stream that have ended: what they came to, and who is told."""

from __future__ import annotations

import inspect
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio

from aiotcbatch.cancelling import only_ours
from aiotcbatch.results.status import COUNTS, BatchStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from anyio.streams.memory import MemoryObjectSendStream

__all__ = ["Reports"]

#: Statuses that who follows may lag behind before the stream waits for it.
UNREAD_JOBS = 16


class Reports:
    """
    What the jobs that have ended came to, told one by one to whoever wants to know.

    Args:
        on_job: Called, and awaited if need be, with the status of each; None calls nobody.
    """

    def __init__(self, on_job: Callable[[BatchStatus], Awaitable[None] | None] | None) -> None:
        self._on_job = on_job
        #: The task in which it is called, while it is.
        self._calling: int | None = None
        self._readers: set[MemoryObjectSendStream[BatchStatus]] = set()
        #: How many jobs have ended.
        self.count = 0
        #: Their counts, added up; with the first failure and the first file not uploaded.
        self.total = BatchStatus({"status": "Completed", **dict.fromkeys(COUNTS, 0)})

    @property
    def is_calling(self) -> bool:
        """Whether the task that asks this is in ``on_job``, on which all jobs wait."""
        return self._calling is not None and self._calling == anyio.get_current_task().id

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
        for reader in list(self._readers):
            # Its reader has left, while it or another one was waited for.
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await reader.send(status)

    async def _call(
        self, on_job: Callable[[BatchStatus], Awaitable[None] | None], status: BatchStatus
    ) -> None:
        self._calling = anyio.get_current_task().id
        try:
            with only_ours("on_job"):
                answer = on_job(status)
                if inspect.isawaitable(answer):
                    await answer
        finally:
            self._calling = None

    @asynccontextmanager
    async def following(self) -> AsyncIterator[AsyncIterator[BatchStatus]]:
        """Give the statuses of jobs that end from now on, until `close`."""
        send, receive = anyio.create_memory_object_stream[BatchStatus](UNREAD_JOBS)
        self._readers.add(send)
        try:
            async with receive:
                yield receive
        finally:
            self._readers.discard(send)
            send.close()

    def close(self) -> None:
        """Tell those who follow that no more jobs come."""
        for reader in self._readers:
            reader.close()

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
