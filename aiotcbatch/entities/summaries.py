r"""
Summaries: the value of an indicator as one text, in the form that the server takes.

What the server takes in one form only is brought into it where nothing is lost thereby: the case
of a host name, punycode, an IPv6 block in eight sections, ``HKLM\``. What cannot be right is
refused. All else goes over the wire as it was given, save white space around it.

Each is called as ``f(value, field)`` and gives the summary or raises a `ValidationError`. One runs
for every indicator, so the common case is one call into C and no more: `GLANCES` has those calls.

Source: v2 Batch API, indicator values and their formatting rules.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Sequence
from functools import partial
from socket import AF_INET, AF_INET6, inet_pton
from struct import Struct
from typing import TYPE_CHECKING, Any

import idna

from aiotcbatch.entities.catalog import REGISTRY_HIVES
from aiotcbatch.entities.values import any_text, is_encodable, registry_value_type, text
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "GLANCES",
    "SEPARATOR",
    "address",
    "asn",
    "cidr",
    "email_address",
    "file_summary",
    "host",
    "join_hashes",
    "join_summary",
    "registry_key_name",
    "registry_summary",
    "registry_value_name",
    "split_hashes",
    "split_summary",
    "url",
]

#: What stands between the values of a summary that has several.
SEPARATOR = " : "
_MAX_VALUES = 3

_ADDRESS = "an IPv4 or IPv6 address as text, without a zone, port or prefix"
_ASN = "the number of an autonomous system, such as 'ASN12345', from 0 to 4294967295"
_CIDR = "a block of IPv4 or IPv6 addresses, such as '192.0.2.0/24'"
_HOST = (
    "a host name: letters, digits, '-' and '_' in labels of 1 to 63 characters, or a name that"
    " punycode can carry (an IP address is an Address)"
)
_URL = "a URL with its scheme and a host, such as 'http://example.com/a'"
_EMAIL_ADDRESS = "an e-mail address, such as 'user@example.com'"
_FILE = "one to three of an MD5, SHA-1 and SHA-256 hash, in hex, joined by ' : '"
_HASHES = {"md5": 32, "sha1": 40, "sha256": 64}
_REGISTRY = "'key name : value name : value type'"
_VALUES = "one to three texts, of which the first is not empty and only the third may hold ' : '"


# Addresses and blocks


def address(value: Any, field: str) -> str:
    """
    Take an IPv4 or IPv6 address; IPv6 in lower case, else as it is written.

    Raises:
        ValidationError: When it is neither.
    """
    try:
        inet_pton(AF_INET, value)
    except (OSError, TypeError, ValueError):
        return _other_address(value, field)
    given: str = value
    return given


def _other_address(value: Any, field: str) -> str:
    if isinstance(value, str):
        stripped = value.strip()
        try:
            if ":" not in stripped:
                inet_pton(AF_INET, stripped)
                return stripped
            inet_pton(AF_INET6, stripped)
            return stripped.lower()
        except (OSError, ValueError):
            pass
    raise ValidationError(field, value, _ADDRESS)


_LONGEST_ASN = 2**32 - 1
_ASN_FORM = re.compile(r"(?:ASN?)?\s*([0-9]{1,10})", re.IGNORECASE | re.ASCII)


def asn(value: Any, field: str) -> str:
    """
    Take an AS number as ``ASN12345``, ``AS12345``, ``ASN 12345``, ``12345`` or an int.

    Raises:
        ValidationError: When it is no number of 32 bits.
    """
    number = -1
    if isinstance(value, str):
        match = _ASN_FORM.fullmatch(value.strip())
        if match is not None:
            number = int(match[1])
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if 0 <= number <= _LONGEST_ASN:
        return f"ASN{number}"
    raise ValidationError(field, value, _ASN)


_IPV4_PREFIXES = frozenset(str(bits) for bits in range(33))
_IPV6_PREFIXES = frozenset(str(bits) for bits in range(129))
_EIGHT_SECTIONS = Struct("!8H").unpack


def cidr(value: Any, field: str) -> str:
    """
    Take a block; an IPv6 one is written in eight sections, the only form the server knows.

    Bits of the host part may be set: they are left as they are.

    Raises:
        ValidationError: When the address or the prefix length cannot be right.
    """
    if isinstance(value, str):
        stripped = value.strip()
        base, _, prefix = stripped.partition("/")
        try:
            if prefix in _IPV4_PREFIXES and ":" not in base:
                inet_pton(AF_INET, base)
                return stripped
            if prefix in _IPV6_PREFIXES:
                sections = _EIGHT_SECTIONS(inet_pton(AF_INET6, base))
                return ":".join([f"{section:x}" for section in sections]) + "/" + prefix
        except (OSError, ValueError):
            pass
    raise ValidationError(field, value, _CIDR)


# Names


_LONGEST_NAME = 253
#: A name in lower case; underscores, and hyphens at the ends of labels, are in real names.
#: Not with possessive quantifiers: before 3.11.5, Python takes what they do not match
#: (python/cpython#106052). It does not go far back, as no label holds a dot.
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?").fullmatch
#: A name of usual length that is in the form of the wire. The last label is no number.
_PLAIN_NAME = r"(?:[a-z0-9_-]{1,35}\.){1,6}[a-z][a-z0-9_-]{0,34}"
_PLAIN_HOST = re.compile(_PLAIN_NAME).fullmatch


def host(value: Any, field: str) -> str:
    """
    Take a host name; in lower case, in punycode, without a dot at the end.

    Raises:
        ValidationError: When it is no host name, or is an IP address.
    """
    if isinstance(value, str):
        if _PLAIN_HOST(value):
            return value
        name = _name(value.strip())
        if name is not None:
            return name
    raise ValidationError(field, value, _HOST)


def _name(given: str) -> str | None:
    """Give the wire form of a name that is not numeric, None if it has none."""
    name = _any_name(given)
    if name is None:
        return None
    name = name.removesuffix(".")
    # an address has digits at its end, and no top-level domain is all digits
    if name[-1] <= "9" and name.rpartition(".")[2].isdigit():
        return None
    return name


def _any_name(given: str) -> str | None:
    """Give the wire form of a name that may be an IPv4 address and may end with a dot."""
    name = given
    if not _NAME(given):
        name = given.lower() if given.isascii() else _punycode(given) or ""
        if not _NAME(name):
            return None
    if len(name) > _LONGEST_NAME and len(name.removesuffix(".")) > _LONGEST_NAME:
        return None
    return name


def _punycode(name: str) -> str | None:
    """
    Apply UTS #46, as browsers do: names that IDNA 2008 would refuse, as with emoji, do exist.

    Done label by label, since the encoder of idna refuses underscores in any of them.
    """
    if len(name) > _LONGEST_NAME:
        return None

    try:
        labels = idna.uts46_remap(name, std3_rules=False).split(".")
        return ".".join(
            [
                label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
                for label in labels
            ]
        )
    except UnicodeError:  # what idna raises is one
        return None


#: Scheme, user, host and port, and how far they reach. "hxxp" is a URL made harmless on purpose.
_URL_FORM = re.compile(
    r"(?!hxxp)[a-z][a-z0-9+.-]*://(?:[^/?#\\]*@)?(\[[0-9a-f:.]+\]|[^/?#\\:@\[\]]+)"
    r"(?::([0-9]{0,5}))?(?=[/?#\\]|\Z)",
    re.IGNORECASE | re.ASCII,
).match
_LARGEST_PORT = 65_535
_PLAIN_URL = re.compile(
    r"(?!hxxp)[a-z]{1,8}://[a-z0-9_-]{1,35}(?:\.[a-z0-9_-]{1,35}){0,6}(?::[0-9]{1,4})?(?:[/?#][!-~]*)?"
).fullmatch


def url(value: Any, field: str) -> str:
    """
    Take a URL; its host in lower case and punycode, the rest byte for byte.

    Raises:
        ValidationError: When it has no scheme or no host, or a port that there cannot be.
    """
    if isinstance(value, str):
        if _PLAIN_URL(value):
            return value
        stripped = value.strip()
        match = _URL_FORM(stripped)
        if match is not None:
            given = match[1]
            wire = _any_name(given) if given[0] != "[" else _bracketed(given)
            if wire is not None and (not match[2] or int(match[2]) <= _LARGEST_PORT):
                if wire == given and stripped.isascii():
                    return stripped
                if is_encodable(stripped):
                    return stripped[: match.start(1)] + wire + stripped[match.end(1) :]
    raise ValidationError(field, value, _URL)


def _bracketed(given: str) -> str | None:
    try:
        inet_pton(AF_INET6, given[1:-1])
    except (OSError, ValueError):
        return None
    return given.lower()


#: No control characters, spaces or brackets, unless quoted.
_LOCAL_PART = re.compile(r'[^\x00-\x20\x7f\s@<>()\[\],;:\\"]+|"[^"@\x00-\x1f\x7f]+"').fullmatch

_PLAIN_EMAIL_ADDRESS = re.compile(r"[A-Za-z0-9._+-]{1,64}@" + _PLAIN_NAME).fullmatch


def email_address(value: Any, field: str) -> str:
    """
    Take an e-mail address; its domain as a host name, the part before the ``@`` as it is.

    Raises:
        ValidationError: When there is no part before a single ``@``, or no domain behind it.
    """
    if isinstance(value, str):
        if _PLAIN_EMAIL_ADDRESS(value):
            return value
        stripped = value.strip()
        local, _, domain = stripped.partition("@")
        if _LOCAL_PART(local) and (local.isascii() or is_encodable(local)):
            wire = _name(domain) if domain else None
            if wire is not None:
                return stripped if wire == domain else local + "@" + wire
    raise ValidationError(field, value, _EMAIL_ADDRESS)


# Hashes


def _is_hash(digest: str) -> bool:
    try:
        unhexlify(digest)
    except ValueError:
        return False
    return len(digest) in _LENGTHS


_LENGTHS = frozenset(_HASHES.values())


def file_summary(value: Any, field: str) -> str:
    """
    Take one to three hashes, joined by ``" : "``; they are put in the order MD5, SHA-1, SHA-256.

    The letter case stays as it is; the server does not mind it.

    Raises:
        ValidationError: When a part is no such hash, or there are two of a kind.
    """
    if isinstance(value, str):
        stripped = value.strip()
        if len(stripped) in _LENGTHS and _is_hash(stripped):
            return stripped
        digests = sorted([part.strip() for part in stripped.split(SEPARATOR)], key=len)
        if all(map(_is_hash, digests)) and len({len(digest) for digest in digests}) == len(digests):
            return SEPARATOR.join(digests)
    raise ValidationError(field, value, _FILE)


def _is_plain_hash(value: str) -> bool:
    return len(value) in _LENGTHS and bool(unhexlify(value))


def join_hashes(md5: Any = None, sha1: Any = None, sha256: Any = None) -> str:
    """
    Make the summary of a File from its hashes; None and "" stand for "not known".

    Raises:
        ValidationError: When a hash is not as long as its kind is, or there is none.
    """
    digests = []
    for field, value in (("md5", md5), ("sha1", sha1), ("sha256", sha256)):
        if value is None or value == "":
            continue
        digest = value.strip() if isinstance(value, str) else ""
        if len(digest) != _HASHES[field] or not _is_hash(digest):
            raise ValidationError(field, value, f"{_HASHES[field]} hexadecimal digits")
        digests.append(digest)
    if not digests:
        raise ValidationError("md5", md5, "at least one of md5, sha1 and sha256")
    return SEPARATOR.join(digests)


def split_hashes(summary: str) -> tuple[str | None, str | None, str | None]:
    """Take the MD5, SHA-1 and SHA-256 hash out of a File's summary, None for each not in it."""
    found = {len(part): part for part in summary.split(SEPARATOR)}
    return found.get(32), found.get(40), found.get(64)


