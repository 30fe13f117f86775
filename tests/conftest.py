"""What holds for every test: no network, a clean environment, nothing blocked, nothing left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blockbuster import BlockBuster
from hypothesis import HealthCheck, Phase, settings
from support import leaks
from support.network import refuse_everything_beyond_loopback
from support.submitting import OWNER, Place, Time, Wire

import aiotcbatch
from aiotcbatch import Client
from aiotcbatch.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# `fast` is for every run, here and in CI; `thorough` is for looking hard, now and then.
settings.register_profile(
    "fast",
    max_examples=40,
    deadline=None,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", settings.get_profile("fast"), max_examples=1000, phases=set(Phase)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


_PACKAGE = Path(aiotcbatch.__file__).parent
#: The sandbox's window for tests is made of plain calls, which wait for its database. A setting is
#: checked by the plain call to which it is given, which looks at a path once.
_MAY_BLOCK = {
    "aiotcbatch/sandbox/sandbox.py": {"jobs", "entities", "files"},
    "aiotcbatch/checking.py": {"checked_directory", "checked_existing", "checked_file"},
    "aiotcbatch/sandbox/views.py": {"__getitem__"},
}


def pytest_configure() -> None:
    """Take away what could make a test depend on where it runs."""
    if "CI" in os.environ and "site-packages" not in _PACKAGE.parts:
        raise pytest.UsageError(f"CI tests the installed package, and this one is {_PACKAGE}")
    for name in list(os.environ):
        if name.startswith("TC_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    refuse_everything_beyond_loopback()


def pytest_report_header() -> str:
    """Say which aiotcbatch is tested: the installed one, unless the tree comes first."""
    return f"aiotcbatch: {_PACKAGE}"


@pytest.fixture(autouse=True, scope="session")
def nothing_blocks_the_loop() -> Iterator[None]:
    """Raise BlockingError where the library or the sandbox blocks a running loop."""
    buster = BlockBuster("aiotcbatch")
    for function in buster.functions.values():
        for file, names in _MAY_BLOCK.items():
            function.can_block_in(file, names)
    buster.activate()
    yield
    buster.deactivate()


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest, leaves_no_socket: None) -> None:
    """Check each test for what it leaves behind."""
    if request.node.get_closest_marker("asyncio") is not None:
        request.getfixturevalue("leaves_no_task")


@pytest.fixture
def leaves_no_socket() -> Iterator[None]:
    """Fail a test that leaves a thread or a socket, looking when its loop is closed."""
    before = leaks.held()
    yield
    assert leaks.left_since(before) == []


@pytest.fixture
async def leaves_no_task(leaves_no_socket: None) -> AsyncIterator[None]:
    """Fail an async test that leaves a task, looking when its fixtures are gone."""
    yield
    assert await leaks.tasks_left() == []


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Give a running sandbox with one owner."""
    async with Sandbox(owners=[OWNER]) as sandbox:
        yield sandbox


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    """Give a client of the sandbox."""
    async with Client(sandbox.api_url, sandbox.auth) as client:
        yield client


@pytest.fixture
async def place(sandbox: Sandbox) -> AsyncIterator[Place]:
    """Give a sandbox and a wire to it."""
    wire = Wire(sandbox.api_url, sandbox.auth)
    yield Place(sandbox, wire, Time(sandbox))
    await wire.aclose()
