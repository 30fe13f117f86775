"""Values made readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pages import Html

from aiotcbatch.sandbox.page import text


@given(st.text(st.characters(), max_size=60))
def test_a_text_is_nothing_but_text(value: str) -> None:
    """Whatever the text, there is no element but the marks around odd characters."""
    page = Html(str(text.shown(value)))

    assert {name for name, _ in page.elements} <= {"span"}
    assert all(attributes == {"class": "odd"} for _, attributes in page.elements)
    page.text.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=60))
def test_a_plain_text_is_shown_as_it_is(value: str) -> None:
    """What can be seen is not changed."""
    assert Html(str(text.shown(value))).text == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\u202eb", "aU+202Eb"),
        ("\x00\x1b[2J", "U+0000U+001B[2J"),
        ("a\ud800b", "aU+D800b"),
        ("a\U000e0041b", "aU+E0041b"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("👩\u200d👧", "👩\u200d👧"),
    ],
)
def test_odd_characters_stand_there_by_number(value: str, expected: str) -> None:
    """Controls and the like are named; line ends, tabs and joiners are what they are."""
    assert Html(str(text.shown(value))).text == expected


@pytest.mark.parametrize(
    ("bytes_", "expected"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1_234_567, "1.23 MB"),
        (5_000_000_000, "5 GB"),
        (9_999_000_000_000, "9,999 GB"),
    ],
)
def test_sizes_are_in_the_unit_that_suits(bytes_: int, expected: str) -> None:
    """A number of bytes is given with three digits."""
    assert text.size(bytes_) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0 ms"),
        (0.0042, "4 ms"),
        (1, "1.0 s"),
        (59.94, "59.9 s"),
        (61, "1 min 1 s"),
        (7320, "2 h 2 min"),
    ],
)
def test_durations_are_in_the_unit_that_suits(seconds: float, expected: str) -> None:
    """A time span is given in one or two units."""
    assert text.duration(seconds) == expected


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        (-3, "just now"),
        (4, "just now"),
        (30, "30 s ago"),
        (119, "1 min ago"),
        (7300, "2 h ago"),
        (90_000, "2023-11-13"),
    ],
)
def test_moments_are_told_by_their_distance(passed: float, expected: str) -> None:
    """What was lately is told by how long ago it was, what was before by its day."""
    now = 1_700_000_000.0

    assert text.ago(now - passed, now) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("firstSeen", "First seen"), ("status", "Status"), ("", ""), ("dnsActive", "Dns active")],
)
def test_names_of_fields_become_words(name: str, expected: str) -> None:
    """A name in camel case is read as words."""
    assert text.words(name) == expected
