"""Settings: how one ThreatConnect instance is reached, checked once when they are made."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeAlias, TypedDict
from urllib.parse import quote

from yarl import URL

from aiotcbatch.checking import (
    checked_bool,
    checked_existing,
    checked_kind,
    checked_number,
    checked_whole,
)
from aiotcbatch.errors import ConfigurationError, ValidationError
from aiotcbatch.transport.retry import RetryPolicy
from aiotcbatch.value import Value
from aiotcbatch.version import VERSION

if TYPE_CHECKING:
    import os

__all__ = [
    "USER_AGENT",
    "Options",
    "Settings",
    "Verify",
    "checked_settings",
    "is_loopback",
    "parse_api_url",
    "quote_segment",
    "split_proxy",
]

Verify: TypeAlias = "bool | str | os.PathLike[str] | ssl.SSLContext"


_SECONDS = "seconds, more than 0"

#: What the library calls itself.
USER_AGENT = f"aiotcbatch/{VERSION}"


class Options(TypedDict, total=False):
    """The fields of `Settings`, as keyword arguments."""

    verify: Verify
    proxy: str | None
    timeout: float
    connect_timeout: float
    max_connections: int
    max_answer_bytes: int
    trust_env: bool
    allow_plain_http: bool
    user_agent: str
    retry: RetryPolicy


class Settings(Value):
    """
    How an instance is reached.

    Memory: the transport holds at most ``max_connections`` requests at once, each with one block
    of its body (256 KiB) and at most ``max_answer_bytes`` of an answer.

    Raises:
        ConfigurationError: When a value is out of its range.
    """

    _hidden = frozenset({"proxy"})

    #: True checks the server's certificate against the system's authorities, a path against the
    #: bundle there, an SSL context as it says; False does not check, which is for tests only.
    verify: Verify = True
    #: URL of a proxy, with its credentials if it needs any.
    proxy: str | None = None
    #: Seconds without progress: to take a block of the body, to begin the answer when all is
    #: sent, and for every further 64 KiB of it.
    timeout: float = 60.0
    #: Seconds to connect, the TLS handshake included.
    connect_timeout: float = 10.0
    #: Connections that are open at once at most; further requests wait for one.
    max_connections: int = 16
    #: Bytes of one answer at most, unpacked; a larger one is refused.
    max_answer_bytes: int = 64 * 1024 * 1024
    #: Whether the proxies that the environment names (HTTPS_PROXY, NO_PROXY) are used.
    trust_env: bool = False
    #: Whether credentials may go over plain HTTP to another machine. This machine always may.
    allow_plain_http: bool = False
    #: What the library calls itself.
    user_agent: str = USER_AGENT
    #: When requests are sent again.
    retry: RetryPolicy = RetryPolicy()

    def __post_init__(self) -> None:
        _check_verify(self.verify)
        for name in ("timeout", "connect_timeout"):
            value = getattr(self, name)
            if not checked_number(name, value, _SECONDS):
                raise ConfigurationError(name, value, _SECONDS)
        for name in ("max_connections", "max_answer_bytes"):
            checked_whole(name, getattr(self, name), 1)
        for name in ("trust_env", "allow_plain_http"):
            checked_bool(name, getattr(self, name))
        checked_kind("retry", self.retry, RetryPolicy, "a RetryPolicy")
        agent: object = self.user_agent
        if not isinstance(agent, str) or not agent.isascii() or not agent.isprintable():
            raise ConfigurationError("user_agent", self.user_agent, "printable ASCII text")
        if self.proxy is not None:
            split_proxy(self.proxy)


def _check_verify(verify: Verify) -> None:
    """Refuse what cannot say how to verify; what is in the file shows when it is read."""
    if isinstance(verify, bool | ssl.SSLContext):
        return
    accepted = "True, False, the path of a file of PEM certificates, or an ssl.SSLContext"
    if verify is None:
        raise ConfigurationError("verify", verify, accepted)
    checked_existing("verify", verify, accepted)


def checked_settings(settings: Settings | None) -> Settings | None:
    """
    Refuse what are no settings, such as those of a sandbox.

    Args:
        settings: What was given; None is none, and passes.

    Returns:
        The same.

    Raises:
        ConfigurationError: When it is something else.
    """
    if settings is None:
        return None
    return checked_kind("settings", settings, Settings, "an aiotcbatch.Settings, or None")


def split_proxy(proxy: str) -> tuple[URL, tuple[str, str] | None]:
    """
    Take the credentials out of a proxy's URL, so that no error can show them.

    Args:
        proxy: The URL.

    Returns:
        The URL without user and password, and these two if there are any.

    Raises:
        ConfigurationError: When it is not the URL of a proxy.
    """
    accepted = "a url such as http://user:password@proxy:3128"
    try:
        url = URL(proxy)
    except (ValueError, TypeError):
        raise ConfigurationError("proxy", "text that is no url", accepted) from None
    bare = url.with_user(None) if url.host else url
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError("proxy", str(bare), accepted)
    return bare, (url.user, url.password or "") if url.user else None


def parse_api_url(api_url: str, *, allow_plain_http: bool, name: str = "api_url") -> URL:
    """
    Check the URL of an instance's API.

    Args:
        api_url: The URL, such as ``https://host/api``; a slash at its end does not matter.
        allow_plain_http: Whether plain HTTP may leave this machine.
        name: The setting that it is.

    Returns:
        The URL, without a slash at its end.

    Raises:
        ConfigurationError: When it cannot be that, or would send credentials in the clear.
    """
    accepted = "a url such as https://host/api"
    try:
        url = URL(api_url.strip())
    except (ValueError, TypeError, AttributeError):
        # Where there is an @ there may be a password.
        shown = "text that is no url" if "@" in str(api_url) else api_url
        raise ConfigurationError(name, shown, accepted) from None
    if url.user is not None or url.password is not None:
        # The value is not shown: it has a password in it.
        raise ConfigurationError(name, str(url.with_user(None)), f"{accepted}, without a user")
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError(name, api_url, accepted)
    if url.raw_query_string or url.raw_fragment:
        raise ConfigurationError(name, api_url, f"{accepted}, without ? and #")
    if url.scheme == "http" and not (allow_plain_http or is_loopback(url.host)):
        raise ConfigurationError(
            name,
            api_url,
            "https://, or allow_plain_http=True (on the command line --allow-plain-http) to send"
            " credentials in the clear",
        )
    return URL(f"{url.origin()}{url.raw_path.rstrip('/')}", encoded=True)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def quote_segment(text: str) -> str:
    """
    Encode text as one segment of a path.

    Args:
        text: For instance an xid, which may have slashes, question marks and dots in it.

    Returns:
        The segment, percent-encoded.

    Raises:
        ValidationError: When it is empty, as there is no empty segment.
    """
    if not text:
        raise ValidationError("xid", text, "text that is not empty")
    # A segment of one or two dots would be taken for a step up.
    return text.replace(".", "%2E") if text in {".", ".."} else quote(text, safe="")
