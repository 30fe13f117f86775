"""A compact map from keys to places, for what is encoded and not yet submitted."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["XidIndex"]

_SHARDS = 256
_SHARD_MASK = _SHARDS - 1
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

    def get(self, key: str) -> int | None:
        """Look up the last place that was put for a key, or for one with the same hash."""
        number = hash(key) or 1
        hashes = self._hashes[number & _SHARD_MASK]
        mask = len(hashes) - 1
        if mask < 0:
            return None
        slot = (number >> _SHARD_BITS) & mask
        while (there := hashes[slot]) != 0:
            if there == number:
                return self._places[number & _SHARD_MASK][slot]
            slot = (slot + 1) & mask
        return None

    def put_all(self, keys: Iterable[str], first: int) -> None:
        """Put consecutive places, from first on, for some keys."""
        all_hashes, all_places, used = self._hashes, self._places, self._counts
        place = first
        for key in keys:
            number = hash(key) or 1
            shard = number & _SHARD_MASK
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
            all_places[shard][slot] = place
            place += 1

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
