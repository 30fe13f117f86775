"""
Dates in the forms that people and feeds write them, as the one form that goes over the wire.

Source: v2 Batch API, input document, datetimes: ISO 8601, which clients send as
``%Y-%m-%dT%H:%M:%SZ``.

The forms are tried from cheap to dear: text that is in the wire form already costs a fraction of a
microsecond, other ISO text, numbers and mail dates a few, and what needs ``dateparser`` a
millisecond or more (and its import once, a tenth of a second).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib import import_module
from operator import index
from typing import TYPE_CHECKING, Any

from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Moment", "to_wire"]

#: What says when something is: what `to_wire` takes.
Moment = str | float | datetime | date

_ACCEPTED = (
    "a datetime, date, epoch seconds, milliseconds or microseconds, ISO 8601 or RFC 2822 text, or"
    " an expression such as 'yesterday' or '2 days ago'; within the years 1 to 9999"
)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive is UTC here, and costs less
_SECONDS_BELOW = 10**11
_MILLISECONDS_BELOW = 10**14
_MICROSECONDS_BELOW = 10**17
_read_iso = datetime.fromisoformat

_WIRE_LENGTH = 20
_MONTH_LENGTH = 7  # 2017-02
_DATE_LENGTH = 10  # 2017-02-02
#: Runs of digits that are a calendar date, by their length; all others are an epoch.
_CALENDAR_DIGITS = {4: "%Y", 7: "%Y%j", 8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}
_EPOCH_DIGITS = 17
_EPOCH_WITH_FRACTION = re.compile(r"[0-9]{9,17}\.[0-9]{1,9}")

_WHOLE_DAYS = {"now": 0, "today": 0, "yesterday": -1, "tomorrow": 1}

#: RFC 822, 850, 1036, 1123 and 2822 and cookies, with only the zones that email.utils knows: it
#: takes every other zone for UTC.
_MAIL_DATE = re.compile(
    r"(?:[a-z]{3,9},?\s+)?\d{1,2}[ -][a-z]{3,9}[ -]\d{2,4}\s+\d{1,2}:\d\d(?::\d\d)?"
    r"(?:\s+(?:UTC?|GMT|Z|[ECMP][SD]T|[+-]\d{4})(?:\s+\([^()]*\))?)?",
    re.ASCII | re.IGNORECASE,
)

_EXPRESSION = re.compile(r"[\w ,:+./'()-]{1,100}", re.ASCII)
_YEAR_FIRST = re.compile(r"\d{4}[-/.](\d{1,2})(?!\d)", re.ASCII)
_WEEKDAY = re.compile(r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b", re.IGNORECASE)
_MONTHS = 12


def to_wire(value: Any, field: str = "date", now: Callable[[], datetime] | None = None) -> str:
    """
    Write a moment in UTC, as ``%Y-%m-%dT%H:%M:%SZ``.

    An offset is converted, not dropped; what has none is UTC; fractions of a second are cut off.
    A number is an epoch, by its magnitude: below 10**11 seconds (until the year 5138), below
    10**14 milliseconds and below 10**17 microseconds (both since March 1973). A text of digits is
    the same, save that 4, 7, 8 and 14 digits are a year, a day of a year, a day and a second:
    ``2017``, ``2017033``, ``20170202``, ``20170202010203``.
    ``yesterday`` and ``tomorrow`` keep the time of day; of dates written with slashes the month is
    first unless it cannot be.

    Args:
        value: A datetime, date, number or text.
        field: What it is called in the error.
        now: The clock for relative expressions, the system's by default.

    Returns:
        The text that goes over the wire.

    Raises:
        ValidationError: When it is nothing of this, or out of the years 1 to 9999.
    """
    moment: datetime | None = None
    if isinstance(value, str):
        if len(value) == _WIRE_LENGTH and value[4::3] == "--T::Z" and value[11:13] != "24":
            try:
                _read_iso(value)
            except ValueError:
                raise ValidationError(field, value, _ACCEPTED) from None
            return value
        moment = _from_text(value.strip(), now)
    elif isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - naive is UTC
    elif isinstance(value, float):
        moment = _from_epoch(value)
    elif hasattr(value, "__index__") and not isinstance(value, bool):
        moment = _from_epoch(index(value))  # of numpy too
    text = None if moment is None else _write(moment)
    if text is None:
        raise ValidationError(field, value, _ACCEPTED)
    return text


def _write(moment: datetime) -> str | None:
    try:
        if type(moment) is not datetime:
            moment = _plain(moment)
        offset = moment.utcoffset()
        if offset:
            moment -= offset
    except (ValueError, TypeError, OverflowError):
        return None
    # what is cut off is the fraction and the offset; strftime may write a year in three digits
    return moment.isoformat()[:19] + "Z"


def _plain(moment: datetime) -> datetime:
    """Copy what a subclass says; the "not a time" of pandas is one, and fails here."""
    return datetime(
        moment.year,
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
        tzinfo=moment.tzinfo,
        fold=moment.fold,
    )


def _from_epoch(number: float) -> datetime | None:
    magnitude = abs(number)
    if magnitude < _SECONDS_BELOW:
        seconds = number // 1
    elif magnitude < _MILLISECONDS_BELOW:
        seconds = number // 1_000
    elif magnitude < _MICROSECONDS_BELOW:
        seconds = number // 1_000_000
    else:  # NaN comes here too
        return None
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _from_text(text: str, now: Callable[[], datetime] | None) -> datetime | None:
    if text.isdigit() and text.isascii():
        return _from_digits(text)
    moment = _from_iso(text.upper())
    if moment is not None:
        return moment
    if _EPOCH_WITH_FRACTION.fullmatch(text):
        return _from_epoch(float(text))
    if _MAIL_DATE.fullmatch(text):
        return _from_mail(text)
    return _from_expression(text, _base(now))


def _from_digits(text: str) -> datetime | None:
    form = _CALENDAR_DIGITS.get(len(text))
    if form is not None:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - naive is UTC
        except ValueError:
            return None
    return _from_epoch(int(text)) if len(text) <= _EPOCH_DIGITS else None


def _from_iso(text: str) -> datetime | None:
    """Read ISO text in upper case, and its kin: a spaced or named zone, a month without a day."""
    if " " in text:
        head, _, zone = text.rpartition(" ")
        if zone in {"UTC", "GMT", "Z"}:
            text = head
        elif zone[0] in "+-" and ":" in head:
            text = head + zone
    elif len(text) == _MONTH_LENGTH:
        text += "-01"
    if text[11:13] == "24":
        return None  # which Python 3.13 takes for the next day, and earlier ones refuse
    try:
        moment = _read_iso(text)
    except ValueError:
        return None
    # fromisoformat takes any character between date and time
    return moment if len(text) <= _DATE_LENGTH or "T" in text or " " in text else None


def _from_mail(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None


def _base(now: Callable[[], datetime] | None) -> datetime:
    """Give the present as naive UTC."""
    moment = datetime.now(UTC) if now is None else now()
    offset = moment.utcoffset()
    return moment.replace(tzinfo=None) - offset if offset else moment.replace(tzinfo=None)


def _from_expression(text: str, base: datetime) -> datetime | None:
    days = _WHOLE_DAYS.get(text.lower())
    if days is not None:
        return base + timedelta(days=days)
    year_first = _YEAR_FIRST.match(text)
    if year_first and int(year_first[1]) > _MONTHS:
        return None  # it would be read as year, day, month
    if not _EXPRESSION.fullmatch(text):
        return None
    # imported here, for it takes 0.2 s and most programs never need it
    parse: Callable[..., datetime | None] = import_module("dateparser").parse
    common: dict[str, Any] = {
        "TIMEZONE": "UTC",
        "TO_TIMEZONE": "UTC",
        "RETURN_AS_TIMEZONE_AWARE": True,
        "RELATIVE_BASE": base,
    }
    # Relative before absolute, since what completes an absolute date would bend a relative one.
    # An absolute one must say month and year, or else 'a', 'may' and '10' would be dates.
    relative = {"PARSERS": ["relative-time"]}
    absolute = {
        "PARSERS": ["absolute-time"],
        "DATE_ORDER": "YMD" if year_first else "MDY",
        "REQUIRE_PARTS": ["month", "year"],
        "PREFER_DAY_OF_MONTH": "first",
    }
    weekday = {"PARSERS": ["absolute-time"]} if _WEEKDAY.search(text) else None
    for more in (relative, absolute, weekday):
        if more is not None:
            moment = parse(text, languages=["en"], settings={**common, **more})
            if moment is not None:
                return moment
    return None
