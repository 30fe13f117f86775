"""What the errors of aiohttp and of the system mean."""

from __future__ import annotations

import ssl

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aiotcbatch.errors import (
    ConnectError,
    ConnectionLostError,
    RequestTimeoutError,
    UnreadableAnswerError,
)
from aiotcbatch.transport.failures import map_error

KINDS = {
    "ClientConnectionError": ConnectionLostError,
    "ClientConnectionResetError": ConnectionLostError,
    "ClientConnectorCertificateError": ConnectError,
    "ClientConnectorDNSError": ConnectError,
    "ClientConnectorError": ConnectError,
    "ClientConnectorSSLError": ConnectError,
    "ClientHttpProxyError": ConnectError,
    "ClientOSError": ConnectionLostError,
    "ClientPayloadError": ConnectionLostError,
    "ClientProxyConnectionError": ConnectError,
    "ClientResponseError": UnreadableAnswerError,
    "ClientSSLError": ConnectError,
    "ConnectionTimeoutError": ConnectError,
    "ContentTypeError": UnreadableAnswerError,
    "InvalidURL": ConnectError,
    "InvalidUrlClientError": ConnectError,
    "InvalidUrlRedirectClientError": ConnectError,
    "NonHttpUrlClientError": ConnectError,
    "NonHttpUrlRedirectClientError": ConnectError,
    "RedirectClientError": ConnectionLostError,
    "ServerConnectionError": ConnectionLostError,
    "ServerDisconnectedError": ConnectionLostError,
    "ServerFingerprintMismatch": ConnectError,
    "ServerTimeoutError": RequestTimeoutError,
    "SocketTimeoutError": RequestTimeoutError,
    "TooManyRedirects": UnreadableAnswerError,
    "UnixClientConnectorError": ConnectError,
    "UploadAbortedError": ConnectionLostError,
    "WSServerHandshakeError": UnreadableAnswerError,
}
INFO = aiohttp.RequestInfo(
    URL("https://tc.example/api"),
    "GET",
    CIMultiDictProxy(CIMultiDict({"Authorization": "TC-Token token-0001"})),
    URL("https://me:hunter2@tc.example/api"),
)


class Key:
    """Where a connection should have gone."""

    host, port, ssl, is_ssl = "tc.example", 443, True, True


def raised(kind):
    """Make an error of this class, as aiohttp would."""
    if issubclass(kind, aiohttp.ClientResponseError):
        return kind(INFO, (), status=400, message="odd")
    if kind.__name__ == "UnixClientConnectorError":
        return kind("/run/x", Key(), OSError(111, "refused"))
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        return kind(Key(), ssl.CertificateError("self-signed"))
    if issubclass(kind, aiohttp.ClientConnectorError):
        return kind(Key(), OSError(111, "refused"))
    if issubclass(kind, aiohttp.ServerFingerprintMismatch):
        return kind(b"a", b"b", "tc.example", 443)
    return kind("what happened")


def descendants(kind):
    """Give a class and all that derive from it, of aiohttp itself."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__.startswith("aiohttp.client"):
            yield from descendants(child)


CLASSES = sorted(
    set(descendants(aiohttp.ClientError)) - {aiohttp.ClientError}, key=lambda kind: kind.__name__
)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_of_the_client_is_mapped(kind):
    """No class of aiohttp's client errors is left to the last resort by accident."""
    error = map_error(raised(kind), "GET", "https://tc.example/api/v2/x")

    assert type(error) is KINDS[kind.__name__]
    assert (error.method, error.url) == ("GET", "https://tc.example/api/v2/x")
    assert str(error).startswith("GET https://tc.example/api/v2/x: ")


@pytest.mark.parametrize(
    ("low", "kind"),
    [
        (TimeoutError(), RequestTimeoutError),
        (ssl.SSLError(1, "bad record mac"), ConnectionLostError),
        (ConnectionResetError(104, "reset"), ConnectionLostError),
        (OSError(113, "no route"), ConnectionLostError),
        (aiohttp.ClientError("new"), ConnectionLostError),
    ],
)
def test_every_error_of_the_system_is_mapped(low, kind):
    """What the system raises is mapped too, and has a text even if the error has none."""
    error = map_error(low, "GET", "u")

    assert type(error) is kind
    assert "()" not in str(error)


def test_credentials_are_taken_out_of_the_cause():
    """An error that carries the request no longer carries its headers or its password."""
    low = raised(aiohttp.ClientHttpProxyError)
    map_error(low, "GET", "u")

    shown = f"{low!r} {low} {vars(low)}"
    assert "token-0001" not in shown
    assert "hunter2" not in shown
