"""A batch job as the page shows it: how far it is, what became of it, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiotcbatch.sandbox.store.jobs import State

if TYPE_CHECKING:
    from aiotcbatch.sandbox.store.jobs import Counts, Job

__all__ = ["JobCard", "Step", "card", "timeline"]

#: A job with fewer entities says nothing about how fast it goes.
_FEW = 100


@dataclass(frozen=True, slots=True)
class JobCard:
    """
    What is shown of a job wherever it is shown.

    Attributes:
        id: Its number.
        owner: The owner's name.
        action: ``Create`` or ``Delete``.
        state: Where it is in its life.
        inline: Whether it was answered at once.
        created: When it was made.
        seconds: How long it has been in work, None before that.
        body_size: Bytes of its document, None before it came.
        counts: What became of its entities.
        share: How much of its document has been read, from 0 to 1.
        bars: What became of its entities, as class, left edge and width in percent.
    """

    id: int
    owner: str
    action: str
    state: State
    inline: bool
    created: float
    seconds: float | None
    body_size: int | None
    counts: Counts
    share: float
    bars: tuple[tuple[str, float, float], ...]

    @property
    def over(self) -> bool:
        """Whether it is completed."""
        return self.state is State.COMPLETED

    @property
    def good(self) -> bool:
        """Whether nothing went wrong so far."""
        counts = self.counts
        return not (counts.error or counts.error_associations or counts.unprocessed)

    @property
    def speed(self) -> float | None:
        """Entities in a second, None while that says nothing."""
        done = self.counts.success + self.counts.error
        if not self.over or not self.seconds or done < _FEW:
            return None
        return done / self.seconds


@dataclass(frozen=True, slots=True)
class Step:
    """
    A point of a job's timeline.

    Attributes:
        name: What happened.
        at: When, None if it did not yet.
        after: Seconds since the point before.
        current: Whether this is where the job is.
    """

    name: str
    at: float | None
    after: float | None
    current: bool


def card(job: Job, share: float | None, now: float) -> JobCard:
    """
    Put together what is shown of a job.

    Args:
        job: The job.
        share: How much of its document has been read, None if it is not in work.
        now: The time on the sandbox's clock.

    Returns:
        What is shown.
    """
    over = job.state is State.COMPLETED
    seconds = None if job.started is None else max(0.0, (job.completed or now) - job.started)
    share = 1.0 if over else (share or 0.0)
    return JobCard(
        id=job.id,
        owner=job.owner,
        action=str(job.config.get("action", "Create")),
        state=job.state,
        inline=job.inline,
        created=job.created,
        seconds=seconds,
        body_size=job.body_size,
        counts=job.counts,
        share=share,
        bars=_bars(job.counts, share),
    )


def _bars(counts: Counts, share: float) -> tuple[tuple[str, float, float], ...]:
    """Divide the part that is done by outcome, so that even one error in thousands is seen."""
    outcomes = {
        "ok": counts.success + counts.success_associations,
        "bad": counts.error + counts.error_associations,
        "left": counts.unprocessed,
    }
    total = sum(outcomes.values())
    if total == 0:
        return (("ok", 0.0, round(share * 100, 2)),) if share else ()
    widths = {
        name: max(1.0, share * 100 * number / total) for name, number in outcomes.items() if number
    }
    shrink = share * 100 / sum(widths.values())
    bars, left = [], 0.0
    for name, width in widths.items():
        bars.append((name, round(left, 2), round(width * shrink, 2)))
        left += width * shrink
    return tuple(bars)


def timeline(job: Job) -> list[Step]:
    """Return the four points of a job's life."""
    points = (
        ("Created", job.created),
        ("Uploaded", job.queued),
        ("Started", job.started),
        ("Completed", job.completed),
    )
    reached = sum(at is not None for _, at in points)
    steps: list[Step] = []
    before: float | None = None
    for index, (name, at) in enumerate(points, 1):
        after = None if at is None or before is None else max(0.0, at - before)
        steps.append(Step(name, at, after, index == reached))
        before = at
    return steps
