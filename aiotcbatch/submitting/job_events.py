"""What is told of submits and their jobs: each event is made here, out of the job."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from aiotcbatch.events import (
    JobCompleted,
    JobCreated,
    JobFailed,
    JobFinished,
    JobPolled,
    JobRecut,
    JobUploaded,
    SubmitEnded,
    SubmitStarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiotcbatch.events import Events
    from aiotcbatch.results.status import BatchStatus
    from aiotcbatch.submitting.job import Job, JobSettings

__all__ = ["JobEvents"]

_numbers = count(1)


class JobEvents:
    """
    Tells what happens to the jobs of one submit, or of the steps that a user takes.

    Args:
        events: Where to.
        now: The time.
    """

    def __init__(self, events: Events, now: Callable[[], float]) -> None:
        self._events = events
        self._now = now
        self._submit: int | None = None
        self._ended = 0

    @contextmanager
    def of_submit(self, is_over: Callable[[], bool]) -> Iterator[None]:
        """
        Tell when a submit begins and ends; what happens meanwhile belongs to it.

        Args:
            is_over: Whether nothing is left of it, so that a cancellation has broken nothing off.
        """
        self._submit, self._ended = next(_numbers), 0
        began = self._now()
        error: str | None = None
        self._events.tell(SubmitStarted(submit=self._submit))
        try:
            yield
        except Exception as failure:
            error = type(failure).__name__
            raise
        except BaseException as failure:
            error = None if is_over() else type(failure).__name__
            raise
        finally:
            seconds = self._now() - began
            ended = SubmitEnded(submit=self._submit, jobs=self._ended, seconds=seconds, error=error)
            self._submit = None
            self._events.tell(ended)

    def created(self, batch_id: int, settings: JobSettings, seconds: float) -> None:
        """Tell that the server has given a job an id."""
        self._events.tell(
            JobCreated(
                batch_id=batch_id,
                owner=settings.owner,
                action=settings.action,
                submit=self._submit,
                seconds=seconds,
            )
        )

    def uploaded(self, job: Job, seconds: float) -> None:
        """Tell that the server has the document."""
        self._events.tell(
            JobUploaded(
                batch_id=job.batch_id,
                owner=job.settings.owner,
                submit=self._submit,
                groups=job.group_count,
                indicators=job.indicator_count,
                associations=job.association_count,
                size=job.document.size,
                seconds=seconds,
            )
        )

    def polled(self, batch_id: int | None, status: BatchStatus, seconds: float) -> None:
        """Tell how far the server is, and what it came to if it is done."""
        if batch_id is not None:
            self._events.tell(JobPolled(batch_id=batch_id, status=status.status, seconds=seconds))
        if status.completed:
            self._events.tell(
                JobCompleted(
                    batch_id=batch_id,
                    accepted=status.success_count,
                    refused=status.error_count,
                    unprocessed=status.unprocess_count,
                    seconds=seconds,
                )
            )

    def failed(self, job: Job, error: Exception) -> None:
        """Tell that a step failed."""
        self._events.tell(
            JobFailed(
                batch_id=job.batch_id,
                owner=job.settings.owner,
                submit=self._submit,
                phase=job.phase.name.lower(),
                groups=job.group_count,
                indicators=job.indicator_count,
                associations=job.association_count,
                error=type(error).__name__,
                reason=str(error),
            )
        )

    def recut(self, job: Job, jobs: int, error: str, limit: int | None = None) -> None:
        """Tell that so many smaller jobs take the place of one."""
        self._events.tell(
            JobRecut(
                batch_id=job.batch_id,
                owner=job.settings.owner,
                submit=self._submit,
                jobs=jobs,
                error=error,
                limit=limit,
            )
        )

    def ended(self, job: Job) -> None:
        """Count a job that gets no further in this submit, and tell if it has nothing to do."""
        self._ended += 1
        if job.unfinished or job.failure is not None:
            return
        uploaded = [upload.uploaded for upload in job.uploads.values() if upload is not None]
        self._events.tell(
            JobFinished(
                batch_id=job.batch_id,
                submit=self._submit,
                files=sum(uploaded),
                files_failed=len(uploaded) - sum(uploaded),
            )
        )
