"""ATT&CK, loaded once, and a stand-in for a batch that keeps what it is given."""

from __future__ import annotations

import anyio
import pytest
from support.recording import RecordingBatch

from aiotcbatch.sources import attack


@pytest.fixture(scope="session")
def knowledge() -> attack.Attack:
    """ATT&CK as the installed package has it."""
    return anyio.run(attack.load)


@pytest.fixture(scope="session")
def everything() -> attack.Attack:
    """The same, with what ATT&CK has withdrawn."""

    async def load() -> attack.Attack:
        return await attack.load(withdrawn=True, namespace="all")

    return anyio.run(load)


@pytest.fixture
def recording() -> RecordingBatch:
    """An empty stand-in for a batch."""
    return RecordingBatch()
