"""Links to groups that have not come yet, held back until they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.collecting.shelf import LinkRules
from aiotcbatch.collecting.xid_index import XidIndex
from aiotcbatch.entities.metadata import Association

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["HeldLinks"]


class HeldLinks(LinkRules):
    """
    Takes links to unknown groups out of entities, and gives them back as associations.

    A group is known from when it was first drained. Its xid is remembered for good, in 24 to 48
    bytes: a link to a group of an hour ago is to go with its entity.

    Args:
        is_open: Tells whether a group is open, so that it is known after this drain().
        add: Called with the associations that were held for a group, when it has come.
        set_aside: Keeps an association in the journal meanwhile; gives its place there.
        drop_aside: Called with that place, when it is held no more.
    """

    def __init__(
        self,
        is_open: Callable[[str], bool],
        add: Callable[[Association], object],
        set_aside: Callable[[Association], int | None],
        drop_aside: Callable[[int], None],
    ) -> None:
        self._is_open = is_open
        self._add = add
        self._set_aside = set_aside
        self._drop_aside = drop_aside
        self._known = XidIndex()
        self._held: dict[str, list[tuple[Association, int | None]]] = {}

    def __len__(self) -> int:
        return sum(len(links) for links in self._held.values())

    def knows(self, xid: str) -> bool:
        """Whether a group with this xid has come."""
        return self._known.get(hash(xid)) is not None

    def came(self, xid: str) -> None:
        """Note that a group has come, and add what was held for it."""
        self._known.put_all((hash(xid),), 0)
        for association in self._taken(xid):
            self._add(association)

    def hold(self, xid: str, association: Association) -> None:
        """Hold a link until a group comes."""
        held = (association, self._set_aside(association))
        self._held.setdefault(xid, []).append(held)

    def release(self) -> Iterator[Association]:
        """Give back all that is held: what they point to is on the server, or nowhere."""
        for xid in list(self._held):
            yield from self._taken(xid)

    def _taken(self, xid: str) -> Iterator[Association]:
        for association, place in self._held.pop(xid, ()):
            yield association
            if place is not None:
                self._drop_aside(place)

    def group_waits(self, data: Mapping[str, Any]) -> bool:
        """All groups wait: they come with a drain()."""
        del data
        return True

    def indicator_waits(self, data: Mapping[str, Any]) -> bool:
        """Whether an indicator is linked to a group that has not come, and may until drain()."""
        return not all(self.knows(_target(link)) for link in data["associatedGroups"])

    def strip_group(self, data: dict[str, Any]) -> None:
        """Take the links to unknown groups out of a group's wire dict, and hold them."""
        links = data.get("associatedGroupXid")
        if links is None:
            return
        xid = data["xid"]
        early = [t for t in links if t != xid and not self.knows(t) and not self._is_open(t)]
        if early:
            data["associatedGroupXid"] = [target for target in links if target not in early]
            for target in early:
                self.hold(target, Association(ref_1=xid, ref_2=target))

    def strip_indicator(self, data: dict[str, Any]) -> None:
        """Take the links to unknown groups out of an indicator's wire dict, and hold them."""
        kept = []
        for link in data["associatedGroups"]:
            target = _target(link)
            if self.knows(target) or self._is_open(target):
                kept.append(link)
            else:
                source = Association(ref_1=data["summary"], type_1=data["type"], ref_2=target)
                self.hold(target, source)
        data["associatedGroups"] = kept


def _target(link: str | Mapping[str, str]) -> str:
    """Give the xid to which an indicator is linked; plain ones are taken by the server too."""
    return link if isinstance(link, str) else link["groupXid"]
