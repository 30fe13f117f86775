"""Interface 3: groups, indicators and associations as the dicts that go over the wire."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from aiotcbatch.collecting import raw
from aiotcbatch.collecting.builder import Builder, encoded_source
from aiotcbatch.collecting.extending import extend
from aiotcbatch.collecting.plain import GROUPS, INDICATORS, plain
from aiotcbatch.collecting.segments import encode
from aiotcbatch.entities import values
from aiotcbatch.entities.group import GROUP_CLASSES, FileGroup, require
from aiotcbatch.entities.metadata import Association
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from aiotcbatch.entities.group import Group
    from aiotcbatch.entities.indicator import Indicator

__all__ = ["DictBuilder"]


class DictBuilder(Builder):
    """A builder that takes dicts."""

    def add_group(self, group: Mapping[str, Any], *, source: Any = None) -> Group:
        """
        Add a group as the dict that goes over the wire; it is copied.

        Args:
            group: ``type``, ``name`` and ``xid``, and any other field by its wire name.
                ``fileContent`` of a Document or Report is uploaded, not sent with it.
            source: Your own reference, such as a file and line, which its `Outcome` has; text,
                or anything else that JSON can hold. It is not sent.

        Returns:
            The group. When the xid is known, what the dict holds is added to that group.

        Raises:
            ValidationError: When a field is missing or cannot be right, or the dict is larger
                than a job.
        """
        if self._closed:
            self._refuse_closed()
        shelf, content = self._groups, None
        data = plain(group, GROUPS, "name") if self._validate else None
        if data is None:
            data, content = raw.group(group, validate=self._validate)
        if source is None and content is None and (handle := shelf.put(data)) is not None:
            return handle
        encoded = encoded_source(source)
        opened = self._open_group(data, content)
        shelf.buffer.note(data["xid"], encoded)
        return opened

    def _open_group(self, data: dict[str, Any], content: Any) -> Group:
        """Add a group that has a file, lacks something, or is there already."""
        data = raw.copied(data, self._groups.max_record_bytes)
        known = self._groups.find(data["xid"])
        if known is not None:
            raw.merge(known, data)
            if content is not None and isinstance(known, FileGroup):
                known.file_content = content
            return known
        opened = self._groups.view(data)
        if self._wants_all():
            require(opened)
        self._groups.open[data["xid"]] = opened
        if content is not None:
            opened.add_key_value("fileContent", content)
        return opened

    def add_indicator(self, indicator: Mapping[str, Any], *, source: Any = None) -> Indicator:
        """
        Add an indicator as the dict that goes over the wire; it is copied.

        Args:
            indicator: ``type``, ``summary`` and ``xid``, and any other field by its wire name.
            source: As for `add_group`.

        Returns:
            The indicator. When the xid is known, what the dict holds is added to that one.

        Raises:
            ValidationError: When a field is missing or cannot be right, or the dict is larger
                than a job.
        """
        shelf = self._indicators
        if source is None and not self._closed and (taken := shelf.take(indicator)) is not None:
            return taken
        if self._closed:
            self._refuse_closed()
        data = plain(indicator, INDICATORS, "summary") if self._validate else None
        if data is None:
            data = raw.indicator(indicator, self.indicator_type, validate=self._validate)
        if source is None and (handle := shelf.put(data)) is not None:
            return handle
        encoded = encoded_source(source)
        opened = self._open_indicator(data)
        shelf.buffer.note(data["xid"], encoded)
        return opened

    def _add_plain(self, indicator: Mapping[str, Any]) -> bool:
        """Add an indicator that is right, of the usual kind and new; False leaves it to `add`."""
        if self._closed or not self._validate:
            return False
        if self._indicators.take(indicator) is not None:
            return True
        data = plain(indicator, INDICATORS, "summary")
        return data is not None and self._indicators.put(data) is not None

    def _open_indicator(self, data: dict[str, Any]) -> Indicator:
        """Add an indicator that waits for what it is linked to, or is there already."""
        data = raw.copied(data, self._indicators.max_record_bytes)
        known = self._indicators.find(data["xid"])
        if known is not None:
            raw.merge(known, data)
            return known
        shelf = self._indicators
        opened = shelf.open[data["xid"]] = shelf.view(data)
        if len(shelf.open) >= shelf.crowded:
            shelf.settle()
        return opened

    def add_association(
        self,
        association: Association | Mapping[str, Any] | None = None,
        /,
        *,
        source: Any = None,
        **fields: Any,
    ) -> Association:
        """
        Link two entities of this batch or of the owner.

        Args:
            association: The link, as an object or as a dict with wire or Python names.
            source: As for `add_group`.
            **fields: Instead of it, the fields of `Association`.

        Returns:
            The association; one that was added before, in either direction, counts once.

        Raises:
            ValidationError: When an end is not named, or a type that is needed is missing.
        """
        self._refuse_closed()
        if association is None:
            association = Association.from_dict(fields)
        elif fields:
            raise ValidationError("fields", fields, "either an association or keywords, not both")
        elif not isinstance(association, Association):
            association = Association.from_dict(raw.mapping(association, "association"))
        self._link(association, encoded_source(source))
        return association

    def _link(self, association: Association, source: bytes | None) -> None:
        """Add an association, unless it is there already."""
        key = association.key
        if key not in self._associations:
            self._associations.note(key, source)
            self._associations.add(key, encode(association.data))

    async def extend(
        self,
        items: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        source: Callable[[int, Mapping[str, Any]], Any] | None = None,
        on_refused: Callable[[Mapping[str, Any], ValidationError], None] | None = None,
    ) -> int:
        """
        Add many groups, indicators and associations as dicts, draining as they come.

        What a dict is, its keys say: an association has ``ref_1`` or ``id_1``, a group one of
        the group types as ``type``, and all others are indicators.

        Args:
            items: The dicts, from an iterable or an async iterable.
            source: Called with the number of each, from 0 on, and the dict; gives its source, as
                for `add_group`.
            on_refused: Called with each item that cannot be right and what is wrong with it, which
                is then left out; the ``about`` of the error begins with ``item`` and its number.
                It is a plain function, and nothing else has the item: no result and no dead
                letter. Without it the first one is raised.

        Returns:
            How many were added.

        Raises:
            ConfigurationError: When ``source`` or ``on_refused`` is no function, or a coroutine
                function.
            ValidationError: When one of them cannot be right; its message begins with the number
                of the dict, and those before it are added.
            Exception: What the iterable raises; what it gave before waits for the next ``drain()``.
        """
        with self._taking(items):
            return await extend(self._add_plain, self.add, self.drain, items, source, on_refused)

    def _taking(self, items: object) -> AbstractContextManager[None]:
        """Give what `extend` enters while it takes its items."""
        del items
        return nullcontext()

    def add(
        self, item: Mapping[str, Any], *, source: Any = None
    ) -> Group | Indicator | Association:
        """
        Add a group, an indicator or an association, whichever a dict is.

        Args:
            item: The dict, as `add_group`, `add_indicator` or `add_association` take it.
            source: As for `add_group`.

        Returns:
            What that method returns.

        Raises:
            ValidationError: When it cannot be right.
        """
        item = raw.mapping(item, "item")
        if "ref_1" in item or "id_1" in item:
            return self.add_association(item, source=source)
        kind = item.get("type")
        if isinstance(kind, str):
            if kind.lower() in values.GROUP_TYPE_NAMES:
                return self.add_group(item, source=source)
            near = values.nearest(kind, GROUP_CLASSES) if "name" in item else None
            if near is not None and "summary" not in item:
                raise ValidationError("type", kind, f"{near!r}, or another type", about="item")
        return self.add_indicator(item, source=source)
