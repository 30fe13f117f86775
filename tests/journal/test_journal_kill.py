"""A process that is killed: what its journal has is what it was told is written."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support import journals
from support.command import environment
from support.journals import OWNER, course, observed

from aiotcbatch.journal import Journal

#: Each kill is a process; ``JOURNAL_KILLS=300`` looks hard.
KILLS = int(os.environ.get("JOURNAL_KILLS", "6"))
#: Steps that a process takes before it is killed, at most.
MOST_STEPS = 60


def killed(path: Path, seed: int, skipped: int, after: int) -> int:
    """Have a process take steps, kill it in the middle, and give the last one that it told of."""
    program = [sys.executable, str(Path(journals.__file__)), str(path), str(seed), str(skipped)]
    with subprocess.Popen(  # noqa: S603 (our own program)
        program, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        told += [
            int(line) for line in process.stdout.read().splitlines(keepends=True) if "\n" in line
        ]
    assert process.returncode == -signal.SIGKILL
    return told[-1]


def states(seed: int, first: int, count: int) -> list[dict[str, Any]]:
    """What a journal holds after so many steps of a course, and after the next ones."""
    found = []
    for number, (model, _) in enumerate(course(seed)):
        if number >= first + count:
            break
        if number >= first:
            found.append(model.state())
    return found


async def _left(path: Path) -> dict[str, Any]:
    async with await Journal.open(path, owner=OWNER) as journal:
        return await observed(await journal.load())


@pytest.mark.timeout(300 + 3 * KILLS)
def test_nothing_that_was_told_is_lost(tmp_path: Path) -> None:
    """
    After each kill the journal has every step that returned, and perhaps the next one, whole.

    The next process goes on from there, under the lock that the killed one had.
    """
    seed = int(os.environ.get("JOURNAL_SEED", "0")) or Random().getrandbits(32)
    print(f"JOURNAL_SEED={seed}")  # noqa: T201 (shown when it fails)
    random = Random(seed)
    path, taken = tmp_path / "journal.db", 0
    for _ in range(KILLS):
        told = killed(path, seed, taken, random.randint(1, MOST_STEPS))
        left = asyncio.run(_left(path))
        possible = states(seed, told, 2)

        assert left in possible
        # A step that changed nothing may have been taken or not.
        taken = told + possible.index(left)
