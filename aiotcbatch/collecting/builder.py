"""
The builder: one open entity per xid, made by three interfaces, encoded by ``drain()``.

Interface 1 (a method for each type) is in `aiotcbatch.collecting.typed`, interface 3 (dicts) in
`aiotcbatch.collecting.dicts`, and interface 2 (`Builder.group`, `Builder.indicator`) here.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from aiotcbatch.collecting.buffer import Buffer
from aiotcbatch.collecting.chunk import FRAME_BYTES, Chunk, cut_chunk
from aiotcbatch.collecting.group_shelf import GroupShelf
from aiotcbatch.collecting.indicator_shelf import IndicatorShelf
from aiotcbatch.collecting.segments import encode
from aiotcbatch.collecting.shelf import SLICE_SECONDS, LinkRules
from aiotcbatch.collecting.spool import Spool
from aiotcbatch.entities import summaries, values
from aiotcbatch.entities.entity import Entity
from aiotcbatch.entities.group import GROUP_CLASSES, Group
from aiotcbatch.entities.indicator import INDICATOR_CLASSES, CustomIndicator, File, Indicator
from aiotcbatch.entities.metadata import Association
from aiotcbatch.entities.values import MAX_CONFIDENCE, MAX_RATING
from aiotcbatch.errors import ClosedError, ConfigurationError, ValidationError
from aiotcbatch.xid import random_xid, unique_xid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from os import PathLike

__all__ = ["Builder", "encoded_source"]

#: Passes of the event loop for which drain() gives way: in the first it hears of what has come in
#: from outside, and in the second that is handled. With one alone, a stream's jobs lag behind.
PASSES = 2

G = TypeVar("G", bound=Group)
N = TypeVar("N", bound=Indicator)

new = object.__new__


class Builder:
    """
    Collects groups, indicators and associations.

    Calls that add or change entities are plain methods; ``await drain()`` encodes what is
    open. Naming an xid again, by whichever interface and whether drained or not, continues
    that entity until it is submitted.

    Args:
        validate: False takes every value that can be encoded, as it is given.
        max_entities_per_job: Groups, indicators and associations in one job at most.
        max_bytes_per_job: Bytes of one job's document at most.
        memory_limit: Bytes of encoded entities that are held in memory at most; what is more
            goes to a temporary file at ``drain()``. Beside it, an entity that is open takes
            about 1 kB until then, and one that is encoded 90 bytes to be found again, up to this
            limit, and 16 beyond it.
        spool_directory: Where that file is made; None for the system's place.
        indicator_types: The names of the types that the instance knows, and how many values
            each has, or the labels of these; None if they are not known.

    Raises:
        ConfigurationError: When a limit is not positive.
    """

    def __init__(
        self,
        *,
        validate: bool = True,
        max_entities_per_job: int = 25_000,
        max_bytes_per_job: int = 75_000_000,
        memory_limit: int = 64 * 1024 * 1024,
        spool_directory: str | PathLike[str] | None = None,
        indicator_types: Mapping[str, int | Sequence[str]] | None = None,
    ) -> None:
        links = self._link_rules()
        self._groups = GroupShelf(links, self._wants_all, validate=validate)
        self._indicators = IndicatorShelf(links, validate=validate)
        self._associations = Buffer(lambda data: Association.from_dict(data).key)
        self._validate = validate
        self.max_entities_per_job = max_entities_per_job
        self.max_bytes_per_job = max_bytes_per_job
        self._memory_limit = _positive("memory_limit", memory_limit, 0)
        self._spool = Spool(spool_directory)
        self._know_types(indicator_types)
        self._drain_lock = anyio.Lock(fast_acquire=True)
        #: When ``drain()`` is to give way to other tasks, though it need not wait.
        self._gives_way_at = 0.0
        #: Brings what is drained into the journal; None if there is none.
        self._keep: Callable[[], Awaitable[None]] | None = None
        self._closed = False

    @property
    def max_entities_per_job(self) -> int:
        """Groups, indicators and associations in one job at most; the server takes 25,000."""
        return self._max_entities

    @max_entities_per_job.setter
    def max_entities_per_job(self, count: int) -> None:
        self._max_entities = _positive("max_entities_per_job", count, 1)

    @property
    def max_bytes_per_job(self) -> int:
        """Bytes of one job's document at most."""
        return self._max_bytes

    @max_bytes_per_job.setter
    def max_bytes_per_job(self, nbytes: int) -> None:
        self._max_bytes = _positive("max_bytes_per_job", nbytes, FRAME_BYTES + 2)
        for shelf in (self._groups, self._indicators):
            shelf.max_record_bytes = self._max_bytes - FRAME_BYTES

    def __len__(self) -> int:
        return self.group_len + self.indicator_len

    @property
    def group_len(self) -> int:
        """Groups that wait to be submitted."""
        return len(self._groups)

    @property
    def indicator_len(self) -> int:
        """Indicators that wait to be submitted."""
        return len(self._indicators)

    @property
    def association_len(self) -> int:
        """Associations of ``add_association`` that wait to be submitted."""
        return self._associations.count

    @property
    def file_len(self) -> int:
        """File contents that wait for their group to be submitted."""
        return self._groups.file_count

    @property
    def _is_undrained(self) -> bool:
        """Whether groups or indicators were added since the last ``drain()``."""
        return self._groups.is_undrained or self._indicators.is_undrained

    def _know_types(self, indicator_types: Mapping[str, int | Sequence[str]] | None) -> None:
        """Take the indicator types that the instance has."""
        self._custom_types = indicator_types

    def _link_rules(self) -> LinkRules:
        """Say what is to be done about links; called once."""
        return LinkRules()

    def _wants_all(self) -> bool:
        """Whether a group is to have all fields that the server requires of its type."""
        return self._validate

    # Interface 2

    def group(
        self, group_type: str, name: str, xid: str | bool | None = True, **fields: Any
    ) -> Group:
        """
        Add a group of any type.

        Args:
            group_type: The type, such as ``Adversary``, in any letter case.
            name: Its name.
            xid: True makes it from type and name, False at random; or the text itself.
            **fields: Fields of that type by their Python names, such as ``event_date``; and
                ``source``, as for `add_group`.

        Returns:
            The group, the one that was there if the xid is known.

        Raises:
            ValidationError: When the type is unknown or a value cannot be right.
        """
        cls = GROUP_CLASSES[values.group_type(group_type, "group_type")]
        return self._group(cls, name, xid, fields)

    def indicator(
        self,
        indicator_type: str,
        summary: str | Sequence[str],
        rating: float | str | None = None,
        confidence: float | str | None = None,
        xid: str | bool | None = True,
        **fields: Any,
    ) -> Indicator:
        """
        Add an indicator of any type, built in or defined by the instance.

        Args:
            indicator_type: The type, such as ``Address``; built-in ones in any letter case.
            summary: The value; of a type with several, all of them, as a list or joined
                by ``" : "``.
            rating: 0 to 5, such as ``"5.0"``.
            confidence: 0 to 100, such as ``"100"``.
            xid: True makes it from type and summary, False at random; or the text itself.
            **fields: Fields of that type by their Python names, such as ``dns_active``; and
                ``source``, as for `add_group`.

        Returns:
            The indicator, the one that was there if the xid is known.

        Raises:
            ValidationError: When the type is unknown or a value cannot be right.
        """
        name = self.indicator_type(indicator_type)
        cls = INDICATOR_CLASSES.get(name, CustomIndicator)
        if not isinstance(summary, str):
            summary = summaries.join_summary(summary, "summary")
        return self._indicator(cls, name, summary, rating, confidence, xid, fields)

    def indicator_type(self, name: str) -> str:
        """
        Give an indicator type in the spelling of the wire.

        Raises:
            ValidationError: When the name is not text, or looks like a slip, or the
                instance's types are known and it is none of them.
        """
        known = values.indicator_type(name)
        if known is not None:
            return known
        name = values.text(name, "indicator_type")
        if not self._validate:
            return name
        if self._custom_types is not None:
            exact = next((t for t in self._custom_types if t.lower() == name.lower()), None)
            if exact is not None:
                return exact
            known_types = sorted({*INDICATOR_CLASSES, *self._custom_types})
            raise ValidationError("indicator_type", name, values.one_of(name, known_types))
        if name.lower() in values.GROUP_TYPE_NAMES:
            raise ValidationError(
                "indicator_type", name, "an indicator type; that is one of groups"
            )
        near = values.nearest(name, INDICATOR_CLASSES)
        if near is not None:
            accepted = f"{near!r}, or a type of the instance that is among indicator_types"
            raise ValidationError("indicator_type", name, accepted)
        return name

    # What all three do

    def _group(
        self, cls: type[G], name: str, xid: str | bool | None, fields: Mapping[str, Any]
    ) -> G:
        if self._closed:
            self._refuse_closed()
        if name.__class__ is not str or not name or not name.isascii():
            name = values.text(name, "name")
        xid = self._xid(cls.TYPE, name, xid)
        known = self._groups.find(xid)
        fields, source = _without_source(fields)
        if known is None:
            group = cls({"name": name, "type": cls.TYPE, "xid": xid}, self._groups.term)
            if fields:
                group.put_all(fields)
            self._groups.open[xid] = group
            self._groups.buffer.note(xid, source)
            return group
        if not isinstance(known, cls):
            raise _taken(known)
        if fields:
            known.put_all(fields)
        known.name = name
        self._groups.buffer.note(xid, source)
        return known

    def _indicator(  # noqa: C901, PLR0912 - hot: each step as a call of its own would cost a tenth
        self,
        cls: type[N],
        kind: str,
        summary: str | int,
        rating: Any,
        confidence: Any,
        xid: str | bool | None,
        fields: Mapping[str, Any],
    ) -> N:
        if self._closed:
            self._refuse_closed()
        try:
            summary = cls.normalise(summary, "summary") if self._validate else str(summary)
        except ValidationError as error:
            raise ValidationError(error.field, error.value, error.accepted, about=kind) from None
        if xid is True or xid is None:
            xid = unique_xid(kind, summary)
        elif xid.__class__ is not str or not xid or not xid.isascii():
            xid = self._xid(kind, summary, xid)
        shelf = self._indicators
        known = shelf.open.get(xid)
        if known is None and (shelf.draining or shelf.buffer.may_have(xid)):
            known = shelf.find(xid)
        if known is None:
            # As `cls(data, term)` does, in half of its 0.2 µs.
            indicator = new(cls)
            data = indicator.data = {"type": kind, "summary": summary, "xid": xid}
            indicator.xid = xid
            indicator.term = shelf.term
        else:
            indicator = self._same(cls, known, kind, summary)
            data = indicator.data
        if rating is not None:
            if rating.__class__ is int and 0 < rating <= MAX_RATING:
                rating = float(rating)
            elif rating.__class__ is not float or not 0.0 < rating <= MAX_RATING:
                rating = indicator.checked(values.rating, rating, "rating")
            data["rating"] = rating
        if confidence is not None:
            if confidence.__class__ is not int or not 0 <= confidence <= MAX_CONFIDENCE:
                confidence = indicator.checked(values.confidence, confidence, "confidence")
            data["confidence"] = confidence
        if fields:
            fields, source = _without_source(fields)
            indicator.put_all(fields)
            shelf.buffer.note(xid, source)
        if known is None:
            shelf.open[xid] = indicator
            if len(shelf.open) >= shelf.crowded:
                shelf.settle()
        return indicator

    @staticmethod
    def _same(kind_of: type[N], known: Indicator, kind: str, summary: str) -> N:
        """Check that an indicator named again is the same one; a File may gain hashes."""
        if not isinstance(known, kind_of) or known.type != kind:
            raise _taken(known)
        if isinstance(known, File):
            known.add_hashes(summary)
        elif known.summary != summary:
            raise _taken(known)
        return known

    @staticmethod
    def _xid(kind: str, name: str, xid: object) -> str:
        if xid is True or xid is None:
            return unique_xid(kind, name)
        if xid is False:
            return random_xid()
        return values.text(xid, "xid")

    def discard(self, entity: Entity) -> None:
        """
        Forget an entity that waits to be submitted, drained or not.

        Raises:
            ValidationError: When there is no such entity.
        """
        shelf = self._groups if isinstance(entity, Group) else self._indicators
        if not isinstance(entity, Entity) or not shelf.discard(entity.xid):
            raise ValidationError("entity", entity, "one that waits to be submitted")

    @property
    def refused(self) -> list[Entity]:
        """Entities that the last ``drain()`` has refused, and that wait to be put right."""
        return [*self._groups.refused, *self._indicators.refused]

    async def drain(self) -> None:
        """
        Encode what is open, and seal it: its handles end here.

        It never holds the event loop for more than a few milliseconds, however much there is,
        and gives way to other tasks no more often than that: it may be called after each entity.
        With a journal, what is drained survives the process when this has returned.

        Raises:
            ValidationError: When an entity cannot be sent, since a required field is missing
                or it is larger than a job. It stays open, and is one of `refused`, until it is
                put right or given to `discard`; all others are drained.
            JournalError: When the journal cannot be written.
        """
        async with self._drain_lock:
            errors = [*await self._groups.drain(), *await self._indicators.drain()]
            if self._keep is not None:
                await self._keep()
            await self._spill()
            if perf_counter() > self._gives_way_at:
                for _ in range(PASSES):
                    await checkpoint()
                self._gives_way_at = perf_counter() + SLICE_SECONDS
        if errors:
            for error in errors[1:]:
                errors[0].add_note(f"likewise: {error}")
            raise errors[0]

    async def _spill(self) -> None:
        """Move encoded entities to disk, so that no more than the limit stays in memory."""
        await self._tidy()
        indicators, associations, groups = self._buffers
        held = indicators.memory_bytes + associations.memory_bytes + groups.memory_bytes
        for buffer in self._buffers:
            if held > self._memory_limit:
                held -= await buffer.spill(self._spool, held - self._memory_limit)
        found_by = indicators.index_bytes + associations.index_bytes + groups.index_bytes
        for buffer in self._buffers:
            if found_by > self._memory_limit:
                found_by -= await buffer.compact(found_by - self._memory_limit)

    async def _tidy(self) -> None:
        """Forget by what those entities were found that were cut off since."""
        for buffer in self._buffers:
            if buffer.sweep():
                await buffer.tidy()

    @property
    def _buffers(self) -> tuple[Buffer, ...]:
        return self._indicators.buffer, self._associations, self._groups.buffer

    def _cut(self, server_limit: int | None = None) -> Chunk | None:
        """
        Cut the next chunk from what is drained.

        Args:
            server_limit: Bytes that the server takes, None if that is not known. The chunk has
                more only if it begins with an entity that has more by itself.
        """
        cut = partial(
            cut_chunk,
            self._groups.buffer,
            self._indicators.buffer,
            self._associations,
            max_count=self._max_entities,
        )
        if server_limit is not None and server_limit < self._max_bytes:
            with suppress(ConfigurationError):
                return cut(max_bytes=server_limit)
        return cut(max_bytes=self._max_bytes)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ClosedError("it is closed; make another by client.batch() or client.stream()")


def encoded_source(source: Any) -> bytes | None:
    """
    Encode a source; None if there is none.

    Raises:
        ValidationError: When JSON cannot hold it.
    """
    try:
        return None if source is None else encode(source)
    except TypeError as error:
        accepted = f"text, or what else JSON can hold ({error})"
        raise ValidationError("source", source, accepted) from None


def _without_source(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes | None]:
    """Take the source out of keywords, and encode it."""
    if "source" not in fields:
        return fields, None
    source = encoded_source(fields["source"])
    return {name: value for name, value in fields.items() if name != "source"}, source


def _taken(known: Entity) -> ValidationError:
    return ValidationError("xid", known.xid, f"another one, it is that of {known!r}")


def _positive(name: str, value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(name, value, f"a whole number of at least {least}")
    return value
