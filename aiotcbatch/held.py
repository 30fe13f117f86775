"""Links to groups that have not come yet, held back until they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.entities.metadata import Association
from aiotcbatch.xid_index import XidIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["HeldLinks"]


class HeldLinks:
    """
    Takes links to unknown groups out of entities, and gives them back as associations.

    A group is known from when it was first drained. Its xid is remembered for good, in 24 to 48
    bytes: a link to a group of an hour ago is to go with its entity.
    """

    def __init__(self) -> None:
        self._known = XidIndex()
        self._held: dict[str, list[Association]] = {}

    def __len__(self) -> int:
        return sum(len(links) for links in self._held.values())

    def knows(self, xid: str) -> bool:
        """Whether a group with this xid has come."""
        return self._known.get(hash(xid)) is not None

    def came(self, xid: str) -> list[Association]:
        """Note that a group has come, and give back what was held for it."""
        self._known.put_all((hash(xid),), 0)
        return self._held.pop(xid, [])

    def hold(self, xid: str, association: Association) -> None:
        """Hold a link until a group comes."""
        self._held.setdefault(xid, []).append(association)

    def release(self) -> Iterator[Association]:
        """Give back all that is held: what they point to is on the server, or nowhere."""
        while self._held:
            yield from self._held.popitem()[1]

    def strip_group(self, data: dict[str, Any], is_open: Callable[[str], bool]) -> None:
        """Take the links to unknown groups out of a group's wire dict, and hold them."""
        links = data.get("associatedGroupXid")
        if links is None:
            return
        xid = data["xid"]
        early = [t for t in links if t != xid and not self.knows(t) and not is_open(t)]
        if early:
            data["associatedGroupXid"] = [target for target in links if target not in early]
            for target in early:
                self.hold(target, Association(ref_1=xid, ref_2=target))

    def strip_indicator(self, data: dict[str, Any], is_open: Callable[[str], bool]) -> None:
        """Take the links to unknown groups out of an indicator's wire dict, and hold them."""
        links = data.get("associatedGroups")
        if links is None:
            return
        kept = []
        for link in links:
            target = link if isinstance(link, str) else link["groupXid"]
            if self.knows(target) or is_open(target):
                kept.append(link)
            else:
                source = Association(ref_1=data["summary"], type_1=data["type"], ref_2=target)
                self.hold(target, source)
        data["associatedGroups"] = kept
