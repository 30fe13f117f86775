"""Reading entities back with all that hangs on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import orjson

from aiotcbatch.sandbox.store.entities import Occurrence, bulk_select

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from aiotcbatch.sandbox.store.database import Connection

__all__ = ["Entity", "StoredAttribute"]


@dataclass(frozen=True, slots=True)
class StoredAttribute:
    """
    An attribute of an entity.

    Attributes:
        id: Its number.
        type: Its type.
        value: Its value.
        displayed: Whether it is the one that is shown first.
        pinned: Whether it is pinned.
        source: Where it comes from, None if unsaid.
        labels: The names of its security labels.
        date_added: When it was stored; seconds since the epoch.
    """

    id: int
    type: str
    value: str
    displayed: bool
    pinned: bool
    source: str | None
    labels: tuple[str, ...]
    date_added: float

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Self:
        """Read what stands in the column ``attributes``."""
        return cls(
            id=stored["id"],
            type=stored["type"],
            value=stored["value"],
            displayed=stored.get("displayed", False),
            pinned=stored.get("pinned", False),
            source=stored.get("source"),
            labels=tuple(stored.get("labels", ())),
            date_added=stored["date_added"],
        )


@dataclass(slots=True)
class Entity:
    """
    A group or an indicator as it is stored.

    Attributes:
        id: Its number.
        owner: The owner's name.
        kind: ``G`` for a group, ``I`` for an indicator.
        type: Its type.
        xid: Its xid, None for an indicator without.
        summary: A group's name, an indicator's summary.
        rating: An indicator's rating.
        confidence: An indicator's confidence.
        active: Whether an indicator is active.
        fields: What else its type has, by the names of the API.
        date_added: When it was stored; seconds since the epoch.
        last_modified: When it was last changed.
        attributes: Its attributes in the order in which they were added.
        tags: The names of its tags, in order.
        labels: The names of its security labels, in order.
        occurrences: A File's occurrences as file name, path and date.
        associated_groups: The ids of groups that it is associated with.
        associated_indicators: The ids of indicators that it is associated with.
        associations: All that it is associated with: the other's id and the association type.
        file: Size and SHA-256 of its content, None if it has none.
    """

    id: int
    owner: str
    kind: str
    type: str
    xid: str | None
    summary: str
    rating: float | None
    confidence: int | None
    active: bool | None
    fields: dict[str, Any]
    date_added: float
    last_modified: float
    attributes: list[StoredAttribute] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    occurrences: list[Occurrence] = field(default_factory=list)
    associated_groups: list[int] = field(default_factory=list)
    associated_indicators: list[int] = field(default_factory=list)
    associations: list[tuple[int, str]] = field(default_factory=list)
    file: tuple[int, str] | None = None


_COLUMNS = (
    "e.id, o.name, e.kind, e.type, e.xid, e.summary, e.rating, e.confidence, e.active, e.fields,"
    " e.date_added, e.last_modified"
)


def select(
    connection: Connection,
    where: str = "1",
    values: Sequence[Any] = (),
    *,
    limit: int = -1,
    start: int = 0,
    order: str = "e.id",
) -> list[Entity]:
    """
    Return entities without what hangs on them.

    Args:
        connection: The database.
        where: A condition on ``e`` (entity) and ``o`` (owner).
        values: What stands for its question marks.
        limit: The most to return, -1 for all.
        start: How many to skip.
        order: What to sort by.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM entity e JOIN owner o ON o.id = e.owner_id"  # noqa: S608
        f" WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",
        (*values, limit, start),
    )
    return [_entity(row) for row in rows]


def count(connection: Connection, where: str = "1", values: Sequence[Any] = ()) -> int:
    """Return how many entities meet a condition."""
    (number,) = connection.execute(
        f"SELECT count(*) FROM entity e JOIN owner o ON o.id = e.owner_id WHERE {where}",  # noqa: S608
        tuple(values),
    ).fetchone()
    return int(number)


def _entity(row: Sequence[Any]) -> Entity:
    values = list(row)
    values[8] = None if values[8] is None else bool(values[8])
    values[9] = orjson.loads(values[9])
    return Entity(*values)


