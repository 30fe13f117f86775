"""The compact map from keys to places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.collecting.xid_index import XidIndex


@given(st.lists(st.lists(st.text(max_size=4), max_size=40), max_size=8))
def test_it_is_a_dict_of_the_last_places(batches: list[list[str]]) -> None:
    """After any puts, each key has the place that it was given last, and no other key has one."""
    index, model, place = XidIndex(), {}, 0
    for keys in batches:
        index.put_all(map(hash, keys), place)
        for key in keys:
            model[key] = place
            place += 1

    assert {key: index.get(hash(key)) for key in model} == model
    assert index.get(hash("a key that was never put")) is None


def test_it_grows() -> None:
    """Ten thousand keys are all found."""
    keys = [f"key-{number}" for number in range(10_000)]
    index = XidIndex()

    index.put_all(map(hash, keys), 5)

    assert [index.get(hash(key)) for key in keys] == list(range(5, 10_005))
