"""The fast way of interface 3: it never takes what the thorough one would refuse or rewrite."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiotcbatch.collecting import plain, raw
from aiotcbatch.collecting.buffer import SEGMENT_BYTES
from aiotcbatch.collecting.typed import TypedBuilder
from aiotcbatch.entities.indicator import Address
from aiotcbatch.errors import SealedError, ValidationError

NAMES = st.sampled_from(["APT", "Description", "", "t" * 129, "ü", 5, None, ["APT"]])
PARTS = st.one_of(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "type": NAMES,
                "name": NAMES,
                "value": st.sampled_from(["text", "", 0, True, None, ["a"]]),
                "displayed": st.booleans(),
                "color": st.sampled_from(["ff0000", "#ff0000", "red"]),
                "securityLabel": st.just([{"name": "TLP:RED"}]),
            },
        ),
        max_size=2,
    ),
    st.sampled_from([(), {}, "", "APT", {"name": "APT"}, ({"name": "APT"},), None]),
)
LINKS = st.sampled_from([["g"], [{"groupXid": "g"}], [{"groupXid": ""}], [{}], "g", [], ("g",)])
#: Fields that indicators and groups may have, right and wrong.
FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    "attribute": PARTS,
    "tag": PARTS,
    "securityLabel": PARTS,
    "associatedGroups": LINKS,
    "associatedGroupXid": LINKS,
    "rating": st.sampled_from([0.0, -0.0, 3.5, 5.0, 5.1, 3, "3", True, None, float("nan")]),
    "confidence": st.sampled_from([0, 100, 101, 50.0, "50", True, None]),
    "dateAdded": st.sampled_from(["2020-01-01T00:00:00Z", "2020-01-01", "never", 0, None]),
    "active": st.sampled_from([True, False, "yes", 1, 2]),
    "flag1": st.booleans(),
    "dnsActive": st.booleans(),
    "eventDate": st.just("2020-01-01T00:00:00Z"),
    "subject": st.sampled_from(["s", ""]),
    "header": st.just("h"),
    "body": st.just("b"),
    "xdi": st.just("x"),
    "newerField": st.just(1),
}
SOME_FIELDS = st.lists(st.sampled_from(list(FIELDS)), max_size=4, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)
INDICATORS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Address", "address", "Host", "Mutex", "Other", ["Host"]]),
        "summary": st.sampled_from(["1.2.3.4", "a.example", "A.example", " 1.2.3.4", "", 5]),
        "xid": st.sampled_from(["x", "", None, 5]),
    }
)
GROUPS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Adversary", "adversary", "Event", "Email", "Document"]),
        "name": st.sampled_from(["name", "", None, "\ud800"]),
        "xid": st.sampled_from(["x", "", None, 5]),
    }
)


HOST = {"type": "Host", "summary": "a.example", "xid": "x"}
MANY = st.lists(
    st.tuples(
        INDICATORS | st.just({"type": "Adversary", "name": "name", "xid": "x"}),
        SOME_FIELDS,
        st.sampled_from(["x", "y", "z"]),
    ),
    max_size=6,
)


def same(found: dict[str, Any], given_dict: dict[str, Any] | None) -> bool:
    """Whether both are the same document, types included."""
    return orjson.dumps(found, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        given_dict, option=orjson.OPT_SORT_KEYS
    )


@given(INDICATORS, SOME_FIELDS)
def test_an_indicator_it_takes_is_what_the_other_makes(
    indicator: dict[str, Any], fields: dict[str, Any]
) -> None:
    """What the fast way takes, the thorough one takes too, and makes the same of it."""
    given_dict = indicator | fields
    before = repr(given_dict)
    found = plain.plain(given_dict, plain.INDICATORS, "summary")

    assert repr(given_dict) == before
    if found is not None:
        assert same(found, raw.indicator(given_dict, TypedBuilder().indicator_type))


@given(INDICATORS, SOME_FIELDS)
def test_an_indicator_that_is_taken_at_once_is_what_the_other_makes(
    indicator: dict[str, Any], fields: dict[str, Any]
) -> None:
    """What is encoded as it is, the thorough way takes too, and makes the same of it."""
    given_dict = indicator | fields
    builder = TypedBuilder()

    if builder._indicators.take(given_dict) is not None:
        data = builder._indicators.buffer.remove(given_dict["xid"])
        assert data is not None
        assert same(data, raw.indicator(given_dict, builder.indicator_type))
    else:
        assert len(builder) == 0


@given(GROUPS, SOME_FIELDS)
def test_a_group_it_takes_needs_no_change(group: dict[str, Any], fields: dict[str, Any]) -> None:
    """What the fast way takes, the thorough one takes too, and as it is, with nothing to upload."""
    given_dict = group | fields

    if plain.plain(given_dict, plain.GROUPS, "name") is not None:
        found, content = raw.group(given_dict)
        assert same(found, given_dict)
        assert content is None


@pytest.mark.parametrize(
    "indicator",
    [
        {"type": "Address", "summary": "1.2.3.4", "xid": "x"},
        {"type": "Host", "summary": "a.example", "xid": "x", "rating": 5.0, "confidence": 0},
        {"type": "URL", "summary": "http://a/", "xid": "x", "tag": [{"name": "APT"}]},
        {"type": "File", "summary": "a" * 32, "xid": "x", "intValue1": 5},
        {"type": "Mutex", "summary": "a", "xid": "x", "rating": 5, "confidence": "40"},
        {
            "type": "Address",
            "summary": "::1",
            "xid": "x",
            "attribute": [{"type": "Description", "value": "d", "displayed": True}],
            "securityLabel": [{"name": "TLP:RED"}],
            "associatedGroups": [{"groupXid": "g"}],
            "lastModified": "2020-01-01T00:00:00Z",
        },
    ],
)
def test_what_feeds_send_is_taken(indicator: dict[str, Any]) -> None:
    """The fast way is taken where it matters."""
    assert plain.plain(indicator, plain.INDICATORS, "summary") is not None


@pytest.mark.parametrize(
    "indicator",
    [
        {"type": "Address", "summary": "1.2.3.4", "xid": "x"},
        {"type": "Host", "summary": "a.example", "xid": "x", "rating": 5.0, "confidence": 0},
        {"type": "URL", "summary": "http://a/", "xid": "x", "tag": [{"name": "APT"}]},
        {
            "type": "File",
            "summary": "A" * 32,
            "xid": "x",
            "attribute": [{"type": "Description", "value": "d", "displayed": True}],
            "securityLabel": [{"name": "TLP:RED"}],
        },
        {
            "type": "Host",
            "summary": "a.example",
            "xid": "x",
            "attribute": [{"type": "Count", "value": 5}, {"type": "Seen", "value": False}],
            "associatedGroups": [{"groupXid": "g"}, "h"],
            "lastModified": "2020-01-01T00:00:00Z",
            "flag1": True,
        },
    ],
)
def test_what_most_feeds_send_is_taken_at_once(indicator: dict[str, Any]) -> None:
    """The fastest way is taken where it matters most, but for one that is there already."""
    shelf = TypedBuilder()._indicators

    assert shelf.take(indicator) is not None
    assert shelf.take(indicator) is None


ATTRIBUTE = {"type": "Description", "value": "d"}


@pytest.mark.parametrize(
    "unusual",
    [
        {"type": "host"},
        {"type": "Mutex"},
        {"summary": "A.example"},
        {"summary": "1.2.3.4"},
        {"xid": ""},
        {"xid": 5},
        {"rating": True},
        {"rating": "3"},
        {"rating": 5.1},
        {"rating": float("nan")},
        {"confidence": True},
        {"confidence": 101},
        {"attribute": [{"type": "Description", "value": ""}]},
        {"attribute": [{"type": "Description", "value": float("nan")}]},
        {"attribute": [{"type": "", "value": "d"}]},
        {"attribute": [{**ATTRIBUTE, "securityLabel": [{"name": "TLP:RED"}]}]},
        {"attribute": (ATTRIBUTE,)},
        {"tag": [{"name": "t" * 129}]},
        {"tag": ({"name": "APT"},)},
        {"tag": {}},
        {"tag": None},
        {"securityLabel": [{"name": "TLP:RED", "color": "#ff0000"}]},
        {"securityLabel": [{"name": ""}]},
        {"securityLabel": ""},
        {"associatedGroups": [{"groupXid": ""}]},
        {"associatedGroups": "g"},
        {"associatedGroupXid": ["g"]},
        {"lastModified": "2020-01-01"},
        {"flag1": None},
        {"dnsActive": True},
        {"newerField": 1},
    ],
)
def test_what_is_wrong_or_unusual_is_not_taken_at_once(unusual: dict[str, Any]) -> None:
    """What is to be changed, looked at more closely or refused goes another way."""
    builder = TypedBuilder()

    assert builder._indicators.take(HOST | unusual) is None
    assert len(builder) == 0


@pytest.mark.parametrize(
    ("limits", "indicator"),
    [
        ({"validate": False}, HOST),
        ({"max_bytes_per_job": 200}, {**HOST, "tag": [{"name": "t" * 100}, {"name": "u" * 100}]}),
    ],
)
def test_what_a_builder_has_to_look_at_is_not_taken_at_once(
    limits: dict[str, Any], indicator: dict[str, Any]
) -> None:
    """Neither is what is not to be checked, nor what is larger than a job."""
    builder = TypedBuilder(**limits)

    assert builder._indicators.take(indicator) is None
    assert len(builder) == 0


@pytest.mark.parametrize(
    ("group", "field"),
    [
        ({"type": "Email", "name": "e", "xid": "x", "subject": "s"}, "header"),
        ({"type": "Document", "name": "d", "xid": "x", "malware": True}, "password"),
    ],
)
async def test_a_group_that_lacks_something_is_refused(group: dict[str, Any], field: str) -> None:
    """A dict without what its type needs is wrong where it is given, and nothing is added."""
    builder = TypedBuilder()
    for add in (builder.add_group, builder.add):
        with pytest.raises(ValidationError, match=f"'x': {field} is None, accepted is text"):
            add(group)
    refused: list[Any] = []
    await builder.extend([group, HOST], on_refused=lambda item, _: refused.append(item))

    assert refused == [group]
    assert len(builder) == 1


async def test_a_group_that_is_there_may_be_given_in_part() -> None:
    """What continues a group need not repeat what it has."""
    builder = TypedBuilder()
    email = {"type": "Email", "name": "e", "xid": "x"}
    builder.add_group({**email, "subject": "s", "header": "h", "body": "b"})
    builder.add_group({**email, "score": 5})
    await builder.drain()

    chunk = builder._cut()
    assert chunk is not None
    assert chunk.decode()["group"][0] | {"score": 5, "header": "h"} == chunk.decode()["group"][0]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {**HOST, "associatedGroupXid": ["g"]},
            r"associatedGroupXid is \['g'\], accepted is associatedGroups, a list of",
        ),
        (
            {"type": "Threat", "name": "t", "xid": "t", "associatedGroups": [{"groupXid": "g"}]},
            "associatedGroups is .*, accepted is associatedGroupXid, a list of xids",
        ),
        (
            {"type": "Campain", "name": "c", "xid": "c"},
            "item: type is 'Campain', accepted is 'Campaign', or another type",
        ),
        ({**HOST, "newerField": float("nan")}, "newerField is nan, accepted is a number that JSON"),
    ],
)
def test_what_the_server_would_pass_over_is_refused(item: dict[str, Any], message: str) -> None:
    """What would be lost without a word is told where it is given."""
    with pytest.raises(ValidationError, match=message):
        TypedBuilder().add(item)


async def test_nothing_that_is_taken_is_sent_before_drain() -> None:
    """What is encoded at once waits for drain() as all else."""
    builder = TypedBuilder()
    builder.add_indicator(HOST)
    assert builder._cut() is None

    await builder.drain()
    assert builder._cut() is not None


def test_segments_do_not_grow_without_bound() -> None:
    """However many are added before drain(), they are put into segments of a bounded size."""
    builder = TypedBuilder()
    buffer = builder._indicators.buffer
    while buffer.nbytes < 3 * SEGMENT_BYTES:
        builder.add_indicator({**HOST, "xid": f"x{len(builder)}"})

    assert len(buffer.filling.growing) <= SEGMENT_BYTES


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tags there are, no more than a bounded number of them is remembered."""
    monkeypatch.setattr(plain, "_MAX_FAMILIAR", 10)
    for number in range(100):
        tag = {"name": f"tag {number}"}
        indicator = {"type": "Address", "summary": "1.2.3.4", "xid": "x", "tag": [tag]}
        assert plain.plain(indicator, plain.INDICATORS, "summary") is not None

    assert len(plain.FAMILIAR) <= 10


