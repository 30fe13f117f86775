"""No test reaches a network: what is not loopback is refused, as by a machine without one."""

from __future__ import annotations

import errno
import socket
import sys
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


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        address = args[1]
        if isinstance(address, tuple) and not is_local(address[0]):
            raise OSError(errno.ENETUNREACH, f"tests reach loopback only, not {address[0]}")
    elif event == "socket.getaddrinfo" and not is_local(args[0]):
        raise socket.gaierror(socket.EAI_NONAME, f"tests look up no names, not {args[0]!r} either")


def refuse_everything_beyond_loopback() -> None:
    """Refuse, for the rest of this process, connections and lookups that leave the machine."""
    sys.addaudithook(_refuse)
