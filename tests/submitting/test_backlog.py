"""The backlog: which jobs are taken up, told, and kept for later."""

from __future__ import annotations

from typing import Any

import pytest

from aiotcbatch.collecting.chunk import Chunk
from aiotcbatch.entities.contents import FileItem
from aiotcbatch.errors import ConnectError
from aiotcbatch.submitting.backlog import REMEMBERED, Backlog
from aiotcbatch.submitting.job import Job, JobSettings, Phase

SETTINGS = JobSettings(owner="MyOrg")


def job_of(batch_id: int | None = None, phase: Phase = Phase.CUT, *, file: bool = False) -> Job:
    """Make a job in some phase."""
    chunk = Chunk()
    if file:
        chunk.groups.files.append(FileItem("d", "Document", b"x"))
    job = Job(SETTINGS, chunk)
    job.batch_id, job.phase = batch_id, phase
    return job


@pytest.fixture
def backlog() -> Backlog:
    """Give an empty one."""
    return Backlog()


def drawn(backlog: Backlog, *new: Job) -> list[Job]:
    """Draw all jobs from a backlog, with new ones behind them."""
    left: list[Any] = [*new, None]
    return list(backlog.source(lambda: left.pop(0)))


class TestSource:
    """What a submit takes up."""

    def test_pending_ones_first(self, backlog: Backlog) -> None:
        """Then new ones, which are pending from then on."""
        first, second = job_of(), job_of()
        drawn(backlog, first)

        assert drawn(backlog, second) == [first, second]
        assert backlog.pending == [first, second]

    def test_what_failed_is_tried_once_a_submit(self, backlog: Backlog) -> None:
        """It stays pending, and the next submit takes it up."""
        job = job_of()
        drawn(backlog, job)
        job.failed(ConnectError("away"))
        backlog.collect([job])
        assert drawn(backlog) == []
        backlog.begin()

        assert drawn(backlog) == [job]


class TestTelling:
    """Each job is told as often as it ends."""

    def test_in_the_order_of_the_jobs(self, backlog: Backlog) -> None:
        """However they ended."""
        jobs = [job_of(number, Phase.DONE) for number in (1, 2, 3)]
        drawn(backlog, *jobs)
        backlog.collect(reversed(jobs))

        assert [status.id for status in backlog.tell_all()] == [1, 2, 3]
        assert backlog.tell_all() == []
        assert backlog.tell() is None

    def test_one_by_one(self, backlog: Backlog) -> None:
        """As they ended."""
        jobs = [job_of(number, Phase.DONE) for number in (1, 2)]
        drawn(backlog, *jobs)
        backlog.collect(reversed(jobs))
        told = [backlog.tell(), backlog.tell(), backlog.tell()]

        assert [status.id if status else None for status in told] == [2, 1, None]

    def test_a_job_that_ended_twice_untold(self, backlog: Backlog) -> None:
        """It is told once, as it is then."""
        job = job_of(1)
        drawn(backlog, job)
        job.failed(ConnectError("away"))
        backlog.collect([job])
        job.retried()
        job.phase = Phase.DONE
        backlog.collect([job])

        assert [status.failure for status in backlog.tell_all()] == [None]
        assert backlog.pending == []

    def test_how_all_stand(self, backlog: Backlog) -> None:
        """What ended and what is pending, each once; what cannot go on is over with that."""
        jobs = [job_of(1, Phase.DONE), job_of(2, Phase.LOST), job_of(3)]
        drawn(backlog, *jobs)
        jobs[2].failed(ConnectError("away"))
        backlog.collect([jobs[0], jobs[2]])
        total = backlog.tell_standing()

        assert [(status.id, status.status) for status in total.jobs] == [
            (1, "Done"),
            (2, "Unknown"),
            (3, "Failed"),
        ]
        assert backlog.pending == [jobs[2]]
        assert backlog.tell_all() == []


class TestLater:
    """Jobs that are followed step by step."""

    def test_files_are_kept(self, backlog: Backlog) -> None:
        """A job with files stays until they are uploaded, others until newer ones come."""
        kept = job_of(1, Phase.UPLOADED, file=True)
        backlog.send(kept)
        for number in range(2, REMEMBERED + 4):
            backlog.send(job_of(number, Phase.UPLOADED))

        assert backlog.find(1) is kept
        assert backlog.find(3) is None
        assert backlog.find(4) is not None
        assert len(backlog.sent) == REMEMBERED + 1
        assert backlog.with_files == [kept]
        assert backlog.file_count == 1

    def test_told_with_files(self, backlog: Backlog) -> None:
        """What ended without its files is kept for them."""
        job = job_of(1, Phase.UPLOADED, file=True)
        drawn(backlog, job)
        backlog.collect([job])
        backlog.tell_all()

        assert backlog.sent == [job]
        assert backlog.pending == []

    def test_data_for_a_job(self, backlog: Backlog) -> None:
        """What was broken off on its way to it, else what is certainly nowhere."""
        jobs = [
            job_of(1, Phase.UPLOADED),
            job_of(2, Phase.UPLOADING),
            job_of(3, Phase.UPLOADING),
            job_of(4, Phase.CREATED),
            job_of(),
        ]
        drawn(backlog, *jobs)

        assert backlog.for_data(3) is jobs[2]
        assert backlog.for_data(1) is jobs[3]
        assert backlog.for_data(99) is jobs[3]
        del backlog.pending[3:]
        assert backlog.for_data(99) is None
        assert backlog.unsent == jobs[1:3]
        assert backlog.on_server == jobs[:1]

    def test_clear(self, backlog: Backlog) -> None:
        """Nothing is left."""
        job = job_of(1, Phase.DONE)
        drawn(backlog, job, job_of())
        backlog.collect([job])
        backlog.send(job_of(2, Phase.UPLOADED))
        backlog.clear()

        assert (backlog.pending, backlog.ended, backlog.sent) == ([], [], [])
