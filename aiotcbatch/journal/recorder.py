"""The recorder: how jobs go into the journal, as they go from phase to phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.submitting.job import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiotcbatch.journal.keeper import Keeper
    from aiotcbatch.journal.store import Journal
    from aiotcbatch.submitting.job import Job

__all__ = ["JournalRecorder"]


class JournalRecorder:
    """
    Notes in a journal how far jobs are, each phase and each file once.

    Args:
        journal: The journal, which is open.
        keeper: Brings what is drained there.
    """

    def __init__(self, journal: Journal, keeper: Keeper) -> None:
        self._journal = journal
        self._keeper = keeper
        #: By job: its number in the journal, the phase and the files that are noted.
        self._numbers: dict[Job, int] = {}
        self._phases: dict[Job, Phase] = {}
        self._files: dict[Job, set[str]] = {}

    def restored(self, job: Job, number: int) -> None:
        """Take over a job that the journal has already, as far as it is now."""
        self._numbers[job] = number
        self._phases[job] = job.phase
        self._files[job] = {xid for xid, upload in job.uploads.items() if upload is not None}

    async def note(self, job: Job) -> None:
        """
        Note how far a job is, before anything that depends on it is done.

        Raises:
            JournalError: When it cannot be written.
        """
        if job not in self._numbers:
            number = await self._keeper.cut(job)
            self._numbers[job] = number
            self._phases[job] = Phase.CUT
            self._files[job] = set()
        if self._phases[job] is not job.phase:
            await self._note_phase(job, self._numbers[job])
            self._phases[job] = job.phase
        noted = self._files[job]
        for xid, upload in list(job.uploads.items()):
            if upload is not None and xid not in noted:
                await self._journal.filed(self._numbers[job], xid, upload)
                noted.add(xid)

    async def recut(self, job: Job, parts: Sequence[Job]) -> None:
        """
        Note that other jobs, which were not begun, take the place of one that was noted.

        Raises:
            JournalError: When it cannot be written; then it has not happened.
        """
        numbers = await self._keeper.recut(self._numbers[job], parts)
        self._forget(job)
        for part, number in zip(parts, numbers, strict=True):
            self.restored(part, number)

    async def _note_phase(self, job: Job, number: int) -> None:
        journal = self._journal
        if job.phase is Phase.CUT:
            await journal.forgotten(number)
        elif job.phase is Phase.CREATED:
            await journal.created(number, job.id)
        elif job.phase is Phase.UPLOADING:
            if job.batch_id is None:  # else the status of the job tells as much
                await journal.uploading(number)
        elif job.phase is Phase.UPLOADED:
            await journal.uploaded(number, job.batch_id)
        elif job.phase is Phase.COMPLETED:
            await journal.completed(number, job.status, job.batch_id)
        elif job.phase is Phase.LOST:
            await journal.lost(number)
        else:
            if self._phases[job] is not Phase.COMPLETED:
                await journal.completed(number, job.status, job.batch_id)
            await journal.explained(number, job.status)

    async def failed(self, job: Job, error: Exception) -> None:
        """
        Note why a job does not get further for now, for who looks at the journal.

        Raises:
            JournalError: When it cannot be written.
        """
        if job in self._numbers:
            await self._journal.failed(self._numbers[job], str(error))

    async def told(self, jobs: Iterable[Job]) -> None:
        """
        Forget jobs that are over, now that somebody knows what they came to.

        Raises:
            JournalError: When it cannot be written.
        """
        over = [job for job in jobs if not job.unfinished and job in self._numbers]
        await self._journal.done(*(self._numbers[job] for job in over))
        for job in over:
            self._forget(job)

    def leave(self, job: Job) -> None:
        """Note nothing more of a job; in the journal it stays as it was noted."""
        self._forget(job)

    def _forget(self, job: Job) -> None:
        for known in (self._numbers, self._phases, self._files):
            known.pop(job, None)
