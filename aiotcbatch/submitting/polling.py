"""Polling: when to look next whether a job is done. No I/O, no clock."""

from __future__ import annotations

import math
from collections import deque

from aiotcbatch.errors import ConfigurationError

__all__ = ["PollSchedule"]

#: Jobs that a prediction is made of, and how much heavier each is than the one before it.
_REMEMBERED = 5
_HEAVIER = 1.5
#: The first looks are this part of the predicted duration apart, instead of the floor.
_EARLY = 0.05
#: Between these parts of the predicted duration the end is likely: steps are finer there.
_LIKELY_FROM = 0.9
_LIKELY_TO = 1.3
_FINE_STEP = 0.03


class PollSchedule:
    """
    Says after how long to look again, and learns from how long jobs have taken.

    With e seconds gone, the next look is at most ``max(step * e, first)`` seconds away and at most
    ``cap``. The first looks are ``first`` seconds apart: that is ``floor``, or 5 % of the
    predicted duration where that is more, at most ``max_first``. So a job that needs d seconds is
    seen to be done before ``d + step * d + max_first``, whatever it was predicted to need. Near
    the predicted end the steps are 3 % instead, so that what goes as before is seen sooner.

    A prediction is a job's number of entities times the seconds per entity of the last five jobs,
    each weighing half as much again as the one before it.

    Args:
        floor: Seconds between the first looks when nothing is known.
        max_first: Seconds between the first looks at most.
        step: The part of the time gone until the next look.
        cap: Seconds between two looks at most.

    Raises:
        ConfigurationError: When a value is out of its range.
    """

    __slots__ = ("_cap", "_floor", "_history", "_max_first", "_step")

    def __init__(
        self,
        *,
        floor: float = 0.05,
        max_first: float = 1.0,
        step: float = 0.1,
        cap: float = 30.0,
    ) -> None:
        for name, value in (("floor", floor), ("step", step)):
            if not (math.isfinite(value) and value > 0):
                raise ConfigurationError(name, value, "a number above 0")
        for name, value in (("max_first", max_first), ("cap", cap)):
            if not value >= floor:
                raise ConfigurationError(name, value, f"seconds, at least the floor of {floor}")
        self._floor = floor
        self._max_first = max_first
        self._step = step
        self._cap = cap
        self._history: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)

    def next_delay(self, elapsed: float, entities: int) -> float:
        """
        Say how long to wait before the next look.

        Args:
            elapsed: Seconds since the server got the job's document.
            entities: Number of groups, indicators and associations in it.

        Returns:
            Seconds, more than 0.
        """
        predicted = self.predict(entities)
        if predicted is None:
            return self._bounded(self._step * elapsed, self._floor)
        until_likely = _LIKELY_FROM * predicted - elapsed
        if until_likely > 0:
            # Wait for the likely end, if the rule lets us wait that long.
            first = min(max(self._floor, _EARLY * predicted), self._max_first)
            return self._bounded(min(self._step * elapsed, until_likely), first)
        fine = elapsed < _LIKELY_TO * predicted
        step = min(_FINE_STEP, self._step) if fine else self._step
        return self._bounded(step * elapsed, self._floor)

    def completed(self, entities: int, elapsed: float) -> None:
        """
        Learn from a job that is done.

        Args:
            entities: Number of groups, indicators and associations in it.
            elapsed: Seconds from its upload to the look that saw it done.
        """
        if entities > 0 and elapsed > 0 and math.isfinite(elapsed):
            self._history.append((entities, elapsed))

    def predict(self, entities: int) -> float | None:
        """
        Guess how long a job takes.

        Args:
            entities: Number of groups, indicators and associations in it.

        Returns:
            Seconds, None while no job has completed.
        """
        if not self._history:
            return None
        weighed = [(_HEAVIER**age, *job) for age, job in enumerate(self._history)]
        seconds = sum(weight * elapsed for weight, _, elapsed in weighed)
        return entities * seconds / sum(weight * count for weight, count, _ in weighed)

    def _bounded(self, delay: float, least: float) -> float:
        return min(max(delay, least), self._cap)

    def __repr__(self) -> str:
        return f"<PollSchedule: {len(self._history)} jobs seen>"
