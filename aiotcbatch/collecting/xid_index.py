"""Maps from the hashes of keys to places, for what is encoded and not yet submitted."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SHARD_MASK", "SegmentIndex", "XidIndex"]

_SHARDS = 256
SHARD_MASK = _SHARDS - 1
_SHARD_BITS = 8
_FIRST_SLOTS = 16


#: What a shard without entries is.
_EMPTY: array[int] = array("q")


class XidIndex:
    """
    Places by the 64-bit hash of a key, 24 to 48 bytes an entry where a dict needs 200.

    It is open addressing in arrays, in shards so that growing one moves few entries and never
    holds the event loop. Two keys with one hash (one chance in 10**7 for a million keys) share
    an entry, so whoever asks must check what stands at the place.
    """

    __slots__ = ("_counts", "_hashes", "_places")

    def __init__(self) -> None:
        self._hashes: list[array[int]] = [_EMPTY] * _SHARDS
        self._places: list[array[int]] = [_EMPTY] * _SHARDS
        self._counts = [0] * _SHARDS

    def get(self, number: int) -> int | None:
        """Look up the latest place that was put for a hash."""
        number = number or 1
        hashes = self._hashes[number & SHARD_MASK]
        mask = len(hashes) - 1
        if mask < 0:
            return None
        slot = (number >> _SHARD_BITS) & mask
        while (there := hashes[slot]) != 0:
            if there == number:
                return self._places[number & SHARD_MASK][slot]
            slot = (slot + 1) & mask
        return None

    def put_all(self, numbers: Iterable[int], first: int) -> None:
        """Put consecutive places, from first on, for some hashes; of two the later place holds."""
        all_hashes, all_places, used = self._hashes, self._places, self._counts
        for place, given in enumerate(numbers, first):
            number = given or 1
            shard = number & SHARD_MASK
            hashes = all_hashes[shard]
            if used[shard] * 2 >= len(hashes):
                self._grow(shard)
                hashes = all_hashes[shard]
            mask = len(hashes) - 1
            slot = (number >> _SHARD_BITS) & mask
            while (there := hashes[slot]) != 0 and there != number:
                slot = (slot + 1) & mask
            if there == 0:
                hashes[slot] = number
                used[shard] += 1
            elif place < all_places[shard][slot]:
                continue
            all_places[shard][slot] = place

    def _grow(self, shard: int) -> None:
        old_hashes, old_places = self._hashes[shard], self._places[shard]
        size = max(_FIRST_SLOTS, len(old_hashes) * 2)
        hashes, places = array("q", bytes(size * 8)), array("Q", bytes(size * 8))
        mask = size - 1
        for number, place in zip(old_hashes, old_places, strict=True):
            if number:
                slot = (number >> _SHARD_BITS) & mask
                while hashes[slot]:
                    slot = (slot + 1) & mask
                hashes[slot], places[slot] = number, place
        self._hashes[shard], self._places[shard] = hashes, places


class SegmentIndex:
    """
    Which segment has a key, by the key's hash: fast at first, compact later.

    A segment is named by the place of its first record. Segments are in dicts, which take 0.1 µs
    and 90 bytes an entry, until they are moved to a `XidIndex`, which takes 0.8 µs and 24 to 48
    bytes. As there, whoever asks must check what stands at the place.
    """

    __slots__ = ("_compact", "shards")

    def __init__(self) -> None:
        #: Segments by hash; a hash is in the shard of its lowest bits. As they hold nothing but
        #: numbers the garbage collector does not look at them, and in shards none is so large
        #: that its growing holds the event loop (43 ms for a million entries in one).
        self.shards: list[dict[int, int]] = [{} for _ in range(_SHARDS)]
        self._compact: XidIndex | None = None

    def get(self, number: int) -> tuple[int, bool] | None:
        """Give the first place of the segment and False, or the place itself and True."""
        first = self.shards[number & SHARD_MASK].get(number)
        if first is not None:
            return first, False
        place = self._compact.get(number) if self._compact is not None else None
        return (place, True) if place is not None else None

    def compact_has(self, number: int) -> bool:
        """Whether a hash is among those that were moved."""
        return self._compact is not None and self._compact.get(number) is not None

    def compact(self, hashes: array[int], first: int) -> None:
        """Move the entries of a segment to where they take less."""
        self.drop(hashes, first)
        if self._compact is None:
            self._compact = XidIndex()
        self._compact.put_all(hashes, first)

    def drop(self, hashes: array[int], first: int) -> None:
        """Forget the entries of a segment, as far as they are not compact."""
        shards = self.shards
        for number in hashes:
            shard = shards[number & SHARD_MASK]
            if shard.get(number) == first:
                del shard[number]
