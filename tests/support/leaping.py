"""The time of a loop, which can be made to leap: deadlines pass at once, and nobody waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from anyio.lowlevel import checkpoint

from support.submitting import Wire

if TYPE_CHECKING:
    import asyncio

__all__ = ["LeapingClock", "Line"]


class Line(Wire):
    """A wire that knows how many requests are under way."""

    in_flight = 0

    async def request(self, method: str, path: str, **rest: Any) -> Any:
        """Ask, and count."""
        self.in_flight += 1
        try:
            return await super().request(method, path, **rest)
        finally:
            self.in_flight -= 1


class LeapingClock:
    """
    A clock for a sandbox whose sleepers make the time of the loop leap.

    It leaps when all requests that are under way wait for it, so that no other one is late. What
    is signed and stored has this machine's time.

    Args:
        loop: The loop whose deadlines pass.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.line: Line | None = None
        self._loop = loop
        self._real = loop.time
        self._ahead = 0.0
        self._sleepers = 0
        vars(loop)["time"] = self._now

    def restore(self) -> None:
        """Let the loop have its own time again."""
        del vars(self._loop)["time"]

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed, which may be at once."""
        until = self._now() + seconds
        self._sleepers += 1
        try:
            while self._now() < until:
                if self.line is None or self.line.in_flight <= self._sleepers:
                    self._ahead += until - self._now()
                await checkpoint()
        finally:
            self._sleepers -= 1

    def _now(self) -> float:
        return self._real() + self._ahead
