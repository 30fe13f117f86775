"""A builder that holds links back until the groups that they point to have come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.collecting.held import HeldLink, HeldLinks
from aiotcbatch.collecting.segments import encode
from aiotcbatch.collecting.typed import TypedBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiotcbatch.entities.metadata import Association

__all__ = ["HoldingBuilder"]


class HoldingBuilder(TypedBuilder):
    """
    A builder whose entities are sent before all have come, so that a link may come too early.

    Such a link, of an entity or on its own, is held back until its group comes; with a journal it
    is set aside there meanwhile.
    """

    _links: HeldLinks

    def _link_rules(self) -> HeldLinks:
        self._links = HeldLinks(
            self._is_open, self.add_association, self._set_aside, self._drop_aside
        )
        return self._links

    def _link(self, association: Association, source: bytes | None) -> None:
        """Add an association; one with a group that has not come is held back until it has."""
        for end in (1, 2):
            xid = association.group_xid(end)
            if xid is not None and not self._links.knows(xid) and not self._groups.is_open(xid):
                self._associations.note(association.key, source)
                self._links.hold(xid, association)
                return
        super()._link(association, source)

    def _hold_again(self, groups: Iterable[str], held: Iterable[HeldLink]) -> None:
        """Go on with the groups that have come, and the links that wait, of a journal."""
        for xid in groups:
            self._links.came(xid)
        for link in held:
            self._links.hold_again(link.xid, link.association, link.place)

    def _release_links(self) -> None:
        """Make the links of groups that never came: these may be in the owner already."""
        for association in self._links.release():
            super()._link(association, None)

    # What the rules ask for, which are made before there is a shelf or a buffer

    def _is_open(self, xid: str) -> bool:
        return self._groups.is_open(xid)

    def _set_aside(self, xid: str, association: Association) -> int | None:
        if self._keep is None:
            return None
        return self._associations.set_aside(encode(HeldLink.record(xid, association)))

    def _drop_aside(self, place: int) -> None:
        self._associations.drop_aside(place)
