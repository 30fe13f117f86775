"""What can go wrong with a request, or with a job."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import orjson
from aiohttp import web

from aiotcbatch.checking import is_amount
from aiotcbatch.sandbox.fields import check_fields, is_text, refuse_unless

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from aiotcbatch.sandbox.clock import Clock

__all__ = [
    "FailedJob",
    "Fault",
    "JobFault",
    "Latency",
    "PoisonedJob",
    "Reset",
    "SlowDrip",
    "Status",
    "StuckJob",
    "Truncated",
    "WrongContentType",
    "WrongShape",
    "bad_gateway",
    "forbidden",
    "internal_error",
    "rate_limited",
    "storage_full",
    "unauthorized",
    "unavailable",
]


#: Answers that are none by themselves, such as 100, are not among them.
_LOWEST_STATUS, _HIGHEST_STATUS = 200, 599


class Fault(Protocol):
    """Something that goes wrong with one request."""

    async def apply(
        self,
        request: web.Request,
        answer: Callable[[], Awaitable[web.StreamResponse]],
        clock: Clock,
    ) -> web.StreamResponse:
        """
        Answer in the place of the endpoint.

        Args:
            request: The request.
            answer: What the endpoint would do.
            clock: The sandbox's time.
        """
        ...


@dataclass(frozen=True)
class Latency:
    """The answer takes so many seconds longer."""

    seconds: float

    def __post_init__(self) -> None:
        check_fields(self)

    async def apply(
        self,
        request: web.Request,  # noqa: ARG002  (as all faults)
        answer: Callable[[], Awaitable[web.StreamResponse]],
        clock: Clock,
    ) -> web.StreamResponse:
        """Wait, then answer as usual."""
        await clock.sleep(self.seconds)
        return await answer()


@dataclass(frozen=True)
class Reset:
    """
    The connection breaks.

    Attributes:
        after_done: Whether the request is carried out first, and only its answer is lost.
        after_bytes: Otherwise, how much of the request's body is read before.
    """

    after_done: bool = False
    after_bytes: int = 0

    def __post_init__(self) -> None:
        check_fields(self)

    async def apply(
        self,
        request: web.Request,
        answer: Callable[[], Awaitable[web.StreamResponse]],
        clock: Clock,  # noqa: ARG002  (as all faults)
    ) -> web.StreamResponse:
        """Break the connection, before or after the request was carried out."""
        if self.after_done:
            await answer()
        left = self.after_bytes
        while left > 0 and not self.after_done:
            piece = await request.content.read(min(left, 1 << 16))
            if not piece:
                break
            left -= len(piece)
        abort(request)
        return web.Response(status=500)


@dataclass(frozen=True)
class Status:
    """
    Another answer comes instead, and the request is not carried out.

    Attributes:
        status: The HTTP status.
        body: The body.
        content_type: What the body is said to be.
        headers: Further headers.
        read_body: Whether the request's body is read to its end first.
        message: What is said instead of a body, in the form of v2 or of v3, whichever was asked.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    read_body: bool = True
    message: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        one_line = self.content_type.isprintable() and all(
            map(str.isprintable, (*self.headers, *self.headers.values()))
        )
        said = {"Content-Type": self.content_type, **self.headers}
        refuse_unless(one_line, "headers", said, "one line of text each", "Status")
        is_status = _LOWEST_STATUS <= self.status <= _HIGHEST_STATUS
        refuse_unless(is_status, "status", self.status, "an HTTP status of an answer", "Status")

    async def apply(
        self,
        request: web.Request,
        answer: Callable[[], Awaitable[web.StreamResponse]],  # noqa: ARG002  (it is not asked)
        clock: Clock,  # noqa: ARG002  (as all faults)
    ) -> web.StreamResponse:
        """Give the other answer."""
        if self.read_body:
            async for _ in request.content.iter_any():
                pass
        headers = {"Content-Type": self.content_type, **self.headers}
        body = _failure(request.path, self.message) if self.message else self.body
        return web.Response(status=self.status, body=body, headers=headers)


