"""Jobs as the page shows them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.sandbox import Counts, State
from aiotcbatch.sandbox.page import jobs
from aiotcbatch.sandbox.store.jobs import Job

_numbers = st.integers(0, 10**9)


def job(state: State, **rest: Any) -> Job:
    """Return a job of that state."""
    return Job(1, "MyOrg", {"action": "Create"}, state, 100.0, **rest)


@given(_numbers, _numbers, _numbers, st.floats(0, 1))
def test_every_outcome_is_seen(good: int, bad: int, left: int, share: float) -> None:
    """Each outcome that there is has a bar of its own, and together they are what is done."""
    counts = Counts(success_indicators=good, error_groups=bad, unprocessed=left)
    card = jobs.card(job(State.RUNNING, started=100.0, counts=counts), share, 110.0)
    outcomes = [name for name, n in (("ok", good), ("bad", bad), ("left", left)) if n]

    if outcomes and share > 0.01:
        assert [name for name, _, _ in card.bars] == outcomes
        assert all(width > 0 for _, _, width in card.bars)
    assert sum(width for _, _, width in card.bars) <= 100.1
    assert abs(sum(width for _, _, width in card.bars) - share * 100) < 0.1


def test_a_completed_job_is_whole_and_has_a_speed() -> None:
    """A job that is over fills its bar, and tells how fast it went."""
    counts = Counts(success_groups=1000)
    done = job(State.COMPLETED, started=100.0, completed=102.0, counts=counts)
    card = jobs.card(done, None, 500.0)

    assert (card.bars, card.seconds, card.speed) == ((("ok", 0.0, 100.0),), 2.0, 500.0)
    assert (card.over, card.good) == (True, True)


def test_a_job_that_waits_has_an_empty_bar() -> None:
    """A job that has not begun shows nothing as done."""
    card = jobs.card(job(State.QUEUED, queued=101.0), None, 500.0)

    assert (card.bars, card.seconds, card.speed) == ((), None, None)


def test_a_timeline_has_four_points() -> None:
    """What happened has a time and a distance, what did not has none."""
    steps = jobs.timeline(job(State.RUNNING, queued=101.0, started=101.5))

    assert [(step.name, step.after, step.current) for step in steps] == [
        ("Created", None, False),
        ("Uploaded", 1.0, False),
        ("Started", 0.5, True),
        ("Completed", None, False),
    ]
