"""
What clients sent and what they were answered, byte by byte, to be looked at and to be sent again.

A recording is a text file, one JSON object a line, in the order in which things happened. Each has
``at`` (the time on the sandbox's clock) and ``what``:

============  =====================================================================
``begun``     the recording begins
``open``      a client connected: ``connection``
``sent``      bytes from the client: ``connection``, ``bytes``
``end``       the client sends no more: ``connection``
``answered``  bytes to the client: ``connection``, ``bytes``
``closed``    the sandbox closed the connection: ``connection``, ``reset``
``moment``    something happens in the sandbox whose time is stored or answered: ``of``
``slept``     something in the sandbox has waited long enough: ``number``
============  =====================================================================

Bytes are written as text, one character of Latin-1 for each. A recording holds the tokens and
signatures that were sent.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from typing import IO, TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import orjson
from anyio.abc import SocketAttribute

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import SocketStream

    from aiotcbatch.sandbox.clock import Clock

__all__ = ["Recorder"]

#: When there are more lines than this, whoever passes bytes on waits until they are written.
_MOST_PENDING = 256
_PIECE = 1 << 16
#: Tells the system to break a connection instead of closing it.
_LINGER = struct.pack("ii", 1, 0)


class Recorder:
    """
    Stands between clients and the sandbox, passes everything on and writes it down.

    It is also the sandbox's clock while it records.

    Args:
        path: The file to write.
        clock: The clock that it reads.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._pending: deque[bytes] = deque()
        self._writing = anyio.Lock()
        self._file: IO[bytes] | None = None
        self._connections = 0
        self._sleeps = 0

    def time(self) -> float:
        """Return the time of the clock that it reads."""
        return self._clock.time()

    async def sleep(self, seconds: float) -> None:
        """Wait on the clock that it reads, and note when it was long enough."""
        self._sleeps += 1
        number = self._sleeps
        await self._clock.sleep(seconds)
        self.note("slept", number=number)

    async def moment(self, what: str) -> float:
        """Note that something happens, and return when; nothing else can happen meanwhile."""
        return self.note("moment", of=what)

    async def open(self) -> None:
        """Begin the file."""
        self._file = await anyio.to_thread.run_sync(self._path.open, "wb")
        self.note("begun")

    async def aclose(self) -> None:
        """Write what is pending and close the file; closing twice is harmless."""
        await self._write()
        file, self._file = self._file, None
        if file is not None:
            await anyio.to_thread.run_sync(file.close)

    def note(self, what: str, **about: Any) -> float:
        """Make a line, to be written when there is time, and return the time in it."""
        now = self._clock.time()
        self._pending.append(orjson.dumps({"at": now, "what": what, **about}) + b"\n")
        return now

    async def _pass_on(self, what: str, number: int, piece: bytes, stream: SocketStream) -> None:
        """Note bytes and hand them to the other side."""
        self.note(what, connection=number, bytes=piece.decode("latin-1"))
        if len(self._pending) > _MOST_PENDING or len(piece) == _PIECE:
            await self._write()
        await stream.send(piece)

    async def _write(self) -> None:
        async with self._writing:
            lines = b"".join(self._pending)
            self._pending.clear()
            if self._file is not None and lines:
                await anyio.to_thread.run_sync(self._file.write, lines)

    async def serve(self, client: SocketStream, host: str, port: int) -> None:
        """
        Pass on one connection until either side is done with it.

        Args:
            client: The client's connection.
            host: Where the sandbox listens.
            port: Likewise.
        """
        self._connections += 1
        number = self._connections
        self.note("open", connection=number)
        try:
            async with client, await anyio.connect_tcp(host, port) as server:
                reset = False
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._upward, number, client, server)
                    reset = await self._downward(number, client, server)
                    tasks.cancel_scope.cancel()
                if reset:
                    raw = client.extra(SocketAttribute.raw_socket)  # noqa: S610  (of anyio, not Django)
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
                self.note("closed", connection=number, reset=reset)
        except OSError:
            self.note("closed", connection=number, reset=True)

    async def _upward(self, number: int, client: SocketStream, server: SocketStream) -> None:
        """Pass on what the client sends."""
        try:
            while True:
                piece = await client.receive(_PIECE)
                await self._pass_on("sent", number, piece, server)
        except anyio.EndOfStream:
            self.note("end", connection=number)
            await server.send_eof()
        except anyio.BrokenResourceError:
            await server.aclose()

    async def _downward(self, number: int, client: SocketStream, server: SocketStream) -> bool:
        """Pass on what the sandbox answers; tell whether it broke off."""
        try:
            while True:
                piece = await server.receive(_PIECE)
                try:
                    await self._pass_on("answered", number, piece, client)
                except anyio.BrokenResourceError:
                    return True
        except anyio.EndOfStream:
            return False
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return True
