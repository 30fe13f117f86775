"""
The transport: signs, sends, repeats, times out, and turns answers into values or typed errors.

It is the only module that knows aiohttp's client; ``failures`` knows its errors, ``payload`` its
bodies.
"""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

import aiohttp
import anyio
from anyio import to_thread
from yarl import URL

from aiotcbatch.answers import Answer, error_for, inflate, unreadable
from aiotcbatch.body import Body, as_body, multipart
from aiotcbatch.errors import AuthenticationError, ClosedError, ConfigurationError
from aiotcbatch.failures import map_error
from aiotcbatch.payload import WirePayload
from aiotcbatch.retry import RetryPolicy, is_transient, was_refused_unseen
from aiotcbatch.settings import Settings, parse_api_url, quote_segment, split_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from aiotcbatch.auth import Auth
    from aiotcbatch.errors import UnreadableAnswerError

__all__ = [
    "Answer",
    "Body",
    "RetryPolicy",
    "Settings",
    "Transport",
    "multipart",
    "quote_segment",
]

_REPEATABLE = frozenset({"DELETE", "GET", "HEAD", "PUT"})
#: Larger JSON is read in a worker thread, so as not to hold up the loop.
_LARGE = 256 * 1024
_PROGRESS = 64 * 1024
#: Seconds for what must still be closed when a request ends early.
_GRACE = 5.0


@dataclass(slots=True)
class _Call:
    """One request, whatever the number of times that it is sent."""

    method: str
    url: URL
    body: Body | None
    content_type: str | None
    repeatable: bool
    accept: Collection[int]
    #: Whether the body was asked for its first byte.
    begun: bool = False
    #: The headers of the last send that prove who asks.
    signed: Mapping[str, str] = field(default_factory=dict)

    def may_repeat(self, error: BaseException) -> bool:
        """Say whether to send it again after this error."""
        if not self.can_replay or not is_transient(error):
            return False
        return self.repeatable or was_refused_unseen(error)

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

    The session is opened by the first request, in the loop that makes it.

    What is sent again: requests that are repeatable, on every transient error (`is_transient`);
    the others only where the server has certainly not acted (`was_refused_unseen`). A 401 is
    sent once more after `Auth.refresh` has got new credentials, whether repeatable or not, as
    the server did nothing. No body is begun twice unless it is replayable.

    Args:
        api_url: URL of the API, such as ``https://host/api``.
        auth: Credentials.
        settings: How to reach it.
        session: A session of your own, which is not closed here. Its connector decides about TLS,
            connections and proxies then, and these settings are not looked at.
        clock: Gives the time in seconds since 1970.

    Raises:
        ConfigurationError: When the URL cannot be right.
    """

    def __init__(
        self,
        api_url: str,
        auth: Auth,
        settings: Settings | None = None,
        *,
        session: aiohttp.ClientSession | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or Settings()
        self.base = parse_api_url(api_url, allow_plain_http=self.settings.allow_plain_http)
        self._auth = auth
        self._clock = clock
        self._session = session
        self._owns_session = session is None
        self._opening = anyio.Lock()
        self._closed = False
        self._proxy: dict[str, Any] = {}
        self._headers = {"Accept-Encoding": "gzip, deflate", "User-Agent": self.settings.user_agent}
        # Connecting and stalling are bounded, the length of an upload is not.
        self._timeouts = aiohttp.ClientTimeout(
            total=None,
            sock_connect=self.settings.connect_timeout,
            sock_read=self.settings.timeout,
        )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._session else "not connected"
        return f"<Transport to {self.base}, {self._auth!r}, {state}>"

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

        Returns:
            The answer, 2xx or one of `accept`.

        Raises:
            ResponseError: When it is another one; the class says what it means.
            TransportError: When none came.
            ClosedError: When the transport is closed.
        """
        method = method.upper()
        call = _Call(
            method=method,
            url=self.url(path, query),
            body=as_body(body),
            content_type=content_type,
            repeatable=method in _REPEATABLE if repeatable is None else repeatable,
            accept=accept,
        )
        retrying = self.settings.retry.retrying(call.may_repeat)
        answer: Answer = await retrying(self._ask, call)
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
        self._closed = True
        session, self._session = self._session, None
        if session is not None and self._owns_session:
            with anyio.move_on_after(_GRACE, shield=True):
                await session.close()

    async def _ask(self, call: _Call) -> Answer:
        """Send a request; once more if new credentials may help."""
        await self._auth.prepare()
        try:
            return await self._send(call)
        except AuthenticationError:
            if not call.can_replay or not await self._auth.refresh(call.signed):
                raise
        return await self._send(call)

    async def _send(self, call: _Call) -> Answer:
        """Send once, and decide what the answer means."""
        now = self._clock()
        call.signed = self._auth.headers(call.method, call.url.raw_path_qs, int(now))
        answer = await self._exchange(call)
        if answer.status in call.accept:
            return answer
        if not answer.ok:
            raise error_for(_redacted(answer, call.signed), now=now)
        if answer.is_html:
            raise unreadable(answer, "the answer is an HTML page")
        if answer.is_json:
            # Read here, so that an answer that is cut short can be asked for again.
            if len(answer.body) > _LARGE:
                await to_thread.run_sync(answer.json)
            else:
                answer.json()
        return answer

    async def _exchange(self, call: _Call) -> Answer:
        """Send once, and take the whole answer."""
        session = await self._open()
        payload = call.payload(self.settings.timeout)
        response: aiohttp.ClientResponse | None = None
        complete = False
        try:
            response = await session.request(
                call.method,
                call.url,
                data=payload,
                headers={**self._headers, **call.signed},
                allow_redirects=False,
                auto_decompress=False,
                raise_for_status=False,
                timeout=self._timeouts,
                **self._proxy,
            )
            answer = Answer(
                status=response.status,
                headers=response.headers,
                body=await self._read(call, response),
                url=str(call.url),
                method=call.method,
            )
            complete = True
        except (_SurfacedError, aiohttp.ClientError, OSError) as error:
            cause = error.cause if isinstance(error, _SurfacedError) else error
            if payload is not None and payload.error is not None:
                raise payload.error from None
            raise map_error(cause, call.method, str(call.url)) from cause
        finally:
            await _end(response, payload, complete=complete)
        if payload is not None and payload.half_sent and answer.ok:
            raise payload.error or unreadable(
                answer, "the server says yes before it has the whole body"
            )
        return await self._unpacked(answer)

    async def _read(self, call: _Call, response: aiohttp.ClientResponse) -> bytes:
        """Take the body of an answer as it comes, as long as it comes, up to the limit."""
        blocks = []
        received = 0
        mark = _PROGRESS
        with anyio.fail_after(self.settings.timeout) as scope:
            async for block in response.content.iter_any():
                blocks.append(block)
                received += len(block)
                if received > self.settings.max_answer_bytes:
                    head = Answer(
                        response.status, response.headers, b"", str(call.url), call.method
                    )
                    raise self._too_large(head)
                if received >= mark:
                    mark = received + _PROGRESS
                    scope.deadline = anyio.current_time() + self.settings.timeout
        return b"".join(blocks)

    async def _unpacked(self, answer: Answer) -> Answer:
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        limit = self.settings.max_answer_bytes
        try:
            if len(answer.body) > _PROGRESS:
                body = await to_thread.run_sync(inflate, answer.body, encoding, limit)
            else:
                body = inflate(answer.body, encoding, limit)
        except OverflowError as error:
            raise self._too_large(answer) from error
        except EOFError as error:
            raise unreadable(answer, "the packed answer is cut short") from error
        except ValueError as error:
            raise unreadable(answer, f"the answer is not readable: {error}") from error
        return replace(answer, body=body)

    def _too_large(self, answer: Answer) -> UnreadableAnswerError:
        limit = self.settings.max_answer_bytes
        what = f"the answer is larger than max_answer_bytes, {limit}"
        return unreadable(replace(answer, body=b""), what, transient=False)

    async def _open(self) -> aiohttp.ClientSession:
        """Give the session; the first caller makes it."""
        if self._session is None and not self._closed:
            async with self._opening:
                if self._session is None and not self._closed:
                    self._session = await self._make_session()
        if self._session is None or self._closed:
            raise ClosedError("the client is closed")
        if self._session.closed:
            raise ClosedError("the session that the client was given is closed")
        return self._session

    async def _make_session(self) -> aiohttp.ClientSession:
        verify = await to_thread.run_sync(_tls, self.settings)
        proxy = self.settings.proxy
        if proxy is None and self.settings.trust_env:
            proxy = await to_thread.run_sync(_environment_proxy, self.base)
        if proxy is not None:
            self._use_proxy(proxy)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.settings.max_connections, ssl=verify),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_surface_errors,),
        )

    def _use_proxy(self, proxy: str) -> None:
        url, credentials = split_proxy(proxy)
        self._proxy["proxy"] = url
        if credentials is None:
            return
        basic = base64.b64encode(":".join(credentials).encode()).decode("ascii")
        headers = {"Proxy-Authorization": f"Basic {basic}"}
        if self.base.scheme == "https":
            self._proxy["proxy_headers"] = headers
        else:
            # There is no CONNECT then: the proxy reads the headers of the request itself.
            self._headers.update(headers)


