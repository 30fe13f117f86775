"""The jobs of a batch: what waits, what has ended and is to be told, what is asked for later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.results.status import BatchStatus
from aiotcbatch.submitting.job import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from aiotcbatch.submitting.job import Job

__all__ = ["Backlog"]

#: Jobs without files that are remembered after they were sent; the oldest is forgotten first.
REMEMBERED = 16


class Backlog:
    """
    Keeps each job of a batch until it is over and was told.

    A job is in it from when its chunk is cut. A submit takes up what is `pending`, a job whose
    step failed once only; what has ended waits in `ended` until somebody is told. Jobs that were
    sent and are followed step by step are in `sent`.
    """

    def __init__(self) -> None:
        #: Jobs that the next submit takes up, in their order.
        self.pending: list[Job] = []
        #: Jobs that have ended and were not told.
        self.ended: list[Job] = []
        #: Jobs that are on the server and that no submit takes up.
        self.sent: list[Job] = []
        #: Those of the pending ones that failed in this submit.
        self._failed: set[Job] = set()

    @property
    def left(self) -> list[Job]:
        """Pending jobs that did not fail in this submit."""
        return [job for job in self.pending if job not in self._failed]

    def begin(self) -> None:
        """Note that a new submit begins, which tries again what failed in the last one."""
        self._failed.clear()

    def source(self, make: Callable[[], Job | None]) -> Iterator[Job]:
        """
        Give the jobs to take up: pending ones, then new ones.

        Args:
            make: Makes the next new job, None if there is nothing to send.

        Yields:
            The jobs; each of them is kept here.
        """
        yield from self.left
        while (job := make()) is not None:
            self.pending.append(job)
            yield job

    def replace(self, job: Job, parts: Sequence[Job]) -> None:
        """Take jobs over into which a pending one was cut."""
        at = self.pending.index(job)
        self.pending[at : at + 1] = parts
        if job in self.ended:
            # It failed in a submit that was broken off before that was told.
            self.ended.remove(job)

    def begun(self) -> Iterator[Job]:
        """Give the jobs to take up where no further one is to be begun."""
        return iter([job for job in self.on_server if job not in self._failed])

    def collect(self, jobs: Iterable[Job]) -> None:
        """Take over jobs that a pipeline has brought to their end."""
        for job in jobs:
            if job not in self.ended:
                self.ended.append(job)
            if job.failure is not None and job.unfinished:
                self._failed.add(job)
            else:
                self.pending.remove(job)
        for job in [job for job in self.pending if not job.unfinished]:
            # It was broken off when there was nothing left to do.
            self.pending.remove(job)
            self.ended.append(job)

    def tell(self) -> BatchStatus | None:
        """Give the result of the first job that was not told; None if there is none."""
        return self._told(self.ended.pop(0)) if self.ended else None

    def tell_all(self) -> list[BatchStatus]:
        """Give the results of all that were not told, in the order of the jobs."""
        ended, self.ended = sorted(self.ended, key=lambda job: job.number), []
        return [self._told(job) for job in ended]

    def tell_standing(self) -> BatchStatus:
        """Give the total of what was not told and of what is pending, however far it is."""
        jobs = sorted({*self.ended, *self.pending}, key=lambda job: job.number)
        total = BatchStatus.total([job.result for job in jobs])
        self.tell_all()
        return total

    def _told(self, job: Job) -> BatchStatus:
        if job.files and job not in self.pending:
            # It was not to be polled, or its files not to be uploaded.
            self.send(job)
        return job.result

    def over(self, jobs: Iterable[Job]) -> list[Job]:
        """Give those that no submit takes up again."""
        return [job for job in jobs if job not in self.pending]

    def send(self, job: Job) -> None:
        """Keep a job that is on the server, for the steps that may follow."""
        if job in self.pending:
            self.pending.remove(job)
        self.sent.append(job)
        without_files = [job for job in self.sent if not job.files]
        for oldest in without_files[: max(len(without_files) - REMEMBERED, 0)]:
            self.sent.remove(oldest)

    def drop_lost(self) -> None:
        """Forget jobs that cannot be taken up again, after somebody was told of them."""
        self.pending = [job for job in self.pending if job.unfinished]

    def for_data(self, batch_id: int) -> Job | None:
        """
        Find the pending job that a job of the server is to be given as data.

        It is the one whose upload to it was broken off, else the first that certainly is on no
        server; None if there is neither.
        """
        for job in self.pending:
            if job.phase is Phase.UPLOADING and job.batch_id == batch_id:
                return job
        unsent = (job for job in self.pending if job.phase in {Phase.CUT, Phase.CREATED})
        return next(unsent, None)

    def find(self, batch_id: int) -> Job | None:
        """Give the job with this id, None if it is not here."""
        jobs = (*self.sent, *self.pending, *self.ended)
        return next((job for job in jobs if job.batch_id == batch_id), None)

    @property
    def unsent(self) -> list[Job]:
        """Jobs whose document the server does not have, or may not."""
        return [job for job in self.pending if job.unsent]

    @property
    def on_server(self) -> list[Job]:
        """Pending jobs whose document the server has."""
        return [job for job in self.pending if not job.unsent]

    @property
    def with_files(self) -> list[Job]:
        """Jobs on the server that have contents to be uploaded."""
        jobs = (*self.on_server, *self.ended, *self.sent)
        return [job for job in dict.fromkeys(jobs) if job.files]

    @property
    def file_count(self) -> int:
        """Contents that wait to be uploaded, of jobs in all phases."""
        jobs = (*self.pending, *self.ended, *self.sent)
        return sum(len(job.files) for job in set(jobs))

    def clear(self) -> None:
        """Give all of them up."""
        self.pending.clear()
        self.ended.clear()
        self.sent.clear()
        self._failed.clear()
