"""What the values of each indicator type must look like. Source: v2 Batch API, indicator rules."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from aiotcbatch.sandbox import vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiotcbatch.sandbox.vocabulary import IndicatorType

__all__ = ["SEPARATOR", "UnfitError", "hash_kind", "join", "normal", "split"]

SEPARATOR = " : "
HASH_KINDS = ("md5", "sha1", "sha256")

_HOST = re.compile(
    r"(?=.{1,253}\.?\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*"
    r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?\Z"
)
_EMAIL = re.compile(r"[^@\s\x00-\x1f<>]{1,64}@[^@\s\x00-\x1f<>]{1,255}\Z")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#@]+)(?:[/?#].*)?\Z", re.DOTALL)
_ASN = re.compile(r"ASN[0-9]{1,10}\Z")
_HASH = re.compile(r"[0-9a-fA-F]+\Z")
_LENGTHS = {32: "md5", 40: "sha1", 64: "sha256"}
_SECTION = re.compile(r"(?:0|[1-9a-f][0-9a-f]{0,3})\Z")
_SECTIONS = 8
_LONGEST_PREFIX = {4: 32, 6: 128}


class UnfitError(ValueError):
    """The value is not one of its type."""


def split(summary: str, parts: int) -> list[str]:
    """Cut a summary into the values that it is made of; the last one keeps the rest."""
    if parts <= 1:
        return [summary]
    return summary.split(SEPARATOR, parts - 1)


def join(values: Sequence[str]) -> str:
    """Make the summary of several values."""
    return SEPARATOR.join(values)


def hash_kind(value: str) -> str:
    """
    Tell which kind of hash a text is.

    Raises:
        UnfitError: It is none.
    """
    kind = _LENGTHS.get(len(value))
    if kind is None or not _HASH.match(value):
        raise UnfitError(value)
    return kind


def normal(kind: IndicatorType, values: list[str]) -> list[str]:
    """
    Check the values of an indicator and write them as they are stored.

    Args:
        kind: Its type.
        values: Its values in the order of the summary.

    Returns:
        The values as stored.

    Raises:
        UnfitError: They are not of this type.
    """
    if kind.case == "upper":
        values = [value.upper() for value in values]
    elif kind.case == "lower":
        values = [value.lower() for value in values]
    if kind.name in _CHECKS:
        return _CHECKS[kind.name](values)
    return _custom(kind, values)


def _address(values: list[str]) -> list[str]:
    value = values[0]
    try:
        if ":" in value:
            socket.inet_pton(socket.AF_INET6, value)
            return [value.lower()]
        socket.inet_pton(socket.AF_INET, value)
    except (OSError, ValueError):
        raise UnfitError(value) from None
    return values


def _host(values: list[str]) -> list[str]:
    if not _HOST.match(values[0]):
        raise UnfitError(values[0])
    return [values[0].lower()]


def _email(values: list[str]) -> list[str]:
    if not _EMAIL.match(values[0]):
        raise UnfitError(values[0])
    return [values[0].lower()]


def _url(values: list[str]) -> list[str]:
    match = _URL.match(values[0])
    if match is None:
        raise UnfitError(values[0])
    host = match.group(1)
    if not host.isascii() or host != host.lower() or any(c <= " " for c in host):
        raise UnfitError(values[0])
    return values


def _asn(values: list[str]) -> list[str]:
    if not _ASN.match(values[0]):
        raise UnfitError(values[0])
    return values


def _cidr(values: list[str]) -> list[str]:
    block, slash, prefix = values[0].partition("/")
    if not slash or not prefix.isascii() or not prefix.isdigit():
        raise UnfitError(values[0])
    version = 6 if ":" in block else 4
    if version == 6:  # noqa: PLR2004
        sections = block.split(":")
        if len(sections) != _SECTIONS or not all(map(_SECTION.match, sections)):
            raise UnfitError(values[0])
    else:
        _address([block])
    if len(prefix) > 3 or int(prefix) > _LONGEST_PREFIX[version]:  # noqa: PLR2004
        raise UnfitError(values[0])
    return values


def _registry(values: list[str]) -> list[str]:
    key, name, kind = values
    root = key.split("\\", 1)[0]
    if root not in vocabulary.REGISTRY_ROOTS or not name:
        raise UnfitError(key)
    if kind not in vocabulary.REGISTRY_VALUE_TYPES:
        raise UnfitError(kind)
    return values


def _custom(kind: IndicatorType, values: list[str]) -> list[str]:
    if not values[0]:
        raise UnfitError("")
    for value, options in zip(values, kind.options, strict=False):
        if options and value not in options:
            raise UnfitError(value)
    return values


_CHECKS: dict[str, Callable[[list[str]], list[str]]] = {
    "Address": _address,
    "Host": _host,
    "EmailAddress": _email,
    "URL": _url,
    "ASN": _asn,
    "CIDR": _cidr,
    "Registry Key": _registry,
}