def _tls(settings: Settings) -> bool | ssl.SSLContext:
    verify = settings.verify
    if isinstance(verify, bool | ssl.SSLContext):
        return verify
    try:
        return ssl.create_default_context(cafile=str(verify))
    except OSError as error:
        raise ConfigurationError("verify", verify, "a file of PEM certificates") from error


def _environment_proxy(base: URL) -> str | None:
    proxy = getproxies().get(base.scheme)
    if proxy is None or proxy_bypass(base.host or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


async def _end(
    response: aiohttp.ClientResponse | None, payload: WirePayload | None, *, complete: bool
) -> None:
    """Give the connection back if it can serve again, close it otherwise."""
    if response is None:
        if payload is not None:
            payload.abort()
    elif complete and (payload is None or payload.complete):
        response.release()
    else:
        # Closing would first send what is buffered, which a stalled server never takes.
        if response.connection is not None and response.connection.transport is not None:
            response.connection.transport.abort()
        response.close()
    if payload is not None:
        await payload.settle(_GRACE)


def _redacted(answer: Answer, signed: Mapping[str, str]) -> Answer:
    """Take credentials out of a page that shows the request."""
    secret = signed.get("Authorization", "").encode()
    if not secret or secret not in answer.body:
        return answer
    return replace(answer, body=answer.body.replace(secret, b"[credentials]"))


class _SurfacedError(Exception):
    """Carries a broken connection past aiohttp, which would send again by itself."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


async def _surface_errors(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _SurfacedError(error) from error
