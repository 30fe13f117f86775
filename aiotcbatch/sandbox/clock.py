"""Where the sandbox takes the time from, so that a test can hold it in its hand."""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from datetime import UTC, datetime
from typing import Protocol

import anyio
import anyio.lowlevel

from aiotcbatch.checking import is_amount, is_number
from aiotcbatch.errors import ConfigurationError

__all__ = ["Clock", "ManualClock", "SystemClock", "checked_clock", "iso"]


class Clock(Protocol):
    """What the sandbox asks for the time, and how it waits."""

    def time(self) -> float:
        """Return seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed on this clock."""


class SystemClock:
    """
    The time of this machine.

    Args:
        offset: Seconds by which it is ahead.
    """

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = _checked_moment("offset", offset)

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time() + self.offset

    async def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        await anyio.sleep(seconds)


class ManualClock:
    """
    A clock that stands still until it is moved.

    Args:
        start: The time that it shows at first, in seconds since the epoch.
        auto: Whether a sleeper moves it: then every sleep ends at once and the clock has moved on
            by its length, so that slow things take no time but show that they would.
    """

    def __init__(self, start: float = 1_700_000_000.0, *, auto: bool = False) -> None:
        self._now = _checked_moment("start", start)
        self._auto = auto
        self._lock = threading.Lock()
        self._sleepers: list[tuple[float, int, asyncio.Event, asyncio.AbstractEventLoop]] = []
        self._watchers: list[tuple[asyncio.Event, asyncio.AbstractEventLoop]] = []
        self._count = 0

    def time(self) -> float:
        """Return the time that it shows."""
        return self._now

    @property
    def sleepers(self) -> int:
        """How many tasks wait for it to move."""
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until it was moved so far, or move it if it is an automatic one."""
        if self._auto or seconds <= 0:
            self.advance(max(0.0, seconds))
            await anyio.lowlevel.checkpoint()
            return
        event = asyncio.Event()
        entry = (self._now + seconds, self._next(), event, asyncio.get_running_loop())
        with self._lock:
            heapq.heappush(self._sleepers, entry)
            watchers, self._watchers = self._watchers, []
        for watcher, loop in watchers:
            loop.call_soon_threadsafe(watcher.set)
        try:
            await event.wait()
        finally:
            with self._lock:
                if entry in self._sleepers:
                    self._sleepers.remove(entry)
                    heapq.heapify(self._sleepers)

    async def sleeping(self) -> None:
        """Wait until some task waits for it to move."""
        watcher = asyncio.Event()
        with self._lock:
            if self._sleepers:
                return
            self._watchers.append((watcher, asyncio.get_running_loop()))
        await watcher.wait()

    def advance(self, seconds: float) -> None:
        """
        Move it on and wake whoever waited for that; callable from any thread.

        Args:
            seconds: How far.

        Raises:
            ConfigurationError: When that is no number.
        """
        _checked_moment("seconds", seconds)
        with self._lock:
            self._now += seconds
            due = []
            while self._sleepers and self._sleepers[0][0] <= self._now:
                due.append(heapq.heappop(self._sleepers))
        for _, _, event, loop in due:
            loop.call_soon_threadsafe(event.set)

    def set(self, now: float) -> None:
        """
        Put it to a time, forwards or backwards.

        Args:
            now: Seconds since the epoch.

        Raises:
            ConfigurationError: When that is no number.
        """
        _checked_moment("now", now)
        self.advance(now - self._now)

    def _next(self) -> int:
        self._count += 1
        return self._count


def checked_clock(clock: Clock) -> Clock:
    """
    Refuse what does not know the time.

    Raises:
        ConfigurationError: When it has not what a `Clock` has, or is a class that was not called.
    """
    is_clock = all(callable(getattr(clock, name, None)) for name in ("time", "sleep"))
    if not is_clock or isinstance(clock, type):
        raise ConfigurationError("clock", clock, "a clock with time() and sleep(), or None")
    return clock


def _checked_moment(name: str, value: float) -> float:
    if not is_amount(abs(value) if is_number(value) else value):
        raise ConfigurationError(name, value, "a number of seconds")
    return value


def iso(moment: float) -> str:
    """
    Write a time as the API does.

    Args:
        moment: Seconds since the epoch.

    Returns:
        The time in UTC, as ``2026-01-31T13:05:00Z``.
    """
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
