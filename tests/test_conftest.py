"""The guards of this test suite guard."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from blockbuster import BlockingError
from support import leaks, network

import aiotcbatch


@pytest.mark.parametrize(
    "host", [None, "", "localhost", "127.0.0.1", "127.8.9.1", "::1", "::1%lo", b"127.0.0.1"]
)
def test_this_machine_is_local(host: object) -> None:
    """Loopback in each of its forms may be reached."""
    assert network.is_local(host)


@pytest.mark.parametrize("host", ["example.com", "192.0.2.1", "10.0.0.1", "2001:db8::1", b"x.net"])
def test_other_machines_are_not_local(host: object) -> None:
    """Neither names nor addresses of others, private ones included."""
    assert not network.is_local(host)


def test_connections_to_others_are_refused() -> None:
    """The refusal looks like that of a machine without a network."""
    with socket.socket() as sock, pytest.raises(OSError, match="loopback only"):
        sock.connect(("192.0.2.1", 80))


async def test_lookups_are_refused() -> None:
    """Names of others are not even looked up, in no thread."""
    loop = asyncio.get_running_loop()

    with pytest.raises(socket.gaierror, match="look up no names"):
        await loop.getaddrinfo("example.com", 443)


def test_environment_is_clean() -> None:
    """No instance and no proxy of the machine can get into a test."""
    found = [
        name for name in os.environ if name.startswith("TC_") or name.lower().endswith("_proxy")
    ]

    assert found == []


async def test_blocking_calls_of_the_package_are_caught() -> None:
    """A function that stands in the package must not block the loop."""
    path = Path(aiotcbatch.__file__).with_name("blocking.py")
    namespace = {"time": time}
    exec(compile("def block(): time.sleep(0)", str(path), "exec"), namespace)  # noqa: S102

    with pytest.raises(BlockingError, match=r"time\.sleep"):
        namespace["block"]()  # type: ignore[operator]


async def test_a_task_is_seen() -> None:
    """A task that still runs is named; one that is over is not."""
    task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")

    (left,) = await leaks.tasks_left()
    assert "forgotten" in left

    task.cancel()
    assert await leaks.tasks_left() == []


def test_a_socket_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that is still open is named; a closed one is not."""
    monkeypatch.setattr(leaks, "_PATIENCE", 0.01)
    before = leaks.held()
    with socket.socket():
        (left,) = leaks.left_since(before)

    assert left.startswith("an open socket:")
    assert leaks.left_since(before) == []


def test_a_thread_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that does not end is named; one that ends is waited for."""
    monkeypatch.setattr(leaks, "_PATIENCE", 0.01)
    before, stop = leaks.held(), threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    thread.start()

    assert leaks.left_since(before) == ["a running thread, forgotten"]

    stop.set()
    thread.join()
    assert leaks.left_since(before) == []
