"""A process with a journal is killed, and goes on."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from crash.run import run


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["batch", "stream"])
async def test_nothing_is_lost_or_doubled(kind: str) -> None:
    """What drain() has returned for arrives once, however often the process is killed."""
    seed = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")

    account = await run(3, seed, kind)

    assert account.kills == 3
    assert account.drained
