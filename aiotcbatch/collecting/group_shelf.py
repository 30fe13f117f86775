"""The shelf of groups, with the files that belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.collecting.group_buffer import GroupBuffer
from aiotcbatch.collecting.segments import encode
from aiotcbatch.collecting.shelf import LARGE_RECORD, LinkRules, Shelf
from aiotcbatch.entities.contents import FileItem
from aiotcbatch.entities.group import GROUP_CLASSES, FileGroup, Group, require
from aiotcbatch.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["GroupShelf"]

new = object.__new__


class GroupShelf(Shelf[Group]):
    """
    The groups of a builder.

    Args:
        links: What is to be done about links.
        wants_all: Says whether a group is to have all fields that its type requires.
        validate: Whether values are checked.
    """

    buffer: GroupBuffer

    def __init__(self, links: LinkRules, wants_all: Callable[[], bool], *, validate: bool) -> None:
        super().__init__(GroupBuffer(), links, validate=validate)
        self.wants_all = wants_all
        #: The xids of those that were encoded, and are open again until they are drained.
        self.reopened: set[str] = set()

    @property
    def file_count(self) -> int:
        """File contents that wait for their group to be submitted."""
        return self.buffer.file_count + sum(
            isinstance(group, FileGroup) and group.file_content is not None
            for group in self.open.values()
        )

    def _came_back(self, xid: str) -> None:
        self.reopened.add(xid)

    def discard(self, xid: str) -> bool:
        """Forget a group, open or encoded."""
        found = super().discard(xid)
        self.reopened.discard(xid)
        return found

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
            or (not all(data.get(wire) for wire in cls.REQUIRED) and self.wants_all())
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
            self.reopened.discard(xid)  # also where it is refused, or jobs would wait for ever
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
        if self.wants_all():
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
