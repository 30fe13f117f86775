"""Field values: what is right goes out in the wire form, all else is refused by its field."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.entities import catalog, values
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_TEXT = [None, b"text", 1, 1.5, True, ["text"], {"name": "text"}]
SURROGATE = "\ud800"


class Level(IntEnum):
    """Be an int of another class."""

    HIGH = 4


class IndexOnly:
    """Be an integer as numpy's are: no int, but with an index and a float."""

    def __index__(self) -> int:
        """Give the number."""
        return 4

    def __float__(self) -> float:
        """Give the number."""
        return 4.0


def assert_refused(convert: Callable[[Any, str], object], value: object) -> ValidationError:
    """Check that a value is refused with its field, itself and what is accepted."""
    with pytest.raises(ValidationError) as caught:
        convert(value, "aField")

    assert caught.value.field == "aField"
    assert caught.value.value is value
    assert caught.value.accepted
    return caught.value


@pytest.mark.parametrize(
    "convert", [values.text, values.any_text, values.tag_name, values.label_name]
)
@pytest.mark.parametrize("value", ["a", " ", "APT 1", "Café", "日本", "💩" * 128, "a" * 128])
def test_text_stays(convert: Callable[[Any, str], str], value: str) -> None:
    """Text goes out as it is given."""
    assert convert(value, "aField") is value


@pytest.mark.parametrize(
    "convert", [values.text, values.any_text, values.tag_name, values.label_name]
)
@pytest.mark.parametrize("value", [*NOT_TEXT, SURROGATE, "a" + SURROGATE])
def test_what_is_no_text(convert: Callable[[Any, str], str], value: object) -> None:
    """Anything but a str, and a str that UTF-8 cannot carry, is refused."""
    assert_refused(convert, value)


@pytest.mark.parametrize("convert", [values.text, values.tag_name, values.label_name])
def test_empty_text(convert: Callable[[Any, str], str]) -> None:
    """Where a text is needed an empty one is refused."""
    assert_refused(convert, "")


def test_any_text_may_be_empty() -> None:
    """Where a text may be empty it goes out so."""
    assert values.any_text("", "aField") == ""


def test_longest_tag() -> None:
    """A tag has at most 128 characters, whatever they are."""
    assert_refused(values.tag_name, "a" * 129)
    assert_refused(values.tag_name, "é" * 129)


@given(st.text())
def test_text_that_passes_can_be_encoded(value: str) -> None:
    """Whatever text passes can go over the wire."""
    try:
        passed = values.any_text(value, "aField")
    except ValidationError:
        with pytest.raises(UnicodeEncodeError):
            value.encode()
    else:
        assert passed.encode().decode() == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ffc0cb", "ffc0cb"),
        ("#ffc0cb", "ffc0cb"),
        ("FF0000", "FF0000"),
        ("000000", "000000"),
    ],
)
def test_label_colors(value: str, expected: str) -> None:
    """A color is six hexadecimal digits without #, in the case in which they are given."""
    assert values.label_color(value, "color") == expected


@pytest.mark.parametrize(
    "value", ["", "#", "fff", "fffffff", "##ffff", "0xffff", "+fffff", "ffffg0", "pink", *NOT_TEXT]
)
def test_wrong_label_colors(value: object) -> None:
    """Anything else is no color."""
    assert_refused(values.label_color, value)


@pytest.mark.parametrize("value", ["text", 0, False, True, 1.5, -5, 2**63 - 1, Level.HIGH])
def test_attribute_values(value: object) -> None:
    """Text, numbers and booleans, falsy ones too, go out as they are."""
    assert values.attribute_value(value, "value") is value


@pytest.mark.parametrize(
    "value", ["", SURROGATE, None, b"x", [], {}, float("nan"), float("inf"), 2**63, -(2**63)]
)
def test_wrong_attribute_values(value: object) -> None:
    """What JSON cannot hold, and what is no single value, is no attribute value."""
    assert_refused(values.attribute_value, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (5, 5.0),
        (5.0, 5.0),
        (2.5, 2.5),
        ("5.0", 5.0),
        ("3", 3.0),
        (" 4 ", 4.0),
        (Level.HIGH, 4.0),
        (Decimal("3.5"), 3.5),
        (IndexOnly(), 4.0),
    ],
)
def test_ratings(value: object, expected: float) -> None:
    """A rating is a float from 0 to 5, out of a number or text."""
    rated = values.rating(value, "rating")

    assert rated == expected
    assert rated.__class__ is float


