"""
The exchange: sends one request over a connection, and takes its whole answer.

It is the only module that knows aiohttp's client; ``failures`` knows its errors, ``payload`` its
bodies.
"""

from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import anyio
from anyio import to_thread
from multidict import CIMultiDict

from aiotcbatch.auth import HiddenHeaders, secrets_in
from aiotcbatch.checking import checked_kind
from aiotcbatch.errors import ClosedError, ConfigurationError
from aiotcbatch.transport.answers import Answer, inflate, unreadable
from aiotcbatch.transport.failures import map_error
from aiotcbatch.transport.settings import is_loopback, split_proxy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from yarl import URL

    from aiotcbatch.errors import UnreadableAnswerError
    from aiotcbatch.transport.payload import WirePayload
    from aiotcbatch.transport.settings import Settings

__all__ = ["Exchange"]

#: Larger answers are unpacked in a worker thread, so as not to hold up the loop.
_LARGE = 64 * 1024
#: So many bytes of an answer are progress, after which its time begins anew.
_PROGRESS = 64 * 1024
#: Seconds for what must still be closed when a request ends early.
_GRACE = 5.0


class Exchange:
    """
    The connections to one server.

    The session is opened by the first request, in the loop that makes it.

    Args:
        base: URL of the API.
        settings: How to reach it.
        session: A session of the user's, which is not closed here, and whose connector decides
            about TLS, connections and proxies.
    """

    def __init__(
        self, base: URL, settings: Settings, session: aiohttp.ClientSession | None
    ) -> None:
        self._base = base
        self._settings = settings
        self._session = _checked_session(session)
        self._owns_session = session is None
        self._opening = anyio.Lock()
        self._closed = False
        self._proxy: dict[str, Any] = {}
        self._headers = {"Accept-Encoding": "gzip, deflate", "User-Agent": settings.user_agent}
        # Connecting and stalling are bounded, the length of an upload is not.
        self._timeouts = aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_timeout, sock_read=settings.timeout
        )

    @property
    def state(self) -> str:
        """``not connected``, ``open`` or ``closed``."""
        return "closed" if self._closed else "open" if self._session else "not connected"

    async def aclose(self) -> None:
        """Close the connections; closing twice is harmless."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None and self._owns_session:
            with anyio.move_on_after(_GRACE, shield=True):
                await session.close()

    async def send(
        self, method: str, url: URL, headers: Mapping[str, str], payload: WirePayload | None
    ) -> Answer:
        """
        Send once, follow nothing, and take the whole answer.

        Args:
            method: HTTP method, upper case.
            url: Where to, encoded as it is to stand on the request line.
            headers: Headers of this request, besides those of all requests.
            payload: Its body.

        Returns:
            The answer, whatever it says.

        Raises:
            TransportError: When none came.
            UnreadableAnswerError: When it is too large, broken, or came before all was sent.
            ClosedError: When the connections are closed.
        """
        session = await self._open()
        headers = HiddenHeaders({**self._headers, **headers})
        secrets = secrets_in(headers)
        response: aiohttp.ClientResponse | None = None
        complete = False
        try:
            response = await session.request(
                method,
                url,
                data=payload,
                headers=headers,
                allow_redirects=False,
                auto_decompress=False,
                raise_for_status=False,
                timeout=self._timeouts,
                **self._proxy,
            )
            shown = _headers_without(secrets, response.headers)
            head = Answer(response.status, shown, b"", str(url), method)
            answer = head.with_body(await self._read(response, head))
            complete = True
        except (_SurfacedError, aiohttp.ClientError, OSError) as error:
            cause = error.cause if isinstance(error, _SurfacedError) else error
            if payload is not None and payload.error is not None:
                raise payload.error from None
            raise map_error(cause, method, str(url)) from cause
        finally:
            await _end(response, payload, complete=complete)
        answer = await self._unpacked(answer, secrets)
        if payload is not None and payload.half_sent and answer.ok:
            raise payload.error or unreadable(
                answer, "the server says yes before it has the whole body"
            )
        return answer

    async def _read(self, response: aiohttp.ClientResponse, head: Answer) -> bytes:
        """Take the body of an answer as it comes, as long as it comes, up to the limit."""
        blocks = []
        received = 0
        mark = _PROGRESS
        with anyio.fail_after(self._settings.timeout) as scope:
            async for block in response.content.iter_any():
                blocks.append(block)
                received += len(block)
                if received > self._settings.max_answer_bytes:
                    raise self._too_large(head)
                if received >= mark:
                    mark = received + _PROGRESS
                    scope.deadline = anyio.current_time() + self._settings.timeout
        return b"".join(blocks)

    async def _unpacked(self, answer: Answer, secrets: Sequence[str]) -> Answer:
        """Unpack the body, and take credentials out of it: a page may show the request."""
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        limit = self._settings.max_answer_bytes

        def unpack() -> bytes:
            return _without(secrets, inflate(answer.body, encoding, limit))

        packed = answer.with_body(b"")
        try:
            body = await to_thread.run_sync(unpack) if len(answer.body) > _LARGE else unpack()
        except OverflowError as error:
            raise self._too_large(answer) from error
        except EOFError as error:
            raise unreadable(packed, "the packed answer is cut short") from error
        except ValueError as error:
            raise unreadable(packed, f"the answer is not readable: {error}") from error
        return answer.with_body(body)

    def _too_large(self, answer: Answer) -> UnreadableAnswerError:
        limit = self._settings.max_answer_bytes
        what = f"the answer is larger than max_answer_bytes, {limit}"
        return unreadable(answer.with_body(b""), what, transient=False)

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
        verify = await to_thread.run_sync(_tls, self._settings)
        proxy = self._settings.proxy
        if proxy is None and self._settings.trust_env:
            proxy = await to_thread.run_sync(_environment_proxy, self._base)
        if proxy is not None:
            self._use_proxy(proxy)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.max_connections, ssl=verify),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_surface_errors,),
        )

    def _use_proxy(self, proxy: str) -> None:
        url, credentials = split_proxy(proxy)
        plain = self._base.scheme == "http" and not is_loopback(url.host or "")
        if plain and not self._settings.allow_plain_http:
            accepted = "one on this machine, https:// for the API, or allow_plain_http=True"
            raise ConfigurationError("proxy", str(url), accepted)
        self._proxy["proxy"] = url
        if credentials is None:
            return
        basic = base64.b64encode(":".join(credentials).encode()).decode("ascii")
        headers = {"Proxy-Authorization": f"Basic {basic}"}
        if self._base.scheme == "https":
            self._proxy["proxy_headers"] = headers
        else:
            # There is no CONNECT then: the proxy reads the headers of the request itself.
            self._headers.update(headers)


def _checked_session(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession | None:
    if session is None:
        return None
    return checked_kind("session", session, aiohttp.ClientSession, "an aiohttp.ClientSession")


_HIDDEN = "[credentials]"


def _without(secrets: Sequence[str], body: bytes) -> bytes:
    for secret in secrets:
        body = body.replace(secret.encode(), _HIDDEN.encode())
    return body


def _headers_without(secrets: Sequence[str], headers: Mapping[str, str]) -> Mapping[str, str]:
    if not any(secret in value for value in headers.values() for secret in secrets):
        return headers
    shown = CIMultiDict(headers)
    for name, value in headers.items():
        for secret in secrets:
            shown[name] = value = value.replace(secret, _HIDDEN)  # noqa: PLW2901 (one by one)
    return shown


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
