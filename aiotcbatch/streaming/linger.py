"""How long what was drained waits for more to go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from aiotcbatch.submitting.steps import Clock

__all__ = ["Linger"]


class Linger:
    """
    The time for which what was drained waits for more, so that jobs are not too small.

    Args:
        seconds: How long, from when the first of it was drained.
        clock: The time.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = None
        self._begun = anyio.Event()
        #: Whether what was drained is to wait no more.
        self.is_over = False

    @property
    def has_begun(self) -> bool:
        """Whether something that was drained waits, or has waited long enough."""
        return self._since is not None

    def begin(self) -> None:
        """Note that something was drained; what was drained before counts already."""
        if self._since is None:
            self._since = self._clock.now()
            self._begun.set()

    def cut_short(self) -> None:
        """Have all that is drained wait no more, until `end`."""
        self.is_over = True

    def end(self) -> None:
        """Note that nothing is left that waits: what is drained next does so anew."""
        self._since, self.is_over = None, False

    async def passed(self) -> None:
        """Wait until what was drained has waited long enough."""
        while True:
            if self._since is None or self.is_over:
                self._begun = anyio.Event()
                await self._begun.wait()
            elif (left := self._since + self._seconds - self._clock.now()) > 0:
                await self._clock.sleep(left)
            else:
                self.is_over = True
                return
