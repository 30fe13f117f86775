"""The shelf of indicators: most are encoded before drain(), as soon as nobody can change them."""

from __future__ import annotations

from itertools import islice
from sys import getrefcount
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiotcbatch.collecting.buffer import SEGMENT_BYTES, Buffer, xid_of
from aiotcbatch.collecting.endings import UNNOTED, Endings
from aiotcbatch.collecting.plain import plain_parts, rest_is_plain
from aiotcbatch.collecting.segments import encode
from aiotcbatch.collecting.shelf import CROWD, LARGE_RECORD, LinkRules, Shelf
from aiotcbatch.collecting.xid_index import SHARD_MASK
from aiotcbatch.entities.indicator import INDICATOR_CLASSES, CustomIndicator, Indicator
from aiotcbatch.entities.summaries import GLANCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aiotcbatch.errors import ValidationError

__all__ = ["IndicatorShelf"]

new = object.__new__

#: Of the types that feeds are full of, what looks at a summary, and the class of the handle.
_USUAL: dict[str, tuple[Callable[[Any], object], Any]] = {
    kind: (glance, INDICATOR_CLASSES[kind].ENCODED) for kind, glance in GLANCES.items()
}


def _references(entities: dict[str, Any]) -> int:
    """Count the references to an entity, with those that going through all of them makes."""
    return next(getrefcount(entity) for entity in entities.values())


#: The references to an entity of which nobody but its shelf knows.
_UNHELD = _references({"": object()})
_HOLDER = SimpleNamespace(handle=object())
#: Those to what only an attribute has, counted as `IndicatorShelf.take` does.
_UNTAKEN = getrefcount(_HOLDER.handle)


