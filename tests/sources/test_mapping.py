"""What all sources share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.sources import Counts, SourceAttribute, SourceGroup
from aiotcbatch.sources.mapping import shorten, unique


async def _content(xid: str) -> str:
    return xid


@given(st.text(max_size=60), st.integers(min_value=1, max_value=50))
def test_shortened_text_fits_and_keeps_its_beginning(text: str, limit: int) -> None:
    """What is shortened is never longer than the limit, and begins as the text does."""
    short = shorten(text, limit)

    assert len(short) <= limit
    assert text.startswith(short.removesuffix("…"))


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("exactly ten", 11, "exactly ten"),
        ("cut at the word", 12, "cut at the…"),
        ("oneverylongword", 10, "oneverylo…"),
    ],
)
def test_shortened_text_ends_at_a_word(text: str, limit: int, expected: str) -> None:
    """A text that fits is left alone; one that does not ends at a word and an ellipsis."""
    assert expected == shorten(text, limit)


def test_unique_keeps_the_first_of_equal_ones() -> None:
    """Repetitions and empty texts go, the order stays."""
    assert unique(["b", "", "a", "b"]) == ("b", "a")


def test_a_bare_group_says_nothing_that_it_does_not_know() -> None:
    """A group without metadata is its type, name and xid."""
    group = SourceGroup(type="Tool", name="t", xid="x")

    assert group.to_wire() == {"type": "Tool", "name": "t", "xid": "x"}


def test_a_full_group_has_the_names_of_the_wire() -> None:
    """Every field goes under the server's name, the content where interface 3 expects it."""
    group = SourceGroup(
        type="Report",
        name="r",
        xid="x",
        attributes=(
            SourceAttribute("Description", "d", displayed=True, source="s"),
            SourceAttribute("Aliases", "a"),
        ),
        tags=("t",),
        associations=("y",),
        file_name="r.md",
        file_content=_content,
    )

    assert group.to_wire() == {
        "type": "Report",
        "name": "r",
        "xid": "x",
        "fileName": "r.md",
        "attribute": [
            {"type": "Description", "value": "d", "displayed": True, "source": "s"},
            {"type": "Aliases", "value": "a"},
        ],
        "tag": [{"name": "t"}],
        "associatedGroupXid": ["y"],
        "fileContent": _content,
    }


def test_counts_say_how_much_there_is() -> None:
    """Counts are by type for groups, and over all groups for the rest."""
    groups = [
        SourceGroup(type="Tool", name="a", xid="1", tags=("t", "u")),
        SourceGroup(type="Report", name="b", xid="2", associations=("1",), file_content=_content),
        SourceGroup(type="Tool", name="c", xid="3", attributes=(SourceAttribute("A", "v"),)),
    ]

    counts = Counts.of(groups)

    assert counts == Counts(
        groups={"Tool": 2, "Report": 1}, attributes=1, tags=2, associations=1, files=1
    )
    assert counts.entities == 3
