"""Dates: whatever form they come in, one form goes out, or an error that says what is accepted."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from email.utils import format_datetime
from typing import NoReturn
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.dates import to_wire
from aiotcbatch.errors import ValidationError

NOW = datetime(2024, 3, 15, 10, 20, 30, tzinfo=UTC)
MOMENT = "2017-02-02T01:02:03Z"


def now() -> datetime:
    """Be a clock that stands still."""
    return NOW


def wire(moment: datetime) -> str:
    """Write a UTC moment by the other way that the standard library has."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


aware = st.datetimes(
    min_value=datetime(1, 1, 3),  # noqa: DTZ001 - hypothesis wants naive bounds
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m))),
)


@pytest.mark.parametrize(
    "value",
    [
        MOMENT,
        "2017-02-02T01:02:03",
        "2017-02-02 01:02:03",
        " 2017-02-02 01:02:03\n",
        "2017-02-02t01:02:03z",
        "2017-02-02T01:02:03.999999Z",
        "2017-02-02T01:02:03.123456789Z",
        "2017-02-02T02:02:03+01:00",
        "2017-02-01T20:02:03-05:00",
        "2017-02-01T20:02:03-0500",
        "2017-02-01 20:02:03 -0500",
        "2017-02-02 01:02:03 UTC",
        "2017-02-02 01:02:03 GMT",
        "2017-02-02 01:02:03.5 Z",
        "2017-02-02 01:02:03 +0000 UTC",
        "20170202T010203Z",
        "20170202010203",
        "2017-W05-4T01:02:03Z",
    ],
)
def test_iso_text(value: str) -> None:
    """ISO 8601 and what is close to it; an offset is converted, a fraction cut off."""
    assert to_wire(value) == MOMENT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2017", "2017-01-01T00:00:00Z"),
        ("2017-02", "2017-02-01T00:00:00Z"),
        ("2017-02-03", "2017-02-03T00:00:00Z"),
        ("20170203", "2017-02-03T00:00:00Z"),
        ("2017034", "2017-02-03T00:00:00Z"),
        ("2017-02-03 UTC", "2017-02-03T00:00:00Z"),
        ("2017-W05-4", "2017-02-02T00:00:00Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_parts_of_dates(value: str, expected: str) -> None:
    """What a date does not say is its beginning."""
    assert to_wire(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "Thu, 02 Feb 2017 01:02:03 GMT",
        "Thu, 2 Feb 2017 01:02:03 +0000",
        "02 Feb 17 01:02:03 UT",
        "Thursday, 02-Feb-17 01:02:03 UTC",
        "Thu, 02-Feb-2017 01:02:03 GMT",
        "Thu, 02 Feb 2017 01:02:03 -0000",
        "Thu, 02 Feb 2017 01:02:03",
        "Wed, 01 Feb 2017 20:02:03 EST",
        "Wed, 01 Feb 2017 20:02:03 -0500 (EST)",
        "Thu, 02 Feb 2017 02:02:03 CET",
        "Thu Feb  2 01:02:03 2017",
    ],
)
def test_mail_dates(value: str) -> None:
    """RFC 822, 850, 1123 and 2822, cookies and asctime; a zone that is named counts."""
    assert to_wire(value) == MOMENT


@pytest.mark.parametrize(
    "value",
    [
        1_485_997_323,
        1_485_997_323.999,
        1_485_997_323_999,
        1_485_997_323_999_999,
        "1485997323",
        "1485997323.5",
        "1485997323999",
        "1485997323999999",
        " 1485997323 ",
    ],
)
def test_epochs(value: float | str) -> None:
    """Seconds, milliseconds and microseconds are told apart by their magnitude."""
    assert to_wire(value) == MOMENT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        ("0", "1970-01-01T00:00:00Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (99_999_999_999, "5138-11-16T09:46:39Z"),
        (100_000_000_000, "1973-03-03T09:46:40Z"),
        (99_999_999_999_999, "5138-11-16T09:46:39Z"),
        (100_000_000_000_000, "1973-03-03T09:46:40Z"),
        (99_999_999_999_999_999, "5138-11-16T09:46:39Z"),
    ],
)
def test_epoch_limits(value: float | str, expected: str) -> None:
    """The magnitudes at which the unit changes are those of the docstring."""
    assert to_wire(value) == expected


class IndexOnly:
    """Be an integer as numpy's are: no int, but with an index."""

    def __index__(self) -> int:
        """Give the epoch."""
        return 1_485_997_323


def test_integers_of_other_libraries() -> None:
    """Whatever can be an index is an epoch."""
    assert to_wire(IndexOnly()) == MOMENT


