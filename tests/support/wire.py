"""Fixtures: servers on loopback and the transports that talk to them."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from aiotcbatch.transport.http import Transport
from aiotcbatch.transport.retry import RetryPolicy
from aiotcbatch.transport.settings import Settings
from support.servers import AUTH, NOW, Handler, Naps, OnConnection, Seen, Server

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator


@pytest.fixture
def naps() -> Naps:
    """Give a sleep that takes no time."""
    return Naps()


@pytest.fixture
async def connect(naps: Naps) -> AsyncIterator[Callable[..., Transport]]:
    """Make transports that sleep for no time and are closed at the end."""
    made: list[Transport] = []

    def make(url: str, auth: Any = AUTH, *, session: Any = None, **options: Any) -> Transport:
        options.setdefault("retry", RetryPolicy(sleep=naps, random=lambda: 1.0))
        transport = Transport(url, auth, Settings(**options), session=session, clock=lambda: NOW)
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.aclose()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    """Start HTTP servers whose handler is given; ``body=False`` leaves the bodies unread."""
    runners: list[web.ServerRunner] = []

    async def start(
        handler: Handler, *, tls: ssl.SSLContext | None = None, body: bool = True
    ) -> Server:
        server = Server("")

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            content = await request.content.read() if body else b""
            target = request.raw_path
            server.seen.append(Seen(request.method, target, request.headers, content))
            return await handler(request)

        runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        scheme = "https" if tls else "http"
        server.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/api"
        return server

    yield start
    for runner in runners:
        await runner.cleanup()
    if handlers := [task for task in asyncio.all_tasks() if "RequestHandler" in repr(task)]:
        await asyncio.wait(handlers, timeout=5)


@pytest.fixture
async def serve_raw() -> AsyncIterator[Callable[[OnConnection], Awaitable[str]]]:
    """Start servers that read and write bytes as a test says; give the url of each."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []
    tasks: list[asyncio.Task[None]] = []

    async def start(on_connection: OnConnection) -> str:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            await on_connection(reader, writer)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"

    yield start
    for server in servers:
        server.close()
    for writer in writers:
        writer.transport.abort()
    for task in tasks:
        task.cancel()
    for server in servers:
        await server.wait_closed()


@pytest.fixture
def dead_port() -> Iterator[int]:
    """Give a port of this machine that nobody listens at."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
