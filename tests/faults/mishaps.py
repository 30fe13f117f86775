"""What goes wrong in the matrix: each fault, as the sandbox is told to do it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web
from anyio.lowlevel import checkpoint

from aiotcbatch.sandbox import FailedJob, Reset, StuckJob

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiotcbatch.sandbox import Clock, Fault

    Answer = Callable[[], Awaitable[web.StreamResponse]]

__all__ = ["CONFLICT", "FAULTS", "JOB_FAULTS", "TIMEOUT", "Strike"]

#: The client's timeout, its default.
TIMEOUT = 60.0
#: Turns of the loop in which bytes go from one end of a connection to the other.
_TURNS = 5
#: What the server asks to wait, where it does.
RETRY_AFTER = 7


@dataclass
class Strike:
    """
    A fault of the requests with one method.

    Attributes:
        fault: What happens to them.
        method: Their HTTP method.
        times: How often it happens, None for always.
        otherwise: What happens to requests with another method, None for nothing.
        hits: How often it happened.
        shown: The credentials that came with all of them.
    """

    fault: Fault
    method: str
    times: int | None
    otherwise: Fault | None = None
    hits: int = 0
    shown: set[str] = field(default_factory=set)

    async def apply(self, request: web.Request, answer: Answer, clock: Clock) -> web.StreamResponse:
        """Let it happen, or not."""
        self.shown.add(request.headers["Authorization"])
        if request.method != self.method:
            chosen = self.otherwise
        elif self.times is None or self.hits < self.times:
            self.hits += 1
            chosen = self.fault
        else:
            chosen = None
        return await (chosen.apply(request, answer, clock) if chosen else answer())


@dataclass(frozen=True)
class Instead:
    """
    Another answer comes, which shows the headers of the request, as pages of proxies may.

    Attributes:
        status: Its status.
        text: Its text; ``HEADERS`` in it stands for those of the request.
        content_type: What it is said to be.
        headers: Further headers.
        done: Whether the request is carried out nevertheless.
    """

    status: int
    text: str
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    done: bool = False

    async def apply(self, request: web.Request, answer: Answer, clock: Clock) -> web.StreamResponse:
        """Give the other answer."""
        if self.done:
            await answer()
        else:
            await request.read()
        shown = "; ".join(f"{name}: {value}" for name, value in request.headers.items())
        text = self.text.replace("HEADERS", json.dumps(shown)[1:-1])
        return web.Response(
            status=self.status, text=text, content_type=self.content_type, headers=self.headers
        )


@dataclass(frozen=True)
class Stall:
    """
    No answer comes.

    Attributes:
        done: Whether the request is carried out nevertheless.
    """

    done: bool = False

    async def apply(self, request: web.Request, answer: Answer, clock: Clock) -> web.StreamResponse:
        """Wait until the client has given up."""
        if self.done:
            await answer()
        else:
            await request.read()
        await _given_up(request, clock, TIMEOUT + 1)
        return web.Response(status=500)


@dataclass(frozen=True)
class Drip:
    """
    The request is carried out, and the answer comes in ten pieces.

    Attributes:
        pause: Seconds between two of them.
    """

    pause: float

    async def apply(self, request: web.Request, answer: Answer, clock: Clock) -> web.StreamResponse:
        """Answer slowly."""
        made, body = await _made(answer)
        response = web.StreamResponse(status=made.status, headers=made.headers)
        response.content_length = len(body)
        await response.prepare(request)
        size = -(-len(body) // 10)
        passed = 0.0
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
            for _ in range(_TURNS):  # so that the client has read it before time passes
                await checkpoint()
            if passed + self.pause >= TIMEOUT:  # no more time passes, for others who ask now
                await _given_up(request, clock, TIMEOUT + 1 - passed)
                break
            await clock.sleep(self.pause)
            passed += self.pause
        return response


@dataclass(frozen=True)
class Cut:
    """
    The request is carried out, and the answer ends in the middle.

    Attributes:
        place: ``headers`` or ``body``, where the connection breaks; or ``end`` if it does not and
            all looks well, but for half of the body that is missing.
    """

    place: str

    async def apply(self, request: web.Request, answer: Answer, clock: Clock) -> web.StreamResponse:
        """Give half of the answer."""
        made, body = await _made(answer)
        half = body[: len(body) // 2]
        if self.place == "end":
            return web.Response(status=made.status, headers=made.headers, body=half)
        assert request.transport is not None
        response = web.StreamResponse(status=made.status, headers=made.headers)
        if self.place == "headers":
            request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
        else:
            response.content_length = len(body)
            await response.prepare(request)
            await response.write(half)
        request.transport.close()
        return response


@dataclass(frozen=True)
class Misnamed:
    """The request is carried out, and the answer is said to be a page."""

    async def apply(self, request: web.Request, answer: Answer, clock: Clock) -> web.StreamResponse:
        """Give the right answer under the wrong name."""
        made, body = await _made(answer)
        made.headers["Content-Type"] = "text/html"
        return web.Response(status=made.status, headers=made.headers, body=body)


async def _given_up(request: web.Request, clock: Clock, seconds: float) -> None:
    """Wait until the client has given up, which it does after so many seconds."""
    await clock.sleep(seconds)
    while request.transport is not None:
        await checkpoint()


async def _made(answer: Answer) -> tuple[web.StreamResponse, bytes]:
    """Carry a request out, and give the answer and its bytes."""
    made = await answer()
    assert isinstance(made, web.Response)
    assert isinstance(made.body, bytes)
    made.headers.popall("Content-Length", None)
    return made, made.body


def _no(status: int, message: str, **headers: str) -> Instead:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    text = json.dumps({"status": "Failure", "message": f"{message} HEADERS"})
    return Instead(status, text, headers=named)


_DISABLED = (
    "Batch job api is not available.  Ensure that batchJobEnabled is true and document storage is"
    " enabled and configured;"
)
_PAGE = "<html><head><title>502 Bad Gateway</title></head><body>HEADERS</body></html>"
_OTHER = '{"unexpected": "HEADERS"}'

#: What a group with a content answers to a POST.
CONFLICT = _no(401, "The file already exists")

#: By the names that they have in the table.
FAULTS: Mapping[str, Fault] = {
    "reset before": Reset(),
    "reset within": Reset(after_bytes=10),
    "reset after": Reset(after_done=True),
    "cut in headers": Cut("headers"),
    "cut in body": Cut("body"),
    "stall": Stall(),
    "stall after": Stall(done=True),
    "slow drip": Drip(TIMEOUT / 3),
    "slow answer": Drip(TIMEOUT / 20),
    "401, renewable": _no(401, "Unauthorized"),
    "401, keys": _no(401, "Access Denied"),
    "403": _no(403, "Access Denied"),
    "404": _no(404, "The requested resource was not found"),
    "429": _no(429, "Too many requests", Retry_After=str(RETRY_AFTER)),
    "500": _no(500, "An unknown error occurred"),
    "502": Instead(502, _PAGE, "text/html"),
    "502 after": Instead(502, _PAGE, "text/html", done=True),
    "503": _no(503, "Service Unavailable"),
    "503, Retry-After": _no(503, "Service Unavailable", Retry_After=str(RETRY_AFTER)),
    "503, disabled": Instead(503, _DISABLED, "text/plain"),
    "wrong type": Misnamed(),
    "wrong shape": Instead(200, _OTHER, done=True),
    "other answer": Instead(200, _OTHER),
    "half the JSON": Cut("end"),
    "storage full": _no(400, "There is insufficient document storage allocated to this account."),
}

#: What happens to jobs instead of requests.
JOB_FAULTS: Mapping[str, StuckJob | FailedJob] = {
    "stuck": StuckJob(),
    "failing": FailedJob(),
    "given up": FailedJob(
        "0x1003", "Encountered an unexpected Exception while processing batch job."
    ),
}
