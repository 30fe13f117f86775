"""Records from bytes, however they are cut."""

from __future__ import annotations

import gzip
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.cli.records import Record, RecordReader
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

_GROUP = {"type": "Adversary", "name": "a", "xid": "x"}
_INDICATOR = {"type": "Host", "summary": "bad.example", "xid": "h"}
_ASSOCIATION = {"ref_1": "x", "ref_2": "bad.example", "type_2": "Host"}
_DOCUMENT = {"group": [_GROUP], "indicator": [_INDICATOR], "association": [_ASSOCIATION]}
_HALF = b'{"type":"Adversary","name":"ha'
_ALL = [("group", _GROUP), ("indicator", _INDICATOR), ("association", _ASSOCIATION)]


def _read(
    *blocks: bytes, on_refused: Callable[[ValidationError], None] | None = None
) -> list[Record]:
    reader = RecordReader("in", on_refused)
    records = [record for block in blocks for record in reader.feed(block)]
    return records + reader.close()


def _read_on(*blocks: bytes) -> tuple[list[tuple[str, dict[str, Any]]], list[ValidationError]]:
    """Read everything that can be read, and give what was refused."""
    refused: list[ValidationError] = []
    records = _read(*blocks, on_refused=refused.append)
    return _found(records), refused


def _cut(text: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


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
        pytest.param(BOM_UTF8 + _lines(_GROUP, _INDICATOR, _ASSOCIATION), id="lines with a BOM"),
        pytest.param(BOM_UTF8 + _lines(_DOCUMENT), id="document with a BOM"),
        pytest.param(_lines(_DOCUMENT | {"file": {}}), id="document of TcEx that deletes"),
        pytest.param(_lines({"group": None} | _DOCUMENT), id="document in another order"),
    ],
)
@given(data=st.data())
def test_every_form_gives_the_same_records(text: bytes, data: st.DataObject) -> None:
    """Lines, documents and lists give their entities in order, wherever the bytes are cut."""
    assert _found(_read(*_cut(text, data))) == _ALL


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
        (b"type,name\nAdversary,a\n", "in:1"),
        (b"type,name", "in:1"),
        (b"\n" + _HALF + b"\n" + _lines(_GROUP), "in:2"),
        (_lines({"group": [_GROUP], "indicators": [_INDICATOR]}), "in"),
        (_lines({"group": _GROUP}), "in"),
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


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"not json", id="no JSON"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b'{"type":"Adversary","name":"\xff"}', id="no UTF-8 in an object"),
        pytest.param(_HALF, id="an object that breaks off in a text"),
        pytest.param(b'{"type":', id="an object that breaks off before a value"),
        pytest.param(b"{", id="only the beginning of an object"),
        pytest.param(b"7", id="no object"),
    ],
)
@pytest.mark.parametrize("at", [0, 1, 3])
@given(data=st.data())
def test_a_bad_line_costs_only_itself(bad: bytes, at: int, data: st.DataObject) -> None:
    """It is named by its number wherever it stands, also where it is the first one."""
    lines = [_lines(_GROUP), _lines(_INDICATOR), _lines(_ASSOCIATION)]
    lines.insert(at, bad)

    found, refused = _read_on(*_cut(b"\n".join(lines), data))

    assert found == _ALL
    assert [error.about for error in refused] == [f"in:{at + 1}"]


def test_a_bad_first_line_before_very_much() -> None:
    """Lines are lines too where there are more than are looked at to find that out."""
    text = _HALF + b"\n" + (_lines(_GROUP) + b"\n") * 40_000

    for blocks in ([text], [text[:50], text[50 : 2 << 20], text[2 << 20 :]]):
        found, refused = _read_on(*blocks)
        assert len(found) == 40_000
        assert [error.about for error in refused] == ["in:1"]


def test_a_document_of_which_very_much_is_indented() -> None:
    """A document stays one, however much of it there is, and whatever its first line holds."""
    groups = [_GROUP] * 40_000
    indented = orjson.dumps({"group": groups}, option=orjson.OPT_INDENT_2)
    long_line = b'{"group":' + orjson.dumps(groups) + b",\n" + b'"indicator":[]}'

    for text in (indented, long_line):
        blocks = [text[at : at + 500_000] for at in range(0, len(text), 500_000)]
        assert len(_read(*blocks)) == 40_000


