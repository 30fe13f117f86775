"""
Converters of field values: checked, and in the form that goes over the wire.

Each is called as ``f(value, field)`` and gives the wire value, or raises a `ValidationError` that
names the field, the value and what is accepted. They run for every field of every entity, so what
is right already goes through without a regular expression and without building a text.
"""

from __future__ import annotations

from functools import lru_cache
from math import isfinite, nan
from operator import index
from typing import TYPE_CHECKING, Any

from aiotcbatch.dates import to_wire as moment
from aiotcbatch.entities.catalog import (
    EVENT_STATUSES,
    EVENT_TYPES,
    GROUP_TYPES,
    INCIDENT_STATUSES,
    INDICATOR_TYPES,
    REGISTRY_VALUE_TYPES,
    SIGNATURE_TYPES,
)
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "GROUP_TYPE_NAMES",
    "MAX_CONFIDENCE",
    "MAX_RATING",
    "MAX_TAG_LENGTH",
    "Number",
    "any_integer",
    "any_text",
    "attribute_value",
    "boolean",
    "confidence",
    "event_status",
    "event_type",
    "group_type",
    "incident_status",
    "indicator_type",
    "integer",
    "is_encodable",
    "label_color",
    "label_name",
    "moment",
    "nearest",
    "one_of",
    "rating",
    "registry_value_type",
    "signature_type",
    "tag_name",
    "text",
]

#: A number, or text that is one.
Number = str | float

#: The longest tag, in characters. Source: v2 Batch API, tags.
MAX_TAG_LENGTH = 128
#: Every group type in lower case.
GROUP_TYPE_NAMES = frozenset(group.name.lower() for group in GROUP_TYPES)

MAX_RATING = 5.0
MAX_CONFIDENCE = 100
_MAX_INTEGER = 2**63 - 1  # JSON encoders and the server's language agree up to here
_MAX_DIGITS = 20
_COLOR_LENGTH = 6

_ANY_TEXT = "text (str) without lone surrogates"
_TEXT = "text (str) that is not empty and has no lone surrogates"
_TAG = "text of 1 to 128 characters"
_ATTRIBUTE_VALUE = "text that is not empty, a number that JSON can hold, or a boolean"
_RATING = "a number from 0 to 5"
_CONFIDENCE = "a whole number from 0 to 100"
_SIZE = "a whole number from 0 to 2**63 - 1"
_INTEGER = "a whole number of at most 64 bits"
_BOOLEAN = "True or False, 1, t, true, y or yes, 0, f, false, n or no"
_COLOR = "six hexadecimal digits, such as 'ffc0cb'"
_HEX = frozenset("0123456789abcdefABCDEF")


# Text


def text(value: Any, field: str) -> str:
    """
    Take text that is not empty.

    Raises:
        ValidationError: When it is no str, empty, or has lone surrogates, which UTF-8 cannot
            carry.
    """
    if isinstance(value, str) and value and (value.isascii() or is_encodable(value)):
        return value
    raise ValidationError(field, value, _TEXT)


def any_text(value: Any, field: str) -> str:
    """
    Take text, empty or not.

    Raises:
        ValidationError: When it is no str or has lone surrogates.
    """
    if isinstance(value, str) and (value.isascii() or is_encodable(value)):
        return value
    raise ValidationError(field, value, _ANY_TEXT)


def tag_name(value: Any, field: str) -> str:
    """
    Take a tag's name.

    Raises:
        ValidationError: When it is no text of 1 to 128 characters.
    """
    if (
        isinstance(value, str)
        and 0 < len(value) <= MAX_TAG_LENGTH
        and (value.isascii() or is_encodable(value))
    ):
        return value
    raise ValidationError(field, value, _TAG)


def label_name(value: Any, field: str) -> str:
    """
    Take a security label's name.

    Raises:
        ValidationError: As `text` does.
    """
    return text(value, field)


def label_color(value: Any, field: str) -> str:
    """
    Take a color as ``ffc0cb`` or ``#ffc0cb``; the server wants it without the ``#``.

    Raises:
        ValidationError: When it is not six hexadecimal digits.
    """
    if isinstance(value, str):
        digits = value.removeprefix("#")
        if len(digits) == _COLOR_LENGTH and _HEX.issuperset(digits):
            return digits
    raise ValidationError(field, value, _COLOR)


def attribute_value(value: Any, field: str) -> str | int | float:
    """
    Take the value of an attribute: text, a number or a boolean.

    Raises:
        ValidationError: When it is anything else, empty, or what JSON cannot hold.
    """
    if isinstance(value, str):
        if value and (value.isascii() or is_encodable(value)):
            return value
    elif isinstance(value, int):
        if -_MAX_INTEGER <= value <= _MAX_INTEGER:
            return value
    elif isinstance(value, float) and isfinite(value):
        return value
    raise ValidationError(field, value, _ATTRIBUTE_VALUE)


