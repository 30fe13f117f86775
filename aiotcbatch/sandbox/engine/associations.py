"""Links between entities: those that stand in entities, and those of the ``association`` array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aiotcbatch.sandbox.engine import groups, values
from aiotcbatch.sandbox.engine.batch import StopError
from aiotcbatch.sandbox.engine.incoming import Incoming, Link, MalformedError, RefusedError
from aiotcbatch.sandbox.store import entities as table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiotcbatch.sandbox.catalog import Catalog
    from aiotcbatch.sandbox.engine.batch import Context
    from aiotcbatch.sandbox.engine.document import Part
    from aiotcbatch.sandbox.engine.indicators import IndicatorReader
    from aiotcbatch.sandbox.store.database import Connection

__all__ = ["Association", "Joiner", "Resolver", "read"]

CODE = "0x1009"


#: The lower id, the higher id, the association type or "".
Row = tuple[int, int, str]


class Association(NamedTuple):
    """An element of the ``association`` array."""

    position: int
    one: Link
    other: Link
    type: str


def read(value: Any, position: int, catalog: Catalog) -> Association:
    """
    Read an association.

    Args:
        value: The object as it stands in the document.
        position: Its index.
        catalog: The types of the instance.

    Returns:
        What it links.

    Raises:
        MalformedError: It is not an object.
        RefusedError: An end is missing or of an unknown type.
    """
    if not isinstance(value, dict):
        raise MalformedError("Not a JSON Object")
    kind = groups.plain(value.get("associationType"))
    return Association(position, _end(value, 1, catalog), _end(value, 2, catalog), kind)


def _end(value: dict[str, Any], number: int, catalog: Catalog) -> Link:
    ref = groups.plain(value.get(f"ref_{number}"))
    kind = groups.plain(value.get(f"type_{number}"))
    given = value.get(f"id_{number}")
    if given is not None:
        try:
            return Link(ref, id=values.integer(given))
        except ValueError:
            raise RefusedError(f"id_{number} is not a number.", CODE, f"id_{number}") from None
    if not ref:
        raise RefusedError(
            f"An association requires ref_{number} or id_{number}.", CODE, f"ref_{number}"
        )
    if kind and catalog.indicator(kind) is not None:
        return Link(ref, kind)
    if kind and catalog.group(kind) is None:
        raise RefusedError(f"{kind} is not a valid type.", CODE, f"type_{number}")
    return Link(ref)


class Target(NamedTuple):
    """What a link turned out to point to."""

    id: int
    kind: str


class Resolver:
    """
    Finds out which entities links point to.

    Args:
        owner_id: The owner; nothing of any other owner is found.
        indicators: Knows how summaries are written.
    """

    def __init__(self, owner_id: int, indicators: IndicatorReader) -> None:
        self._owner_id = owner_id
        self._indicators = indicators

    def resolve(self, connection: Connection, links: Iterable[Link]) -> dict[Link, Target]:
        """
        Look up many links at once.

        Args:
            connection: The database.
            links: What to look for.

        Returns:
            The targets of those that point to something.
        """
        identities: dict[str, list[Link]] = {}
        hashes: dict[str, list[Link]] = {}
        ids: dict[int, list[Link]] = {}
        for link in dict.fromkeys(links):
            if link.id is not None:
                ids.setdefault(link.id, []).append(link)
            elif link.type == "xid":
                known = table.indicator_by_xid(connection, self._owner_id, link.ref)
                ids.setdefault(known, []).append(link)
            elif not link.type:
                identities.setdefault(groups.identity(link.ref), []).append(link)
            else:
                self._indicator(link, identities, hashes)
        found: dict[Link, Target] = {}
        for identity, number in table.match(connection, self._owner_id, list(identities)).items():
            kind = "G" if identity.startswith("@") else "I"
            found.update((link, Target(number, kind)) for link in identities[identity])
        for value, file_id in table.match_hashes(connection, self._owner_id, list(hashes)).items():
            found.update((link, Target(file_id, "I")) for link in hashes[value])
        for entity_id, (kind, _) in table.match_ids(connection, self._owner_id, list(ids)).items():
            found.update((link, Target(entity_id, kind)) for link in ids[entity_id])
        return found

    def _indicator(
        self, link: Link, identities: dict[str, list[Link]], hashes: dict[str, list[Link]]
    ) -> None:
        try:
            identity, file_hashes = self._indicators.reference(link.type, link.ref)
        except (RefusedError, MalformedError):
            return
        if file_hashes:
            for value in file_hashes:
                hashes.setdefault(value.lower(), []).append(link)
        else:
            identities.setdefault(identity, []).append(link)


def pair(one: int, other: int, kind: str = "") -> Row:
    """Return the row for a link, whichever end was named first."""
    return (one, other, kind) if one < other else (other, one, kind)


def row_of(association: Association, found: dict[Link, Target]) -> Row:
    """
    Decide what an association links.

    Args:
        association: What it names.
        found: What that turned out to be.

    Returns:
        The row for it.

    Raises:
        RefusedError: An end does not exist, both are the same, or the type is missing.
    """
    one = _target(association.one, found, 1)
    other = _target(association.other, found, 2)
    if one.id == other.id:
        raise RefusedError("An association requires two different objects.", CODE, "ref_2")
    if one.kind != "I" or other.kind != "I":
        return pair(one.id, other.id)
    if not association.type:
        raise RefusedError(
            "An association of two indicators requires an associationType.",
            CODE,
            "associationType",
        )
    return pair(one.id, other.id, association.type)


def _target(link: Link, found: dict[Link, Target], number: int) -> Target:
    target = found.get(link)
    if target is None:
        field = f"ref_{number}" if link.id is None else f"id_{number}"
        raise RefusedError(f"The requested resource was not found: {shown(link)}", CODE, field)
    return target


def _parent(link: Link) -> Link:
    """Return the link that points to what another one goes out from."""
    return Link(link.parent, "xid")


def _source(link: Link, entity: Incoming, found: dict[Link, Target]) -> int | None:
    """
    Return the id of what a link of an entity goes out from.

    None stands for a parent that is missing, which is told of as the target of its own link.
    """
    if not link.parent:
        return entity.id
    parent = found.get(_parent(link))
    return None if parent is None else parent.id


def shown(link: Link) -> str:
    """Return how a link is called in errors."""
    return str(link.id) if link.id is not None else f"{link.type} {link.ref}".strip()


class Joiner:
    """
    Writes links, of both sorts.

    Args:
        context: The job's tools.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._report = context.report
        self._seen: set[Row] = set()
        #: Links of entities that are still to be written, in their order: rows that are ready, and
        #: entities of which some link points to what was not known.
        self._pending: list[Row | Incoming] = []
        self._groups: dict[str, int] = {}
        self._write = table.dissociate if context.config.delete else table.associate

    def process(self, connection: Connection, part: Part) -> None:
        """
        Link what elements of the ``association`` array name, against what exists by now.

        Raises:
            StopError: The job stops at one of them.
        """
        ready: list[Association] = []
        for position, value in enumerate(part.values, part.first):
            try:
                ready.append(read(value, position, self._context.catalog))
            except RefusedError as error:
                self._join(connection, ready, part.first)
                ready = []
                self._refuse(position, error, part.first)
            except MalformedError as error:
                self._join(connection, ready, part.first)
                self._report.malformed("association", position, str(error), None)
                raise StopError(position - part.first) from None
        self._join(connection, ready, part.first)

    def _join(self, connection: Connection, ready: list[Association], first: int) -> None:
        found = self._context.resolver.resolve(
            connection, [link for one in ready for link in (one.one, one.other)]
        )
        rows: list[Row] = []
        for association in ready:
            try:
                row = row_of(association, found)
            except RefusedError as error:
                self._write(connection, rows)
                rows = []
                self._refuse(association.position, error, first)
                continue
            if row not in self._seen:
                self._seen.add(row)
                rows.append(row)
                self._report.counts.success_associations += 1
        self._write(connection, rows)

    def _refuse(self, position: int, error: RefusedError, first: int) -> None:
        self._report.association_refused(position, error)
        if self._context.config.halt:
            raise StopError(position - first)

    @property
    def pending(self) -> bool:
        """Whether links of entities are still to be written."""
        return bool(self._pending)

    def know(self, group: Incoming) -> None:
        """Remember which group an xid of this job stands for: most links are to such groups."""
        self._groups[group.xid or ""] = group.id

    def later(self, entity: Incoming, links: list[Link]) -> None:
        """Note links of an entity; they are written when all of the document is there."""
        rows: list[Row] = []
        for link in links:
            other = self._groups.get(link.ref)
            if other is None or link.type or link.id is not None:
                self._pending.append(entity)
                return
            if other != entity.id:
                rows.append(pair(entity.id, other, link.association))
        self._pending += rows

    def drop(self) -> None:
        """Write no more links of entities, since the job stops."""
        self._pending.clear()

    def link(self, connection: Connection, limit: int) -> None:
        """
        Write links that stand in entities, when all of the document is there.

        Args:
            connection: The database.
            limit: For how many entities to do so.

        Raises:
            StopError: What an entity points to does not exist, and the job stops at that.
        """
        part = self._pending[:limit]
        del self._pending[:limit]
        links = [link for one in part if isinstance(one, Incoming) for link in one.links or ()]
        parents = [_parent(link) for link in links if link.parent]
        found = self._context.resolver.resolve(connection, links + parents)
        rows: list[Row] = []
        for index, one in enumerate(part):
            if not isinstance(one, Incoming):
                rows.append(one)
            elif not self._resolved(one, found, rows) and self._context.config.halt:
                self._write(connection, rows)
                raise StopError(index)
        self._write(connection, rows)

    def _resolved(self, entity: Incoming, found: dict[Link, Target], rows: list[Row]) -> bool:
        """Collect the rows for an entity's links; False if some of them point to nothing."""
        missing = ""
        for link in entity.links or ():
            target = found.get(link)
            if target is None:
                missing = missing or shown(link)
                continue
            source = _source(link, entity, found)
            if source is not None and source != target.id:
                rows.append(pair(source, target.id, link.association))
        if missing:
            self._report.unlinked(entity, missing)
        return not missing
