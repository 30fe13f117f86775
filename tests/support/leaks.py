"""What a test must not leave behind: tasks, threads and sockets."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from anyio.lowlevel import checkpoint

#: Where the system shows a process its own descriptors; only some systems do.
_DESCRIPTORS = Path("/proc/self/fd")
#: Seconds for a thread that was told to stop.
_PATIENCE = 20.0
#: Turns of the loop for callbacks that were scheduled already.
_TURNS = 5


@dataclass(frozen=True)
class Held:
    """What a process has at one moment."""

    threads: frozenset[threading.Thread]
    sockets: frozenset[str]


def held() -> Held:
    """Look at what this process has now."""
    return Held(frozenset(threading.enumerate()), frozenset(_sockets()))


def _sockets() -> set[str]:
    if not _DESCRIPTORS.is_dir():
        return set()
    found = set()
    for entry in os.listdir(_DESCRIPTORS):  # noqa: PTH208 (called twice for each test)
        try:
            target = os.readlink(f"{_DESCRIPTORS}/{entry}")  # noqa: PTH115 (likewise)
        except FileNotFoundError:  # the descriptor of this very listing
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def left_since(before: Held) -> list[str]:
    """Name the threads and sockets that were not there before, after waiting for them to go."""
    deadline = time.monotonic() + _PATIENCE
    started = [thread for thread in threading.enumerate() if _counts(thread, before)]
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    while (sockets := _sockets() - before.sockets) and time.monotonic() < deadline:
        time.sleep(0.005)  # the other end of a connection closes when its thread gets to it
    threads = [f"a running thread, {thread.name}" for thread in started if thread.is_alive()]
    return threads + [f"an open {name}" for name in sorted(sockets)]


def _counts(thread: threading.Thread, before: Held) -> bool:
    """Leave out AnyIO's workers: they end with their loop, whose thread counts."""
    return thread not in before.threads and thread.name != "AnyIO worker thread"


async def tasks_left() -> list[str]:
    """Name the tasks of this loop other than the one that asks."""
    for _ in range(_TURNS):
        await checkpoint()
    return [
        f"a running task, {task!r}"
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task()
    ]