class TestHandles:
    """What is returned for a dict that was encoded at once."""

    async def test_it_opens_its_record_again(self) -> None:
        """A handle that is changed before drain() changes what is sent, once."""
        builder = TypedBuilder()
        first = builder.add_indicator({"type": "Address", "summary": "1.2.3.4", "xid": "x"})
        builder.add_indicator({"type": "Address", "summary": "1.2.3.5", "xid": "y"})
        first.tag("later")
        first.rating = 4
        assert len(builder) == 2
        await builder.drain()

        chunk = builder._cut()

        assert chunk is not None
        assert chunk.decode()["indicator"] == [
            {"type": "Address", "summary": "1.2.3.5", "xid": "y"},
            {
                "type": "Address",
                "summary": "1.2.3.4",
                "xid": "x",
                "tag": [{"name": "later"}],
                "rating": 4.0,
            },
        ]

    async def test_the_order_of_coming_is_kept(self) -> None:
        """A dict that comes after an entity is not sent before it, though it is encoded sooner."""
        builder = TypedBuilder()
        builder.address("1.2.3.4", xid="x")
        builder.add_indicator({"type": "Address", "summary": "1.2.3.5", "xid": "y"})
        await builder.drain()

        chunk = builder._cut()

        assert chunk is not None
        assert [data["xid"] for data in chunk.decode()["indicator"]] == ["x", "y"]

    async def test_two_handles_to_one_entity_agree(self) -> None:
        """What one handle changes the other reads, and drain() seals both."""
        builder = TypedBuilder()
        first = builder.add_indicator({"type": "Address", "summary": "1.2.3.4", "xid": "x"})
        second = builder.address("1.2.3.4", xid="x")
        second.tag("a")
        first.tag("b")

        assert first.data is second.data
        assert [tag["name"] for tag in second.data["tag"]] == ["a", "b"]
        await builder.drain()
        assert first.sealed
        assert second.sealed

    def test_each_that_is_kept_stands_for_its_own(self) -> None:
        """What is added next takes over the handle that nobody kept, and no other."""
        builder = TypedBuilder()
        kept = [
            builder.add_indicator({"type": "Address", "summary": f"1.2.3.{n}", "xid": f"x{n}"})
            for n in range(3)
        ]
        builder.add_indicator({"type": "Address", "summary": "1.2.3.8", "xid": "x8"})
        builder.add_indicator({"type": "Address", "summary": "1.2.3.9", "xid": "x9"})

        assert [handle.xid for handle in kept] == ["x0", "x1", "x2"]
        assert [handle.summary for handle in kept] == ["1.2.3.0", "1.2.3.1", "1.2.3.2"]

    async def test_what_was_changed_and_not_kept_is_sent(self) -> None:
        """A handle that was opened is not that of the next entity, now or after drain()."""
        builder = TypedBuilder()
        for n in range(3):
            given_dict = {"type": "Address", "summary": f"1.2.3.{n}", "xid": f"x{n}"}
            builder.add_indicator(given_dict).tag(f"tag {n}")
            await builder.drain()

        chunk = builder._cut()

        assert chunk is not None
        found = {data["xid"]: data["tag"] for data in chunk.decode()["indicator"]}
        assert found == {f"x{n}": [{"name": f"tag {n}"}] for n in range(3)}

    async def test_it_ends_with_drain(self) -> None:
        """After drain() the handle says so, as every other does, and reads as sealed."""
        builder = TypedBuilder()
        handle = builder.add_group({"type": "Adversary", "name": "a", "xid": "x"})
        assert not handle.sealed
        await builder.drain()

        assert handle.sealed
        with pytest.raises(SealedError, match="'x'"):
            handle.tag("late")

    def test_discarding_ends_it(self) -> None:
        """A handle to what was discarded is over."""
        builder = TypedBuilder()
        handle = builder.add_indicator({"type": "Address", "summary": "1.2.3.4", "xid": "x"})

        builder.discard(handle)

        assert len(builder) == 0
        assert handle.sealed

    def test_the_callers_dict_is_not_kept(self) -> None:
        """Changing the dict afterwards, or the entity, does not change the other."""
        builder = TypedBuilder()
        given_dict: dict[str, Any] = {"type": "Address", "summary": "1.2.3.4", "xid": "x"}
        handle = builder.add_indicator(given_dict)
        given_dict["tag"] = [{"name": "not sent"}]
        handle.rating = 1

        assert "tag" not in handle.data
        assert "rating" not in given_dict

    def test_its_class_is_that_of_its_type(self) -> None:
        """A handle is what it is made of: its type tells its class, opened or not."""
        builder = TypedBuilder()
        handle = builder.add_indicator({"type": "Address", "summary": "1.2.3.4", "xid": "x"})

        assert isinstance(handle, Address)
        assert type(handle).__name__ == "Address"
        assert repr(handle) == "<Address '1.2.3.4' xid='x'>"