def test_rating_of_negative_zero() -> None:
    """Minus zero goes out as zero."""
    assert json.dumps(values.rating(-0.0, "rating")) == "0.0"


@pytest.mark.parametrize(
    "value",
    [-1, -0.1, 5.1, 6, "6", "x", "", "nan", "inf", float("nan"), True, None, b"5", [5], 10**400],
)
def test_wrong_ratings(value: object) -> None:
    """Anything out of 0 to 5, and what is no number, is refused."""
    assert_refused(values.rating, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (100, 100),
        ("100", 100),
        (" 55 ", 55),
        ("55.0", 55),
        (55.0, 55),
        (Level.HIGH, 4),
        (IndexOnly(), 4),
    ],
)
def test_confidences(value: object, expected: int) -> None:
    """A confidence is an int from 0 to 100, out of a whole number or text."""
    given_back = values.confidence(value, "confidence")

    assert given_back == expected
    assert given_back.__class__ is int


@pytest.mark.parametrize(
    "value",
    [
        -1,
        101,
        "101",
        "-1",
        5.5,
        "5.5",
        "1_0",
        "x",
        "",
        "²",
        "nan",
        float("nan"),
        float("inf"),
        True,
        None,
        b"5",
        [5],
        "1" * 5_000,
    ],
)
def test_wrong_confidences(value: object) -> None:
    """A fraction is refused and not cut off, as is what is out of 0 to 100."""
    assert_refused(values.confidence, value)


@given(st.integers(0, 2**63 - 1))
def test_sizes(number: int) -> None:
    """A size up to 2**63 - 1 is the same as int and as text."""
    assert values.integer(number, "size") == number
    assert values.integer(str(number), "size") == number


@pytest.mark.parametrize("value", [-1, "-1", 2**63, str(2**63), "1.5", "1e400", True, None])
def test_wrong_sizes(value: object) -> None:
    """A size is not negative and fits in 64 bits."""
    assert_refused(values.integer, value)


@pytest.mark.parametrize(("value", "expected"), [(-5, -5), ("-5", -5), (0, 0), (2.0, 2)])
def test_any_integers(value: object, expected: int) -> None:
    """Where a number may be negative it goes out so."""
    assert values.any_integer(value, "score") == expected


@pytest.mark.parametrize("value", [-(2**63), 2**63, "x", 1.5, False])
def test_wrong_integers(value: object) -> None:
    """What needs more than 64 bits, or is not whole, is refused."""
    assert_refused(values.any_integer, value)


@pytest.mark.parametrize("value", ["1", "t", "T", "true", "True", " TRUE ", "y", "Yes", 1, True])
def test_true(value: object) -> None:
    """The words for true that TcEx knows are true."""
    assert values.boolean(value, "active") is True


@pytest.mark.parametrize("value", ["0", "f", "F", "false", "False", "n", "NO", 0, False])
def test_false(value: object) -> None:
    """Their opposites are false."""
    assert values.boolean(value, "active") is False


@pytest.mark.parametrize("value", ["", "x", "on", 2, -1, 1.0, None, b"true", []])
def test_neither_true_nor_false(value: object) -> None:
    """Any other word is refused, where TcEx sends false."""
    assert_refused(values.boolean, value)


CLOSED: list[tuple[Callable[[Any, str], str], tuple[str, ...]]] = [
    (values.event_status, catalog.EVENT_STATUSES),
    (values.event_type, catalog.EVENT_TYPES),
    (values.incident_status, catalog.INCIDENT_STATUSES),
    (values.registry_value_type, catalog.REGISTRY_VALUE_TYPES),
    (values.group_type, tuple(group.name for group in catalog.GROUP_TYPES)),
]
ALL_LISTS = [*CLOSED, (values.signature_type, catalog.SIGNATURE_TYPES)]


@pytest.mark.parametrize(
    ("convert", "name"), [(convert, name) for convert, names in ALL_LISTS for name in names]
)
def test_spellings(convert: Callable[[Any, str], str], name: str) -> None:
    """Any letter case, and underscores or hyphens for spaces, give the wire's spelling."""
    for spelling in (name, name.lower(), name.upper(), f" {name} ", name.replace(" ", "_")):
        assert convert(spelling, "aField") == name


@pytest.mark.parametrize(("convert", "names"), CLOSED)
@pytest.mark.parametrize("value", ["", "Nonsense", SURROGATE, *NOT_TEXT])
def test_closed_lists(
    convert: Callable[[Any, str], str], names: tuple[str, ...], value: object
) -> None:
    """What is not in a closed list is refused with all that is."""
    error = assert_refused(convert, value)

    assert ", ".join(names) in error.accepted


