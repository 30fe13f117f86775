"""Servers on loopback, what they answer, what is sent to them; the fixtures are in `wire`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from aiohttp import web

from aiotcbatch.auth import HmacAuth
from aiotcbatch.transport.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
OnConnection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SECRET = "sandbox-secret-key-0001"
AUTH = HmacAuth("10000000000000000001", SECRET)
#: The time of the clients.
NOW = 1513703787.9
#: No second attempt.
ONCE = RetryPolicy(attempts=1)


@dataclass
class Seen:
    """A request, as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Server:
    """A server that answers as its handler says, and remembers what it was asked."""

    url: str
    seen: list[Seen] = field(default_factory=list)


class Naps(list[float]):
    """Sleeps for no time, and remembers for how long it should have been."""

    async def __call__(self, seconds: float) -> None:
        """Pretend to sleep."""
        self.append(seconds)
        await anyio.lowlevel.checkpoint()


class Stream:
    """A body of given blocks that counts how often it was read and closed."""

    def __init__(self, *blocks: Any, size: int | None = None, replayable: bool = True) -> None:
        self.items = blocks
        self.size = size
        self.replayable = replayable
        self.begun = self.closed = 0

    async def blocks(self) -> AsyncIterator[bytes | memoryview]:
        """Give the blocks; an exception among them is raised."""
        self.begun += 1
        try:
            for block in self.items:
                await anyio.lowlevel.checkpoint()
                if isinstance(block, Exception):
                    raise block
                yield block
        finally:
            self.closed += 1


def json_answer(data: object = None, **kwargs: Any) -> Handler:
    """Make a handler that always gives this answer."""

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.json_response({"status": "Success", "data": data or {}}, **kwargs)

    return handler


def text_answer(text: str = "", **kwargs: Any) -> Handler:
    """Make a handler that always gives this text."""

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=text, **kwargs)

    return handler


def bytes_answer(body: bytes, **headers: str) -> Handler:
    """Make a handler that always gives these bytes; ``Content_Type`` stands for Content-Type."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(body=body, headers=named)

    return handler


def in_turn(*handlers: Handler) -> Handler:
    """Make a handler that behaves as one after the other, and then as the last."""
    rest = list(handlers)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return await (rest.pop(0) if len(rest) > 1 else rest[0])(request)

    return handler


async def cancel_when(
    moment: anyio.Event, call: Callable[[], Awaitable[object]], *, native: bool
) -> None:
    """Make a call, and cancel it once the moment has come, by its scope or its task."""
    if native:
        task = asyncio.ensure_future(call())
        await moment.wait()
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await moment.wait()
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