# Registry entries


_HIVES = {hive: hive for hive in REGISTRY_HIVES} | {
    "HKCC": "HKEY_CURRENT_CONFIG",
    "HKCR": "HKEY_CLASSES_ROOT",
    "HKCU": "HKEY_CURRENT_USER",
    "HKLM": "HKEY_LOCAL_MACHINE",
    "HKU": "HKEY_USERS",
}
_KEY_NAME = (
    "a key that starts with one of " + ", ".join(REGISTRY_HIVES) + ", or with HKLM, HKCU, HKCR,"
    " HKU or HKCC"
)


def registry_key_name(value: Any, field: str) -> str:
    r"""
    Take the name of a registry key; ``HKLM\`` and its like are written out.

    Raises:
        ValidationError: When it does not start with one of the hives.
    """
    if isinstance(value, str) and (value.isascii() or is_encodable(value)):
        hive, separator, path = value.partition("\\")
        name = _HIVES.get(hive) or _HIVES.get(hive.strip().upper().removesuffix(":"))
        if name is not None:
            return name + separator + path
    raise ValidationError(field, value, _KEY_NAME)


def registry_value_name(value: Any, field: str) -> str:
    """
    Take the name of a registry value; the default one, "" or None, is sent as one space.

    Raises:
        ValidationError: When it is no text.
    """
    return (any_text(value, field) if value is not None else "") or " "


