"""No test reaches a network: what is not loopback is refused, as by a machine without one."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from typing import Any

_LOCAL_NAMES = frozenset({"", "localhost", "localhost.", "0.0.0.0", "::"})  # noqa: S104 (compared)


def is_local(host: object) -> bool:
    """Say whether a host is this machine itself."""
    if host is None:
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name.lower() in _LOCAL_NAMES:
        return True
    try:
        return ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _check_address(address: object) -> None:
    if isinstance(address, tuple) and not is_local(address[0]):
        raise OSError(errno.ENETUNREACH, f"tests reach loopback only, not {address[0]}")


class _LocalSocket(socket.socket):
    """The methods by which a socket reaches others, for loopback only."""

    def connect(self, address: Any, /) -> None:
        _check_address(address)
        _connect(self, address)

    def connect_ex(self, address: Any, /) -> int:
        _check_address(address)
        return _connect_ex(self, address)

    def sendto(self, data: Any, *rest: Any) -> int:
        _check_address(rest[-1])
        return _sendto(self, data, *rest)


_connect, _connect_ex, _sendto = (
    socket.socket.connect,
    socket.socket.connect_ex,
    socket.socket.sendto,
)
_getaddrinfo = socket.getaddrinfo


def _local_addresses(host: Any, *args: Any, **keywords: Any) -> Any:
    if not is_local(host):
        raise socket.gaierror(socket.EAI_NONAME, f"tests look up no names, not {host!r} either")
    return _getaddrinfo(host, *args, **keywords)


def refuse_everything_beyond_loopback() -> None:
    """Refuse, for the rest of this process, connections and lookups that leave the machine."""
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, vars(_LocalSocket)[name])
    socket.getaddrinfo = _local_addresses