class IndicatorShelf(Shelf[Indicator]):
    """The indicators of a builder."""

    def __init__(self, links: LinkRules, *, validate: bool) -> None:
        super().__init__(Buffer(xid_of), links, validate=validate)
        #: What `take` may take: beside what is in `_USUAL`, how right ones have ended so far.
        self._usual = {kind: (*usual, Endings()) for kind, usual in _USUAL.items() if validate}
        #: The last handle that `take` gave out.
        self._handle: Indicator = new(CustomIndicator.ENCODED)

    def settle(self) -> None:
        """
        Encode the first indicators to which nobody has a handle any more.

        Only naming its xid could continue such a one, and opens it again. So few are open at
        once, however late drain() is called: they never leave the processor's cache, and are gone
        before the garbage collector looks for them. That makes building 1.5 times as fast.
        """
        if not self.draining:
            self.buffer.hold()
            self._encode(islice(self.open.items(), self._settled()))
            refused = self._refused
            for xid in list(islice(self.open, self._drained + len(refused))):
                if xid not in refused:
                    del self.open[xid]
            self._drained, self._refused = 0, {}
        # Where the first one stays, it is not tried again and again.
        self.crowded = len(self.open) + max(CROWD, len(self.open) // 2)

    def _settled(self) -> int:
        """Count the first indicators that nobody has a handle to, and that wait for no group."""
        number = 0
        for entity in self.open.values():
            data = entity.data
            if getrefcount(entity) != _UNHELD or (
                "associatedGroups" in data and self._links.indicator_waits(data)
            ):
                break
            number += 1
        return number

    def view(self, data: dict[str, Any]) -> Indicator:
        """Make an indicator of a wire dict."""
        return INDICATOR_CLASSES.get(data["type"], CustomIndicator)(data, self.term)

    def take(  # noqa: C901 - hot: calls would take as long
        self, given: Any
    ) -> Indicator | None:
        """
        Check and encode a dict at once, if it is right, needs no change, and is of the usual kind.

        It is `plain.plain` and `put` in one, for what feeds are full of: addresses, hosts, URLs,
        e-mail addresses and hashes, with scores, attributes, tags and labels. It may say no to a
        dict that is right, but never takes one that is not.

        Args:
            given: The dict, or anything else.

        Returns:
            A handle to it, or None when it has to go another way.
        """
        if given.__class__ is not dict or self.open or self.draining:
            return None
        try:
            xid = given["xid"]
            glance, cls, endings = self._usual[given["type"]]
            if xid.__class__ is not str or not xid or not glance(given["summary"]):
                return None
            record, size, number = encode(given), len(given), hash(xid)
            known = endings.get(size)
            if known is None or not record.endswith(known):
                plain = plain_parts(given)
                if plain != size and not (plain and self._takes_rest(given, cls)):
                    return None
                if not number & UNNOTED:
                    endings.note(given, record)
        except (KeyError, OSError, TypeError, ValueError):
            return None
        buffer = self.buffer  # what follows is what its `add_held` does
        index = buffer.index
        shard = index.shards[number & SHARD_MASK]
        if (
            number in shard
            or len(record) > self.max_record_bytes
            or (index.compacted and index.get_compact(number) is not None)
        ):
            return None
        if buffer.held_from is None:
            buffer.hold()
        filling = buffer.filling
        shard[number] = filling.first
        filling.hashes.append(number)
        growing = filling.growing
        growing += record
        growing += b","
        size = len(growing)
        filling.starts.append(size)
        if size >= SEGMENT_BYTES:
            buffer.close_segment()
        # Most feeds never keep what they get: then the same one will do for the next.
        taken = getrefcount(self._handle) != _UNTAKEN
        handle = self._handle
        if taken or handle.__class__ is not cls:
            handle = self._handle = new(cls)
        handle.xid, handle.term = xid, self.term
        return handle

    def _takes_rest(self, given: dict[str, Any], cls: type[Indicator]) -> bool:
        """Whether what else a dict has is right and usual too, and it waits for no group."""
        if not rest_is_plain(given, cls, "summary"):
            return False
        if "associatedGroups" in given:
            if self._links.indicator_waits(given):
                return False
            self.buffer.filling.refers = True
        return True

    def put(self, data: Mapping[str, Any]) -> Indicator | None:
        """Encode a checked wire dict at once, as described at `Shelf.put`."""
        refers = "associatedGroups" in data
        if self.open or self.draining or (refers and self._links.indicator_waits(data)):
            return None
        try:
            record = encode(data)
        except TypeError:
            return None
        xid = data["xid"]
        if len(record) > self.max_record_bytes or not self.buffer.add_held(xid, record, refers):
            return None
        handle: Indicator = new(INDICATOR_CLASSES.get(data["type"], CustomIndicator).ENCODED)
        handle.xid = xid
        handle.term = self.term
        return handle

    def _encode(self, entities: Iterable[tuple[str, Indicator]]) -> list[ValidationError]:
        errors: list[ValidationError] = []
        xids: list[str] = []
        records: list[bytes] = []
        refers = False
        careful = min(LARGE_RECORD, self.max_record_bytes)
        # Hot, and half of it is orjson: one loop, and no calls of our own.
        for xid, indicator in entities:
            data = indicator.data
            if data.__class__ is not dict:  # it was discarded meanwhile
                self._drained += 1
                continue
            if "associatedGroups" in data:
                refers = True
                self._links.strip_indicator(data)
            try:
                record = encode(data)
            except TypeError as error:
                errors.append(self._refuse(xid, indicator, f"what JSON can hold ({error})"))
                continue
            size = len(record)
            if size > careful and size > self.max_record_bytes:
                errors.append(self._refuse(xid, indicator, self._size_limit))
                continue
            xids.append(xid)
            records.append(record)
            # As `Entity.seal` does.
            indicator.data = None  # type: ignore[assignment]
            indicator.__class__ = indicator.ENCODED
            if size > careful:
                break
        self._drained += len(xids)
        self.buffer.add_all(xids, records, refers=refers)
        return errors