@pytest.mark.parametrize(
    "text",
    [
        orjson.dumps(_DOCUMENT, option=orjson.OPT_INDENT_2)[:-5],
        b'{"group": [\n' + _lines(_GROUP) + b",\n" + _lines(_GROUP) + b"\n]\n",
        orjson.dumps([_GROUP] * 20_000, option=orjson.OPT_INDENT_2)[:-5],
    ],
)
def test_a_document_that_is_broken_is_told_once(text: bytes) -> None:
    """Its lines are no values, so the error is about all of it, and says where it breaks."""
    found, refused = _read_on(text)

    assert found == []
    assert [error.about for error in refused] == ["in"]
    assert "accepted is one JSON object a line, or one batch document (" in refused[0].message
    assert ": line " in refused[0].message


def test_what_is_no_json_at_all_is_told_what_is_accepted() -> None:
    """Of a table that was exported in another form the parser's own words would say nothing."""
    with pytest.raises(ValidationError, match=r"accepted is one JSON object a line$"):
        _read(b"type,name\nAdversary,a\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            gzip.compress(_lines(_GROUP)),
            "this is compressed: `gzip -dc FILE | aiotcbatch submit -`",
        ),
        ((_lines(_GROUP) + b"\n").decode().encode("utf-16"), "this is UTF-16: `iconv "),
        (b'\n{"name": "caf\xe9"}\n', "this is not UTF-8: byte 15 is 0xe9"),
        (b'{"name": "caf\xe9"}', "this is not UTF-8: byte 14 is 0xe9"),
    ],
)
def test_what_is_encoded_otherwise_is_told_as_such(text: bytes, told: str) -> None:
    """It may well be JSON, so what is wrong with it as JSON would say nothing."""
    _, refused = _read_on(text)

    assert f"({told}" in refused[0].message


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("indicators", "'indicator' "),
        ("Indicator", "'indicator' "),
        ("groups", "'group' "),
        ("associations", "'association' "),
    ],
)
@pytest.mark.parametrize("others", [{}, {"group": [_GROUP]}])
def test_a_slip_of_a_key_of_a_document(key: str, near: str, others: dict[str, Any]) -> None:
    """What is under it would be lost: the key is named, with the one that it resembles."""
    found, refused = _read_on(_lines(others | {key: [_INDICATOR]}) + b"\n")

    assert found == [("group", group) for group in others.get("group", ())]
    (error,) = refused
    assert error.message.startswith(f"in:1: key is '{key}', accepted is {near}")


def test_an_unknown_key_of_a_document() -> None:
    """A key that resembles none is refused as well, and which there are is said."""
    _, refused = _read_on(_lines(_DOCUMENT | {"victim": [], "file": {"a": "b"}}))

    assert [error.message.partition(", ")[0] for error in refused] == [
        "in: key is 'victim'",
        "in: key is 'file'",
    ]
    assert all("group, indicator or association" in error.message for error in refused)


def test_a_bad_element_of_a_document_costs_only_itself() -> None:
    """It is named by its place; what stands beside it is taken."""
    document = {
        "group": [_GROUP, None],
        "indicator": [7, _INDICATOR],
        "association": [_ASSOCIATION],
    }
    places = ["group[1]", "indicator[0]"]

    found, refused = _read_on(_lines(document) + b"\n")
    assert found == _ALL
    assert [error.about for error in refused] == [f"in:1 {place}" for place in places]
    found, refused = _read_on(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    assert found == _ALL
    assert [error.about for error in refused] == [f"in {place}" for place in places]


def test_a_bad_element_of_a_list_costs_only_itself() -> None:
    """So do what is no entity, and a dead letter that cannot be understood."""
    bad = [5, {"name": "no type"}, {"entity": {}, "kind": "victim"}]

    found, refused = _read_on(_lines([_GROUP, *bad, _INDICATOR, _ASSOCIATION]))

    assert found == _ALL
    assert [error.about for error in refused] == ["in[1]", "in[2]", "in[3]"]