@pytest.mark.parametrize(
    "value",
    [
        datetime(2017, 2, 2, 1, 2, 3, 999),  # noqa: DTZ001 - naive is the case
        datetime(2017, 2, 2, 1, 2, 3, tzinfo=UTC),
        datetime(2017, 2, 1, 20, 2, 3, tzinfo=ZoneInfo("America/New_York")),
    ],
)
def test_datetimes(value: datetime) -> None:
    """A naive datetime is UTC, an aware one is converted."""
    assert to_wire(value) == MOMENT


def test_dates() -> None:
    """A date is its midnight in UTC."""
    assert to_wire(date(2017, 2, 2)) == "2017-02-02T00:00:00Z"


def test_repeated_hour() -> None:
    """The second of two equal hours in autumn is an hour later than the first."""
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2017, 10, 29, 2, 30, tzinfo=zone)

    assert to_wire(first) == "2017-10-29T00:30:00Z"
    assert to_wire(first.replace(fold=1)) == "2017-10-29T01:30:00Z"


class Silent(tzinfo):
    """Be a zone that does not know its offset."""

    def utcoffset(self, moment: datetime | None) -> None:
        """Say nothing."""


def test_zone_without_offset() -> None:
    """A zone that gives no offset leaves the datetime naive, so it is UTC and not local."""
    assert to_wire(datetime(2017, 2, 2, 1, 2, 3, tzinfo=Silent())) == MOMENT


class NotATime(datetime):
    """Be what pandas has for a missing time: a datetime without a year."""

    @property
    def year(self) -> float:  # type: ignore[override]  # as in pandas
        """Give no number."""
        return float("nan")

    def isoformat(self, *_: object) -> str:  # type: ignore[override]  # as in pandas
        """Give what would otherwise go over the wire."""
        return "NaT"


def test_missing_time_of_pandas() -> None:
    """A subclass that is no time at all is refused, not sent as its text."""
    with pytest.raises(ValidationError):
        to_wire(NotATime(2017, 2, 2))


class Stamp(datetime):
    """Be a datetime of another library, that prints itself in its own way."""

    def isoformat(self, *_: object) -> str:  # type: ignore[override]  # as libraries do
        """Give something else."""
        return "2. 2. 2017"


def test_subclasses_of_datetime() -> None:
    """A subclass counts by its fields, not by how it prints itself."""
    assert to_wire(Stamp(2017, 2, 2, 2, 2, 3, tzinfo=timezone(timedelta(hours=1)))) == MOMENT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("now", "2024-03-15T10:20:30Z"),
        ("today", "2024-03-15T10:20:30Z"),
        (" Yesterday ", "2024-03-14T10:20:30Z"),
        ("TOMORROW", "2024-03-16T10:20:30Z"),
        ("2 days ago", "2024-03-13T10:20:30Z"),
        ("two days ago", "2024-03-13T10:20:30Z"),
        ("an hour ago", "2024-03-15T09:20:30Z"),
        ("in 3 hours", "2024-03-15T13:20:30Z"),
        ("last year", "2023-03-15T10:20:30Z"),
        ("yesterday at 5pm", "2024-03-14T17:00:00Z"),
        ("monday", "2024-03-11T00:00:00Z"),
        ("March 2017", "2017-03-01T00:00:00Z"),
        ("Feb 2 2017 5pm EST", "2017-02-02T22:00:00Z"),
        ("03/02/2017", "2017-03-02T00:00:00Z"),
        ("31/12/2017", "2017-12-31T00:00:00Z"),
        ("2017/3/2", "2017-03-02T00:00:00Z"),
        ("2017-3-2", "2017-03-02T00:00:00Z"),
        ("2017.03.02", "2017-03-02T00:00:00Z"),
    ],
)
def test_expressions(value: str, expected: str) -> None:
    """Human expressions are relative to the clock that is given, and whole days keep its time."""
    assert to_wire(value, "date", now) == expected


