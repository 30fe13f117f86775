"""The tables of a journal, and the checksums over their rows."""

from __future__ import annotations

import sqlite3
import struct
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from zlib import crc32

from aiotcbatch.journal.records import Kind, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BLOCK_BYTES", "SCHEMA", "TABLES", "UNREADABLE", "VERSION", "Connection", "Table"]

Connection = sqlite3.Connection

#: The layout of the tables; a journal of another one is refused.
VERSION = 1
#: Marks the file as a journal, for tools such as file(1).
APPLICATION_ID = 0x61544342
#: Bytes that are one row: what has to be read to get at one of its records.
BLOCK_BYTES = 256 * 1024

#: What SQLite raises about a file that is damaged; its own messages may be damaged with it.
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)

#: A place and its kind are one number, so that rows need no further index.
_KIND_BITS = 48
_PLACE_MASK = (1 << _KIND_BITS) - 1
_RUN = struct.Struct("<QI")

R = TypeVar("R", bound=tuple[Any, ...])


class MetaRow(NamedTuple):
    """What the journal is, in its only row."""

    number: int
    version: int
    owner: str
    #: A JSON object.
    settings: str


class SegmentRow(NamedTuple):
    """Records that were drained together."""

    #: Kind and place of the first record.
    place: int
    length: int
    #: How many are not gone; with the last one the segment goes.
    remaining: int
    refers: int
    #: The block with the starts, and the sources behind them; those with the records follow it.
    block: int
    nbytes: int


class GoneRow(NamedTuple):
    """Records that are done, or were continued as others: nobody needs them any more."""

    place: int
    length: int


class JobRow(NamedTuple):
    """A job that has been cut."""

    number: int
    batch_id: int | None
    #: The name of its `Phase`.
    phase: str
    #: A JSON object.
    settings: str
    runs: bytes
    #: A JSON object.
    status: str
    attempts: int
    failure: str | None
    since: float


class FileRow(NamedTuple):
    """The content of a group."""

    #: Kind and place of the group.
    place: int
    xid: str
    type: str
    name: str | None
    #: Where it comes from, and what that needs to be known.
    origin: int
    detail: str
    #: The first block of what is kept here, and how much that is.
    block: int
    nbytes: int
    job: int | None
    #: A JSON object; None while it waits.
    result: str | None


class Table(Generic[R]):
    """
    A table whose first column is its key, and whose last one is a checksum over the others.

    Args:
        name: Its name.
        row: The named tuple that is its columns.
        once: Whether a key is never given twice, not even when its row is gone.
    """

    def __init__(self, name: str, row: type[R], *, once: bool = False) -> None:
        fields: tuple[str, ...] = row._fields  # type: ignore[attr-defined] # a named tuple
        self.name = name
        self._row = row
        self.width = len(fields) + 1
        key, others = fields[0], fields[1:]
        marks = ", ".join("?" * self.width)
        assigned = ", ".join(f"{field} = ?" for field in (*others, "crc"))
        self.key = key
        key_type = "INTEGER PRIMARY KEY AUTOINCREMENT" if once else "INTEGER PRIMARY KEY"
        self.create = f"CREATE TABLE {name} ({key} {key_type}, {', '.join(others)}, crc);"
        self._insert = f"INSERT INTO {name} VALUES ({marks})"  # noqa: S608 (names are ours)
        self._update = f"UPDATE {name} SET {assigned} WHERE {key} = ?"  # noqa: S608
        self._delete = f"DELETE FROM {name} WHERE {key} BETWEEN ? AND ?"  # noqa: S608
        self.select = f"SELECT * FROM {name}"  # noqa: S608

    def crc(self, row: R) -> int:
        """Compute the checksum of a row, bound to its table."""
        return crc32(f"{self.name}{tuple(row)!a}".encode())

    def insert(self, db: Connection, row: R) -> None:
        """Add a row."""
        db.execute(self._insert, (*row, self.crc(row)))

    def update(self, db: Connection, row: R) -> None:
        """Write the row with this key anew."""
        db.execute(self._update, (*row[1:], self.crc(row), row[0]))

    def delete(self, db: Connection, first: int, last: int | None = None) -> None:
        """Delete the row with this key, or all up to another one."""
        db.execute(self._delete, (first, first if last is None else last))

    def find(self, db: Connection, condition: str, *values: object) -> Iterator[R]:
        """Read rows."""
        for found in db.execute(f"{self.select} {condition}", values).fetchall():
            yield self.row(found[:-1])

    def first(self, db: Connection, condition: str, *values: object) -> R | None:
        """Read one row, None if there is none."""
        return next(self.find(db, condition, *values), None)

    def row(self, values: Iterable[Any]) -> R:
        """Make a row of the values of its columns."""
        return self._row(*values)


META = Table("meta", MetaRow)
SEGMENTS = Table("segment", SegmentRow)
GONE = Table("gone", GoneRow)
JOBS = Table("job", JobRow, once=True)
FILES = Table("file", FileRow)
TABLES: tuple[Table[Any], ...] = (META, SEGMENTS, GONE, JOBS, FILES)

_BLOCK = "CREATE TABLE block (number INTEGER PRIMARY KEY, crc, data);"
_FILE_INDEX = "CREATE INDEX file_by_job ON file (job, xid);"
#: One row over all others: a page that was lost as a whole has good checksums, and is missed here.
_SEAL = """
CREATE TABLE seal (number INTEGER PRIMARY KEY, commits, row_count, crc_sum);
INSERT INTO seal VALUES (1, 0, 0, 0);
"""
_SEALED = """
CREATE TRIGGER {0}_in AFTER INSERT ON {0} BEGIN
    UPDATE seal SET row_count = row_count + 1, crc_sum = crc_sum + NEW.crc;
END;
CREATE TRIGGER {0}_out AFTER DELETE ON {0} BEGIN
    UPDATE seal SET row_count = row_count - 1, crc_sum = crc_sum - OLD.crc;
END;
CREATE TRIGGER {0}_new AFTER UPDATE OF crc ON {0} BEGIN
    UPDATE seal SET crc_sum = crc_sum + NEW.crc - OLD.crc;
END;
"""
SCHEMA = "".join(
    (
        f"PRAGMA application_id = {APPLICATION_ID};",
        _BLOCK,
        *(table.create for table in TABLES),
        _FILE_INDEX,
        _SEAL,
        *(_SEALED.format(name) for name in ("block", *(table.name for table in TABLES))),
    )
)


def block_crc(number: int, data: bytes | memoryview) -> int:
    """Compute the checksum of a block, bound to its number."""
    return crc32(data, number & 0xFFFFFFFF)


def place_of(kind: Kind, place: int) -> int:
    """Put a kind and a place into one number."""
    return int(kind) << _KIND_BITS | place


def run_at(place: int, count: int) -> Run:
    """Take such a number apart again."""
    return Run(Kind(place >> _KIND_BITS), place & _PLACE_MASK, count)


def pack_runs(runs: Iterable[Run]) -> bytes:
    """Give runs as they are kept."""
    return b"".join(_RUN.pack(place_of(run.kind, run.first), run.count) for run in runs)


def unpack_runs(data: bytes) -> list[Run]:
    """
    Read runs back.

    Raises:
        ValueError: When they are no runs.
    """
    try:
        return [run_at(place, count) for place, count in _RUN.iter_unpack(data)]
    except struct.error as error:
        raise ValueError(str(error)) from error
