"""A journal for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.journals import OWNER

from aiotcbatch.journal import Journal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    """A journal with nothing in it."""
    async with await Journal.open(path, owner=OWNER) as opened:
        yield opened
