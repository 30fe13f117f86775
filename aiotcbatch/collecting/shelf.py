"""Shelves: the entities of one kind in a builder, those that are open and those encoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio.lowlevel

from aiotcbatch.collecting.raw import size_limit
from aiotcbatch.entities.entity import Entity, Term
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from aiotcbatch.collecting.buffer import Buffer

__all__ = ["LinkRules", "Shelf"]

#: drain() gives way to other tasks after this many seconds of encoding.
SLICE_SECONDS = 0.002
#: It looks at the clock each time it has encoded this many entities.
SLICE_ENTITIES = 64
#: Records larger than this are put away one by one, so that no segment gets much too large.
LARGE_RECORD = 4096
#: When so many more indicators are open, those that nobody holds are encoded.
CROWD = 48


E = TypeVar("E", bound=Entity)


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
        #: What the last drain() refused, though some of it may be open no more.
        self._told: dict[str, E] = {}
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
            self._came_back(xid)
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
            self._came_back(xid)
        return data

    def _came_back(self, xid: str) -> None:
        """Called with the xid of an entity that was encoded and is open again."""

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

    @property
    def refused(self) -> list[E]:
        """What the last drain() refused, and is open still."""
        return [entity for xid, entity in self._told.items() if self.open.get(xid) is entity]

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
        return ValidationError("data", xid, f"{accepted}; change it, or discard() it")

    @property
    def _size_limit(self) -> str:
        return size_limit(self.max_record_bytes)

    async def _let_go(self) -> None:
        """End a drain: what was refused is open again, all else is forgotten."""
        drained, self.draining = self.draining, {}
        self._drained = 0
        self.open = self._refused | self.open
        self._told, self._refused = self._refused, {}
        # Bit by bit, for freeing a million at once holds the loop for 60 ms.
        deadline = perf_counter() + SLICE_SECONDS
        while len(drained) > SLICE_ENTITIES:
            for _ in range(SLICE_ENTITIES):
                drained.popitem()
            if perf_counter() > deadline:
                await anyio.lowlevel.checkpoint()
                deadline = perf_counter() + SLICE_SECONDS
