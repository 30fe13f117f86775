"""What a process holds, looked at again and again while it works."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Vitals", "growth"]

#: Until this part of the time has passed, caches fill and pools reach their size.
WARM_UP = 0.25
#: Where a process finds its own open files: on Linux, and on other systems.
_HANDLES = next(path for path in (Path("/proc/self/fd"), Path("/dev/fd")) if path.exists())


class Vitals:
    """
    Looks at this process at intervals.

    Args:
        folder: Where it keeps its files.
        interval: Seconds between two looks.
        more: Gives further figures at each look.
    """

    def __init__(
        self, folder: Path, interval: float, more: Callable[[], Mapping[str, float]]
    ) -> None:
        self._folder = folder
        self._interval = interval
        self._more = more
        self._began = time.perf_counter()
        self.samples: list[dict[str, float]] = []

    async def watch(self) -> None:
        """Look until it is cancelled."""
        while True:
            await anyio.sleep(self._interval)
            self.look()

    def look(self) -> None:
        """Note how things are now."""
        self.samples.append(
            {
                "seconds": time.perf_counter() - self._began,
                **_memory(),
                "handles": float(sum(1 for _ in _HANDLES.iterdir()) - 1),
                "tasks": float(len(asyncio.all_tasks())),
                "threads": float(threading.active_count()),
                "disk": float(_nbytes(self._folder)),
                **self._more(),
            }
        )


def _memory() -> dict[str, float]:
    """
    Give the memory of this process in bytes, where the system tells it.

    ``rss`` are all its pages in memory, ``pss`` those with its share only of what is shared.
    """
    try:
        lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return {}
    found = {line.split(":")[0].lower(): line.split()[1] for line in lines[1:]}
    return {name: float(found[name]) * 1024 for name in ("rss", "pss")}


def _nbytes(folder: Path) -> int:
    total = 0
    for entry in os.scandir(folder):
        try:
            total += entry.stat().st_size
        except FileNotFoundError:  # removed since it was listed
            continue
    return total


def growth(samples: Sequence[Mapping[str, Any]], name: str) -> float:
    """
    Say how much more of something there was at the end than after the warm-up.

    Both are medians of a quarter of the samples. One piece is added to each, since from none to
    one is no growth to speak of.

    Args:
        samples: In the order of their time.
        name: The figure.
    """
    quarter = max(1, int(len(samples) * WARM_UP))
    after, end = samples[quarter : 2 * quarter] or samples, samples[-quarter:]
    before, now = (median(sample[name] for sample in part) for part in (after, end))
    return float((now + 1) / (before + 1))