@pytest.mark.parametrize(
    ("convert", "value", "expected"),
    [
        (values.event_status, "Esclated", "Escalated"),
        (values.incident_status, "opened", "Open"),
        (values.incident_status, "Containment Acheived", "Containment Achieved"),
        (values.registry_value_type, "REG_DWROD", "REG_DWORD"),
        (values.group_type, "adversry", "Adversary"),
        (values.group_type, "Course of Actions", "Course of Action"),
    ],
)
def test_slips_name_what_was_meant(
    convert: Callable[[Any, str], str], value: str, expected: str
) -> None:
    """A slip is refused with the name that it looks like in front."""
    assert assert_refused(convert, value).accepted.startswith(f"'{expected}'? or one of ")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("snort", "Snort"),
        ("Snort®", "Snort"),
        ("ClamAV®", "ClamAV"),
        ("CybOX™", "CybOX"),
        ("clam av", "ClamAV"),
        ("Iris search hash", "Iris Search Hash"),
    ],
)
def test_signature_types(value: str, expected: str) -> None:
    """Older spellings with trademark signs give the present ones."""
    assert values.signature_type(value, "file_type") == expected


@pytest.mark.parametrize("value", ["Snort3", "YARA-L", "EQL", "Sigma 2", "Our Own Language"])
def test_own_signature_types(value: str) -> None:
    """A type that the instance may define goes out as it is."""
    assert values.signature_type(value, "file_type") == value


@pytest.mark.parametrize(
    ("value", "meant"), [("Suricatta", "Suricata"), ("Yarra", "YARA"), ("Snor", "Snort")]
)
def test_slips_of_signature_types(value: str, meant: str) -> None:
    """What looks like a slip of a known type is refused with that type."""
    assert f"'{meant}'" in assert_refused(values.signature_type, value).accepted


@pytest.mark.parametrize("value", ["", SURROGATE, *NOT_TEXT])
def test_wrong_signature_types(value: object) -> None:
    """An own type is text."""
    assert_refused(values.signature_type, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(name, name) for name in (kind.name for kind in catalog.INDICATOR_TYPES)],
        ("Url", "URL"),
        ("emailaddress", "EmailAddress"),
        ("Email Address", "EmailAddress"),
        ("registry_key", "Registry Key"),
        ("useragent", "User Agent"),
    ],
)
def test_indicator_types(value: str, expected: str) -> None:
    """Built-in indicator types are known in any spelling."""
    assert values.indicator_type(value) == expected


@pytest.mark.parametrize("value", ["Our Own Type", "", *NOT_TEXT])
def test_other_indicator_types(value: object) -> None:
    """Other names are not refused here, since instances define types of their own."""
    assert values.indicator_type(value) is None


@pytest.mark.parametrize("kinds", [catalog.GROUP_TYPES, catalog.INDICATOR_TYPES])
def test_catalog_names_are_unique(kinds: tuple[catalog.BuiltInType, ...]) -> None:
    """No two types share a name, a method, a class or a branch."""
    for names in (
        [kind.name for kind in kinds],
        [kind.method for kind in kinds],
        [kind.class_name for kind in kinds],
        [kind.branch for kind in kinds if kind.branch],
    ):
        assert len(set(names)) == len(names)


def test_catalog_is_complete() -> None:
    """There are sixteen group types, and twelve indicator types with a method of their own."""
    assert len(catalog.GROUP_TYPES) == 16
    assert len(catalog.INDICATOR_TYPES) == 12
    assert "course of action" in values.GROUP_TYPE_NAMES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("event_dat", "event_date"),
        ("Event_Date", "event_date"),
        ("sattus", "status"),
        ("statsu", "status"),
        ("vlaue1", "value1"),
        ("value2", None),
        ("nothing like it", None),
        ("", None),
        (5, None),
        ("x" * 1_000_000, None),
    ],
)
def test_nearest(name: object, expected: str | None) -> None:
    """A near miss is found in any letter case; other digits are another name, not a slip."""
    assert values.nearest(name, ["event_date", "status", "value1"]) == expected


def test_moment_is_a_converter() -> None:
    """A date is a field value like any other."""
    assert values.moment("2017-02-02 01:02:03", "event_date") == "2017-02-02T01:02:03Z"
    assert_refused(values.moment, "nonsense")
