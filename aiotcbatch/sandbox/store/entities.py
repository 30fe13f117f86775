"""Groups and indicators with all that hangs on them: how they are found and written, in bulk."""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aiotcbatch.sandbox.store.database import Connection

__all__ = ["Found", "Names", "bulk_select"]

#: How many values a lookup asks for in one statement; few sizes, so that statements are reused.
_SIZES = (1, 16, 256)
#: How many rows are inserted by one statement, likewise.
_ROWS = (64, 8, 1)
#: What stands for NULL in rows that are written. To bind None, or a bool, takes sqlite3 as long as
#: ten values of other types, since it looks for an adapter each time.
NO_TEXT, NO_NUMBER = "", -1
#: A name cache is emptied when it has grown so far.
_CACHED_NAMES = 100_000


class Found(NamedTuple):
    """An entity that was there already."""

    identity: str
    id: int
    type: str
    summary: str
    fields: str
    last_modified: float


def _batches(values: Sequence[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Cut values into batches of a known size, the last one filled up with its last value."""
    start = 0
    while start < len(values):
        left = len(values) - start
        size = next((size for size in _SIZES if left <= size), _SIZES[-1])
        batch = list(values[start : start + size])
        batch.extend(batch[-1:] * (size - len(batch)))
        yield size, batch
        start += size


def bulk_select(connection: Connection, head: str, values: Sequence[Any], *fixed: Any) -> list[Any]:
    """
    Select rows by many values of one column.

    Args:
        connection: The database.
        head: The statement up to the column, which is its last word.
        values: The values that the column may have.
        *fixed: What stands for question marks before it.

    Returns:
        The rows, in no order.
    """
    rows: list[Any] = []
    for size, batch in _batches(values):
        marks = ",".join("?" * size)
        rows += connection.execute(f"{head} IN ({marks})", (*fixed, *batch)).fetchall()
    return rows


def _insert_many(connection: Connection, head: str, row: str, values: Sequence[Any]) -> None:
    """
    Insert rows, many to a statement: that takes half of the time of one by one.

    Args:
        connection: The database.
        head: The statement up to the word VALUES.
        row: What a row is made of, with a question mark for each value.
        values: Those of all rows, one row behind the other.
    """
    start, width = 0, row.count("?")
    while start < len(values):
        left = (len(values) - start) // width
        size = next(size for size in _ROWS if size <= left)
        end = start + size * width
        connection.execute(_insertion(head, row, size), values[start:end])
        start = end


@cache
def _insertion(head: str, row: str, size: int) -> str:
    """Write the statement that inserts so many rows."""
    return f"{head} VALUES {','.join([f'({row})'] * size)}"


def _delete_many(connection: Connection, head: str, values: Sequence[Any]) -> None:
    """Delete rows by many values of one column, which is the head's last word."""
    for size, batch in _batches(values):
        connection.execute(f"{head} IN ({','.join('?' * size)})", batch)


def match(connection: Connection, owner_id: int, identities: Sequence[str]) -> dict[str, Found]:
    """Return those of the entities that exist, by identity."""
    rows = bulk_select(
        connection,
        "SELECT identity, id, type, summary, fields, last_modified FROM entity"
        " WHERE owner_id = ? AND identity",
        identities,
        owner_id,
    )
    made = tuple.__new__  # what Found._make comes down to
    return {row[0]: made(Found, row) for row in rows}


def match_ids(
    connection: Connection, owner_id: int, ids: Sequence[int]
) -> dict[int, tuple[str, str]]:
    """Return kind and type of those of the ids that exist in the owner."""
    rows = bulk_select(
        connection, "SELECT id, kind, type FROM entity WHERE owner_id = ? AND id", ids, owner_id
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def indicator_by_xid(connection: Connection, owner_id: int, xid: str) -> int:
    """Return the id of the latest indicator that came with an xid, 0 for none; a slow look-up."""
    row = connection.execute(
        "SELECT max(id) FROM entity WHERE owner_id = ? AND kind = 'I' AND xid = ?", (owner_id, xid)
    ).fetchone()
    return row[0] or 0


def load(connection: Connection, entity_id: int) -> Found | None:
    """Return one entity by its id."""
    row = connection.execute(
        "SELECT identity, id, type, summary, fields, last_modified FROM entity WHERE id = ?",
        (entity_id,),
    ).fetchone()
    return None if row is None else Found(*row)


def match_hashes(connection: Connection, owner_id: int, hashes: Sequence[str]) -> dict[str, int]:
    """Return which File has each of the hashes that are known."""
    rows = bulk_select(
        connection,
        "SELECT hash, entity_id FROM file_hash WHERE owner_id = ? AND hash",
        hashes,
        owner_id,
    )
    return dict(rows)


def hashes_of(connection: Connection, entity_id: int, owner_id: int) -> list[str]:
    """Return the hashes of a File, as its summary has them."""
    rows = connection.execute(
        "SELECT summary FROM entity WHERE id = ? AND owner_id = ?", (entity_id, owner_id)
    ).fetchone()
    return [] if rows is None or not rows[0] else rows[0].split(" : ")


def insert(connection: Connection, values: Sequence[Any]) -> None:
    """
    Write new entities: the values of one row behind those of the other.

    A row has the table's columns in their order. What is absent is ``NO_TEXT`` or ``NO_NUMBER``.
    """
    row = "?,?,?,?,?,nullif(?,''),?,nullif(?,-1),nullif(?,-1),nullif(?,-1),?,?,?"
    _insert_many(connection, "INSERT INTO entity", row, values)


def update(connection: Connection, rows: Iterable[Sequence[Any]]) -> None:
    """
    Overwrite entities. What is ``NO_TEXT`` or ``NO_NUMBER`` stays as it was.

    A row is: summary, xid, rating, confidence, active, fields, last_modified, id.
    """
    connection.executemany(
        "UPDATE entity SET summary = coalesce(nullif(?, ''), summary),"
        " xid = coalesce(nullif(?, ''), xid), rating = coalesce(nullif(?, -1), rating),"
        " confidence = coalesce(nullif(?, -1), confidence),"
        " active = coalesce(nullif(?, -1), active),"
        " fields = coalesce(nullif(?, ''), fields), last_modified = ? WHERE id = ?",
        rows,
    )


def rename(connection: Connection, rows: Iterable[tuple[str, str, int]]) -> None:
    """Give Files other hashes: identity, summary, id."""
    connection.executemany("UPDATE entity SET identity = ?, summary = ? WHERE id = ?", rows)


def insert_hashes(connection: Connection, values: Sequence[Any]) -> None:
    """Note which File has a hash: owner, hash, entity, and again."""
    _insert_many(connection, "INSERT OR REPLACE INTO file_hash", "?,?,?", values)


def delete_hashes(connection: Connection, entity_id: int, owner_id: int) -> None:
    """Forget the hashes of a File."""
    rows = [
        (owner_id, value.lower(), entity_id) for value in hashes_of(connection, entity_id, owner_id)
    ]
    connection.executemany(
        "DELETE FROM file_hash WHERE owner_id = ? AND hash = ? AND entity_id = ?", rows
    )


def insert_attributes(connection: Connection, values: Sequence[Any]) -> None:
    """
    Add attributes: entity, type, value, displayed, pinned, source, labels, date; and again.

    A source or labels that are absent are ``NO_TEXT``.
    """
    head = (
        "INSERT INTO attribute (entity_id, type, value, displayed, pinned, source, labels,"
        " date_added)"
    )
    _insert_many(connection, head, "?,?,?,?,?,nullif(?,''),nullif(?,''),?", values)


def delete_attributes(connection: Connection, entity_ids: Sequence[int]) -> None:
    """Remove all attributes of entities."""
    _delete_many(connection, "DELETE FROM attribute WHERE entity_id", entity_ids)


def delete_attributes_of_types(connection: Connection, rows: Iterable[tuple[int, str]]) -> None:
    """Remove the attributes of certain types: entity, type."""
    connection.executemany("DELETE FROM attribute WHERE entity_id = ? AND type = ?", rows)


def hide_attributes(connection: Connection, rows: Iterable[tuple[int, str]]) -> None:
    """Make the attributes of certain types no longer the one that is shown: entity, type."""
    connection.executemany(
        "UPDATE attribute SET displayed = 0 WHERE entity_id = ? AND type = ? AND displayed", rows
    )


def link_names(connection: Connection, kind: str, values: Sequence[int]) -> None:
    """Put tags or labels on entities: entity, id of the name, and again."""
    _insert_many(connection, f"INSERT OR IGNORE INTO entity_{kind}", "?,?", values)


def unlink_names(connection: Connection, kind: str, entity_ids: Sequence[int]) -> None:
    """Take all tags or labels off entities."""
    head = f"DELETE FROM entity_{kind} WHERE entity_id"  # noqa: S608  (kind is ours)
    _delete_many(connection, head, entity_ids)


def insert_occurrences(connection: Connection, rows: Iterable[Sequence[Any]]) -> None:
    """Add file occurrences that are not there yet: entity, file name, path, date."""
    connection.executemany(
        "INSERT INTO file_occurrence (entity_id, file_name, path, date)"
        " SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM file_occurrence"
        " WHERE entity_id = ?1 AND file_name IS ?2 AND path IS ?3 AND date IS ?4)",
        rows,
    )


def associate(connection: Connection, rows: Sequence[tuple[int, int, str]]) -> None:
    """Link entities: the lower id, the higher id, the association type or ""."""
    values = list(chain.from_iterable(rows))
    _insert_many(connection, "INSERT OR IGNORE INTO association", "?,?,?", values)


def dissociate(connection: Connection, rows: Sequence[tuple[int, int, str]]) -> None:
    """Remove links: the lower id, the higher id, the association type or ""."""
    connection.executemany("DELETE FROM association WHERE low = ? AND high = ? AND type = ?", rows)


def delete(connection: Connection, owner_id: int, ids: Sequence[int]) -> list[str]:
    """
    Remove entities and all that hangs on them.

    Returns:
        The names of spooled contents that nobody needs any more.
    """
    files = [
        row[0]
        for row in bulk_select(connection, "SELECT body_file FROM content WHERE entity_id", ids)
        if row[0]
    ]
    for entity_id in ids:
        delete_hashes(connection, entity_id, owner_id)
    single = [(entity_id,) for entity_id in ids]
    for table in ("content", "attribute", "entity_tag", "entity_label", "file_occurrence"):
        connection.executemany(
            f"DELETE FROM {table} WHERE entity_id = ?",  # noqa: S608  (names are ours)
            single,
        )
    connection.executemany("DELETE FROM association WHERE low = ?", single)
    connection.executemany("DELETE FROM association WHERE high = ?", single)
    connection.executemany("DELETE FROM entity WHERE id = ?", single)
    return files


def move(connection: Connection, source: int, target: int) -> None:
    """Give all that hangs on one entity to another, as when Files are joined."""
    both = {"source": source, "target": target}
    for table in ("attribute", "file_occurrence"):
        connection.execute(
            f"UPDATE {table} SET entity_id = :target WHERE entity_id = :source",  # noqa: S608
            both,
        )
    for table in ("entity_tag", "entity_label"):
        connection.execute(
            f"UPDATE OR IGNORE {table} SET entity_id = :target"  # noqa: S608
            " WHERE entity_id = :source",
            both,
        )
    connection.execute(
        "INSERT OR IGNORE INTO association SELECT min(:target, other), max(:target, other), type"
        " FROM (SELECT high AS other, type FROM association WHERE low = :source UNION"
        " SELECT low, type FROM association WHERE high = :source) WHERE other <> :target",
        both,
    )


def count(connection: Connection, owner_id: int, kind: str) -> int:
    """Return how many groups (G) or indicators (I) an owner has."""
    (number,) = connection.execute(
        "SELECT count(*) FROM entity WHERE owner_id = ? AND kind = ?", (owner_id, kind)
    ).fetchone()
    return int(number)


class Names:
    """
    Tags or labels of an owner by name, with a bounded cache in front of the table.

    Args:
        table: ``tag`` or ``label``.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        #: Ids by owner and name, as far as they were met lately.
        self.known: dict[tuple[int, str], int] = {}

    def forget(self) -> None:
        """Empty the cache, since the table was changed behind it."""
        self.known.clear()

    def find(self, connection: Connection, owner_id: int, name: str) -> int | None:
        """Return the id of a name that exists in the owner, else None."""
        key = (owner_id, name)
        if key in self.known:
            return self.known[key]
        row = connection.execute(
            f"SELECT id FROM {self._table}"  # noqa: S608  (the table's name is ours)
            " WHERE owner_id IN (0, ?) AND name = ? ORDER BY owner_id LIMIT 1",
            key,
        ).fetchone()
        if row is None:
            return None
        self._keep(key, row[0])
        return int(row[0])

    def tag(self, connection: Connection, owner_id: int, name: str) -> int:
        """Return the id of a tag, which is made if it is new."""
        found = self.find(connection, owner_id, name)
        if found is not None:
            return found
        cursor = connection.execute(
            "INSERT INTO tag (owner_id, name) VALUES (?, ?)", (owner_id, name)
        )
        self._keep((owner_id, name), cursor.lastrowid or 0)
        return cursor.lastrowid or 0

    def label(
        self, connection: Connection, owner_id: int, name: str, description: str, color: str
    ) -> int:
        """Make a label that is new, and return its id."""
        cursor = connection.execute(
            "INSERT INTO label (owner_id, name, description, color) VALUES (?, ?, ?, ?)",
            (owner_id, name, description, color),
        )
        self._keep((owner_id, name), cursor.lastrowid or 0)
        return cursor.lastrowid or 0

    def _keep(self, key: tuple[int, str], name_id: int) -> None:
        if len(self.known) >= _CACHED_NAMES:
            self.known.clear()
        self.known[key] = name_id
