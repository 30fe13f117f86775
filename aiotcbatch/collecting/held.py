"""Links to groups that have not come yet, held back until they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aiotcbatch.collecting.shelf import LinkRules
from aiotcbatch.collecting.xid_index import XidIndex
from aiotcbatch.entities.metadata import Association

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["HeldLink", "HeldLinks"]

#: From so many known groups on, they are remembered in a compact way.
_MANY_GROUPS = 65_536


class HeldLink(NamedTuple):
    """A link that a journal has set aside."""

    #: The group that it waits for.
    xid: str
    association: Association
    #: Where it is in the journal.
    place: int

    @staticmethod
    def record(xid: str, association: Association) -> dict[str, Any]:
        """Give the wire dict of a link, the end that it waits for first: so it is told later."""
        data = association.data
        end = next(name for name in ("ref_1", "ref_2") if data.get(name) == xid)
        return {end: xid, **data}

    @classmethod
    def of_record(cls, data: Mapping[str, Any], place: int) -> HeldLink:
        """Read such a dict back."""
        return cls(data[next(iter(data))], Association.from_dict(data), place)


class HeldLinks(LinkRules):
    """
    Takes links to unknown groups out of entities, and gives them back as associations.

    A group is known from when it was first drained. Its xid is remembered for good, in 90 bytes
    and in 16 if there are very many: a link to a group of an hour ago is to go with its entity.

    Args:
        is_open: Tells whether a group is open, so that it is known after this drain().
        add: Called with the associations that were held for a group, when it has come.
        set_aside: Keeps an association in the journal meanwhile, with the xid that it waits for;
            gives its place there.
        drop_aside: Called with that place, when it is held no more.
    """

    def __init__(
        self,
        is_open: Callable[[str], bool],
        add: Callable[[Association], object],
        set_aside: Callable[[str, Association], int | None],
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
        self._known.put((hash(xid),), 0)
        if self._known.entries >= _MANY_GROUPS:
            self._known.compact((0,))
        for association in self._taken(xid):
            self._add(association)

    def hold(self, xid: str, association: Association) -> None:
        """Hold a link until a group comes."""
        self._held.setdefault(xid, []).append((association, self._set_aside(xid, association)))

    def hold_again(self, xid: str, association: Association, place: int) -> None:
        """
        Hold a link that the journal has set aside.

        Args:
            xid: The group that it waits for.
            association: The link. If it waits for its second end, the first one has come.
            place: Where it is in the journal.
        """
        first = association.group_xid(1)
        if first is not None and first != xid:
            self.came(first)
        self._held.setdefault(xid, []).append((association, place))

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