#: What can hang on an entity.
PARTS = frozenset({"attributes", "tags", "labels", "occurrences", "links", "file"})


def complete(
    connection: Connection, entities: Iterable[Entity], parts: Collection[str] = PARTS
) -> list[Entity]:
    """
    Read what hangs on entities.

    Args:
        connection: The database.
        entities: Those that were selected.
        parts: Which of `PARTS` to read.

    Returns:
        The same entities.
    """
    found = list(entities)
    by_id = {entity.id: entity for entity in found}
    for part in sorted(parts):
        _READERS[part](connection, by_id)
    return found


def _column(connection: Connection, name: str, by_id: dict[int, Entity]) -> Iterator[Any]:
    """Yield entities with what a column of JSON has for each."""
    head = f"SELECT id, {name} FROM entity WHERE id"  # noqa: S608  (names are ours)
    for entity_id, text in bulk_select(connection, head, list(by_id)):
        yield by_id[entity_id], orjson.loads(text)


def _attributes(connection: Connection, by_id: dict[int, Entity]) -> None:
    for entity, found in _column(connection, "attributes", by_id):
        entity.attributes = [StoredAttribute.of(one) for one in found]


def _tags(connection: Connection, by_id: dict[int, Entity]) -> None:
    for entity, found in _column(connection, "tags", by_id):
        entity.tags = sorted(found)


def _labels(connection: Connection, by_id: dict[int, Entity]) -> None:
    for entity, found in _column(connection, "labels", by_id):
        entity.labels = sorted(found)


def _occurrences(connection: Connection, by_id: dict[int, Entity]) -> None:
    for entity, found in _column(connection, "occurrences", by_id):
        entity.occurrences = [(file_name, path, date) for file_name, path, date in found]


def _links(connection: Connection, by_id: dict[int, Entity]) -> None:
    rows = {
        *bulk_select(
            connection,
            "SELECT a.low, e.id, e.kind, a.type FROM association a JOIN entity e ON e.id = a.high"
            " WHERE a.low",
            list(by_id),
        ),
        *bulk_select(
            connection,
            "SELECT a.high, e.id, e.kind, a.type FROM association a JOIN entity e ON e.id = a.low"
            " WHERE a.high",
            list(by_id),
        ),
    }
    for entity_id, other, kind, association in sorted(rows):
        entity = by_id[entity_id]
        entity.associations.append((other, association))
        links = entity.associated_groups if kind == "G" else entity.associated_indicators
        if other not in links:
            links.append(other)


def _file(connection: Connection, by_id: dict[int, Entity]) -> None:
    head = "SELECT entity_id, size, sha256 FROM content WHERE entity_id"
    for entity_id, size, sha256 in bulk_select(connection, head, list(by_id)):
        by_id[entity_id].file = (size, sha256)


_READERS: dict[str, Callable[[Connection, dict[int, Entity]], None]] = {
    "attributes": _attributes,
    "tags": _tags,
    "labels": _labels,
    "occurrences": _occurrences,
    "links": _links,
    "file": _file,
}


def labels_by_name(connection: Connection, owner_id: int) -> dict[str, tuple[int, str, str]]:
    """Return the labels that an owner has: id, description and colour by name."""
    rows = connection.execute(
        "SELECT name, id, description, color FROM label WHERE owner_id IN (0, ?)"
        " ORDER BY owner_id DESC",
        (owner_id,),
    )
    return {name: (number, description, color) for name, number, description, color in rows}


def all_tags(connection: Connection) -> list[tuple[int, str, str]]:
    """Return every tag: id, owner's name, name."""
    rows = connection.execute(
        "SELECT t.id, o.name, t.name FROM tag t JOIN owner o ON o.id = t.owner_id ORDER BY t.id"
    )
    return rows.fetchall()


def by_ids(connection: Connection, ids: Sequence[int]) -> list[Entity]:
    """Return entities by their ids, without what hangs on them."""
    head = f"SELECT {_COLUMNS} FROM entity e JOIN owner o ON o.id = e.owner_id WHERE e.id"  # noqa: S608
    return sorted(
        (_entity(row) for row in bulk_select(connection, head, ids)),
        key=lambda entity: entity.id,
    )