@pytest.mark.parametrize(
    "clock",
    [
        datetime(2024, 3, 15, 10, 20, 30),  # noqa: DTZ001 - naive is the case
        datetime(2024, 3, 15, 12, 20, 30, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_clock_of_any_zone(clock: datetime) -> None:
    """A clock that is naive shows UTC, one of another zone is converted."""
    assert to_wire("yesterday", "date", lambda: clock) == "2024-03-14T10:20:30Z"
    assert to_wire("2 days ago", "date", lambda: clock) == "2024-03-13T10:20:30Z"


def test_system_clock() -> None:
    """Without a clock the system's is used, in UTC."""
    before = datetime.now(UTC)

    written = datetime.fromisoformat(to_wire("now"))

    assert before - timedelta(seconds=1) <= written <= datetime.now(UTC)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "a",
        "may",
        "10:00",
        "Feb 2",
        "N/A",
        "null",
        "unknown",
        "-1",
        "1.2.3.4",
        "CVE-2017-0144",
        "0000-00-00 00:00:00",
        "2017-02-30",
        "2017-02-30T01:02:03Z",
        "2017-13-01",
        "2017-02-02T24:00:00Z",
        "2017-02-02T25:00:00Z",
        "2017-02-02T01:02:03Z ago",
        "2017-02-02X01:02:03",
        "2017-02-02501:02:03",
        "２017-02-02T01:02:03Z",  # noqa: RUF001 - a digit that is not ASCII
        "Thu, 30 Feb 2017 01:02:03 GMT",
        "10000-01-01",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "20171301",
        "20170230010203",
        "1" * 18,
        "1" * 5_000,
        "ago " * 1_000,
        "9999 years ago",
        "\ud800",
        True,
        False,
        None,
        b"2017-02-02",
        float("nan"),
        float("inf"),
        10**17,
        10**400,
        -(10**11) + 1,
        [2017, 2, 2],
    ],
)
def test_refused(value: object) -> None:
    """What is no date, or out of the years 1 to 9999, is refused by the name of its field."""
    with pytest.raises(
        ValidationError, match=r"^eventDate is .*, accepted is a datetime"
    ) as caught:
        to_wire(value, "eventDate", now)

    assert caught.value.field == "eventDate"
    assert caught.value.value is value


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-1))),
    ],
)
def test_edges_of_time(moment: datetime) -> None:
    """A moment that UTC cannot write is refused."""
    with pytest.raises(ValidationError):
        to_wire(moment)


@given(aware)
def test_any_datetime(moment: datetime) -> None:
    """Every aware datetime is written as the same moment in UTC."""
    assert to_wire(moment) == wire(moment.astimezone(UTC))


@given(aware)
def test_any_iso_text(moment: datetime) -> None:
    """A datetime and its ISO text, with T or a space, are written alike."""
    expected = wire(moment.astimezone(UTC))

    assert to_wire(moment.isoformat()) == expected
    assert to_wire(moment.isoformat(" ")) == expected


@given(aware.filter(lambda moment: moment.year >= 1900))
def test_any_mail_date(moment: datetime) -> None:
    """A mail date is written as the moment it names."""
    assert to_wire(format_datetime(moment)) == wire(moment.astimezone(UTC))


@given(st.datetimes())
def test_wire_form_stays(moment: datetime) -> None:
    """Text in the wire form is given back as it is, so writing twice changes nothing."""
    text = to_wire(moment)

    assert to_wire(text) is text


@given(st.integers(-(10**10), 10**11 - 1))
def test_any_epoch(seconds: int) -> None:
    """An epoch in any unit, number or text, is written as the same second."""
    expected = wire(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))

    assert to_wire(seconds) == expected
    if seconds >= 10**8:
        assert to_wire(seconds * 1_000 + 999) == expected
        assert to_wire(seconds * 1_000_000 + 999_999) == expected
        assert to_wire(str(seconds)) == expected


@given(st.text(alphabet="0123456789-:TZ+. W", min_size=18, max_size=22))
def test_nothing_wrong_goes_out(text: str) -> None:
    """What looks nearly like the wire form is written in it or refused."""
    try:
        written = to_wire(text, "date", now)
    except ValidationError:
        return
    moment = datetime.strptime(written, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert wire(moment) == written


def test_clock_is_asked_for_expressions_only() -> None:
    """A date that needs no present does not look at the clock."""

    def broken() -> NoReturn:
        raise AssertionError

    assert to_wire("2017-02-02 01:02:03", "date", broken) == MOMENT
    assert to_wire(1_485_997_323, "date", broken) == MOMENT


def test_parser_is_imported_late() -> None:
    """dateparser, which is slow to import, is imported by the first expression only."""
    program = (
        "import sys; from aiotcbatch.dates import to_wire\n"
        "for value in ('2017-02-02', '2017-02-02 01:02:03 -0500', 1485997323, 'yesterday',"
        " 'Thu, 02 Feb 2017 01:02:03 GMT'): to_wire(value)\n"
        "assert 'dateparser' not in sys.modules\n"
        "to_wire('2 days ago'); assert 'dateparser' in sys.modules\n"
    )

    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, check=False)  # noqa: S603 - our own program

    assert done.returncode == 0
