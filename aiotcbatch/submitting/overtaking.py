"""Overtaking: jobs that reached the server before one that comes before them, and is sent again."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from anyio import to_thread

from aiotcbatch.submitting.job import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiotcbatch.submitting.job import Job
    from aiotcbatch.submitting.recorder import Recorder

__all__ = ["overtakers", "put_in_order"]


async def put_in_order(jobs: Sequence[Job], recorder: Recorder) -> None:
    """
    Have jobs sent again that were sent before earlier ones with older values of their entities.

    Args:
        jobs: Those that are gone on with, in their order.
        recorder: Told of what is to be sent again.
    """
    for at, job in enumerate(jobs):
        if job.unsent:
            for other in await overtakers(job, jobs[at + 1 :]):
                other.taken_back()
                await recorder.note(other)


async def overtakers(job: Job, later: Sequence[Job]) -> list[Job]:
    """
    Find the jobs that the server has or may have, with entities of one that it has not yet.

    Args:
        job: That one.
        later: Jobs that come after it.

    Returns:
        Those of them that can be sent again without harm.
    """
    sent = [other for other in later if _may_be_there(other) and other.settings.harmless_twice]
    return await to_thread.run_sync(_sharing, job, sent) if sent else []


def _may_be_there(job: Job) -> bool:
    return job.is_sent or job.phase is Phase.UPLOADING


def _sharing(job: Job, others: Sequence[Job]) -> list[Job]:
    """Give the jobs that have entities of another one; they are read, so run it in a thread."""
    keys = set(_keys_of(job))
    return [other for other in others if not keys.isdisjoint(_keys_of(other))]


def _keys_of(job: Job) -> array[int]:
    if job.keys is None:
        job.keys = array("q", map(hash, _names_in(job)))
    return job.keys


def _names_in(job: Job) -> Iterator[str]:
    """Give all by which the server may know the entities of a job: xids, and parts of summaries."""
    for kind in ("group", "indicator"):
        for data, _ in job.records.records(kind):
            yield data["xid"]
            for part in str(data.get("summary", "")).split(" : "):
                yield part.lower()
