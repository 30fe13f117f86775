"""How long the event loop is held: by a task that wakes each millisecond, and step by step."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Lag"]

_PERIOD = 0.001


class Lag:
    """
    Watches the running loop while its block runs.

    The lag is what the user feels, and has the noise of the machine in it. The processor time of
    the longest single step of the loop has not: it is what the loop's own thread worked.
    """

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._longest = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._run = asyncio.Handle._run  # noqa: SLF001 (the one place where all steps pass)
        run = self._run
        clock = time.thread_time

        def timed(handle: Any) -> None:
            began = clock()
            run(handle)
            self._longest = max(self._longest, clock() - began)

        asyncio.Handle._run = timed  # type: ignore[method-assign]  # noqa: SLF001 (as above)
        self._task = asyncio.ensure_future(self._tick())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            await asyncio.sleep(2 * _PERIOD)  # so that the last stall is seen
            self._task.cancel()
        asyncio.Handle._run = self._run  # type: ignore[method-assign]  # noqa: SLF001 (as above)

    async def _tick(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_PERIOD)
            self._lags.append(max(0.0, time.perf_counter() - began - _PERIOD))

    def figures(self) -> dict[str, float]:
        """Give the greatest lag, its 99.9th percentile and the longest step, in seconds."""
        ordered = sorted(self._lags) or [0.0]
        return {
            "max": ordered[-1],
            "p999": ordered[min(len(ordered) - 1, int(len(ordered) * 0.999))],
            "step": self._longest,
        }
