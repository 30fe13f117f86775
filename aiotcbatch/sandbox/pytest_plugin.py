"""
Fixtures for anyone's tests; pytest finds them by itself where this package is installed.

::

    async def test_import(threatconnect, threatconnect_client):
        async with threatconnect_client as client:
            await my_import(client)
        assert len(threatconnect.entities(type="Adversary")) == 3
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiotcbatch.client import Client
    from aiotcbatch.sandbox.threaded import SandboxThread

__all__ = ["threatconnect", "threatconnect_client", "threatconnect_sandbox"]


@pytest.fixture(scope="session")
def threatconnect_sandbox() -> Iterator[SandboxThread]:
    """
    Give the one sandbox of the session, with the owner ``MyOrg``; it runs in a thread of its own.

    Override this fixture for other owners, types or settings.
    """
    from aiotcbatch.sandbox import Sandbox  # noqa: PLC0415  (only who asks for it pays for it)

    with Sandbox(owners=["MyOrg"], seed=0).in_thread() as sandbox:
        yield sandbox


@pytest.fixture
def threatconnect(threatconnect_sandbox: SandboxThread) -> SandboxThread:
    """Give a ThreatConnect that is empty, without faults, and has its first settings."""
    threatconnect_sandbox.reset()
    return threatconnect_sandbox


@pytest.fixture
def threatconnect_client(threatconnect: SandboxThread) -> Client:
    """Give a client of `threatconnect`, not entered yet: use it with ``async with``."""
    from aiotcbatch.client import Client  # noqa: PLC0415  (as above)

    return Client(threatconnect.api_url, threatconnect.auth)
