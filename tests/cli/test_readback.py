"""The comparison of what was sent with what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aiotcbatch.cli.readback import Comparison, FoundGroup, Row, compare, without_others
from aiotcbatch.sources import SourceAttribute, SourceGroup

_SENT = [
    SourceGroup(type="Tool", name="Net", xid="t", attributes=(SourceAttribute("A", "v"),)),
    SourceGroup(type="Report", name="On Net", xid="r", tags=("x", "y"), associations=("t",)),
]
_TOOL = FoundGroup(
    id=1, type="Tool", name="Net", xid="t", attributes=(("A", "v"),), tags=(), associated=(2,)
)
_REPORT = FoundGroup(
    id=2, type="Report", name="On Net", xid="r", attributes=(), tags=("y", "x"), associated=(1,)
)


def _compare(*found: FoundGroup, files: dict[str, bytes] | None = None) -> Comparison:
    theirs = {"r": b"text"} if files is None else files
    return compare(_SENT, found, sent_files={"r": b"text"}, found_files=theirs)


def test_what_is_the_same_is_the_same() -> None:
    """Order of groups, tags and ends of associations does not count."""
    comparison = _compare(_REPORT, _TOOL)

    assert comparison.same
    assert comparison.differences == ()
    assert comparison.rows == (
        Row("Tool", 1, 1, 0),
        Row("Report", 1, 1, 0),
        Row("Attributes", 1, 1, 0),
        Row("Tags", 2, 2, 0),
        Row("Associations", 1, 1, 0),
        Row("Files", 1, 1, 0),
    )


@pytest.mark.parametrize(
    ("what", "found", "words"),
    [
        ("Tool", (replace(_TOOL, name="Nets"), _REPORT), "Tool: there and not sent: t | Nets"),
        ("Tags", (_TOOL, replace(_REPORT, tags=("x",))), "Tags: sent and not there: r | y"),
        (
            "Attributes",
            (replace(_TOOL, attributes=(("A", "w"),)), _REPORT),
            "Attributes: there and not sent: t | A | w",
        ),
        (
            "Attributes",
            (replace(_TOOL, attributes=(("A", "v"), ("A", "v"))), _REPORT),
            "Attributes: there and not sent: t | A | v",
        ),
        (
            "Associations",
            (replace(_TOOL, associated=()), replace(_REPORT, associated=())),
            "Associations: sent and not there: r | t",
        ),
        (
            "Associations",
            (replace(_TOOL, associated=(2, 9)), _REPORT),
            "Associations: there and not sent: group 9 | t",
        ),
    ],
)
def test_one_thing_that_differs_is_found(
    what: str, found: tuple[FoundGroup, ...], words: str
) -> None:
    """Equal numbers are not enough: a changed value shows in its row and in words."""
    comparison = _compare(*found)

    assert not comparison.same
    assert [row.what for row in comparison.rows if row.different] == [what]
    assert words in comparison.differences


@pytest.mark.parametrize("files", [{}, {"r": b"txet"}])
def test_a_file_that_differs_is_found(files: dict[str, bytes]) -> None:
    """A file that is missing or has other bytes differs."""
    comparison = _compare(_TOOL, _REPORT, files=files)

    assert [row.what for row in comparison.rows if row.different] == ["Files"]


def test_what_was_there_before_is_left_out() -> None:
    """Groups of someone else in the owner, and associations with them, are no difference."""
    other = replace(_TOOL, id=7, xid="z", associated=(1,))
    found = [replace(_TOOL, associated=(2, 7)), _REPORT, other]

    assert without_others(found, _SENT, {7}) == [_TOOL, _REPORT]
    assert without_others(found, _SENT, {1}) == found


def test_a_group_that_is_missing_is_found() -> None:
    """A missing group differs, and so do the things that were on it."""
    comparison = _compare(replace(_TOOL, associated=()))

    assert {row.what for row in comparison.rows if row.different} == {
        "Report",
        "Tags",
        "Associations",
    }
