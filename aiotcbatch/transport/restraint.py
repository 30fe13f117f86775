"""Restraint: what spares a server that fails. It decides, and leaves waiting to others."""

from __future__ import annotations

import math
from enum import Enum

__all__ = ["Circuit", "RetryBudget"]


class RetryBudget:
    """
    How many requests may still be sent again.

    Each request earns ``fraction`` of a repeat, each repeat spends one, and at most ``reserve``
    are kept. So of any number of requests in a row at most ``reserve + fraction * requests`` are
    sent again, the reserve being at least one.

    Args:
        reserve: Repeats that are there at the beginning.
        fraction: Repeats that each request earns.
    """

    __slots__ = ("_fraction", "_most", "left", "requests", "spent")

    def __init__(self, reserve: float, fraction: float) -> None:
        self._fraction = fraction
        self._most = max(reserve, 1.0)
        #: Repeats that are there now, with what is earned of the next one.
        self.left = float(reserve)
        #: Requests, and how many times any of them was sent again.
        self.requests = self.spent = 0

    def earn(self) -> None:
        """Count a request that is sent for the first time."""
        self.requests += 1
        self.left = min(self._most, self.left + self._fraction)

    def spend(self) -> bool:
        """Take a repeat out; False if there is none."""
        if self.left < 1:
            return False
        self.left -= 1
        self.spent += 1
        return True


class _State(Enum):
    CLOSED = "closed"
    #: Nothing is sent until the pause is over.
    OPEN = "open"
    #: One request is under way to find out how the server is.
    PROBING = "probing"


class Circuit:
    """
    Whether anything is sent to a server at all.

    It is closed, and opens when ``failures`` requests have failed one after the other, whoever
    sent them. Then nothing is sent for ``first_pause`` seconds, and after these a single request,
    the probe. It closes when one succeeds; when the probe fails, the pause begins again and is
    twice as long, up to ``max_pause``.

    Args:
        failures: Failures in a row that open it; 0 never opens it.
        first_pause: Seconds of the first pause.
        max_pause: Seconds of a pause at most.
    """

    __slots__ = (
        "_first",
        "_limit",
        "_most",
        "_number",
        "_pause",
        "_probe",
        "_state",
        "failures",
        "until",
    )

    def __init__(self, failures: int, first_pause: float, max_pause: float) -> None:
        self._limit = failures or math.inf
        self._first = min(first_pause, max_pause)
        self._most = max_pause
        self._state = _State.CLOSED
        self._number = 0
        self._probe = 0
        self._pause = 0.0
        #: Failures since the last success.
        self.failures = 0
        #: When the pause is over, on the clock of who asks.
        self.until = 0.0

    @property
    def closed(self) -> bool:
        """Whether everything is sent."""
        return self._state is _State.CLOSED

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``probing``."""
        return self._state.value

    def wait(self, now: float) -> float:
        """Give the seconds until a request may be sent, infinity if that is up to the probe."""
        if self._state is _State.PROBING:
            return math.inf
        return 0.0 if self.closed else max(0.0, self.until - now)

    def begin(self) -> int:
        """
        Count a request that is sent, after `wait` has allowed it.

        Returns:
            Its number, by which it is told from others when it ends.
        """
        self._number += 1
        if self._state is _State.OPEN:
            self._state, self._probe = _State.PROBING, self._number
        return self._number

    def succeeded(self) -> bool:
        """Note that the server has answered as it should; True if that closes the circuit."""
        closes = not self.closed
        self._state, self.failures = _State.CLOSED, 0
        return closes

    def failed(self, number: int, now: float, asked: float = 0.0) -> bool:
        """
        Note a failure that says something about the server.

        Args:
            number: As returned by `begin`.
            now: The time.
            asked: Seconds that the server asks to wait; the pause is no shorter.

        Returns:
            Whether a pause begins.
        """
        self.failures += 1
        if self.closed:
            if self.failures < self._limit:
                return False
            self._pause = self._first
        elif self._is_probe(number):
            self._pause = min(2 * self._pause, self._most)
        else:
            return False  # it was sent before the pause
        self._state, self.until = _State.OPEN, now + max(self._pause, asked)
        return True

    def left(self, number: int) -> bool:
        """Note that a request ended and told nothing; True if another one may probe now."""
        if not self._is_probe(number):
            return False
        self._state = _State.OPEN
        return True

    def _is_probe(self, number: int) -> bool:
        return self._state is _State.PROBING and number == self._probe
