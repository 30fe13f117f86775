"""A map from the hashes of keys to places, for what is encoded and not yet submitted."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["SHARDS", "SHARD_MASK", "XidIndex"]

SHARDS = 256
SHARD_MASK = SHARDS - 1
_PLACE_BITS = 48
_PLACE_MASK = (1 << _PLACE_BITS) - 1
#: So many entries are looked at in one go, or one shard. It takes milliseconds, since of very many
#: none is in the processor's caches.
_SWEPT_ENTRIES = 2_048


class XidIndex:
    """
    The place of a segment by the 64-bit hash of a key in it: fast at first, compact later.

    Entries are in dicts, where one takes some 90 bytes, until `compact` moves them to sorted
    arrays, where it takes 16, and a look-up several times as long. Both are in shards, by the
    lowest bits of the hash, so that nothing is so large that its growing or sorting holds the
    event loop. The garbage collector looks at none of it.

    Two keys with one hash (one chance in 10**7 for a million keys) share an entry, and entries of
    segments that are gone stay until they are swept: whoever asks must check what stands there.
    """

    __slots__ = ("_hashes", "_next", "_places", "compacted", "entries", "shards")

    def __init__(self) -> None:
        #: Places by hash; what is here is later than what is in the arrays.
        self.shards: list[dict[int, int]] = [{} for _ in range(SHARDS)]
        #: How many are in there, those counted twice that were put twice lately.
        self.entries = 0
        #: Whether there are any in arrays.
        self.compacted = False
        self._hashes: list[array[int]] = [array("q")] * SHARDS
        self._places: list[array[int]] = [array("q")] * SHARDS
        #: The shard whose turn it is to be made smaller.
        self._next = 0

    def get(self, number: int) -> int | None:
        """Look up the place that was put last for a hash."""
        place = self.shards[number & SHARD_MASK].get(number)
        return self.get_compact(number) if place is None else place

    def get_compact(self, number: int) -> int | None:
        """Look it up among those that were moved."""
        shard = number & SHARD_MASK
        hashes = self._hashes[shard]
        at = bisect_right(hashes, number) - 1
        return self._places[shard][at] if at >= 0 and hashes[at] == number else None

    def put(self, numbers: Collection[int], place: int) -> None:
        """Put one place for some hashes."""
        shards = self.shards
        for number in numbers:
            shards[number & SHARD_MASK][number] = place
        self.entries += len(numbers)

    def sweep(self, alive: Collection[int]) -> None:
        """
        Forget entries of other places than these, in one shard or as many as take no longer.

        Args:
            alive: The places that there are still.
        """
        shards = _SWEPT_ENTRIES * SHARDS // max(self.entries, _SWEPT_ENTRIES)
        for shard in self._turns(max(shards, 1)):
            entries, self.shards[shard] = self.shards[shard], {}
            if alive:
                self.shards[shard] = {
                    number: place for number, place in entries.items() if place in alive
                }
        self.entries = sum(map(len, self.shards))

    def compact(self, alive: Collection[int]) -> None:
        """
        Move the entries of one shard to where they take less, and sweep it.

        Args:
            alive: The places that there are still.
        """
        (shard,) = self._turns(1)
        entries, self.shards[shard] = self.shards[shard], {}
        held = zip(self._hashes[shard], self._places[shard], strict=True)
        # A number for each, not a pair: thousands of those set off the garbage collector, which
        # then looks at all that the process holds. Of one hash the latest place comes last.
        keys = sorted(
            [
                number << _PLACE_BITS | place
                for number, place in chain(held, entries.items())
                if place in alive
            ]
        )
        self._hashes[shard] = array("q", [key >> _PLACE_BITS for key in keys])
        self._places[shard] = array("q", [key & _PLACE_MASK for key in keys])
        self.compacted = True
        self.entries = sum(map(len, self.shards))

    def _turns(self, number: int) -> Iterable[int]:
        """Give the shards whose turn it is, each at most once."""
        for _ in range(min(number, SHARDS)):
            self._next = (self._next + 1) & SHARD_MASK
            yield self._next
