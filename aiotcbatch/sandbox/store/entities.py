"""Groups and indicators with all that hangs on them: how they are found and written, in bulk."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aiotcbatch.sandbox.store.database import Connection

__all__ = ["Names", "Occurrence", "Plan", "Stored", "bulk_select"]

#: How many values a lookup asks for in one statement; few sizes, so that statements are reused.
_SIZES = (1, 16, 256)
#: What stands for NULL in rows that are written. To bind None takes sqlite3 as long as ten values
#: of other types, since it looks for an adapter each time.
NO_TEXT, NO_NUMBER = "", -1
#: A name cache is emptied when it has grown so far.
_CACHED_NAMES = 100_000

#: File name, path and date of a file occurrence.
Occurrence = tuple[str | None, str | None, str | None]


@dataclass(slots=True)
class Stored:
    """
    What of an entity is merged with what comes.

    Attributes:
        id: Its id.
        summary: Its name or summary.
        last_modified: When it was last changed.
        fields: What the column ``fields`` has, and so on.
    """

    id: int
    summary: str = ""
    last_modified: float = 0.0
    fields: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    attributes: list[dict[str, Any]] = field(default_factory=list)
    occurrences: list[list[str | None]] = field(default_factory=list)

    def take_in(self, other: Stored) -> None:
        """Add what another one has, as when Files are joined."""
        self.tags = list(dict.fromkeys([*self.tags, *other.tags]))
        self.labels = list(dict.fromkeys([*self.labels, *other.labels]))
        self.attributes = sorted([*self.attributes, *other.attributes], key=itemgetter("id"))
        self.occurrences += other.occurrences


class Plan:
    """
    Rows that are written together.

    What is absent from a row is ``NO_TEXT`` or ``NO_NUMBER``.

    Args:
        connection: The database.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        #: New groups: id, owner, identity, type, xid, summary, two times, tags, labels, attributes,
        #: fields.
        self.new_groups: list[tuple[Any, ...]] = []
        #: New indicators: id, owner, identity, type, xid, summary, rating, confidence, active, two
        #: times, tags, labels, attributes.
        self.new_indicators: list[tuple[Any, ...]] = []
        #: The same, and then fields and occurrences, which most indicators have none of.
        self.new_full_indicators: list[tuple[Any, ...]] = []
        #: New values of groups, of which those that are absent stay as they were: summary,
        #: last_modified, tags, labels, attributes, fields, and id.
        self.changed_groups: list[tuple[Any, ...]] = []
        #: The same of indicators: xid, rating, confidence, active, last_modified, tags, labels,
        #: attributes, and id. What is not here is their identity, which does not change.
        self.changed_indicators: list[tuple[Any, ...]] = []
        #: The same with fields and occurrences before the id.
        self.changed_full_indicators: list[tuple[Any, ...]] = []
        #: Files with other hashes: identity, summary, id.
        self.renamed: list[tuple[str, str, int]] = []
        #: Which hashes Files with several of them have: owner, hash, entity.
        self.hashes: list[tuple[int, str, int]] = []

    def carry_out(self) -> None:
        """Write it all, and be empty then."""
        steps: tuple[tuple[str, list[Any]], ...] = (
            (_NEW_GROUP, self.new_groups),
            (_NEW_INDICATOR, self.new_indicators),
            (_NEW_FULL_INDICATOR, self.new_full_indicators),
            (_CHANGED_GROUP, self.changed_groups),
            (_CHANGED_INDICATOR, self.changed_indicators),
            (_CHANGED_FULL_INDICATOR, self.changed_full_indicators),
            ("UPDATE entity SET identity = ?, summary = ? WHERE id = ?", self.renamed),
            ("INSERT OR REPLACE INTO multi_hash VALUES (?, ?, ?)", self.hashes),
        )
        for statement, rows in steps:
            if rows:
                self.connection.executemany(statement, rows)
                rows.clear()


#: What stands for NULL in these columns.
_ABSENT = {"xid": "''", "rating": "-1", "confidence": "-1", "active": "-1"}
#: Columns that every change has anew.
_ALWAYS = frozenset({"summary", "last_modified"})


