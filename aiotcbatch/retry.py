"""When a request is sent again: one policy for all of them."""

from __future__ import annotations

import logging
import math
import random
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from tenacity import AsyncRetrying, retry_if_exception

from aiotcbatch.errors import (
    BatchDisabledError,
    ConfigurationError,
    ConnectError,
    RateLimitedError,
    ResponseError,
    TransportError,
    UnreadableAnswerError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

__all__ = ["RetryPolicy", "is_transient", "was_refused_unseen"]

_logger = logging.getLogger("aiotcbatch")

#: Asking again cannot help: the server does not do this at all.
_NOT_TRANSIENT = frozenset({501, 505})
_SERVICE_UNAVAILABLE = 503
_SERVER_ERROR = 500


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """
    How often, and after how long, a request is sent again.

    The n-th wait is a random time between 0 and ``first_delay * 2 ** (n - 1)``, at most
    ``max_delay``; where the server names a time (Retry-After), it is that, at most
    ``max_retry_after``.

    Raises:
        ConfigurationError: When a value is out of its range.
    """

    #: Sends of one request, the first one counted; 1 switches repeating off.
    attempts: int = 5
    #: Seconds that the waits of one request may take together.
    total_seconds: float = 60.0
    #: Seconds that the first wait takes at most.
    first_delay: float = 1.0
    #: Seconds that any wait takes at most when the server names none.
    max_delay: float = 20.0
    #: Seconds that are waited at most when the server names more.
    max_retry_after: float = 60.0
    #: Waits so many seconds.
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    #: Gives a random number from 0 to 1.
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigurationError("attempts", self.attempts, "a number from 1 on")
        for field in ("total_seconds", "first_delay", "max_delay", "max_retry_after"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigurationError(field, value, "seconds, from 0 on")

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

    def retrying(self, may_repeat: Callable[[BaseException], bool]) -> AsyncRetrying:
        """
        Make the loop that sends one request.

        Args:
            may_repeat: Whether the request may be sent again after this error.

        Returns:
            What is called with the function that sends, and its arguments. The last error gets
            out as it is.
        """
        return AsyncRetrying(
            retry=retry_if_exception(may_repeat),
            wait=self._wait,
            stop=self._stop,
            sleep=self.sleep,
            before_sleep=self._announce,
            reraise=True,
        )

    def _wait(self, state: RetryCallState) -> float:
        return self.delay(state.attempt_number, _error_of(state))

    def _stop(self, state: RetryCallState) -> bool:
        waited = state.idle_for + state.upcoming_sleep
        return state.attempt_number >= self.attempts or waited > self.total_seconds

    def _announce(self, state: RetryCallState) -> None:
        _logger.info(
            "%s; attempt %d of %d, the next one in %.1f s",
            _error_of(state),
            state.attempt_number,
            self.attempts,
            state.upcoming_sleep,
        )


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def is_transient(error: BaseException) -> bool:
    """
    Say whether the same request may succeed a little later.

    So it is with connections that cannot be made or break, deadlines, 429, and 5xx, except for
    501, 505 and what an administrator must switch on; and with answers that are cut short or
    come from something in between. It is not with TLS that fails, proxies that refuse, redirects,
    and answers that are too large.
    """
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
