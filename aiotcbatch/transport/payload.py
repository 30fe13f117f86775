"""How a body is written to a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from aiohttp import Payload

from aiotcbatch.errors import UsageError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from aiohttp.abc import AbstractStreamWriter

    from aiotcbatch.transport.body import Body

__all__ = ["WirePayload"]

#: Bytes that are given to the connection at once, so that memory does not depend on the blocks.
_PIECE = 256 * 1024


class WirePayload(Payload):
    """
    A body on its way: streamed piece by piece, its size kept to, its own errors remembered.

    Args:
        body: What to send.
        content_type: Its media type.
        timeout: Seconds that the server may take for one piece.
        on_begin: Called before the first byte is asked for.
    """

    _autoclose = True
    _consumed = False

    def __init__(
        self,
        body: Body,
        *,
        content_type: str | None,
        timeout: float,
        on_begin: Callable[[], None],
    ) -> None:
        super().__init__(body, content_type=content_type or "application/octet-stream")
        self._body = body
        self._size = body.size
        self._timeout = timeout
        self._on_begin = on_begin
        self._idle: anyio.Event | None = None
        self._transport: asyncio.Transport | None = None
        #: What the body itself raised.
        self.error: Exception | None = None
        #: Whether all of it is given to the connection.
        self.complete = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Refuse: a body may be larger than memory."""
        del encoding, errors
        raise TypeError("a body is not text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body, however long it is."""
        if self._consumed:
            # aiohttp sends again by itself in sessions that are not ours.
            raise ConnectionResetError("a body that cannot be sent again was begun")
        self._consumed = not self._body.replayable
        self.error, self.complete = None, self._size == 0
        self._on_begin()
        self._idle = anyio.Event()
        self._transport = getattr(writer, "transport", None)
        blocks = self._body.blocks()
        try:
            await self._write(blocks, writer)
            self.complete = True
        finally:
            try:
                await _close(blocks)
            finally:
                self._idle.set()

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the body; the length is the one that it said."""
        del content_length
        await self.write(writer)

    @property
    def half_sent(self) -> bool:
        """Whether it was begun, and not all of it is given to the connection."""
        return self._idle is not None and not self.complete

    def abort(self) -> None:
        """Break the connection at once; closing it would wait until a stalled server reads."""
        if self._transport is not None:
            self._transport.abort()

    async def settle(self, seconds: float) -> None:
        """Wait until nothing is read from the body any more, at most so long."""
        if self._idle is not None:
            with anyio.move_on_after(seconds, shield=True):
                await self._idle.wait()

    async def _write(
        self, blocks: AsyncIterator[bytes | memoryview], writer: AbstractStreamWriter
    ) -> None:
        sent = 0
        while (block := await self._next(blocks)) is not None:
            sent += len(block)
            if self._size is not None and sent > self._size:
                raise self._wrong_size(f"{sent} bytes or more")
            view = memoryview(block)
            for start in range(0, len(view), _PIECE):
                with anyio.fail_after(self._timeout):
                    await writer.write(view[start : start + _PIECE])
            # The server may answer before the body says that there is no more.
            self.complete = sent == self._size
        if self._size is not None and sent != self._size:
            raise self._wrong_size(f"{sent} bytes")

    async def _next(self, blocks: AsyncIterator[bytes | memoryview]) -> bytes | memoryview | None:
        try:
            return await anext(blocks, None)
        except Exception as error:
            self.error = error
            raise

    def _wrong_size(self, given: str) -> UsageError:
        error = UsageError(
            f"a body of {self._size} bytes gave {given}: it changed while it was sent"
        )
        self.error = error
        return error


async def _close(blocks: AsyncIterator[bytes | memoryview]) -> None:
    aclose = getattr(blocks, "aclose", None)
    if aclose is not None:
        await aclose()
