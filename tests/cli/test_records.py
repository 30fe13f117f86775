"""Records from bytes, however they are cut."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.cli.records import Record, RecordReader
from aiotcbatch.errors import ValidationError

_GROUP = {"type": "Adversary", "name": "a", "xid": "x"}
_INDICATOR = {"type": "Host", "summary": "bad.example", "xid": "h"}
_ASSOCIATION = {"ref_1": "x", "ref_2": "bad.example", "type_2": "Host"}
_DOCUMENT = {"group": [_GROUP], "indicator": [_INDICATOR], "association": [_ASSOCIATION]}
_ALL = [("group", _GROUP), ("indicator", _INDICATOR), ("association", _ASSOCIATION)]


def _read(*blocks: bytes) -> list[Record]:
    reader = RecordReader("in")
    records = [record for block in blocks for record in reader.feed(block)]
    return records + reader.close()


def _found(records: list[Record]) -> list[tuple[str, dict[str, Any]]]:
    return [(record.kind, record.data) for record in records]


def _lines(*values: Any) -> bytes:
    return b"\n".join(orjson.dumps(value) for value in values)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(_lines(_GROUP, _INDICATOR, _ASSOCIATION), id="lines"),
        pytest.param(_lines(_GROUP, _INDICATOR, _ASSOCIATION) + b"\n", id="lines, last one ended"),
        pytest.param(b"\n \n" + _lines(_GROUP, _INDICATOR) + b"\r\n\r\n" + _lines(_ASSOCIATION)),
        pytest.param(_lines(_DOCUMENT), id="document on a line"),
        pytest.param(_lines({"group": [_GROUP]}, _INDICATOR, _ASSOCIATION), id="mixed"),
        pytest.param(orjson.dumps(_DOCUMENT, option=orjson.OPT_INDENT_2), id="indented document"),
        pytest.param(orjson.dumps([_DOCUMENT], option=orjson.OPT_INDENT_2), id="document in list"),
        pytest.param(_lines([_GROUP, _INDICATOR, _ASSOCIATION]), id="list"),
    ],
)
@given(data=st.data())
def test_every_form_gives_the_same_records(text: bytes, data: st.DataObject) -> None:
    """Lines, documents and lists give their entities in order, wherever the bytes are cut."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    blocks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert _found(_read(*blocks)) == _ALL


@pytest.mark.parametrize("text", [b"", b"\n\n", b"  "])
def test_nothing_gives_nothing(text: bytes) -> None:
    """An empty input has no records, and that is no error."""
    assert _read(text) == []


def test_lines_come_before_the_end() -> None:
    """A complete line is given at once, so that input of any length needs little memory."""
    reader = RecordReader("in")

    assert _found(reader.feed(_lines(_GROUP) + b"\n{")) == [("group", _GROUP)]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"type": "intrusion set", "name": "n"}, "group"),
        ({"type": "Email", "name": "n"}, "group"),
        ({"type": "Adversery", "name": "n"}, "group"),
        ({"type": "EmailAddress", "address": "a@b.example"}, "indicator"),
        ({"type": "Our Own Type", "summary": "s"}, "indicator"),
        ({"id_1": 1, "id_2": 2}, "association"),
    ],
)
def test_what_a_record_is(data: dict[str, Any], kind: str) -> None:
    """An association names its ends; a group has a group type; all else is an indicator."""
    (record,) = _read(_lines(data))

    assert record.kind == kind


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (_lines(_GROUP) + b"\n\n{bad\n", "in:3"),
        (_lines(_GROUP) + b"\n7", "in:2"),
        (_lines(_GROUP) + b'\n{"name": "no type"}', "in:2"),
        (b"{\n bad", "in"),
        (_lines([_GROUP, 5]), "in[1]"),
        (_lines({"group": [_GROUP, "no"]}), "in group[1]"),
        (_lines({"group": [_GROUP, "no"]}) + b"\n", "in:1 group[1]"),
    ],
)
def test_what_is_no_record_is_named_by_its_place(text: bytes, where: str) -> None:
    """The error says in which line, or where in the document, the input is wrong."""
    with pytest.raises(ValidationError) as caught:
        _read(text)

    assert caught.value.about == where
