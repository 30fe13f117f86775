"""External ids: the same ones as TcEx makes, for ever."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.errors import ValidationError
from aiotcbatch.xid import generate_xid, random_xid, unique_xid

encodable = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (
            "Adversary",
            "adversary-001",
            "2dcb052f3ed4acb0e87e9ca52b2aa7170d3534ad81cd5fec97362bc1015d3ba6",
        ),
        (
            "Address",
            "123.124.125.126",
            "4ce11aff4ace6231398c1783a8ee405c4f46840438bd35da53103c883e2561d2",
        ),
        (
            "Registry Key",
            "HKEY_LOCAL_MACHINE\\system : TRUE : REG_DWORD",
            "9b6152406c2a94fa4b79dffacf7b7590966945c11fb9e803f60448c69cddc234",
        ),
        (
            "Host",
            "www.badguys2.com",
            "54f433dfd6c03aad31240b5e15a2d001cf079414582e1fd00c51568e2c6689dd",
        ),
        (
            "Incident",
            "Café",
            "8cc232ee4320b3de9dd2860f522071f2a7a36df1fb3e4c5810aa3545200cb48b",
        ),
    ],
)
def test_unique_xids_are_frozen(kind: str, name: str, expected: str) -> None:
    """Type and name give the xid that they gave in 2018."""
    assert unique_xid(kind, name) == expected


@given(encodable, encodable)
def test_unique_xid_rule(kind: str, name: str) -> None:
    """The rule is the SHA-256 of type, hyphen and name in UTF-8."""
    assert unique_xid(kind, name) == sha256(f"{kind}-{name}".encode()).hexdigest()


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "myapp-adversary-5",
            "ef6a74c2a9f5a6d080c80224317948f1ee8df995292dcf97a39ea4fd757c3c19",
        ),
        (
            ["my", "adversary", 123],
            "aa1a0ac3e8dba4d96f53e5152e74c43c029624eb5f20ecc105f2fa2c92dbe638",
        ),
        (
            ["pytest", "adversary", "pytest-adversary-i1-001"],
            "2197e43b831d0d8152ef47c9fa55bd2fb46632548ffa40fc51759e55bea4f205",
        ),
        (
            ["pytest", "threat", "pytest-threat-i1-001"],
            "9ada379c7d1adf626e96735711d34cb973a08399e235840410d9acdae3610163",
        ),
    ],
)
def test_generated_xids_are_frozen(identifier: str | list[object], expected: str) -> None:
    """A text is hashed once and a list twice, as TcEx does."""
    assert generate_xid(identifier) == expected


def test_list_of_one_is_not_its_text() -> None:
    """A text and a list of it have different xids."""
    assert generate_xid(["a"]) != generate_xid("a")


def test_order_of_parts_matters() -> None:
    """The parts in another order are another xid."""
    assert generate_xid(["a", "b"]) != generate_xid(["b", "a"])


@pytest.mark.parametrize("identifier", [("a", "b"), {"a"}, {"a": 1}, 5, True, b"a"])
def test_other_identifiers_are_refused(identifier: object) -> None:
    """A tuple is not a list: it is refused with a text that says so."""
    with pytest.raises(ValidationError, match=r"^identifier is .* a list of parts \(not a tuple"):
        generate_xid(identifier)  # type: ignore[arg-type]  # the mistake under test


def test_lone_surrogates_are_refused() -> None:
    """Text that UTF-8 cannot carry is a ValidationError, not a UnicodeError out of the depth."""
    with pytest.raises(ValidationError):
        unique_xid("Adversary", "\ud800")
    with pytest.raises(ValidationError):
        generate_xid("\ud800")
    with pytest.raises(ValidationError):
        generate_xid(["\ud800"])


def test_random_xids_differ() -> None:
    """A random xid is a UUID that is made once."""
    first, second = random_xid(), random_xid()

    assert first != second
    assert str(UUID(first)) == first


def test_generated_random_xids_differ() -> None:
    """Without an identifier the xid is a random one of the same shape."""
    first, second = generate_xid(), generate_xid(None)

    assert first != second
    assert len(bytes.fromhex(first)) == len(bytes.fromhex(second)) == 32
