"""
Misbehaving on purpose: what can go wrong at an endpoint or with a job, and when.

::

    sandbox.faults.add("upload", Reset(), times=1)             # the first upload breaks off
    sandbox.faults.add("status", rate_limited(2), probability=0.1)
    sandbox.faults.add("*", Latency(0.2))
    sandbox.faults.add("job", StuckJob(), times=1)

Endpoints have the names ``create``, ``upload``, ``create_and_upload``, ``status``, ``errors``,
``results``, ``file_upload``, ``file_download``, ``owners``, ``whoami``, ``types``,
``attribute_types``, ``tags``, ``groups``, ``groups_delete``, ``indicators``,
``indicators_delete`` and ``token``; ``*`` and the like match several. ``job`` is what happens to a
job itself.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from aiotcbatch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiotcbatch.sandbox.clock import Clock

__all__ = [
    "FailedJob",
    "Fault",
    "Faults",
    "Latency",
    "Reset",
    "Rule",
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


@dataclass(frozen=True)
class Latency:
    """The answer takes so many seconds longer."""

    seconds: float

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
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    read_body: bool = True

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
        return web.Response(status=self.status, body=self.body, headers=headers)


@dataclass(frozen=True)
class Truncated:
    """
    The answer breaks off, though its length was announced.

    Attributes:
        keep: Which part of the body comes, from 0 to 1.
    """

    keep: float = 0.5

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


def unauthorized(message: str = "Unauthorized") -> Status:
    """Return a 401 in the form of v2."""
    return Status(401, _failure(message))


def forbidden(message: str = "Access Denied") -> Status:
    """Return a 403 in the form of v2."""
    return Status(403, _failure(message))


def rate_limited(retry_after: float | str | None = 1) -> Status:
    """Return a 429, with Retry-After in seconds or as a date, or without."""
    return Status(429, _failure("Too many requests"), headers=_retry_after(retry_after))


def internal_error(message: str = "An unknown error occurred") -> Status:
    """Return a 500 in the form of v2."""
    return Status(500, _failure(message))


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
    return Status(
        400, _failure("There is insufficient document storage allocated to this account.")
    )


def _failure(message: str) -> bytes:
    return f'{{"status":"Failure","message":"{message}"}}'.encode()


def _retry_after(value: float | str | None) -> dict[str, str]:
    return {} if value is None else {"Retry-After": str(value)}


def _body(answer: web.StreamResponse) -> bytes:
    """Return the bytes of an answer that is not sent yet; those of a large file are not at hand."""
    body = getattr(answer, "body", None)
    return body if isinstance(body, bytes) else b""


def abort(request: web.Request) -> None:
    """Break the connection at once."""
    if request.transport is not None:
        request.transport.abort()


@dataclass
class Rule:
    """
    When a fault happens.

    Attributes:
        endpoint: The endpoint's name, or a pattern such as ``file_*``.
        fault: What happens.
        times: How often at most, None for always.
        after: How many matching requests pass first.
        probability: How likely it is each time, from 0 to 1.
        hits: How often it happened.
    """

    endpoint: str
    fault: Fault | StuckJob | FailedJob
    times: int | None = None
    after: int = 0
    probability: float = 1.0
    hits: int = 0
    seen: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigurationError("probability", self.probability, "0 to 1", about="Rule")
        is_job = isinstance(self.fault, (StuckJob, FailedJob))
        if is_job != (self.endpoint == "job"):
            raise ConfigurationError(
                "fault", self.fault, "a fault of a job for 'job', else one of a request"
            )

    def strikes(self, endpoint: str, chance: random.Random) -> bool:
        """Decide whether it happens to a request, and count."""
        if not fnmatchcase(endpoint, self.endpoint):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.hits >= self.times):
            return False
        if self.probability < 1 and chance.random() >= self.probability:
            return False
        self.hits += 1
        return True


class Faults:
    """
    All rules of a sandbox; of those that apply to a request the first one that strikes counts.

    Args:
        seed: Makes what is left to chance the same in every run.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._chance = random.Random(seed)  # noqa: S311  (a game, no secret)
        self.rules: list[Rule] = []

    def add(
        self,
        endpoint: str,
        fault: Fault | StuckJob | FailedJob,
        *,
        times: int | None = None,
        after: int = 0,
        probability: float = 1.0,
    ) -> Rule:
        """
        Let something go wrong from now on.

        Args:
            endpoint: The endpoint's name, or a pattern such as ``file_*``.
            fault: What happens.
            times: How often at most, None for always.
            after: How many matching requests pass first.
            probability: How likely it is each time.

        Returns:
            The rule, which counts its hits.

        Raises:
            ConfigurationError: The probability is none, or the fault is not one of the endpoint.
        """
        rule = Rule(endpoint, fault, times, after, probability)
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Let nothing go wrong any more, and begin anew with what is left to chance."""
        self.rules.clear()
        self._chance = random.Random(self._seed)  # noqa: S311  (as above)

    def of_request(self, endpoint: str) -> Fault | None:
        """Decide what happens to a request."""
        found = self._striking(endpoint)
        return None if isinstance(found, (StuckJob, FailedJob)) else found

    def of_job(self) -> StuckJob | FailedJob | None:
        """Decide what happens to a job."""
        found = self._striking("job")
        return found if isinstance(found, (StuckJob, FailedJob)) else None

    def _striking(self, endpoint: str) -> Fault | StuckJob | FailedJob | None:
        for rule in self.rules:
            if (rule.endpoint == "job") == (endpoint == "job") and rule.strikes(
                endpoint, self._chance
            ):
                return rule.fault
        return None


def parse(text: str) -> Rule:
    """
    Read a rule as the command line has it: ``ENDPOINT=FAULT[:VALUE][,times=N][,after=N][,p=P]``.

    Faults are ``latency:SECONDS``, ``reset``, ``reset:BYTES``, ``lost`` (carried out, the answer
    lost), ``401``, ``403``, ``429[:RETRY_AFTER]``, ``500``, ``502``, ``503[:RETRY_AFTER]``,
    ``truncated[:PART]``, ``drip[:PAUSE]``, ``type[:CONTENT_TYPE]``, ``shape[:JSON]``, ``full``,
    and for the endpoint ``job`` ``stuck`` and ``failed``.

    Args:
        text: Such as ``upload=503:2,times=3`` or ``status=reset,p=0.1``.

    Returns:
        The rule.

    Raises:
        ConfigurationError: It is none.
    """
    endpoint, mark, rest = text.partition("=")
    name, *options = rest.split(",")
    name, _, value = name.partition(":")
    try:
        if not mark or not endpoint:
            raise ValueError(text)  # noqa: TRY301  (one place words all of them)
        given = {"times": "", "after": "0", "p": "1"}
        for option in options:
            key, _, one = option.partition("=")
            if key not in given:
                raise ValueError(option)  # noqa: TRY301  (as above)
            given[key] = one
        return Rule(
            endpoint,
            _NAMED[name](value),
            int(given["times"]) if given["times"] else None,
            int(given["after"]),
            float(given["p"]),
        )
    except (KeyError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        accepted = "ENDPOINT=FAULT[:VALUE][,times=N][,after=N][,p=P]"
        raise ConfigurationError("fault", text, accepted) from error


_NAMED: dict[str, Callable[[str], Fault | StuckJob | FailedJob]] = {
    "latency": lambda value: Latency(float(value)),
    "reset": lambda value: Reset(after_bytes=int(value or 0)),
    "lost": lambda _: Reset(after_done=True),
    "401": lambda _: unauthorized(),
    "403": lambda _: forbidden(),
    "429": lambda value: rate_limited(value or 1),
    "500": lambda _: internal_error(),
    "502": lambda _: bad_gateway(),
    "503": lambda value: unavailable(value or None),
    "truncated": lambda value: Truncated(float(value or 0.5)),
    "drip": lambda value: SlowDrip(pause=float(value or 0.1)),
    "type": lambda value: WrongContentType(value or "text/html"),
    "shape": lambda value: WrongShape((value or "[]").encode()),
    "full": lambda _: storage_full(),
    "stuck": lambda _: StuckJob(),
    "failed": lambda value: FailedJob(reason=value or FailedJob.reason),
}