@given(MANY)
@example([(HOST, {"tag": [{"name": name}]}, "x") for name in ("APT", "Phishing")])
@example(
    [
        (
            {"type": "Adversary", "name": "name", "xid": "x"},
            {"associatedGroupXid": [{"groupXid": "g"}]},
            "x",
        )
    ]
)
def test_many_at_once_are_what_they_are_one_by_one(
    parts: list[tuple[dict[str, Any], dict[str, Any], str]],
) -> None:
    """`extend` takes a shorter way, on which xids that come again are met as well."""
    items = [{**named, **fields, "xid": named["xid"] and xid} for named, fields, xid in parts]

    async def documents() -> list[Any]:
        each, all_at_once = TypedBuilder(), TypedBuilder()
        refused: list[int] = []
        for number, item in enumerate(items):
            try:
                each.add(item)
            except ValidationError:
                refused.append(number)
        found: list[Any] = []
        added = await all_at_once.extend(items, on_refused=lambda item, _: found.append(item))
        assert [items[number] for number in refused] == found
        assert added == len(items) - len(found)
        await each.drain()
        chunks = (each._cut(), all_at_once._cut())
        return [chunk and orjson.dumps(chunk.decode()) for chunk in chunks]

    first, second = asyncio.run(documents())
    assert first == second
