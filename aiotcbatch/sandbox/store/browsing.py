"""What the page shows, read in bounded pieces: nothing here returns more than it was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from aiotcbatch.sandbox.store.entities import bulk_select
from aiotcbatch.sandbox.store.jobs import JobError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiotcbatch.sandbox.store.database import Connection

__all__ = [
    "Count",
    "FileRow",
    "Label",
    "Link",
    "Row",
    "Search",
    "Totals",
]


class Count(NamedTuple):
    """How many entities of a type an owner has; kind is ``G`` or ``I``."""

    owner_id: int
    kind: str
    type: str
    number: int


@dataclass(frozen=True, slots=True)
class Totals:
    """
    What there is, in numbers.

    Attributes:
        entities: Groups and indicators by owner and type.
        associations: Links between two entities.
        tags: Tags of all owners.
        files: Files that were uploaded.
        file_bytes: The bytes of all of them.
        jobs: Batch jobs.
    """

    entities: tuple[Count, ...]
    associations: int
    tags: int
    files: int
    file_bytes: int
    jobs: int

    def of(self, kind: str) -> int:
        """Return how many groups (G) or indicators (I) there are."""
        return sum(count.number for count in self.entities if count.kind == kind)


@dataclass(frozen=True, slots=True)
class Search:
    """
    Which entities are wanted; what is "" or None does not matter.

    Attributes:
        kind: ``G`` for groups, ``I`` for indicators.
        text: What the summary or the xid contains.
        type: The type.
        owner_id: The owner.
        tag: The name of a tag, exactly.
    """

    kind: str = ""
    text: str = ""
    type: str = ""
    owner_id: int | None = None
    tag: str = ""


class Label(NamedTuple):
    """A security label and its colour in hexadecimal digits."""

    name: str
    color: str | None


class Row(NamedTuple):
    """A group or an indicator in a list."""

    id: int
    owner_id: int
    kind: str
    type: str
    xid: str | None
    summary: str
    rating: float | None
    confidence: int | None
    active: int | None
    date_added: float
    labels: tuple[Label, ...] = ()
    tags: tuple[str, ...] = ()


class Link(NamedTuple):
    """What an entity is associated with."""

    id: int
    owner_id: int
    kind: str
    type: str
    xid: str | None
    summary: str
    association: str


class FileRow(NamedTuple):
    """A file, and the group that it belongs to."""

    id: int
    owner_id: int
    type: str
    xid: str | None
    summary: str
    file_name: str
    size: int
    sha256: str
    uploaded: float


def totals(connection: Connection) -> Totals:
    """Count everything."""
    counted = connection.execute(
        "SELECT owner_id, kind, type, count(*) FROM entity GROUP BY owner_id, kind, type"
    )
    entities = tuple(Count(*row) for row in counted)
    files, file_bytes = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM content"
    ).fetchone()
    return Totals(
        entities,
        _number(connection, "SELECT count(*) FROM association"),
        _number(connection, "SELECT count(*) FROM tag"),
        files,
        file_bytes,
        _number(connection, "SELECT count(*) FROM job"),
    )


def matching(connection: Connection, search: Search) -> int:
    """Return how many entities are wanted."""
    where, values = _condition(search)
    return _number(connection, f"SELECT count(*) FROM entity e WHERE {where}", values)  # noqa: S608


def page(
    connection: Connection, search: Search, limit: int, start: int = 0, *, tags: int = 4
) -> list[Row]:
    """
    Return some of the entities that are wanted, the newest first.

    Args:
        connection: The database.
        search: Which are wanted.
        limit: The most to return.
        start: How many to skip.
        tags: The most tags of each.
    """
    where, values = _condition(search)
    rows = connection.execute(
        "SELECT e.id, e.owner_id, e.kind, e.type, e.xid, e.summary, e.rating, e.confidence,"  # noqa: S608
        f" e.active, e.date_added, e.labels, e.tags FROM entity e WHERE {where}"
        " ORDER BY e.id DESC LIMIT ? OFFSET ?",
        (*values, limit, start),
    ).fetchall()
    return [
        Row._make(
            (
                *row[:-2],
                tuple(labels_of(connection, row[1], _sorted(row[-2], tags))),
                tuple(_sorted(row[-1], tags)),
            )
        )
        for row in rows
    ]


def _sorted(names: str, limit: int) -> list[str]:
    """Return the first names of a column, in order."""
    return sorted(orjson.loads(names))[:limit]


def _condition(search: Search) -> tuple[str, list[Any]]:
    """
    Turn a search into a condition on ``e``.

    The plus signs keep SQLite from walking an index whose order is not the one that is wanted.
    """
    parts, values = ["1"], list[Any]()
    for column, value in (
        ("e.kind", search.kind or None),
        ("e.type", search.type or None),
        ("e.owner_id", search.owner_id),
    ):
        if value is not None:
            parts.append(f"+{column} = ?")
            values.append(value)
    if search.text:
        parts.append("(e.summary LIKE ? ESCAPE '\\' OR e.xid LIKE ? ESCAPE '\\')")
        values += [_containing(search.text)] * 2
    if search.tag:
        parts.append("EXISTS (SELECT 1 FROM json_each(e.tags) x WHERE x.value = ?)")
        values.append(search.tag)
    return " AND ".join(parts), values


def _containing(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def labels_of(connection: Connection, owner_id: int, names: Sequence[str]) -> list[Label]:
    """Return labels by their names, in order, with the colours that they have in an owner."""
    head = "SELECT name, color FROM label WHERE owner_id IN (0, ?) AND name"
    colors = dict(bulk_select(connection, head, names, owner_id))
    return [Label(name, colors.get(name)) for name in names]


_LINKS = (
    "WITH link (other, type) AS (SELECT high, type FROM association WHERE low = ?1"
    " UNION SELECT low, type FROM association WHERE high = ?1)"
)


def link_counts(connection: Connection, entity_id: int) -> list[tuple[str, str, int]]:
    """Return with how many entities of each kind and type an entity is associated."""
    rows = connection.execute(
        f"{_LINKS} SELECT e.kind, e.type, count(*) FROM link"  # noqa: S608  (all of it is ours)
        " JOIN entity e ON e.id = link.other GROUP BY e.kind, e.type ORDER BY e.kind, e.type",
        (entity_id,),
    )
    return rows.fetchall()


def links(
    connection: Connection, entity_id: int, limit: int, start: int = 0, *, kind: str = ""
) -> list[Link]:
    """
    Return some of what an entity is associated with.

    Args:
        connection: The database.
        entity_id: The entity.
        limit: The most to return.
        start: How many to skip.
        kind: Only what is of this type, "" for all.
    """
    rows = connection.execute(
        f"{_LINKS} SELECT e.id, e.owner_id, e.kind, e.type, e.xid, e.summary, link.type"  # noqa: S608
        " FROM link JOIN entity e ON e.id = link.other WHERE ?4 = '' OR e.type = ?4"
        " ORDER BY e.kind, e.type, e.summary, e.id LIMIT ?2 OFFSET ?3",
        (entity_id, limit, start, kind),
    )
    return [Link(*row) for row in rows]


def file_of(connection: Connection, entity_id: int) -> FileRow | None:
    """Return the file of a group, None if it has none."""
    row = connection.execute(f"{_FILES} WHERE e.id = ?", (entity_id,)).fetchone()
    return None if row is None else _file(row)


def files(connection: Connection, limit: int, start: int = 0) -> list[FileRow]:
    """Return some of the files, those of the newest groups first."""
    rows = connection.execute(
        f"{_FILES} ORDER BY c.entity_id DESC LIMIT ? OFFSET ?", (limit, start)
    )
    return [_file(row) for row in rows]


_FILES = (
    "SELECT e.id, e.owner_id, e.type, e.xid, e.summary, json_extract(e.fields, '$.fileName'),"
    " c.size, c.sha256, c.uploaded"
    " FROM content c JOIN entity e ON e.id = c.entity_id"
)


def _file(row: Sequence[Any]) -> FileRow:
    values = list(row)
    values[5] = str(values[5] or "")
    return FileRow(*values)


def error_counts(connection: Connection, job_id: int) -> list[tuple[str, str, int]]:
    """Return how many errors of each severity and code a job has, the most frequent first."""
    rows = connection.execute(
        "SELECT severity, code, count(*) FROM job_error WHERE job_id = ?"
        " GROUP BY severity, code ORDER BY count(*) DESC, code",
        (job_id,),
    )
    return rows.fetchall()


def errors(connection: Connection, job_id: int, limit: int, start: int = 0) -> list[JobError]:
    """Return some of what went wrong in a job, in the order in which it was met."""
    rows = connection.execute(
        "SELECT section, position, code, severity, reason, source, message, xid"
        " FROM job_error WHERE job_id = ? ORDER BY seq LIMIT ? OFFSET ?",
        (job_id, limit, start),
    )
    return [JobError(*row) for row in rows]


def has_document(connection: Connection, job_id: int) -> bool:
    """Tell whether the document of a job is still kept."""
    return bool(
        _number(
            connection,
            "SELECT count(*) FROM job_body WHERE job_id = ?",
            (job_id,),
        )
    )


def _number(connection: Connection, query: str, values: Sequence[Any] = ()) -> int:
    (number,) = connection.execute(query, tuple(values)).fetchone()
    return int(number)
