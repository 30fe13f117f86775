"""Requests that are cancelled: nothing is left, and the next one works."""

from __future__ import annotations

import contextlib

import anyio
import pytest
from support.leaks import held
from support.servers import Stream, cancel_when

from aiotcbatch.transport.retry import RetryPolicy

pytest_plugins = ["support.wire"]

PHASES = ["handshake", "sending", "waiting", "answer", "between attempts"]


class Stalling:
    """A server whose first conversation stalls in a given phase; later ones go through."""

    def __init__(self, phase):
        self.phase = phase
        self.stalled = anyio.Event()
        self.cancelled = anyio.Event()
        self.lost = anyio.Event()
        self.calls = 0

    async def __call__(self, reader, writer):
        """Serve one connection."""
        self.calls += 1
        if self.calls > 1:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            return
        if self.phase == "handshake":
            await reader.readexactly(1)
        elif self.phase == "sending":
            await self.read_nothing(reader)
        else:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWERS.get(self.phase, b""))
        self.stalled.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(2**20):
                pass
        self.lost.set()

    async def read_nothing(self, reader):
        """Leave the body where it is until the request is cancelled."""
        reader._transport.pause_reading()
        self.stalled.set()
        await self.cancelled.wait()
        reader._transport.resume_reading()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
ANSWERS = {
    "answer": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
    "between attempts": b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


async def sleep_long(seconds):
    """Sleep between attempts until cancelled."""
    await anyio.sleep_forever()


@pytest.mark.parametrize("native", [False, True], ids=["scope", "task"])
@pytest.mark.parametrize("phase", PHASES)
async def test_cancellation_leaves_nothing_behind(serve_raw, connect, phase, native):
    """Cancelled in any phase, connection and body are closed at once, and the next call works."""
    server = Stalling(phase)
    url = await serve_raw(server)
    before = held().sockets
    transport = connect(
        url.replace("http:", "https:") if phase == "handshake" else url,
        retry=RetryPolicy(sleep=sleep_long),
        max_connections=1,
        verify=False,
    )
    body = Stream(*[bytes(2**20)] * 64, size=2**26) if phase == "sending" else None

    async def request():
        await transport.request("GET", "/v2/x", body=body)

    await cancel_when(server.stalled, request, native=native)
    server_side = len(held().sockets - before)
    server.cancelled.set()
    await server.lost.wait()

    assert server_side <= 1
    assert body is None or (body.begun, body.closed) == (1, 1)
    if phase != "handshake":
        assert (await transport.request("GET", "/v2/y")).ok


async def test_waiting_for_a_connection_can_be_cancelled(serve_raw, connect):
    """A request that has no connection yet gives its place back, and the others are not hurt."""
    server = Stalling("waiting")
    transport = connect(await serve_raw(server), max_connections=1)

    async def request():
        await transport.request("GET", "/v2/x")

    async def queue_and_cancel():
        await cancel_when(server.stalled, request, native=False)

    await cancel_when(server.stalled, queue_and_cancel, native=False)
    await server.lost.wait()

    assert (await transport.request("GET", "/v2/y")).ok
