"""The recorder: who is told how far jobs are, so that it can be known after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiotcbatch.submitting.job import Job

__all__ = ["NO_RECORDER", "Recorder"]


class Recorder(Protocol):
    """Notes how far jobs are."""

    async def note(self, job: Job) -> None:
        """Note how far a job is, before anything that depends on it is done."""

    async def recut(self, job: Job, parts: Sequence[Job]) -> None:
        """Note that other jobs take the place of one, before anything is done with them."""

    async def failed(self, job: Job, error: Exception) -> None:
        """Note why a job does not get further for now."""

    async def told(self, jobs: Iterable[Job]) -> None:
        """Note that somebody knows what these jobs came to."""

    def leave(self, job: Job) -> None:
        """Note nothing more of a job, which is as it was noted and is not gone on with here."""


class _NoRecorder:
    """Notes nothing, as there is no journal."""

    async def note(self, job: Job) -> None:
        """Note nothing."""

    async def recut(self, job: Job, parts: Sequence[Job]) -> None:
        """Note nothing."""

    async def failed(self, job: Job, error: Exception) -> None:
        """Note nothing."""

    async def told(self, jobs: Iterable[Job]) -> None:
        """Note nothing."""

    def leave(self, job: Job) -> None:
        """Note nothing."""


#: The recorder of batches and streams without a journal.
NO_RECORDER: Recorder = _NoRecorder()
