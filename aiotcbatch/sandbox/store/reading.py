"""Reading entities back with all that hangs on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    occurrences: list[tuple[str | None, str | None, str | None]] = field(default_factory=list)
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


def complete(connection: Connection, entities: Iterable[Entity]) -> list[Entity]:
    """Read what hangs on entities: attributes, tags, labels, occurrences, links and files."""
    found = list(entities)
    for entity in found:
        _add_attributes(connection, entity)
        _add_names(connection, entity)
        _add_links(connection, entity)
        rows = connection.execute(
            "SELECT file_name, path, date FROM file_occurrence WHERE entity_id = ? ORDER BY id",
            (entity.id,),
        )
        entity.occurrences = [tuple(row) for row in rows]
        entity.file = connection.execute(
            "SELECT size, sha256 FROM content WHERE entity_id = ?", (entity.id,)
        ).fetchone()
    return found


def _add_attributes(connection: Connection, entity: Entity) -> None:
    rows = connection.execute(
        "SELECT id, type, value, displayed, pinned, source, labels, date_added FROM attribute"
        " WHERE entity_id = ? ORDER BY id",
        (entity.id,),
    )
    entity.attributes = [
        StoredAttribute(
            number,
            kind,
            value,
            bool(displayed),
            bool(pinned),
            source,
            tuple(orjson.loads(labels)) if labels else (),
            date_added,
        )
        for number, kind, value, displayed, pinned, source, labels, date_added in rows
    ]


def _add_names(connection: Connection, entity: Entity) -> None:
    for kind, names in (("tag", entity.tags), ("label", entity.labels)):
        rows = connection.execute(
            f"SELECT n.name FROM entity_{kind} x JOIN {kind} n ON n.id = x.{kind}_id"  # noqa: S608
            " WHERE x.entity_id = ? ORDER BY n.name",
            (entity.id,),
        )
        names.extend(name for (name,) in rows)


def _add_links(connection: Connection, entity: Entity) -> None:
    rows = connection.execute(
        "SELECT e.id, e.kind, a.type FROM (SELECT high AS other, type FROM association"
        " WHERE low = ?1 UNION SELECT low, type FROM association WHERE high = ?1) a"
        " JOIN entity e ON e.id = a.other ORDER BY e.id, a.type",
        (entity.id,),
    )
    for other, kind, association in rows:
        entity.associations.append((other, association))
        links = entity.associated_groups if kind == "G" else entity.associated_indicators
        if other not in links:
            links.append(other)