def is_encodable(value: str) -> bool:
    """Tell whether UTF-8 can carry a text; ask ``isascii()`` first, which takes no time."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


# Numbers and booleans


def rating(value: Any, field: str) -> float:
    """
    Take a rating as a number or text, such as ``"5.0"``.

    Raises:
        ValidationError: When it is not within 0 and 5.
    """
    if value.__class__ is int and 0 <= value <= MAX_RATING:
        return float(value)  # the usual one, in a third of the time
    number = value if value.__class__ is float else _number(value)
    if 0.0 <= number <= MAX_RATING:
        return abs(number)  # -0.0 is 0.0
    raise ValidationError(field, value, _RATING)


def confidence(value: Any, field: str) -> int:
    """
    Take a confidence as a whole number or text, such as ``"100"``; 55.0 is whole, 5.5 is not.

    Raises:
        ValidationError: When it is not a whole number within 0 and 100.
    """
    number = value if value.__class__ is int else _whole(value)
    if number is not None and 0 <= number <= MAX_CONFIDENCE:
        return number
    raise ValidationError(field, value, _CONFIDENCE)


def integer(value: Any, field: str) -> int:
    """
    Take a whole number that is not negative, such as a size, as a number or text.

    Raises:
        ValidationError: When it is not whole, negative, or needs more than 64 bits.
    """
    number = value if value.__class__ is int else _whole(value)
    if number is not None and 0 <= number <= _MAX_INTEGER:
        return number
    raise ValidationError(field, value, _SIZE)


def any_integer(value: Any, field: str) -> int:
    """
    Take a whole number, negative or not, as a number or text.

    Raises:
        ValidationError: When it is not whole or needs more than 64 bits.
    """
    number = value if value.__class__ is int else _whole(value)
    if number is not None and -_MAX_INTEGER <= number <= _MAX_INTEGER:
        return number
    raise ValidationError(field, value, _INTEGER)


def _number(value: Any) -> float:
    """Read a number out of what is no plain float; NaN if there is none in it."""
    if isinstance(value, str) or (hasattr(value, "__float__") and not isinstance(value, bool)):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    return nan


def _whole(value: Any) -> int | None:
    """Read a whole number out of what is no plain int; None if there is none in it."""
    try:
        if isinstance(value, str):
            if len(value) > _MAX_DIGITS or "_" in value:
                return None
            if value.isdigit():
                return int(value)
            value = float(value)
        if isinstance(value, float):
            return int(value) if value.is_integer() else None
        return None if isinstance(value, bool) else index(value)  # of numpy too
    except (TypeError, ValueError):
        return None


_BOOLEANS: dict[Any, bool] = {
    **dict.fromkeys(("1", "t", "true", "y", "yes"), True),
    **dict.fromkeys(("0", "f", "false", "n", "no"), False),
}


def boolean(value: Any, field: str) -> bool:
    """
    Take a boolean as such, as 1 or 0, or as a word such as ``yes`` in any letter case.

    Raises:
        ValidationError: When it is anything else.
    """
    if value is True or value is False:
        return value
    found = None
    if isinstance(value, str):
        found = _BOOLEANS.get(value.strip().lower())
    elif isinstance(value, int) and 0 <= value <= 1:
        return value == 1
    if found is None:
        raise ValidationError(field, value, _BOOLEAN)
    return found


# Names of closed lists, and of types


def _fold(name: str) -> str:
    """Give what different spellings of a name have in common."""
    return name.strip().lower().translate(_IGNORED)


_IGNORED = str.maketrans("", "", " _-®™")


def _spellings(names: Iterable[str]) -> dict[str, str]:
    spellings = {_fold(name): name for name in names}
    spellings.update({name: name for name in spellings.values()})
    return spellings


_EVENT_STATUSES = _spellings(EVENT_STATUSES)
_EVENT_TYPES = _spellings(EVENT_TYPES)
_INCIDENT_STATUSES = _spellings(INCIDENT_STATUSES)
_SIGNATURE_TYPES = _spellings(SIGNATURE_TYPES)
_REGISTRY_VALUE_TYPES = _spellings(REGISTRY_VALUE_TYPES)
_GROUP_TYPES = _spellings(group.name for group in GROUP_TYPES)
_INDICATOR_TYPES = _spellings(indicator.name for indicator in INDICATOR_TYPES)


def _find(value: Any, spellings: dict[str, str]) -> str | None:
    if not isinstance(value, str):
        return None
    return spellings.get(value) or spellings.get(_fold(value))


def _refuse(field: str, value: Any, known: Iterable[str]) -> ValidationError:
    return ValidationError(field, value, one_of(value, known))


def one_of(value: object, known: Iterable[str]) -> str:
    """
    Say what is accepted instead of a name that is not known.

    Args:
        value: What was given.
        known: The names that there are.

    Returns:
        All of them, and first the nearest if there is one.
    """
    known = list(known)
    near = nearest(value, known)
    accepted = "one of " + ", ".join(known)
    return f"{near!r}? or {accepted}" if near else accepted


def event_status(value: Any, field: str) -> str:
    """
    Take the status of an Event, in any letter case.

    Raises:
        ValidationError: When there is no such status.
    """
    found = _find(value, _EVENT_STATUSES)
    if found is None:
        raise _refuse(field, value, EVENT_STATUSES)
    return found


def event_type(value: Any, field: str) -> str:
    """
    Take the type of an Event, in any letter case.

    Raises:
        ValidationError: When there is no such type.
    """
    found = _find(value, _EVENT_TYPES)
    if found is None:
        raise _refuse(field, value, EVENT_TYPES)
    return found


def incident_status(value: Any, field: str) -> str:
    """
    Take the status of an Incident, in any letter case.

    Raises:
        ValidationError: When there is no such status.
    """
    found = _find(value, _INCIDENT_STATUSES)
    if found is None:
        raise _refuse(field, value, INCIDENT_STATUSES)
    return found


def registry_value_type(value: Any, field: str) -> str:
    """
    Take the type of a registry value, in any letter case.

    Raises:
        ValidationError: When there is no such type.
    """
    found = _find(value, _REGISTRY_VALUE_TYPES)
    if found is None:
        raise _refuse(field, value, REGISTRY_VALUE_TYPES)
    return found


def signature_type(value: Any, field: str) -> str:
    """
    Take the language of a Signature; known ones get their own spelling, also from ``Snort®``.

    An instance may define more, so other names are taken, unless they look like a slip of one
    that is known.

    Raises:
        ValidationError: When it is no text or a slip.
    """
    found = _find(value, _SIGNATURE_TYPES)
    if found is not None:
        return found
    near = nearest(value, SIGNATURE_TYPES, cutoff=0.85)
    if near is not None:
        raise ValidationError(field, value, f"{near!r}, or a type that the instance defines")
    return text(value, field)


def group_type(value: Any, field: str) -> str:
    """
    Give a group type in the spelling of the wire: ``Attack Pattern`` for ``attack_pattern``.

    Raises:
        ValidationError: When there is no such type, with the nearest one.
    """
    found = _find(value, _GROUP_TYPES)
    if found is None:
        raise _refuse(field, value, (group.name for group in GROUP_TYPES))
    return found


def indicator_type(value: Any) -> str | None:
    """Give a built-in indicator type in the spelling of the wire, None if it is none of them."""
    return _find(value, _INDICATOR_TYPES)


def nearest(name: object, known: Iterable[str], *, cutoff: float = 0.8) -> str | None:
    """
    Find the known name that another one looks like a slip of.

    It looks so if most characters are the same in the same order, or if two that are side by side
    have changed places: ``Hots`` is ``Host``, and ``Post`` is not.

    Args:
        name: What was given.
        known: The names that there are.
        cutoff: How alike they must be, up to 1.

    Returns:
        The known name; None if none is like it, or if it differs in digits, as ``value1`` and
        ``value2`` do: those are other things, not slips.
    """
    if not isinstance(name, str):
        return None
    return _nearest(name[:100], tuple(known), cutoff)


@lru_cache(maxsize=1_000)
def _nearest(name: str, known: tuple[str, ...], cutoff: float) -> str | None:
    # cached, since a comparison with some dozens of names takes a tenth of a millisecond; imported
    # here, since only mistakes need it
    from difflib import get_close_matches  # noqa: PLC0415

    lowered = {candidate.lower(): candidate for candidate in known}
    wanted, digits = name.lower(), _digits(name)
    swapped = [
        wanted[:at] + wanted[at + 1] + wanted[at] + wanted[at + 2 :]
        for at in range(len(wanted) - 1)
    ]
    swaps = [match for match in swapped if match in lowered]
    for match in (*swaps, *get_close_matches(wanted, lowered, n=3, cutoff=cutoff)):
        if _digits(match) == digits:
            return lowered[match]
    return None


def _digits(name: str) -> str:
    return "".join([character for character in name if character.isdigit()])
