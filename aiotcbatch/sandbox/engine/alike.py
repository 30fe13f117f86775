"""Elements that say the same, as very many of a feed do: what they say is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiotcbatch.sandbox.engine.incoming import Details, Incoming

__all__ = ["Alike"]

#: How many are remembered; when there are more, it begins anew.
_MOST = 1000
#: The longest JSON that is remembered, in bytes.
_LONGEST = 1 << 12
#: After so many in a row that were all new, so many are read without being looked for.
_PATIENCE, _REST = 200, 2000


class Alike:
    """
    Remembers by their JSON what elements said.

    To write JSON costs little beside reading and checking it. Where hardly any two say the same,
    even that is saved.

    Args:
        read: Reads what an element says, given the entity that it is about, for errors.
    """

    def __init__(self, read: Callable[[Incoming, dict[str, Any]], Details]) -> None:
        self._read = read
        self._known: dict[bytes, Details] = {}
        self._missed = 0
        self._resting = 0

    def details(self, entity: Incoming, said: dict[str, Any]) -> Details:
        """
        Read what an element says, or find it again.

        Args:
            entity: What it is about.
            said: The element without what tells which one it is.

        Raises:
            RefusedError: A field is missing or has a value that is not taken.
            MalformedError: A part of it has the wrong JSON shape.
        """
        if self._resting:
            self._resting -= 1
            return self._read(entity, said)
        try:
            key = orjson.dumps(said)
        except TypeError:  # a number of more than 64 bits
            return self._read(entity, said)
        found = self._known.get(key)
        if found is not None:
            self._missed = 0
            return found
        self._missed += 1
        if self._missed == _PATIENCE:
            self._missed, self._resting = 0, _REST
        found = self._read(entity, said)
        # What is infinite is written as null too.
        if len(key) <= _LONGEST and b"null" not in key:
            self._remember(key, found)
        return found

    def _remember(self, key: bytes, details: Details) -> None:
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = details
        details.remembered = True
