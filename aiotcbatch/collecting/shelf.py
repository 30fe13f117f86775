"""Shelves: the entities of one kind in a builder, those that are open and those encoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from sys import getrefcount
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio.lowlevel

from aiotcbatch.collecting.buffer import SEGMENT_BYTES, Buffer, xid_of
from aiotcbatch.collecting.group_buffer import GroupBuffer
from aiotcbatch.collecting.plain import FAMILIAR, is_short_text
from aiotcbatch.collecting.segments import encode
from aiotcbatch.collecting.xid_index import SHARD_MASK
from aiotcbatch.entities.contents import FileItem
from aiotcbatch.entities.entity import Entity, Term
from aiotcbatch.entities.group import GROUP_CLASSES, FileGroup, Group, require
from aiotcbatch.entities.indicator import INDICATOR_CLASSES, CustomIndicator, Indicator
from aiotcbatch.entities.summaries import GLANCES
from aiotcbatch.entities.values import MAX_CONFIDENCE, MAX_RATING
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["GroupShelf", "IndicatorShelf", "LinkRules"]

#: drain() gives way to other tasks after this many seconds of encoding.
SLICE_SECONDS = 0.002
#: It looks at the clock each time it has encoded this many entities.
SLICE_ENTITIES = 64
#: Records larger than this are put away one by one, so that no segment gets much too large.
LARGE_RECORD = 4096

#: When so many more indicators are open, those that nobody holds are encoded.
CROWD = 48

E = TypeVar("E", bound=Entity)

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


class LinkRules:
    """What is to be done about the links of entities before they are sent: nothing."""

    def strip_group(self, data: dict[str, Any]) -> None:
        """Called with the wire dict of a group before it is encoded."""

    def strip_indicator(self, data: dict[str, Any]) -> None:
        """Called with the wire dict of an indicator that has links before it is encoded."""

    def came(self, xid: str) -> None:
        """Called when a group is encoded."""

    def group_waits(self, data: Mapping[str, Any]) -> bool:
        """Whether a group has to stay open until drain(), for what it is linked to may come."""
        del data
        return False

    def indicator_waits(self, data: Mapping[str, Any]) -> bool:
        """Whether an indicator that has links has to stay open until drain()."""
        del data
        return False


class Shelf(ABC, Generic[E]):
    """
    The entities of one kind: those that are open, and those that are encoded.

    Args:
        buffer: Where encoded ones go.
        links: What is to be done about links.
        validate: Whether values are checked.
    """

    def __init__(self, buffer: Buffer, links: LinkRules, *, validate: bool) -> None:
        self.buffer = buffer
        self.open: dict[str, E] = {}
        #: Bytes that a record may have at most.
        self.max_record_bytes = 0
        self._links = links
        self._validate = validate
        self.term = Term(self._read, validate=validate)
        #: What drain() is at; its entities count as open until they are sealed.
        self.draining: dict[str, E] = {}
        self._rest: Iterator[tuple[str, E]] = iter(())
        self._drained = 0
        self._refused: dict[str, E] = {}
        #: When so many are open, `settle` is to be called.
        self.crowded = CROWD

    def __len__(self) -> int:
        return len(self.open) + len(self.draining) - self._drained + self.buffer.count

    @property
    def is_undrained(self) -> bool:
        """Whether something was added since the last `drain`."""
        return bool(self.open) or self.buffer.held_from is not None

    def find(self, xid: str) -> E | None:
        """The entity with this xid, opened again if it is encoded; None if there is none."""
        entity = self.open.get(xid)
        if entity is None and (self.draining or self.buffer.may_have(xid)):
            return self._reopen(xid)
        return entity

    def is_open(self, xid: str) -> bool:
        """Whether an entity with this xid is open, so that it is encoded with the next drain()."""
        return self._opened(xid) is not None

    def _opened(self, xid: str) -> E | None:
        entity = self.open.get(xid)
        if entity is None:
            entity = self.draining.get(xid)
            if entity is not None and entity.sealed:
                return None
        return entity

    def _reopen(self, xid: str) -> E | None:
        entity = self._opened(xid)
        if entity is None:
            data = self.buffer.remove(xid)
            if data is None:
                return None
            entity = self.open[xid] = self.view(data)
        return entity

    def _read(self, entity: Any) -> dict[str, Any] | None:
        """Open what a handle stands for; None if it is sent or discarded."""
        xid = entity.xid
        opened = self._opened(xid)
        if opened is not None:  # by another handle; this one goes on asking
            return opened.data
        data = self.buffer.remove(xid)
        if data is not None:
            entity.unseal(data)
            self.open[xid] = entity
        return data

    @abstractmethod
    def view(self, data: dict[str, Any]) -> E:
        """Make an entity of a wire dict."""

    @abstractmethod
    def put(self, data: Mapping[str, Any]) -> E | None:
        """
        Encode a checked wire dict at once, without opening an entity.

        Returns:
            A handle to it, or None when the entity is to be opened after all: others are open and
            came before, there is one of that xid, or it cannot be encoded as it is, or has to
            wait for another.
        """

    def discard(self, xid: str) -> bool:
        """Forget an entity, open or encoded."""
        found = self.find(xid)
        if found is None:
            return False
        found.seal()
        self.open.pop(xid, None)
        self.buffer.sources.pop(xid, None)
        self.buffer.dropped(xid)
        return True

    async def drain(self) -> list[ValidationError]:
        """Encode and seal what is open; what cannot be encoded stays open and is reported."""
        errors: list[ValidationError] = []
        if not self.is_undrained and not self.draining:
            return errors
        deadline = perf_counter() + SLICE_SECONDS
        self._end_term()
        while (self.draining or self.open) and not errors:
            if not self.draining:
                self.draining, self.open = self.open, {}
                self._rest = iter(self.draining.items())
                self.crowded = CROWD
            while self._drained + len(self._refused) < len(self.draining):
                errors += self._encode(islice(self._rest, SLICE_ENTITIES))
                self._end_term()
                if perf_counter() > deadline:
                    await anyio.lowlevel.checkpoint()
                    deadline = perf_counter() + SLICE_SECONDS
            await self._let_go()
        return errors

    def _end_term(self) -> None:
        """Seal the handles to what is encoded, and let it be sent."""
        self.term.over = True
        self.term = Term(self._read, validate=self._validate)
        self.buffer.release()

    @abstractmethod
    def _encode(self, entities: Iterable[tuple[str, E]]) -> list[ValidationError]:
        """Encode and seal some entities, up to the first large one; keep what is refused."""

    def _refuse(self, xid: str, entity: E, accepted: str) -> ValidationError:
        self._refused[xid] = entity
        return ValidationError("data", xid, accepted)

    @property
    def _size_limit(self) -> str:
        return f"at most max_bytes_per_job, {self.max_record_bytes} bytes"

    async def _let_go(self) -> None:
        """End a drain: what was refused is open again, all else is forgotten."""
        drained, self.draining = self.draining, {}
        self._drained = 0
        self.open = self._refused | self.open
        self._refused = {}
        # Bit by bit, for freeing a million at once holds the loop for 60 ms.
        deadline = perf_counter() + SLICE_SECONDS
        while len(drained) > SLICE_ENTITIES:
            for _ in range(SLICE_ENTITIES):
                drained.popitem()
            if perf_counter() > deadline:
                await anyio.lowlevel.checkpoint()
                deadline = perf_counter() + SLICE_SECONDS


class IndicatorShelf(Shelf[Indicator]):
    """The indicators of a builder."""

    def __init__(self, links: LinkRules, *, validate: bool) -> None:
        super().__init__(Buffer(xid_of), links, validate=validate)
        self._usual = _USUAL if validate else {}
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

    def take(  # noqa: C901, PLR0911, PLR0912 - hot: with a call for each part it takes a half more
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
        familiar = FAMILIAR
        try:
            xid = given["xid"]
            glance, cls = self._usual[given["type"]]
            if xid.__class__ is not str or not xid or not glance(given["summary"]):
                return None
            looked_at = 3
            if (rating := given.get("rating")) is not None:
                if not 0 < rating <= MAX_RATING or rating is True:
                    return None
                looked_at += 1
            if (confidence := given.get("confidence")) is not None:
                if confidence.__class__ is not int or not 0 <= confidence <= MAX_CONFIDENCE:
                    return None
                looked_at += 1
            if (attributes := given.get("attribute")) is not None:
                looked_at += attributes.__class__ is list
                for item in attributes:
                    value = item["value"]
                    if value.__class__ is not str or not value or "securityLabel" in item:
                        return None
                    if item["type"] not in familiar and not is_short_text(item["type"]):
                        return None
            if (tags := given.get("tag")) is not None:
                looked_at += tags.__class__ is list
                for item in tags:
                    if item["name"] not in familiar and not is_short_text(item["name"]):
                        return None
            if (labels := given.get("securityLabel")) is not None:
                looked_at += labels.__class__ is list
                for item in labels:
                    if item["name"] not in familiar and not is_short_text(item["name"]):
                        return None
                    if "color" in item:
                        return None
            if looked_at != len(given):
                return None
            record = encode(given)
        except (KeyError, OSError, TypeError, ValueError):
            return None
        buffer, number = self.buffer, hash(xid)  # what follows is what its `add_held` does
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
        filling.starts.append(len(growing))
        if len(growing) >= SEGMENT_BYTES:
            buffer.close_segment()
        # Most feeds never keep what they get: then the same one will do for the next.
        taken = getrefcount(self._handle) != _UNTAKEN
        handle = self._handle
        if taken or handle.__class__ is not cls:
            handle = self._handle = new(cls)
        handle.xid, handle.term = xid, self.term
        return handle

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


class GroupShelf(Shelf[Group]):
    """The groups of a builder."""

    buffer: GroupBuffer

    def __init__(self, links: LinkRules, *, validate: bool) -> None:
        super().__init__(GroupBuffer(), links, validate=validate)

    @property
    def file_count(self) -> int:
        """File contents that wait for their group to be submitted."""
        return self.buffer.file_count + sum(
            isinstance(group, FileGroup) and group.file_content is not None
            for group in self.open.values()
        )

    def view(self, data: dict[str, Any]) -> Group:
        """Make a group of a wire dict, with its file if it has one."""
        group = GROUP_CLASSES[data["type"]](data, self.term)
        if isinstance(group, FileGroup) and (item := self.buffer.detach(group.xid)):
            group.file_content = item.content
        return group

    def put(self, data: Mapping[str, Any]) -> Group | None:
        """Encode a checked wire dict at once, as described at `Shelf.put`."""
        cls = GROUP_CLASSES[data["type"]]
        if (
            self.open
            or self.draining
            or issubclass(cls, FileGroup)
            or (self._validate and not all(data.get(wire) for wire in cls.REQUIRED))
            or self._links.group_waits(data)
        ):
            return None
        try:
            record = encode(data)
        except TypeError:
            return None
        xid, links = data["xid"], data.get("associatedGroupXid", ())
        if len(record) > self.max_record_bytes or not self.buffer.add_held_group(
            xid, record, links
        ):
            return None
        handle: Group = new(cls.ENCODED)
        handle.xid = xid
        handle.term = self.term
        return handle

    def _encode(self, entities: Iterable[tuple[str, Group]]) -> list[ValidationError]:
        errors = []
        for xid, group in entities:
            if group.sealed:  # it was discarded meanwhile
                self._drained += 1
                continue
            try:
                size = self._store(xid, group)
            except ValidationError as error:
                errors.append(error)
                continue
            group.seal()
            self._drained += 1
            self._links.came(xid)
            if size > LARGE_RECORD:
                break
        return errors

    def _store(self, xid: str, group: Group) -> int:
        """Encode one group, and give its size."""
        data, item = group.data, None
        if self._validate:
            try:
                require(group, "; set it, or discard() the group")
            except ValidationError:
                self._refused[xid] = group
                raise
        self._links.strip_group(data)
        try:
            record = encode(data)
        except TypeError as error:
            raise self._refuse(xid, group, f"what JSON can hold ({error})") from None
        if len(record) > self.max_record_bytes:
            raise self._refuse(xid, group, self._size_limit)
        if isinstance(group, FileGroup) and group.file_content is not None:
            item = FileItem(
                xid=xid, type=group.type, content=group.file_content, file_name=group.file_name
            )
        self.buffer.add_group(xid, record, data.get("associatedGroupXid", ()), item)
        return len(record)