def _new(kind: str, columns: str) -> str:
    """Write the statement for new rows of these columns."""
    names = columns.split()
    marks = [f"nullif(?, {_ABSENT[name]})" if name in _ABSENT else "?" for name in names]
    return f"INSERT INTO entity (kind, {', '.join(names)}) VALUES ('{kind}', {', '.join(marks)})"  # noqa: S608


def _changed(columns: str) -> str:
    """Write the statement that sets these columns, where there is something to set."""
    sets = [
        f"{name} = ?"
        if name in _ALWAYS
        else f"{name} = ifnull(nullif(?, {_ABSENT.get(name, repr(NO_TEXT))}), {name})"
        for name in columns.split()
    ]
    return f"UPDATE entity SET {', '.join(sets)} WHERE id = ?"  # noqa: S608


_WHICH = "id owner_id identity type xid summary"
_SCORES = "rating confidence active"
_LISTS = "tags labels attributes"
_NEW_GROUP = _new("G", f"{_WHICH} date_added last_modified {_LISTS} fields")
_NEW_INDICATOR = _new("I", f"{_WHICH} {_SCORES} date_added last_modified {_LISTS}")
_NEW_FULL_INDICATOR = _new(
    "I", f"{_WHICH} {_SCORES} date_added last_modified {_LISTS} fields occurrences"
)
_CHANGED_GROUP = _changed(f"summary last_modified {_LISTS} fields")
_CHANGED_INDICATOR = _changed(f"xid {_SCORES} last_modified {_LISTS}")
_CHANGED_FULL_INDICATOR = _changed(f"xid {_SCORES} last_modified {_LISTS} fields occurrences")


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
        The rows, in no order; what is asked for twice may come twice.
    """
    rows: list[Any] = []
    for size, batch in _batches(values):
        marks = ",".join("?" * size)
        rows += connection.execute(f"{head} IN ({marks})", (*fixed, *batch)).fetchall()
    return rows


def match(connection: Connection, owner_id: int, identities: Sequence[str]) -> dict[str, int]:
    """Return the ids of those of the entities that exist, by identity."""
    asked = orjson.dumps(identities).decode()
    if "\\u0000" in asked:  # where SQLite takes a text in JSON to end
        head = "SELECT identity, id FROM entity WHERE owner_id = ? AND identity"
        return dict(bulk_select(connection, head, identities, owner_id))
    rows: list[tuple[int, int]] = connection.execute(
        "SELECT asked.key, entity.id FROM json_each(?) AS asked CROSS JOIN entity"
        " WHERE entity.owner_id = ? AND entity.identity = asked.value",
        (asked, owner_id),
    ).fetchall()
    return {identities[index]: number for index, number in rows}


def match_ids(
    connection: Connection, owner_id: int, ids: Sequence[int]
) -> dict[int, tuple[str, str]]:
    """Return kind and type of those of the ids that exist in the owner."""
    rows = connection.execute(
        "SELECT entity.id, entity.kind, entity.type FROM json_each(?) AS asked CROSS JOIN entity"
        " WHERE entity.id = asked.value AND entity.owner_id = ?",
        (orjson.dumps(ids).decode(), owner_id),
    )
    return {number: (kind, name) for number, kind, name in rows}


def indicator_by_xid(connection: Connection, owner_id: int, xid: str) -> int:
    """Return the id of the latest indicator that came with an xid, 0 for none; a slow look-up."""
    row = connection.execute(
        "SELECT max(id) FROM entity WHERE owner_id = ? AND kind = 'I' AND xid = ?", (owner_id, xid)
    ).fetchone()
    return row[0] or 0


def load(connection: Connection, ids: Sequence[int]) -> dict[int, Stored]:
    """Return what entities have that is merged with what comes."""
    head = (
        "SELECT id, summary, last_modified, fields, tags, labels, attributes, occurrences"
        " FROM entity WHERE id"
    )
    return {
        row[0]: Stored(*row[:3], *map(orjson.loads, row[3:]))
        for row in bulk_select(connection, head, ids)
    }


def save(connection: Connection, stored: Stored) -> None:
    """Write what was merged in Python."""
    parts = (stored.tags, stored.labels, stored.attributes, stored.occurrences)
    connection.execute(
        "UPDATE entity SET tags = ?, labels = ?, attributes = ?, occurrences = ? WHERE id = ?",
        (*(orjson.dumps(part).decode() for part in parts), stored.id),
    )


def match_hashes(connection: Connection, owner_id: int, hashes: Sequence[str]) -> dict[str, int]:
    """Return which File has each of the hashes that are known."""
    alone = {f"File:{value}": value for value in hashes}
    found = match(connection, owner_id, list(alone))
    known = match_multi_hashes(connection, owner_id, hashes)
    return known | {alone[identity]: entity_id for identity, entity_id in found.items()}


def match_multi_hashes(
    connection: Connection, owner_id: int, hashes: Sequence[str]
) -> dict[str, int]:
    """Return which File with several hashes has each of the hashes that are known."""
    rows = connection.execute(
        "SELECT hash, entity_id FROM json_each(?) AS asked CROSS JOIN multi_hash"
        " WHERE owner_id = ? AND hash = asked.value",
        (orjson.dumps(hashes).decode(), owner_id),
    )
    return dict(rows.fetchall())


def hashes_of(connection: Connection, entity_id: int, owner_id: int) -> list[str]:
    """Return the hashes of a File, as its summary has them."""
    rows = connection.execute(
        "SELECT summary FROM entity WHERE id = ? AND owner_id = ?", (entity_id, owner_id)
    ).fetchone()
    return [] if rows is None or not rows[0] else rows[0].split(" : ")


def delete_hashes(connection: Connection, entity_id: int, owner_id: int) -> None:
    """Forget the hashes of a File."""
    rows = [
        (owner_id, value.lower(), entity_id) for value in hashes_of(connection, entity_id, owner_id)
    ]
    connection.executemany(
        "DELETE FROM multi_hash WHERE owner_id = ? AND hash = ? AND entity_id = ?", rows
    )


def associate(connection: Connection, rows: Sequence[tuple[int, int, str]]) -> None:
    """Link entities: the lower id, the higher id, the association type or ""."""
    connection.executemany("INSERT OR IGNORE INTO association VALUES (?, ?, ?)", rows)


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
    connection.executemany("DELETE FROM content WHERE entity_id = ?", single)
    connection.executemany("DELETE FROM association WHERE low = ?", single)
    connection.executemany("DELETE FROM association WHERE high = ?", single)
    connection.executemany("DELETE FROM entity WHERE id = ?", single)
    return files


def copy_links(connection: Connection, source: int, target: int) -> None:
    """Link all that one entity is linked with to another, as when Files are joined."""
    both = {"source": source, "target": target}
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
    Tags or labels of owners by name, with a bounded cache in front of the table.

    Args:
        table: ``tag`` or ``label``.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        #: Names that exist, by owner, as far as they were met lately.
        self._known: defaultdict[int, set[str]] = defaultdict(set)

    def forget(self) -> None:
        """Empty the cache, since the table was changed behind it."""
        self._known.clear()

    def missing(self, connection: Connection, owner_id: int, names: Iterable[str]) -> list[str]:
        """Return those of the names that do not exist in the owner, each once."""
        known = self._known[owner_id]
        if known.issuperset(names):
            return []
        different = dict.fromkeys(names)
        return [name for name in different if not self._exists(connection, owner_id, name)]

    def add(
        self,
        connection: Connection,
        owner_id: int,
        name: str,
        **more: str,
    ) -> None:
        """Make a name that is new, with the values of more columns."""
        row = {"owner_id": owner_id, "name": name, **more}
        marks = ",".join("?" * len(row))
        connection.execute(
            f"INSERT INTO {self._table} ({','.join(row)}) VALUES ({marks})",  # noqa: S608
            tuple(row.values()),
        )
        self._keep(owner_id, name)

    def _exists(self, connection: Connection, owner_id: int, name: str) -> bool:
        if name in self._known[owner_id]:
            return True
        row = connection.execute(
            f"SELECT 1 FROM {self._table}"  # noqa: S608  (the table's name is ours)
            " WHERE owner_id IN (0, ?) AND name = ?",
            (owner_id, name),
        ).fetchone()
        if row is None:
            return False
        self._keep(owner_id, name)
        return True

    def _keep(self, owner_id: int, name: str) -> None:
        known = self._known[owner_id]
        if len(known) >= _CACHED_NAMES:
            known.clear()
        known.add(name)