@dataclass(frozen=True)
class Truncated:
    """
    The answer breaks off, though its length was announced.

    Attributes:
        keep: Which part of the body comes, from 0 to 1.
    """

    keep: float = 0.5

    def __post_init__(self) -> None:
        check_fields(self)
        refuse_unless(self.keep <= 1, "keep", self.keep, "a number from 0 to 1", "Truncated")

    async def apply(
        self,
        request: web.Request,
        answer: Callable[[], Awaitable[web.StreamResponse]],
        clock: Clock,  # noqa: ARG002  (as all faults)
    ) -> web.StreamResponse:
        """Carry the request out, and break off in the middle of the answer."""
        made = await answer()
        body = _body(made)
        response = web.StreamResponse(status=made.status, headers=made.headers)
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: int(len(body) * self.keep)])
        abort(request)
        return response


@dataclass(frozen=True)
class SlowDrip:
    """
    The answer comes in small pieces.

    Attributes:
        piece: Bytes in one piece.
        pause: Seconds between two of them.
    """

    piece: int = 1
    pause: float = 0.1

    def __post_init__(self) -> None:
        check_fields(self)
        refuse_unless(self.piece > 0, "piece", self.piece, "a whole number from 1", "SlowDrip")

    async def apply(
        self,
        request: web.Request,
        answer: Callable[[], Awaitable[web.StreamResponse]],
        clock: Clock,
    ) -> web.StreamResponse:
        """Carry the request out, and answer slowly."""
        made = await answer()
        body = _body(made)
        response = web.StreamResponse(status=made.status, headers=made.headers)
        response.content_length = len(body)
        await response.prepare(request)
        for start in range(0, len(body), self.piece):
            await response.write(body[start : start + self.piece])
            await clock.sleep(self.pause)
        return response


@dataclass(frozen=True)
class WrongContentType:
    """The answer is as usual, but is said to be something else."""

    content_type: str = "text/html"

    def __post_init__(self) -> None:
        check_fields(self)
        is_line = self.content_type.isprintable()
        refuse_unless(
            is_line, "content_type", self.content_type, "one line of text", "WrongContentType"
        )

    async def apply(
        self,
        request: web.Request,  # noqa: ARG002  (as all faults)
        answer: Callable[[], Awaitable[web.StreamResponse]],
        clock: Clock,  # noqa: ARG002  (as all faults)
    ) -> web.StreamResponse:
        """Carry the request out, and misname the answer."""
        made = await answer()
        made.headers["Content-Type"] = self.content_type
        return made


@dataclass(frozen=True)
class WrongShape:
    """The request is carried out, but its answer is other JSON than expected."""

    body: bytes = b"[]"

    def __post_init__(self) -> None:
        check_fields(self)

    async def apply(
        self,
        request: web.Request,  # noqa: ARG002  (as all faults)
        answer: Callable[[], Awaitable[web.StreamResponse]],
        clock: Clock,  # noqa: ARG002  (as all faults)
    ) -> web.StreamResponse:
        """Carry the request out, and answer with something else."""
        made = await answer()
        return web.Response(status=made.status, body=self.body, content_type="application/json")


@dataclass(frozen=True)
class StuckJob:
    """The job runs and never completes, until `Sandbox.release_jobs`; others go on."""


