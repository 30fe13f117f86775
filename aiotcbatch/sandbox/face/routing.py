"""How a request finds its handler: named endpoints, and the check of who is asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from aiotcbatch.sandbox.access import DeniedError
from aiotcbatch.sandbox.face import answers

if TYPE_CHECKING:
    from aiohttp import web

    from aiotcbatch.sandbox.instance import Instance
    from aiotcbatch.sandbox.settings import User

__all__ = ["Endpoint", "Handler", "guarded", "segment"]

#: What answers a request of someone who was let in.
Handler = Callable[["web.Request", "User"], Awaitable["web.StreamResponse"]]


class Endpoint(NamedTuple):
    """
    One thing that the API can be asked.

    Attributes:
        name: What rules for faults call it.
        method: The HTTP method.
        path: The path after ``/api``, in aiohttp's form.
        handler: What answers.
    """

    name: str
    method: str
    path: str
    handler: Handler


def guarded(
    instance: Instance, endpoint: Endpoint
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Make an aiohttp handler: faults come first, then the gate, then the endpoint."""
    form = answers.v3_failure if endpoint.path.startswith("/v3/") else answers.failure

    async def handle(request: web.Request) -> web.StreamResponse:
        fault = instance.faults.of_request(endpoint.name)
        if fault is None:
            return await answer(request)
        return await fault.apply(request, partial(answer, request), instance.clock)

    async def answer(request: web.Request) -> web.StreamResponse:
        now = await instance.moment("request")
        made = await admit(request, now)
        if not made.prepared:
            made.headers["Date"] = formatdate(now, usegmt=True)
        return made

    async def admit(request: web.Request, now: float) -> web.StreamResponse:
        try:
            user = instance.gate.check(
                request.headers.get("Authorization"),
                request.headers.get("Timestamp"),
                request.raw_path,
                request.method,
                now,
                instance.settings.clock_window,
            )
        except DeniedError as error:
            return form(401, str(error))
        try:
            return await endpoint.handler(request, user)
        except answers.RefusalError as refusal:
            return refusal.answer

    return handle


def segment(request: web.Request, number: int) -> str:
    """
    Return one segment of the path, decoded from exactly what stood on the request line.

    Args:
        request: The request.
        number: Which one, counted from 0 after ``/api``; negative from the end.
    """
    path = request.raw_path.partition("?")[0]
    parts = path.split("/")[2:]
    return unquote(parts[number], errors="replace")


def number_in(text: str) -> int | None:
    """Return the number that a segment is, None if it is none that an id can be."""
    if text.isascii() and text.isdigit() and len(text) <= 18:  # noqa: PLR2004  (63 bits)
        return int(text)
    return None
