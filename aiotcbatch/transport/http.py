"""
The transport: signs, repeats, holds back, and turns answers into values or typed errors.

How one request is sent and answered is the business of ``exchange``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

import anyio
from anyio import to_thread
from yarl import URL

from aiotcbatch.auth import Auth, HiddenHeaders
from aiotcbatch.cancelling import only_ours
from aiotcbatch.checking import checked_kind
from aiotcbatch.errors import (
    AiotcbatchError,
    AuthenticationError,
    CircuitOpenError,
    ClockError,
    ConnectError,
    ResponseError,
)
from aiotcbatch.events import (
    CircuitClosed,
    CircuitOpened,
    ClockCorrected,
    Events,
    RequestRetried,
    RetryRefused,
)
from aiotcbatch.transport.answers import Answer, error_for, unreadable
from aiotcbatch.transport.body import Body, as_body
from aiotcbatch.transport.exchange import Exchange
from aiotcbatch.transport.payload import WirePayload
from aiotcbatch.transport.restraint import Circuit, RetryBudget
from aiotcbatch.transport.retry import is_transient, was_refused_unseen
from aiotcbatch.transport.settings import Settings, checked_settings, parse_api_url
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from aiohttp import ClientSession

    from aiotcbatch.events import ClientEvent

__all__ = ["ClientStatistics", "Transport"]

_REPEATABLE = frozenset({"DELETE", "GET", "HEAD", "PUT"})
#: Larger JSON is read in a worker thread, so as not to hold up the loop.
_LARGE = 256 * 1024
#: A server's time that differs by less seconds is no reason to refuse a timestamp.
_LEAST_CORRECTION = 1.0
#: Seconds after which a timestamp may be refused for its age.
_STALE = 60.0
_TOO_MANY = "It is not sent again: of the requests of this client too many were (RetryPolicy)."
_GIVER = "what gives the credentials"
_HELD_BACK = "It is not sent again: the server keeps failing, and is left alone for a while."


class ClientStatistics(Value):
    """What a client has sent, and how it is with its server."""

    #: Requests, each counted once.
    requests: int
    #: How many times any of them was sent again after a failure.
    retries: int
    #: Repeats that the budget has left.
    retries_left: int
    #: Transient failures since the server answered last.
    failures: int
    #: ``closed``: requests are sent; ``open``: they wait; ``probing``: they wait for one of them.
    circuit: str
    #: Seconds until the circuit lets the next request try.
    pause: float
    #: Seconds that are added to this machine's time for signing.
    clock_offset: float


@contextmanager
def _credentials() -> Iterator[None]:
    """Ask for credentials; where that fails, it may not the next time, and nothing was sent."""
    try:
        with only_ours(_GIVER, ConnectError):
            yield
    except AiotcbatchError:
        raise
    except Exception as error:
        # Its text may show a secret; who looks for it finds it as the cause.
        raise ConnectError(f"{_GIVER} has raised {type(error).__name__}") from error


@dataclass(slots=True, eq=False, repr=False)
class _Call:
    """One request, whatever the number of times that it is sent."""

    method: str
    url: URL
    body: Body | None
    content_type: str | None
    repeatable: bool
    accept: Collection[int]
    check: Callable[[Answer], object] | None
    events: Events
    budget: RetryBudget
    attempts: int
    #: Seconds that it has waited, before attempts and for the circuit.
    waited: float = 0.0
    #: Whether the body was asked for its first byte.
    begun: bool = False
    #: The headers of the last send that prove who asks, when they were made, and by which offset.
    signed: Mapping[str, str] = field(default_factory=dict)
    signed_at: float = 0.0
    offset: float = 0.0
    #: What it failed with last.
    error: BaseException | None = None
    #: Whether it has waited for the circuit as long as it may.
    given_up: bool = False

    def may_repeat(self, error: BaseException) -> bool:
        """Say whether to send it again after this error."""
        if self.given_up or not self.can_replay or not is_transient(error):
            return False
        return self.repeatable or was_refused_unseen(error)

    def may_spend(self, attempt: int, error: BaseException) -> bool:
        """Say whether the budget allows that, and take it out."""
        if self.budget.spend():
            return True
        error.add_note(_TOO_MANY)
        self.events.tell(
            RetryRefused(
                method=self.method,
                path=self.url.raw_path,
                attempt=attempt,
                error=type(error).__name__,
                status=getattr(error, "status", None),
            )
        )
        return False

    def again(self, attempt: int, delay: float, error: BaseException) -> None:
        """Note that it will be sent again."""
        self.error = error
        self.events.tell(
            RequestRetried(
                method=self.method,
                path=self.url.raw_path,
                attempt=attempt,
                attempts=self.attempts,
                delay=delay,
                error=type(error).__name__,
                status=getattr(error, "status", None),
            )
        )

    @property
    def can_replay(self) -> bool:
        """Whether what has been sent of the body can be sent once more."""
        return self.body is None or self.body.replayable or not self.begun

    def payload(self, timeout: float) -> WirePayload | None:
        """Make the body ready for one send."""
        if self.body is None:
            return None
        return WirePayload(
            self.body, content_type=self.content_type, timeout=timeout, on_begin=self._begin
        )

    def _begin(self) -> None:
        self.begun = True


class Transport:
    """
    Requests to one ThreatConnect instance.

    What is sent again: requests that are repeatable, on every transient error (`is_transient`);
    the others only where the server has certainly not acted (`was_refused_unseen`). A 401 is
    sent once more after `Auth.refresh` has got new credentials, or, if the server refused the
    timestamp and says what time it is, signed with that; whether repeatable or not, as the
    server did nothing. No body is begun twice unless it is replayable.

    Args:
        api_url: URL of the API, such as ``https://host/api``.
        auth: Credentials.
        settings: How to reach it.
        session: A session of your own, which is not closed here. Its connector decides about TLS,
            connections and proxies then, and these settings are not looked at.
        clock: Gives the time in seconds since 1970.
        on_event: Called with each event.

    Raises:
        ConfigurationError: When the URL cannot be right, or something else is of another kind.
    """

    def __init__(
        self,
        api_url: str,
        auth: Auth,
        settings: Settings | None = None,
        *,
        session: ClientSession | None = None,
        clock: Callable[[], float] = time.time,
        on_event: Callable[[ClientEvent], object] | None = None,
    ) -> None:
        self.settings = checked_settings(settings) or Settings()
        self.base = parse_api_url(api_url, allow_plain_http=self.settings.allow_plain_http)
        self.events = Events(on_event)
        self._auth = checked_kind("auth", auth, Auth, "an HmacAuth, a TokenAuth or another Auth")
        self._clock = clock
        #: Bytes that the server takes as the document of a job, None if it has not told.
        self.document_limit: int | None = None
        #: Seconds that the server's clock is ahead, as far as it matters.
        self._offset = 0.0
        self._exchange = Exchange(self.base, self.settings, session)
        policy = self.settings.retry
        self._budget = RetryBudget(policy.budget_reserve, policy.budget_fraction)
        self._circuit = Circuit(
            policy.circuit_failures, policy.circuit_pause, policy.circuit_max_pause
        )
        #: Set when the circuit has changed, if anybody waits for it.
        self._changed: anyio.Event | None = None
        self._last_failure = ""

    def __repr__(self) -> str:
        pause = self.statistics().pause
        state = self._exchange.state if self._circuit.closed else f"paused for {pause:.1f} s"
        return f"<Transport to {self.base}, {self._auth!r}, {state}>"

    def statistics(self) -> ClientStatistics:
        """Say what was sent, and how it is with the server."""
        circuit = self._circuit
        wait = circuit.wait(self.settings.retry.now())
        return ClientStatistics(
            requests=self._budget.requests,
            retries=self._budget.spent,
            retries_left=int(self._budget.left),
            failures=circuit.failures,
            circuit=circuit.state,
            pause=0.0 if wait == math.inf else wait,
            clock_offset=self._offset,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        body: Body | bytes | None = None,
        content_type: str | None = None,
        repeatable: bool | None = None,
        accept: Collection[int] = (),
        check: Callable[[Answer], object] | None = None,
    ) -> Answer:
        """
        Ask the server for something.

        Args:
            method: HTTP method.
            path: Path below the API URL, percent-encoded, as ``/v2/batch/12``; it may have its
                query with it.
            query: Names and values, not encoded; a space goes out as ``%20``.
            body: What to send.
            content_type: Its media type.
            repeatable: Whether sending it twice does no harm; by default so for GET, HEAD, PUT
                and DELETE.
            accept: Statuses that are returned though they are not 2xx.
            check: Called with an answer that is 2xx. What it returns does not matter; it raises
                UnreadableAnswerError where something else has answered than what was asked, and
                so a request that is repeatable is sent again.

        Returns:
            The answer, 2xx or one of `accept`.

        Raises:
            ResponseError: When it is another one; the class says what it means.
            TransportError: When none came.
            ClosedError: When the transport is closed.
        """
        method = method.upper()
        policy = self.settings.retry
        call = _Call(
            method=method,
            url=self.url(path, query),
            body=as_body(body),
            content_type=content_type,
            repeatable=method in _REPEATABLE if repeatable is None else repeatable,
            accept=accept,
            check=check,
            events=self.events,
            budget=self._budget,
            attempts=policy.attempts,
        )
        self._budget.earn()
        answer: Answer = await policy.retrying(call)(self._ask, call)
        return answer

    def url(
        self, path: str, query: Mapping[str, str] | Sequence[tuple[str, str]] | None = None
    ) -> URL:
        """Give the URL of a path, encoded exactly as it is signed and sent."""
        pairs = query.items() if isinstance(query, Mapping) else query or ()
        encoded = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs
        )
        separator = ("&" if "?" in path else "?") if encoded else ""
        return URL(f"{self.base}{path}{separator}{encoded}", encoded=True)

    def path_of(self, link: str) -> str | None:
        """
        Find out which path a link in an answer is about.

        Args:
            link: A URL, or a path with or without the API's own.

        Returns:
            The path below the API URL with its query, None if the link leads elsewhere.
        """
        url = URL(link)
        if url.absolute and (url.host, url.explicit_port) != (
            self.base.host,
            self.base.explicit_port,
        ):
            return None
        target = url.raw_path_qs
        return target.removeprefix(self.base.raw_path.rstrip("/")) if target[:1] == "/" else None

    async def aclose(self) -> None:
        """Close the connections; closing twice is harmless."""
        await self._exchange.aclose()

    # One attempt

    async def _ask(self, call: _Call) -> Answer:
        """Send a request; once more if new credentials or the server's time may help."""
        with _credentials():
            await self._auth.prepare()
        try:
            return await self._attempt(call)
        except AuthenticationError as error:
            if not await self._is_remedied(call, error):
                raise
        return await self._attempt(call)

    async def _is_remedied(self, call: _Call, error: AuthenticationError) -> bool:
        if isinstance(error, ClockError):
            return self._set_clock(call, error) and call.can_replay
        if not call.can_replay:
            return False
        with _credentials():
            return await self._auth.refresh(call.signed)

    def _set_clock(self, call: _Call, error: ClockError) -> bool:
        """Sign by the server's time from now on; False if another signature would not differ."""
        if call.offset != self._offset:  # done meanwhile, for another request
            return True
        offset = error.offset
        if offset is None or abs(offset - self._offset) < _LEAST_CORRECTION:
            # The clock is right, so the request must have waited long for its connection.
            return self._clock() - call.signed_at > _STALE
        self._offset = offset
        self.events.tell(ClockCorrected(offset=offset))
        return True

    async def _attempt(self, call: _Call) -> Answer:
        """Send once when the circuit allows it, and tell it how that went."""
        number = await self._turn(call)
        try:
            answer = await self._send(call)
        except BaseException as error:
            self._judge(number, error)
            raise
        self._judge(number, None)
        return answer

    async def _send(self, call: _Call) -> Answer:
        """Send once, and decide what the answer means."""
        call.offset, call.signed_at = self._offset, self._clock()
        timestamp = int(call.signed_at + call.offset)
        call.signed = HiddenHeaders(
            self._auth.headers(call.method, call.url.raw_path_qs, timestamp)
        )
        payload = call.payload(self.settings.timeout)
        answer = await self._exchange.send(call.method, call.url, call.signed, payload)
        if answer.status in call.accept:
            return answer
        if not answer.ok:
            raise error_for(answer, now=self._clock())
        if answer.is_html:
            raise unreadable(answer, "the answer is an HTML page")
        if answer.is_json:
            # Read here, so that an answer that is cut short can be asked for again.
            if len(answer.body) > _LARGE:
                await to_thread.run_sync(answer.json)
            else:
                answer.json()
        if call.check is not None:
            call.check(answer)
        return answer

    # The circuit

    async def _turn(self, call: _Call) -> int:
        """Wait until the circuit is closed or this request may probe; give its number there."""
        policy = self.settings.retry
        while (seconds := self._circuit.wait(policy.now())) > 0:
            left = policy.total_seconds - call.waited
            if left <= 0 or left < seconds < math.inf:
                raise self._held_back(call, min(seconds, policy.circuit_max_pause))
            call.waited += await self._pause(min(seconds, left))
        return self._circuit.begin()

    async def _pause(self, seconds: float) -> float:
        """Wait until the circuit changes, at most so long; give the seconds that it took."""
        policy = self.settings.retry
        began = policy.now()
        self._changed = changed = self._changed or anyio.Event()
        expired = False
        async with anyio.create_task_group() as tasks:

            async def expire() -> None:
                nonlocal expired
                await policy.sleep(seconds)
                expired = True
                tasks.cancel_scope.cancel()

            tasks.start_soon(expire)
            await changed.wait()
            tasks.cancel_scope.cancel()
        return seconds if expired else policy.now() - began

    def _held_back(self, call: _Call, seconds: float) -> BaseException:
        call.given_up = True
        if call.error is not None:  # it was sent before, so this is what became of it
            call.error.add_note(_HELD_BACK)
            return call.error
        return CircuitOpenError(
            f"{call.method} {call.url}: not sent, since {self._circuit.failures} requests in a row"
            f" have failed. Try again later. The last failure: {self._last_failure}",
            method=call.method,
            url=str(call.url),
            seconds=seconds,
        )

    def _judge(self, number: int, error: BaseException | None) -> None:
        """Tell the circuit how a request went, and those who wait for it if it changes."""
        circuit, policy = self._circuit, self.settings.retry
        failures = circuit.failures
        if error is None or (isinstance(error, ResponseError) and not is_transient(error)):
            if not circuit.succeeded():
                return
            self.events.tell(CircuitClosed(failures=failures))
        elif is_transient(error):
            asked = min(getattr(error, "retry_after", None) or 0.0, policy.max_retry_after)
            now = policy.now()
            if not circuit.failed(number, now, asked):
                return
            self._last_failure = str(error)
            self.events.tell(
                CircuitOpened(
                    failures=circuit.failures,
                    pause=circuit.wait(now),
                    error=type(error).__name__,
                    status=getattr(error, "status", None),
                )
            )
        elif not circuit.left(number):
            return
        if self._changed is not None:
            self._changed.set()
            self._changed = None