@dataclass(frozen=True)
class FailedJob:
    """
    The job completes with an error about the whole document, and nothing of it is stored.

    Attributes:
        code: The error's code.
        reason: The error's text.
    """

    code: str = "0x1004"
    reason: str = "An unknown error occurred"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class PoisonedJob:
    """
    A job that has one of some entities completes with an error about the whole document.

    Nothing of it is stored. Jobs without them are processed as usual.

    Attributes:
        xids: The entities; text is one of them.
        hint: Which entity the error names: ``right`` for the first of these, ``wrong`` for the
            first of the document, ``none`` for no one.
        code: The error's code.
    """

    xids: Collection[str]
    hint: str = "right"
    code: str = "0x1003"

    def __post_init__(self) -> None:
        if isinstance(self.xids, str):
            object.__setattr__(self, "xids", frozenset({self.xids}))
        check_fields(self)
        accepted = "right, wrong or none"
        refuse_unless(self.hint in _HINTS, "hint", self.hint, accepted, "PoisonedJob")

    def found_in(self, body: bytes) -> str | None:
        """
        Look for the entities in a document.

        Returns:
            The text of the error, None if none of them is there.
        """
        entities = _named_in(body)
        bad = next((entity for entity in entities if entity[2] in self.xids), None)
        if bad is None:
            return None
        kind, place, xid = entities[0] if self.hint == "wrong" else bad
        said = "Encountered an unexpected Exception while processing batch job."
        if self.hint == "none":
            return said
        where = f"{kind}[{place}]"
        return f"{said} Last known JSON path: '$.{where}': Last processed {where} '{xid}'."


def _named_in(body: bytes) -> list[tuple[str, int, str]]:
    """List the entities of a document that have an xid: section, index and xid."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:  # it will be told of as of any other job
        return []
    if isinstance(document, list):
        wrapped = len(document) == 1 and isinstance(document[0], dict)
        wrapped = wrapped and not document[0].keys().isdisjoint(_SECTIONS)
        document = document[0] if wrapped else {"indicator": document}
    if not isinstance(document, dict):
        return []
    found: list[tuple[str, int, str]] = []
    for section in _SECTIONS:
        elements = document.get(section)
        for place, element in enumerate(elements if isinstance(elements, list) else ()):
            xid = element.get("xid") if isinstance(element, dict) else None
            if isinstance(xid, str):
                found.append((section, place, xid))
    return found


#: What goes wrong with a job instead of a request.
JobFault = StuckJob | FailedJob | PoisonedJob
_HINTS = ("right", "wrong", "none")
_SECTIONS = ("group", "indicator")


def unauthorized(message: str = "Unauthorized") -> Status:
    """Return a 401."""
    return Status(401, message=message)


def forbidden(message: str = "Access Denied") -> Status:
    """Return a 403."""
    return Status(403, message=message)


def rate_limited(retry_after: float | str | None = 1) -> Status:
    """Return a 429, with Retry-After in seconds or as a date, or without."""
    return Status(429, headers=_retry_after(retry_after), message="Too many requests")


def internal_error(message: str = "An unknown error occurred") -> Status:
    """Return a 500."""
    return Status(500, message=message)


def bad_gateway() -> Status:
    """Return a 502 with the HTML of a proxy."""
    page = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
    return Status(502, page, "text/html")


def unavailable(retry_after: float | str | None = None) -> Status:
    """Return a 503, with Retry-After in seconds or as a date, or without."""
    headers = _retry_after(retry_after)
    return Status(503, b"Service Unavailable", "text/plain", headers)


def storage_full() -> Status:
    """Return the refusal of a file for which there is no room."""
    message = "There is insufficient document storage allocated to this account."
    return Status(400, message=message)


def _failure(path: str, message: str) -> bytes:
    """Return the body that says no in the form of v2, or of v3."""
    if "/v3/" in path:
        return json.dumps({"status": "Error", "message": message, "errCode": "0x1001"}).encode()
    return json.dumps({"status": "Failure", "message": message}).encode()


def _retry_after(value: float | str | None) -> dict[str, str]:
    right = value is None or is_text(value) or is_amount(value)
    accepted = "a number of seconds, a date as text, or None"
    refuse_unless(right, "retry_after", value, accepted, "Status")
    return {} if value is None else {"Retry-After": str(value)}


def _body(answer: web.StreamResponse) -> bytes:
    """Return the bytes of an answer that is not sent yet; those of a large file are not at hand."""
    body = getattr(answer, "body", None)
    return body if isinstance(body, bytes) else b""


def abort(request: web.Request) -> None:
    """Break the connection at once."""
    if request.transport is not None:
        request.transport.abort()
