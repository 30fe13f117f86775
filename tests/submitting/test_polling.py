"""When to look next."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.errors import ConfigurationError
from aiotcbatch.submitting.polling import PollSchedule

FLOOR, MAX_FIRST, STEP, CAP = 0.05, 1.0, 0.1, 30.0

durations = st.floats(0.001, 20_000)
sizes = st.integers(1, 25_000)
histories = st.lists(st.tuples(sizes, durations), max_size=8)


def looks(schedule: PollSchedule, duration: float, entities: int) -> list[float]:
    """Play a job of this duration; give the times at which it is looked at."""
    times = [0.0]
    while times[-1] < duration:
        times.append(times[-1] + schedule.next_delay(times[-1], entities))
    return times[1:]


def after(history: list[tuple[int, float]]) -> PollSchedule:
    """Make a schedule that has seen these jobs."""
    schedule = PollSchedule()
    for entities, elapsed in history:
        schedule.completed(entities, elapsed)
    return schedule


@given(histories, durations, sizes)
def test_overshoot_is_a_tenth_at_most(history, duration, entities):
    """No job is waited for longer than a tenth of its duration or the longest first step."""
    seen = looks(after(history), duration, entities)[-1]

    assert seen - duration <= max(STEP * duration, MAX_FIRST) + 1e-6


@given(durations, sizes)
def test_overshoot_without_history_is_the_floor_at_most(duration, entities):
    """While nothing is known, a short job is seen within the floor of its end."""
    seen = looks(PollSchedule(), duration, entities)[-1]

    assert seen - duration <= max(STEP * duration, FLOOR) + 1e-6


@given(histories, durations, sizes)
def test_every_delay_is_within_its_bounds(history, duration, entities):
    """A delay is never under the floor and never over the cap."""
    schedule = after(history)
    gaps = [b - a for a, b in pairwise([0.0, *looks(schedule, duration, entities)])]

    assert all(FLOOR - 1e-6 <= gap <= CAP + 1e-6 for gap in gaps)


@given(sizes, st.floats(1, 3_000))
def test_a_job_like_the_last_ones_is_seen_sooner_with_fewer_looks(entities, duration):
    """What goes as before costs fewer looks and less waiting than the unknown."""
    unknown = looks(PollSchedule(), duration, entities)
    known = looks(after([(entities, duration)] * 5), duration, entities)

    assert len(known) <= len(unknown) + 1
    assert known[-1] - duration <= 0.03 * duration + FLOOR + 1e-6


@given(sizes, st.floats(1, 300))
def test_the_likely_end_is_not_stepped_over(entities, duration):
    """When the predicted end comes near, a look falls where it begins to be likely."""
    likely = 0.9 * duration
    times = looks(after([(entities, duration)]), 2 * duration, entities)

    assert any(likely - 1e-6 <= time <= likely + MAX_FIRST + 1e-6 for time in times)


def test_a_minute_takes_few_looks():
    """A known job of a minute is looked at some thirty times, an unknown one some sixty."""
    assert len(looks(after([(25_000, 60.0)]), 60.0, 25_000)) <= 35
    assert len(looks(PollSchedule(), 60.0, 25_000)) <= 65


def test_newest_job_weighs_most():
    """When the server becomes slower, the prediction follows the newest jobs."""
    schedule = after([(100, 1.0), (100, 1.0), (100, 1.0), (100, 1.0), (100, 10.0)])

    assert schedule.predict(100) == pytest.approx((8.125 + 50.625) / 13.1875)


def test_only_the_last_jobs_count():
    """What was five jobs ago is forgotten."""
    assert after([(100, 1000.0)] + [(100, 1.0)] * 5).predict(200) == pytest.approx(2.0)


@pytest.mark.parametrize(("entities", "elapsed"), [(0, 5.0), (5, 0.0), (5, math.inf)])
def test_what_teaches_nothing_is_not_learned(entities, elapsed):
    """Empty jobs, and those that took no time or for ever, do not change predictions."""
    assert after([(entities, elapsed)]).predict(10) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("floor", 0), ("floor", math.nan), ("step", -1), ("cap", 0.01), ("max_first", 0.01)],
)
def test_settings_out_of_range_are_refused(field, value):
    """A setting that cannot be right names itself."""
    with pytest.raises(ConfigurationError) as caught:
        PollSchedule(**{field: value})

    assert caught.value.field == field


def test_repr_is_a_status_line():
    """How much is known can be read."""
    assert repr(after([(1, 1.0)])) == "<PollSchedule: 1 jobs seen>"
