"""Dicts whose records end as others did: nothing is taken that is not right by itself."""

from __future__ import annotations

from typing import Any
from unittest import mock

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.collecting import endings, indicator_shelf
from aiotcbatch.collecting.endings import Endings
from aiotcbatch.collecting.typed import TypedBuilder
from aiotcbatch.errors import ValidationError

FEED: dict[str, Any] = {
    "type": "Address",
    "summary": "1.2.3.4",
    "xid": "x",
    "rating": 5,
    "attribute": [{"type": "Description", "value": "d", "displayed": True}],
    "tag": [{"name": "APT"}],
}
ENDING = b',"rating":5,"attribute":[{"type":"Description","value":"d","displayed":true}],'
ENDING += b'"tag":[{"name":"APT"}]}'


@pytest.fixture(autouse=True)
def _noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Note every dict, whatever the hash of its xid."""
    monkeypatch.setattr(indicator_shelf, "UNNOTED", 0)


def taught(*dicts: dict[str, Any]) -> TypedBuilder:
    """Make a builder that knows how the records of these dicts end."""
    builder = TypedBuilder()
    for number, indicator in enumerate(dicts * 2):
        assert builder._indicators.take({**indicator, "xid": f"taught {number}"}) is not None
    return builder


def known(builder: TypedBuilder, kind: str = "Address") -> dict[int, tuple[bytes, ...]]:
    """Return the endings that a builder knows."""
    return dict(builder._indicators._usual[kind][2])


def test_what_comes_again_is_known() -> None:
    """The second dict of its kind makes known what is behind its names."""
    builder = TypedBuilder()
    builder.add_indicator(FEED)
    assert known(builder) == {}
    builder.add_indicator({**FEED, "summary": "1.2.3.5", "xid": "y"})

    assert known(builder) == {6: (ENDING,)}


def test_what_is_known_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it noted; what ends in another way still is."""
    builder = taught(FEED)
    looked_at = []
    monkeypatch.setattr(indicator_shelf, "plain_parts", lambda given: looked_at.append(given) or 6)
    other = {**FEED, "tag": [{"name": "APT1"}], "xid": "other"}
    for indicator in (FEED, other):
        assert builder._indicators.take(indicator) is not None

    assert looked_at == [other]


PARTS = st.fixed_dictionaries(
    {},
    optional={
        "rating": st.sampled_from([5, 5.0, 6, "5", None, float("nan"), True]),
        "confidence": st.sampled_from([100, 101, None]),
        "attribute": st.sampled_from(
            [
                [{"type": "Description", "value": "d"}],
                ({"type": "Description", "value": "d"},),
                [{"type": "Description", "value": ""}],
                [],
            ]
        ),
        "tag": st.sampled_from([[{"name": "APT"}], [{"name": ""}], {"name": "APT"}, "APT"]),
        "associatedGroups": st.sampled_from([[{"groupXid": "g"}], ["g"], [""]]),
        "dnsActive": st.just(True),
        "tga": st.just([{"name": "APT"}]),
        "active": st.sampled_from([True, 1]),
    },
)
NAMES = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Address", "Host"]),
        "summary": st.sampled_from(["1.2.3.4", "a.example", "A.example", "1.2.3.4" + repr(FEED)]),
        "xid": st.sampled_from(["x", "y", "z", ENDING.decode(), "", 5, '",']),
    }
)
DICTS = st.tuples(NAMES, PARTS, st.randoms(use_true_random=False)).map(
    lambda drawn: shuffled(drawn[0] | drawn[1], drawn[2])
)


def shuffled(indicator: dict[str, Any], random: Any) -> dict[str, Any]:
    """Give a dict whose keys are in another order, half of the time."""
    keys = list(indicator)
    if random.random() < 0.5:
        random.shuffle(keys)
    return {key: indicator[key] for key in keys}


def outcome(builder: TypedBuilder, indicators: list[dict[str, Any]]) -> list[Any]:
    """Add dicts, and return what was refused and what is sent."""
    refused = []
    for indicator in indicators:
        try:
            builder.add_indicator(indicator)
        except ValidationError as error:
            refused.append(str(error))
    buffer = builder._indicators.buffer
    held = [orjson.dumps(buffer.remove(xid)) for xid in ("x", "y", "z", ENDING.decode(), '",')]
    held += [orjson.dumps(opened.data) for opened in builder._indicators.open.values()]
    return [refused, held]


@given(st.lists(DICTS, max_size=12))
def test_nothing_is_taken_that_would_not_be_taken_otherwise(
    indicators: list[dict[str, Any]],
) -> None:
    """Whatever comes in whichever order, the same is refused and the same is sent."""
    with mock.patch.object(Endings, "note"):
        usual = outcome(TypedBuilder(), indicators)

    assert outcome(TypedBuilder(), indicators) == usual


@pytest.mark.parametrize(
    "wrong",
    [
        {**FEED, "rating": 6},
        {**FEED, "xid": ENDING.decode(), "rating": 6},
        {
            "type": "Address",
            "summary": "1.2.3.4",
            "rating": 6,
            "a": 1,
            "b": 2,
            "xid": "x," + ENDING.decode(),
        },
        {"confidence": 101, **FEED},
        {"tag": [{"name": ""}], **{k: v for k, v in FEED.items() if k != "tag"}},
        {"associatedGroups": [""], **FEED},
        {**FEED, "summary": "1.2.3"},
        {**FEED, "xid": ""},
    ],
)
def test_what_is_wrong_is_refused_as_ever(wrong: dict[str, Any]) -> None:
    """Also where a dict holds the text of an ending, or ends with one."""
    builder = taught(FEED)
    before = len(builder)

    with pytest.raises(ValidationError):
        builder.add_indicator(wrong)
    assert len(builder) == before


def test_links_are_looked_at_each_time() -> None:
    """Each segment knows that it has some, as jobs with the groups have to come before."""
    linked = {**FEED, "associatedGroups": [{"groupXid": "g"}]}
    builder = taught(linked)
    buffer = builder._indicators.buffer
    buffer.close_segment()
    assert not buffer.filling.refers
    assert builder._indicators.take(linked) is not None

    assert buffer.filling.refers
    assert known(builder) == {}


def test_what_is_known_is_bounded() -> None:
    """However many endings there are, and however long."""
    builder = TypedBuilder()
    for number in range(50):
        indicator = {**FEED, "tag": [{"name": f"tag {number}"}]}
        for summary in ("1.2.3.4", "1.2.3.5"):
            builder.add_indicator({**indicator, "summary": summary, "xid": f"{summary} {number}"})
    long = {**FEED, "attribute": [{"type": "Description", "value": "d" * endings._MAX_BYTES}]}
    for number in range(4):
        builder.add_indicator({**long, "xid": f"long {number}"})

    (found,) = known(builder).values()
    assert [
        b"tag %d" % number in ending for number, ending in zip((49, 48, 47, 46), found, strict=True)
    ]
    assert len(builder._indicators._usual["Address"][2]._noted) <= endings._REMEMBERED
