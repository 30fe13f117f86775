"""Sending a recording again: the same bytes at the same times, in the same order."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import orjson

from aiotcbatch.checking import checked_path
from aiotcbatch.errors import ConfigurationError

if TYPE_CHECKING:
    import os

    from anyio.abc import SocketStream

    from aiotcbatch.sandbox.sandbox import Sandbox

__all__ = ["Exchange", "Replay"]

#: Seconds for the sandbox to do what it did in the recording.
_PATIENCE = 30.0
_PIECE = 1 << 16


@dataclass
class Exchange:
    """
    What one connection brought.

    Attributes:
        recorded: The answers of the recording.
        replayed: The answers of this time.
    """

    recorded: bytearray = field(default_factory=bytearray)
    replayed: bytearray = field(default_factory=bytearray)

    @property
    def same(self) -> bool:
        """Whether they are the same to the byte."""
        return self.recorded == self.replayed


class Replay:
    """
    A recording, and the clock that goes with it.

    ::

        replay = Replay("tc.recording")
        async with Sandbox(owners=["MyOrg"], seed=1, clock=replay) as sandbox:
            exchanges = await replay.run(sandbox)
        assert all(exchange.same for exchange in exchanges)

    The sandbox must be made as the recorded one was, with the same seed and settings.

    Args:
        path: The recording.

    Raises:
        ConfigurationError: It is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        accepted = "the path of a recording of a sandbox"
        if path is None:
            raise ConfigurationError("path", path, accepted)
        checked_path("path", path, accepted)
        try:
            with io.open(path, "rb") as file:  # noqa: UP020
                self._events = [orjson.loads(line) for line in file]
            self._now = float(self._events[0]["at"])
        except (OSError, orjson.JSONDecodeError, LookupError, TypeError) as error:
            raise ConfigurationError("recording", str(path), "a recording of a sandbox") from error
        self._turns: dict[tuple[Any, ...], anyio.Event] = {}
        self._waiting: dict[tuple[Any, ...], anyio.Event] = {}
        self._sleeps = 0
        self._asked: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._exchanges: dict[int, Exchange] = {}
        self._streams: dict[int, SocketStream] = {}

    def time(self) -> float:
        """Return the time of the recording's current line."""
        return self._now

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002  (the recording knows)
        """Wait until the recording says that it was long enough."""
        self._sleeps += 1
        await self._turn(("slept", self._sleeps))

    async def moment(self, what: str) -> float:
        """Wait until the recording says that something happens, and return when it did."""
        self._asked[what] += 1
        await self._turn((what, self._asked[what]))
        return self._now

    async def run(self, sandbox: Sandbox) -> list[Exchange]:
        """
        Send everything again.

        Args:
            sandbox: A running sandbox whose clock this is.

        Returns:
            The answers of each connection, beside those of the recording.

        Raises:
            TimeoutError: The sandbox does not do what it did in the recording.
        """
        sandbox.instance.chronicle = self.moment
        try:
            for event in self._events:
                self._now = float(event["at"])
                with anyio.fail_after(_PATIENCE):
                    await self._do(event, sandbox)
        finally:
            sandbox.instance.chronicle = None
            for stream in self._streams.values():
                await stream.aclose()
            self._streams.clear()
        return [exchange for _, exchange in sorted(self._exchanges.items())]

    async def _do(self, event: dict[str, Any], sandbox: Sandbox) -> None:
        what, number = event["what"], event.get("connection", 0)
        if what == "open":
            address = sandbox.api_url.split("/")[2]
            host, _, port = address.rpartition(":")
            self._streams[number] = await anyio.connect_tcp(host.strip("[]"), int(port))
            self._exchanges[number] = Exchange()
        elif what == "sent":
            await self._streams[number].send(event["bytes"].encode("latin-1"))
            await self._settle(sandbox)
        elif what == "end":
            await self._streams[number].send_eof()
        elif what in {"answered", "closed"}:
            exchange = self._exchanges[number]
            exchange.recorded += event.get("bytes", "").encode("latin-1")
            await self._receive(number, exchange, to_the_end=what == "closed")
        elif what == "moment":
            self._told[event["of"]] += 1
            await self._let((event["of"], self._told[event["of"]]))
        elif what == "slept":
            await self._let(("slept", event["number"]))

    async def _receive(self, number: int, exchange: Exchange, *, to_the_end: bool) -> None:
        """Read answers until there are as many as in the recording, or the connection is over."""
        stream = self._streams[number]
        try:
            while to_the_end or len(exchange.replayed) < len(exchange.recorded):
                exchange.replayed += await stream.receive(_PIECE)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
        if to_the_end:
            await self._streams.pop(number).aclose()

    @staticmethod
    async def _settle(sandbox: Sandbox) -> None:
        """Let the sandbox get as far as it can with what it has, before more comes."""
        for _ in range(8):
            await anyio.lowlevel.checkpoint()
            await sandbox.instance.store.database.run(lambda _: None)

    async def _turn(self, key: tuple[Any, ...]) -> None:
        """Say that something is ready to happen, and wait for its line."""
        turn = self._turns.setdefault(key, anyio.Event())
        self._waiting.setdefault(key, anyio.Event()).set()
        await turn.wait()
        del self._turns[key], self._waiting[key]

    async def _let(self, key: tuple[Any, ...]) -> None:
        """Wait until it is ready, and let it happen."""
        await self._waiting.setdefault(key, anyio.Event()).wait()
        self._turns.setdefault(key, anyio.Event()).set()
        await anyio.lowlevel.checkpoint()
