"""Credentials: what proves to ThreatConnect who is asking."""

from __future__ import annotations

import base64
import hmac
import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from urllib.parse import quote

import anyio

from aiotcbatch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["Auth", "HiddenHeaders", "HmacAuth", "Secrets", "TokenAuth", "secrets_in"]

#: What the names of headers have in them whose values are secret.
_SECRET_NAMES = ("auth", "cookie", "key", "secret", "signature", "token")
#: What is shorter is no secret, and stands in many a text.
_SHORTEST_SECRET = 8


class Auth(ABC):
    """
    What a transport asks of credentials; derive from it for a scheme of your own.

    The order of calls for one request is `prepare`, `headers`, and `refresh` if the answer is 401.
    """

    async def prepare(self) -> None:  # noqa: B027 - most schemes have nothing to prepare
        """Get ready to sign: awaited before every send, so it must be quick when all is there."""

    @abstractmethod
    def headers(self, method: str, raw_path_qs: str, timestamp: int) -> Mapping[str, str]:
        """
        Give the headers that authorise one request.

        Args:
            method: HTTP method, upper case.
            raw_path_qs: Path and query exactly as they stand on the request line.
            timestamp: Now, in whole seconds since 1970.

        Returns:
            Header names and values.
        """

    async def refresh(self, refused: Mapping[str, str]) -> bool:
        """
        React to a 401.

        Args:
            refused: The headers that the server did not accept. Requests that were under way
                when the credentials were renewed can be told by them from a true refusal.

        Returns:
            Whether other credentials are there now, so that one more try may help.
        """
        del refused
        return False


class HmacAuth(Auth):
    """
    An access id with its secret key: every request is signed.

    Source: ThreatConnect REST API, authentication. The signature covers path, query, method and
    timestamp; the server refuses timestamps that are more than five minutes off its own clock.

    Args:
        access_id: The API user's access id.
        secret_key: Its secret key.

    Raises:
        ConfigurationError: When one of them is empty or has white space around it.
    """

    __slots__ = ("_key", "access_id")

    def __init__(self, access_id: str, secret_key: str) -> None:
        self.access_id = _header_text("access_id", access_id)
        self._key = _header_text("secret_key", secret_key).encode()

    def headers(self, method: str, raw_path_qs: str, timestamp: int) -> Mapping[str, str]:
        """Sign one request; see `Auth.headers`."""
        message = f"{raw_path_qs}:{method}:{timestamp}".encode()
        digest = hmac.digest(self._key, message, "sha256")
        signature = base64.b64encode(digest).decode("ascii")
        return {
            "Timestamp": str(timestamp),
            "Authorization": f"TC {self.access_id}:{signature}",
        }

    def __repr__(self) -> str:
        return f"<HmacAuth {self.access_id}>"


class TokenAuth(Auth):
    """
    An API token, or a function that supplies one.

    Source: ThreatConnect REST API, authentication. The token is opaque. A supplier is asked
    before the first request, and again when the server answers 401 to the token it gave;
    requests that fail together ask it once. Where it raises something, the request has failed
    with a `ConnectError`, and is tried again as if its connection had not been made.

    Args:
        token: The token, or a function without arguments whose result, awaited if it is to be, is
            one. It is called in the event loop: where it does I/O, make it a coroutine function.

    Raises:
        ConfigurationError: When the token is empty or has white space around it; where a function
            gives such a one, from the request that asks for it.
    """

    __slots__ = ("_asking", "_supplier", "_token")

    def __init__(self, token: str | Callable[[], Awaitable[str] | str]) -> None:
        self._token: str | None = None
        self._supplier: Callable[[], Awaitable[str] | str] | None = None
        self._asking = anyio.Lock()
        if callable(token):
            self._supplier = token
        else:
            self._token = _header_text("token", token)

    async def prepare(self) -> None:
        """Ask the supplier for the first token; see `Auth.prepare`."""
        if self._token is None and self._supplier is not None:
            async with self._asking:
                if self._token is None:
                    self._token = await _supplied(self._supplier)

    def headers(self, method: str, raw_path_qs: str, timestamp: int) -> Mapping[str, str]:
        """Give the token; see `Auth.headers`."""
        del method, raw_path_qs, timestamp
        return {"Authorization": f"TC-Token {self._token or ''}"}

    async def refresh(self, refused: Mapping[str, str]) -> bool:
        """Ask the supplier again, unless that was done meanwhile; see `Auth.refresh`."""
        if self._supplier is None:
            return False
        async with self._asking:
            if self.headers("", "", 0) == refused:
                self._token = await _supplied(self._supplier)
            return self.headers("", "", 0) != refused

    def __repr__(self) -> str:
        return "<TokenAuth of a supplier>" if self._supplier else "<TokenAuth>"


class HiddenHeaders(dict[str, str]):
    """Headers that show their names only: tools show the local variables of a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<headers: {', '.join(self)}>"


class Secrets(tuple[str, ...]):
    """Texts that must not be shown, not even as the local variable that they are."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} secrets>"


def secrets_in(headers: Mapping[str, str]) -> Secrets:
    """
    Give what must not be shown of the headers that authorise a request.

    Args:
        headers: The headers of a request.

    Returns:
        The values of those that are secret, their credentials without the scheme, and the end of
        these, which is a signature or a digest; each as it is, and as JSON and urls write it.
        Longest first, so that they can be replaced one after the other.
    """
    found: set[str] = set()
    for name, value in headers.items():
        if not any(part in name.lower() for part in _SECRET_NAMES):
            continue
        credentials = value.partition(" ")[2]
        for whole in (value, credentials, credentials.rpartition(":")[2]):
            text = whole.rstrip("=")  # which some write as \\u003d
            if len(text) >= _SHORTEST_SECRET:
                found |= {
                    text,
                    text.replace("/", "\\/"),
                    quote(text, safe=""),
                    quote(text, safe=":"),
                }
    return Secrets(sorted(found, key=len, reverse=True))


async def _supplied(supplier: Callable[[], Awaitable[str] | str]) -> str:
    token = supplier()
    return _header_text("token", (await token) if inspect.isawaitable(token) else token)


def _header_text(field: str, value: object) -> str:
    """Refuse what cannot go into a header, without ever showing it."""
    accepted = "printable ASCII text without white space around it"
    if not isinstance(value, str):
        raise ConfigurationError(field, type(value).__name__, accepted)
    if not value or value != value.strip():
        shown = "text with white space around it" if value else ""
        raise ConfigurationError(field, shown, accepted)
    if not (value.isascii() and value.isprintable()):
        raise ConfigurationError(field, "text with other characters", accepted)
    return value
