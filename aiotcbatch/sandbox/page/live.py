"""News for pages that are open: a line whenever something has changed, and silence otherwise."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import orjson
from aiohttp import web

if TYPE_CHECKING:
    from aiotcbatch.sandbox.instance import Instance

__all__ = ["Live"]

#: Seconds between two looks at whether something has changed.
_PAUSE = 0.5


class Live:
    """
    Tells open pages that there is something new, as server-sent events.

    Args:
        instance: The sandbox.
        run: Tells this run of the sandbox from another one at the same address.
    """

    def __init__(self, instance: Instance, run: str) -> None:
        self._instance = instance
        self._run = run
        self._closing = anyio.Event()

    @property
    def mark(self) -> str:
        """Stands for all that is stored: when it is another one, something has changed."""
        return f"{self._run}-{self._instance.store.database.version}"

    async def close(self, _: web.Application) -> None:
        """Let everyone go who listens."""
        self._closing.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Send a line now and with every change, until one of both goes."""
        answer = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        with suppress(ConnectionError):
            await answer.prepare(request)
            last = None
            while not self._closing.is_set() and _is_there(request):
                news = {"mark": self.mark, "waiting": self._instance.worker.waiting}
                if news != last:
                    await answer.write(b"data: %b\n\n" % orjson.dumps(news))
                    last = news
                with anyio.move_on_after(_PAUSE):
                    await self._closing.wait()
        return answer


def _is_there(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()
