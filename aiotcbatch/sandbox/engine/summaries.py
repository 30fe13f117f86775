"""What the values of each indicator type must look like. Source: v2 Batch API, indicator rules."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from aiotcbatch.sandbox import vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiotcbatch.sandbox.vocabulary import IndicatorType

__all__ = ["SEPARATOR", "UnfitError", "check_of", "hash_kind", "join", "normal", "split"]

SEPARATOR = " : "
HASH_KINDS = ("md5", "sha1", "sha256")

#: Labels of up to 63 characters, of which the first and the last is no hyphen.
_HOST = re.compile(r"(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.?\Z")
_LONGEST_HOST = 253
_EMAIL = re.compile(r"[^@\s\x00-\x1f<>]{1,64}@[^@\s\x00-\x1f<>]{1,255}\Z")
#: A scheme, and a host of ASCII without upper case, space and control characters; what follows may
#: be anything.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?[!\"$-.0->\[-\x7f]+(?:[/?#]|\Z)")
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


def _address(value: str) -> str:
    try:
        if ":" in value:
            socket.inet_pton(socket.AF_INET6, value)
            return value.lower()
        socket.inet_pton(socket.AF_INET, value)
    except (OSError, ValueError):
        raise UnfitError(value) from None
    return value


def _host(value: str) -> str:
    if not _HOST.match(value) or len(value.removesuffix(".")) > _LONGEST_HOST:
        raise UnfitError(value)
    return value.lower()


def _email(value: str) -> str:
    if not _EMAIL.match(value):
        raise UnfitError(value)
    return value.lower()


def _url(value: str) -> str:
    if not _URL.match(value):
        raise UnfitError(value)
    return value


def _asn(value: str) -> str:
    value = value.upper()
    if not _ASN.match(value):
        raise UnfitError(value)
    return value


def _cidr(value: str) -> str:
    value = value.lower()
    block, slash, prefix = value.partition("/")
    if not slash or not prefix.isascii() or not prefix.isdigit():
        raise UnfitError(value)
    version = 6 if ":" in block else 4
    if version == 6:  # noqa: PLR2004
        sections = block.split(":")
        if len(sections) != _SECTIONS or not all(map(_SECTION.match, sections)):
            raise UnfitError(value)
    else:
        _address(block)
    if len(prefix) > 3 or int(prefix) > _LONGEST_PREFIX[version]:  # noqa: PLR2004
        raise UnfitError(value)
    return value


#: What checks the value of a type that has one, and writes it as it is stored.
_CHECKS: dict[str, Callable[[str], str]] = {
    "Address": _address,
    "Host": _host,
    "EmailAddress": _email,
    "URL": _url,
    "ASN": _asn,
    "CIDR": _cidr,
}


def check_of(kind: IndicatorType) -> Callable[[str], str] | None:
    """Return what checks the value of a type with rules of its own and a single value."""
    return _CHECKS.get(kind.name)


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
    if kind.name in _CHECKS:
        return [_CHECKS[kind.name](values[0])]
    if kind.case == "upper":
        values = [value.upper() for value in values]
    elif kind.case == "lower":
        values = [value.lower() for value in values]
    if kind.name == "Registry Key":
        _check_registry(values)
    if not values[0]:
        raise UnfitError("")
    for value, options in zip(values, kind.options, strict=False):
        if options and value not in options:
            raise UnfitError(value)
    return values


def _check_registry(values: list[str]) -> None:
    key, name, _ = values
    if key.split("\\", 1)[0] not in vocabulary.REGISTRY_ROOTS or not name:
        raise UnfitError(key)
