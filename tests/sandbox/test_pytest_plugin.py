"""The fixtures that come with the package."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import aiotcbatch

pytest_plugins = ["pytester"]

TESTS = """
import pytest
from aiotcbatch.sandbox import SandboxThread

@pytest.fixture
def seen():
    return []

@pytest.mark.parametrize("number", [1, 2])
def test_empty(threatconnect, number):
    assert isinstance(threatconnect, SandboxThread)
    assert threatconnect.jobs == []
    threatconnect.configure(latency=0.01)

async def test_client(threatconnect, threatconnect_client):
    async with threatconnect_client as client:
        owners = await client.owners()
    assert [owner.name for owner in owners] == ["MyOrg"]
"""


def test_the_fixtures(pytester, monkeypatch):
    """A user's tests get an empty sandbox each, and a client of it."""
    pytester.makepyfile(TESTS)
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")

    monkeypatch.setenv("PYTHONPATH", str(Path(aiotcbatch.__file__).parents[1]))
    plugin = "aiotcbatch.sandbox.pytest_plugin"
    installed = any(one.value == plugin for one in entry_points(group="pytest11"))

    result = pytester.runpytest_subprocess(*([] if installed else ["-p", plugin]))

    result.assert_outcomes(passed=3)