def registry_summary(value: Any, field: str) -> str:
    """
    Take a registry entry as ``key name : value name : value type``, or as its three parts.

    Raises:
        ValidationError: When a part is missing or cannot be right.
    """
    parts = split_summary(value) if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or len(parts) != _MAX_VALUES:
        raise ValidationError(field, value, _REGISTRY)
    key_name, value_name, value_type = parts
    return join_summary(
        (
            registry_key_name(key_name, "key_name"),
            registry_value_name(value_name, "value_name"),
            registry_value_type(value_type, "value_type"),
        ),
        field,
    )


# Summaries of several values


def split_summary(summary: str) -> list[str]:
    """Split a summary into at most three values; the third keeps what is left."""
    return summary.split(SEPARATOR, _MAX_VALUES - 1)


def _are_listed(values: object) -> bool:
    """Say whether they are one after the other; list and tuple first, as others take longer."""
    if values.__class__ is tuple or values.__class__ is list:
        return True
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def join_summary(values: Sequence[Any], field: str) -> str:
    """
    Join one to three values to a summary from which the server splits the same values again.

    Raises:
        ValidationError: When that is not possible, since one holds ``" : "``, or the first is
            empty.
    """
    if not _are_listed(values) or not 1 <= len(values) <= _MAX_VALUES:
        raise ValidationError(field, values, _VALUES)
    parts = [text(values[0], field), *[any_text(value, field) for value in values[1:]]]
    summary = SEPARATOR.join(parts)
    if len(parts) > 1 and split_summary(summary) != parts:
        raise ValidationError(field, values, _VALUES)
    return summary


#: Of the types that feeds are full of, what tells at a glance that a summary goes over the wire as
#: it is: a true value does. Where a closer look is needed it gives a false one, or raises an
#: `OSError`, `TypeError` or `ValueError`.
GLANCES: dict[str, Callable[[Any], object]] = {
    "Address": partial(inet_pton, AF_INET),
    "EmailAddress": _PLAIN_EMAIL_ADDRESS,
    "File": _is_plain_hash,
    "Host": _PLAIN_HOST,
    "URL": _PLAIN_URL,
}
