"""
Ends of records that were found right, so that what is the same in many is looked at once.

The dicts of many feeds differ in what names them only: the scores, attributes, tags and labels
behind that are the same over and over, and become the same bytes. What becomes the same bytes as
something that was found right is right itself, since these bytes are all that is sent; and to
compare them takes a small part of the time that the checks take.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from aiotcbatch.collecting.segments import encode

__all__ = ["UNNOTED", "Endings"]

#: A dict is noted if none of these bits are set in the hash of its xid: one in 64, which is often
#: enough for what is the same in many, and costs little where nothing is.
UNNOTED = 63
#: What names an indicator.
_NAMES = frozenset({"type", "summary", "xid"})
#: Of dicts with so many keys so many endings are known, the latest.
_MAX_KNOWN = 4
_MAX_BYTES = 2_048
#: An ending is known when it comes again while so many others were noted.
_REMEMBERED = 8


class Endings(dict[int, tuple[bytes, ...]]):
    """
    By the number of keys of a dict, what is in records of one type behind the three that name it.

    A record with as many keys that ends so has three more keys before, and they are those names:
    an ending begins with a comma, a quotation mark and a letter, which inside of a text cannot
    follow each other in JSON, and as many brackets are closed in it as opened, but for the last.
    """

    def __init__(self) -> None:
        super().__init__()
        self._noted: deque[bytes] = deque(maxlen=_REMEMBERED)

    def note(self, given: dict[str, Any], record: bytes) -> None:
        """Take note of a dict that was found right, and whose record ends in no known way."""
        parts = {key: part for key, part in given.items() if key not in _NAMES}
        ending = b"," + encode(parts)[1:]
        # Links have to be looked at each time: what they need may not be there yet.
        if "associatedGroups" in parts or len(ending) > _MAX_BYTES or not record.endswith(ending):
            return
        if ending in self._noted:
            self[len(given)] = (ending, *self.get(len(given), ())[: _MAX_KNOWN - 1])
        else:
            self._noted.append(ending)
