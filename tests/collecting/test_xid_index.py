"""The compact map from keys to places."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aiotcbatch.collecting.xid_index import SHARD_MASK, SHARDS, XidIndex

NUMBERS = st.integers(-3, 3).map(lambda near: near << 40) | st.integers(-(2**61), 2**61)


class IndexMachine(RuleBasedStateMachine):
    """Any puts, in places that grow, against a dict of the last places."""

    def __init__(self) -> None:
        super().__init__()
        self.index = XidIndex()
        self.model: dict[int, int] = {}
        self.alive: set[int] = set()
        self.place = 0

    @rule(numbers=st.lists(NUMBERS, max_size=20))
    def put(self, numbers: list[int]) -> None:
        self.index.put(numbers, self.place)
        self.model.update(dict.fromkeys(numbers, self.place))
        self.alive.add(self.place)
        self.place += 1

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if self.alive:
            self.alive.discard(data.draw(st.sampled_from(sorted(self.alive))))

    @rule()
    def sweep(self) -> None:
        self.index.sweep(self.alive)

        assert self.index.entries == sum(place in self.alive for place in self.in_dicts())

    @rule(shards=st.integers(1, SHARD_MASK + 1))
    def compact(self, shards: int) -> None:
        for _ in range(shards):
            self.index.compact(self.alive)

        assert self.index.entries == len(self.in_dicts())
        assert not self.in_dicts() or shards <= SHARD_MASK

    @invariant()
    def gives_the_last_place(self) -> None:
        for number, place in self.model.items():
            found = self.index.get(number)
            assert found == place or place not in self.alive
        assert self.index.get(2**62) is None

    def in_dicts(self) -> list[int]:
        return [place for shard in self.index.shards for place in shard.values()]


TestIndex = IndexMachine.TestCase


def test_it_is_swept_bit_by_bit() -> None:
    """Of many entries a part is looked at in one go, and all are in as many as there are shards."""
    index, numbers = XidIndex(), range(200_000)
    index.put(numbers, 1)

    index.sweep({2})
    assert 0 < index.entries < len(numbers)
    for _ in range(SHARDS):
        index.sweep({2})
    assert index.entries == 0
