"""ATT&CK, loaded once, and a stand-in for a batch that keeps what it is given."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aiotcbatch.sources import attack


class RecordingBatch:
    """Keeps the groups that it is given."""

    def __init__(self) -> None:
        self.groups: list[dict[str, Any]] = []

    def add_group(self, group_data: dict[str, Any], /) -> None:
        """Keep one."""
        self.groups.append(group_data)


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
