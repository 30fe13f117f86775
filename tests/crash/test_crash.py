"""A process with a journal is killed, and goes on."""

from __future__ import annotations

import inspect
import random
import re
import sys
from pathlib import Path

import pytest

from aiotcbatch.journal import keeper, ledger, recorder

sys.path.insert(0, str(Path(__file__).parent.parent))

from crash.run import run
from crash.transitions import MOMENTS, TRANSITIONS

KINDS = ("batch", "stream")


def seed() -> int:
    """Choose a seed, and print it."""
    chosen = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"seed {chosen}\n")
    return chosen


@pytest.mark.parametrize("kind", KINDS)
async def test_killed_at_random(kind: str) -> None:
    """What drain() has returned for arrives once, however often the process is killed."""
    account = await run(seed(), kind, kills=3)

    assert account.kills == 3
    assert account.drained


async def test_killed_at_each_step() -> None:
    """So it does when it is killed at a step of the journal, at each of them in its turn."""
    chosen = seed()
    rng = random.Random(chosen)
    killed = []
    kind_of = {name: rng.choice(KINDS) for name in TRANSITIONS}
    for kind in KINDS:
        places = [(name, rng.choice(MOMENTS)) for name in TRANSITIONS if kind_of[name] == kind]
        account = await run(chosen, kind, places=places)
        killed += account.places

    assert {name for name, _ in killed} == set(TRANSITIONS)


def test_no_step_is_left_out() -> None:
    """Every step of the journal that batches and streams take is one at which one is killed."""
    source = inspect.getsource(keeper) + inspect.getsource(recorder)
    called = set(re.findall(r"journal\.(\w+)\(", source))

    assert called & set(vars(ledger.Ledger)) == set(TRANSITIONS)
