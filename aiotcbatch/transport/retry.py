"""When a request is sent again: one policy for all of them."""

from __future__ import annotations

import random
import ssl
import time
from typing import TYPE_CHECKING, Protocol

import anyio

from aiotcbatch.checking import checked_callable, checked_number, checked_whole
from aiotcbatch.errors import (
    BatchDisabledError,
    CircuitOpenError,
    ConfigurationError,
    ConnectError,
    RateLimitedError,
    ResponseError,
    TransportError,
    UnreadableAnswerError,
)
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import AsyncRetrying, RetryCallState

__all__ = ["Attempts", "RetryPolicy", "is_transient", "was_refused_unseen"]

#: Asking again cannot help: the server does not do this at all.
_NOT_TRANSIENT = frozenset({501, 505})
_SERVICE_UNAVAILABLE = 503
_SERVER_ERROR = 500
_SECONDS = (
    "total_seconds",
    "first_delay",
    "max_delay",
    "max_retry_after",
    "circuit_pause",
    "circuit_max_pause",
)
_FUNCTIONS = {
    "sleep": "a coroutine function of one argument",
    "random": "a function without arguments",
    "now": "a function without arguments",
}


class RetryPolicy(Value):
    """
    How often, and after how long, a request is sent again.

    The n-th wait is a random time between 0 and ``first_delay * 2 ** (n - 1)``, at most
    ``max_delay``; where the server names a time (Retry-After), it is that, at most
    ``max_retry_after``.

    All requests of a client together are held back where the server fails. They share a budget:
    of any n requests in a row at most ``budget_reserve + budget_fraction * n`` are sent again,
    the others fail with their first error. And there is a circuit: after ``circuit_failures``
    failures in a row nothing is sent for ``circuit_pause`` seconds. Then a single request tries;
    when it fails, the pause begins again and is twice as long, up to ``circuit_max_pause``.
    Requests wait for the circuit as long as their ``total_seconds`` last, and then raise a
    `CircuitOpenError`, or the last error of their own.

    Raises:
        ConfigurationError: When a value is out of its range.
    """

    #: Sends of one request, the first one counted; 1 switches repeating off.
    attempts: int = 5
    #: Seconds that the waits of one request may take together, those for the circuit included.
    total_seconds: float = 60.0
    #: Seconds that the first wait takes at most.
    first_delay: float = 1.0
    #: Seconds that any wait takes at most when the server names none.
    max_delay: float = 20.0
    #: Seconds that are waited at most when the server names more.
    max_retry_after: float = 60.0
    #: Repeats that are kept at most for all requests of a client.
    budget_reserve: int = 100
    #: Repeats that each request adds. Half of one lets a third of all sends fail for ever; with
    #: as many as ``attempts`` there is always one left.
    budget_fraction: float = 0.5
    #: Failures in a row, of whichever requests, after which the circuit opens; 0 never opens it.
    circuit_failures: int = 10
    #: Seconds of its first pause.
    circuit_pause: float = 1.0
    #: Seconds of a pause at most, unless the server names more.
    circuit_max_pause: float = 30.0
    #: Waits so many seconds.
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    #: Gives a random number from 0 to 1.
    random: Callable[[], float] = random.random
    #: Gives the time in seconds, since whenever.
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        checked_whole("attempts", self.attempts, 1)
        checked_whole("circuit_failures", self.circuit_failures)
        for name in _SECONDS:
            checked_number(name, getattr(self, name), "seconds, from 0 on")
        for name in ("budget_reserve", "budget_fraction"):
            checked_number(name, getattr(self, name))
        for name, accepted in _FUNCTIONS.items():
            if getattr(self, name) is None:
                raise ConfigurationError(name, None, accepted)
            checked_callable(name, getattr(self, name), accepted)

    def delay(self, attempt: int, error: BaseException | None) -> float:
        """
        Say how long to wait.

        Args:
            attempt: The number of the send that failed, from 1 on.
            error: What it failed with.

        Returns:
            Seconds.
        """
        asked = getattr(error, "retry_after", None)
        if asked is not None:
            return float(min(asked, self.max_retry_after))
        # 2 ** 30 first delays are more than any cap.
        longest = min(self.max_delay, self.first_delay * 2.0 ** min(attempt - 1, 30))
        return self.random() * longest

    def retrying(self, attempts: Attempts) -> AsyncRetrying:
        """
        Make the loop that sends one request.

        Args:
            attempts: The request's side of it.

        Returns:
            What is called with the function that sends, and its arguments. The last error gets
            out as it is.
        """
        # With the first request, since it is a tenth of what an import of all this takes.
        from tenacity import AsyncRetrying, retry_if_exception  # noqa: PLC0415

        def stop(state: RetryCallState) -> bool:
            waited = attempts.waited + state.upcoming_sleep
            if state.attempt_number >= self.attempts or waited > self.total_seconds:
                return True
            return not attempts.may_spend(state.attempt_number, _error_of(state))

        def before_sleep(state: RetryCallState) -> None:
            delay = state.upcoming_sleep
            attempts.waited += delay
            attempts.again(state.attempt_number, delay, _error_of(state))

        return AsyncRetrying(
            retry=retry_if_exception(attempts.may_repeat),
            wait=lambda state: self.delay(state.attempt_number, _error_of(state)),
            stop=stop,
            sleep=self.sleep,
            before_sleep=before_sleep,
            reraise=True,
        )


class Attempts(Protocol):
    """What a request knows about its attempts."""

    #: Seconds that it has waited for anything but the server.
    waited: float

    def may_repeat(self, error: BaseException) -> bool:
        """Say whether it may be sent again after this error."""
        ...

    def may_spend(self, attempt: int, error: BaseException) -> bool:
        """Say whether there is a repeat for it, and take it."""
        ...

    def again(self, attempt: int, delay: float, error: BaseException) -> None:
        """Note that it will be sent again."""
        ...


def _error_of(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome is not None else None
    if error is None:
        raise AssertionError("a request that succeeded is to be sent again")
    return error


def is_transient(error: BaseException) -> bool:
    """
    Say whether the same request may succeed a little later.

    So it is with connections that cannot be made or break, deadlines, 429, and 5xx, except for
    501, 505 and what an administrator must switch on; and with answers that are cut short or
    come from something in between. It is not with TLS that fails, proxies that refuse, redirects,
    and answers that are too large.
    """
    if isinstance(error, CircuitOpenError):
        return True
    if isinstance(error, ConnectError):
        refused = getattr(error.__cause__, "status", _SERVER_ERROR) < _SERVER_ERROR
        return not (refused or isinstance(error.__cause__, ssl.SSLError))
    if isinstance(error, TransportError):
        return True
    if isinstance(error, BatchDisabledError) or not isinstance(error, ResponseError):
        return False
    if isinstance(error, UnreadableAnswerError):
        return getattr(error, "transient", True)
    return isinstance(error, RateLimitedError) or (
        error.status >= _SERVER_ERROR and error.status not in _NOT_TRANSIENT
    )


def was_refused_unseen(error: BaseException) -> bool:
    """
    Say whether the server has certainly not acted on the request.

    So it is when no connection was made, and when the server turned the request away: 429, and
    503 with the time after which to come back. A 503 without it may come from a proxy whose
    server died while it was at work.
    """
    if isinstance(error, ConnectError | RateLimitedError):
        return True
    return (
        isinstance(error, ResponseError)
        and error.status == _SERVICE_UNAVAILABLE
        and error.retry_after is not None
    )
