"""Running the command line in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.command import run

if TYPE_CHECKING:
    from support.command import Python


@pytest.fixture
def python() -> Python:
    """Run the interpreter to its end; keywords are environment variables."""
    return run
