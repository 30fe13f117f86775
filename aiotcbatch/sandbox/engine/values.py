"""Single values of a batch document, taken in the forms in which clients send them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

__all__ = ["date", "flag", "fraction", "integer", "text"]

_LARGEST = (1 << 63) - 1
_SHORTEST_DATE = 10


def text(value: Any) -> str:
    """
    Take a text; numbers and booleans are written out, as the server's parser does.

    Raises:
        ValueError: It is an object or an array.
    """
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise ValueError(value)


def flag(value: Any) -> bool:
    """
    Take a boolean, or its name in any letter case.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        lower = value.lower()
        if lower in {"true", "false"}:
            return lower == "true"
    if value in {0, 1} and isinstance(value, (int, float)):
        return bool(value)
    raise ValueError(value)


def fraction(value: Any) -> float:
    """
    Take a number, or a text that is one.

    Raises:
        ValueError: It is something else.
    """
    if type(value) is float:
        return value
    if isinstance(value, bool):
        value = None
    try:
        return float(value)
    except (OverflowError, TypeError) as error:
        raise ValueError(value) from error


def integer(value: Any) -> int:
    """
    Take a whole number, or a text that is one.

    Raises:
        ValueError: It is something else, or has more than 63 bits.
    """
    number = value if type(value) is int else fraction(value)
    if not -_LARGEST <= number <= _LARGEST or number != int(number):
        raise ValueError(value)
    return int(number)


def date(value: Any) -> str:
    """
    Take an ISO 8601 date and write it in UTC.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, str) or len(value) < _SHORTEST_DATE:
        raise ValueError(value)
    moment = datetime.fromisoformat(value)
    if len(value) == 20 and value[10] == "T" and value[19] == "Z":  # noqa: PLR2004  (as stored)
        return value
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    try:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError as error:
        raise ValueError(value) from error
