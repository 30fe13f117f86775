"""Failures: what the errors of aiohttp and of the system mean to a caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from aiotcbatch.errors import (
    ConnectError,
    ConnectionLostError,
    RequestTimeoutError,
    UnreadableAnswerError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiotcbatch.errors import AiotcbatchError

__all__ = ["map_error"]

_Kind: TypeAlias = type[
    ConnectError | ConnectionLostError | RequestTimeoutError | UnreadableAnswerError
]

#: What each error below means to the caller, most specific first.
_MEANINGS: tuple[tuple[type[Exception], _Kind, str], ...] = (
    (
        aiohttp.ClientConnectorCertificateError,
        ConnectError,
        "the certificate does not verify. Set verify to the bundle of your authority",
    ),
    (
        aiohttp.ServerFingerprintMismatch,
        ConnectError,
        "the certificate is another one. Ask whose it is",
    ),
    (aiohttp.ClientSSLError, ConnectError, "no TLS. Check that this port speaks https"),
    (aiohttp.ClientProxyConnectionError, ConnectError, "the proxy is not there. Check its url"),
    (
        aiohttp.ClientHttpProxyError,
        ConnectError,
        "the proxy refuses. Check its url and credentials",
    ),
    (aiohttp.ClientConnectorDNSError, ConnectError, "the host is unknown. Check the API url"),
    (
        aiohttp.ClientConnectorError,
        ConnectError,
        "no connection. Check the API url, and that the server is up",
    ),
    (
        aiohttp.ConnectionTimeoutError,
        ConnectError,
        "no connection in time. Check the API url, firewalls and proxies",
    ),
    (aiohttp.InvalidURL, ConnectError, "the url is malformed. Check the API url"),
    (aiohttp.NonHttpUrlClientError, ConnectError, "the url is not one of http. Check the API url"),
    (
        TimeoutError,
        RequestTimeoutError,
        "no progress for as long as the timeout allows. Try again, or raise timeout",
    ),
    (
        aiohttp.ClientResponseError,
        UnreadableAnswerError,
        "what answers does not speak HTTP as it should. Check the API url and the proxies",
    ),
    (
        aiohttp.ClientPayloadError,
        ConnectionLostError,
        "the connection broke within the answer. Try again, and if it stays look at the proxies",
    ),
    (
        aiohttp.ClientError,
        ConnectionLostError,
        "the connection broke. Try again; if every upload breaks, the server may refuse its size",
    ),
    (OSError, ConnectionLostError, "the connection broke. Try again"),
)


def map_error(error: Exception, method: str, url: str) -> AiotcbatchError:
    """
    Turn an error of aiohttp or the system into one of ours.

    Args:
        error: What was raised. What it and its causes have of the request and of the answer is
            taken out of them, since that may be credentials, or show them.
        method: HTTP method.
        url: What was asked.

    Returns:
        The error to raise from it.
    """
    kind, meaning = next(
        (kind, meaning) for low, kind, meaning in _MEANINGS if isinstance(error, low)
    )
    causes = list(_causes(error))
    for cause in causes:
        _take_out(cause)
    detail = " ".join(_detail(error, causes).split())[:300]
    return kind(f"{method} {url}: {meaning} ({detail}).", method=method, url=url)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and everything that led to it."""
    seen: set[int] = set()
    left = [error]
    while left:
        found = left.pop()
        if id(found) not in seen:
            seen.add(id(found))
            yield found
            left += [cause for cause in (found.__cause__, found.__context__) if cause]


def _take_out(error: BaseException) -> None:
    """Take out of an error what it has of a request or of an answer; the class says the rest."""
    if isinstance(error, aiohttp.ClientResponseError):
        info = error.request_info
        bare = aiohttp.RequestInfo(info.url, info.method, CIMultiDictProxy(CIMultiDict()), info.url)
        error.request_info, error.args = bare, (bare, ())
        error.message, error.headers = "", None
    elif isinstance(error, HttpProcessingError):
        error.message, error.headers, error.args = "", None, ()
        vars(error).pop("line", None)
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        error.message = "the server has closed the connection"
        error.args = (error.message,)
    elif isinstance(error, aiohttp.ClientPayloadError):
        error.args = ()


def _detail(error: Exception, causes: Sequence[BaseException]) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{error.host}:{error.port}, {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return str(error.status)
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return " from ".join(type(cause).__name__ for cause in causes)
    return str(error) or type(error).__name__
