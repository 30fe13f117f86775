"""Async iterables by which a stream is fed, and which may wait long for more."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from aiotcbatch.submitting.steps import Clock

__all__ = ["Feeds"]

#: Feeds are looked at no more often than after so many seconds.
SHORTEST_WATCH = 0.01


class Feeds:
    """
    The async iterables that are waited for, each by a task of the user's.

    What one has given is with the builder and not drained while it is asked for more, so somebody
    has to look after it; and nobody but its next item would let that task hear of a failure.

    Args:
        seconds: How long what they have given may wait.
        clock: The time.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        # Half of that passes until it is seen to wait, and half at most before that began.
        self._pause = max(seconds / 2, SHORTEST_WATCH)
        self._clock = clock
        self._scopes: set[anyio.CancelScope] = set()
        self._come = anyio.Event()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take one to its end, or until `give_up`: then it is cancelled, and this ends early."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            self._come.set()
            try:
                yield
            finally:
                self._scopes.discard(scope)

    def give_up(self) -> None:
        """Wait for none of them any more."""
        for scope in self._scopes:
            scope.cancel()

    async def watch(
        self, drained: Callable[[], object], send: Callable[[], Awaitable[None]]
    ) -> None:
        """
        Have it sent when they give nothing for a while; it never ends.

        Args:
            drained: Gives another object than before when something was drained since.
            send: Drains and sends what there is.
        """
        while True:
            while not self._scopes:
                self._come = anyio.Event()
                await self._come.wait()
            before = drained()
            await self._clock.sleep(self._pause)
            if self._scopes and drained() is before:
                await send()
