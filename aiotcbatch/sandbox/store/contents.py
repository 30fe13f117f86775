"""Contents of Documents and Reports, in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.spool import Received

__all__ = ["Place", "StoredFile"]

#: The types of groups that have a file.
TYPES = ("Document", "Report")


class Place(NamedTuple):
    """
    A group that a file can belong to.

    Attributes:
        id: The group's id.
        type: Its type.
        malware: Whether its file must be a protected zip.
        size: Bytes of the file that it has, None if it has none.
        text: The text of a Signature.
    """

    id: int
    type: str
    malware: bool
    size: int | None
    text: str | None


class StoredFile(NamedTuple):
    """
    A file as the sandbox has it.

    Attributes:
        xid: The xid of the group that it belongs to.
        owner: The owner's name.
        type: ``Document`` or ``Report``.
        file_name: The group's ``fileName``, "" if it has none.
        size: Its length in bytes.
        sha256: Its hash in hexadecimal digits.
        content: Its bytes.
    """

    xid: str
    owner: str
    type: str
    file_name: str
    size: int
    sha256: str
    content: bytes


def find(
    connection: Connection,
    owner_id: int | None,
    ref: str,
    number: int | None,
    kind: str | None,
    owners: Sequence[int],
) -> Place | None:
    """Find a group by its xid in an owner, else by its id in any owner that is allowed."""
    head = (
        "SELECT e.id, e.type, e.fields, c.size, e.owner_id FROM entity e"
        " LEFT JOIN content c ON c.entity_id = e.id WHERE"
    )
    row = None
    if owner_id is not None:
        row = connection.execute(
            f"{head} e.owner_id = ? AND e.identity = ?", (owner_id, f"@{ref}")
        ).fetchone()
    if row is None and number is not None:
        row = connection.execute(f"{head} e.id = ? AND e.kind = 'G'", (number,)).fetchone()
    if row is None or row[4] not in owners or (kind is not None and row[1] != kind):
        return None
    if kind is None and row[1] not in {*TYPES, "Signature"}:
        return None
    fields = orjson.loads(row[2])
    return Place(row[0], row[1], bool(fields.get("malware")), row[3], fields.get("fileText"))


def put(
    connection: Connection,
    place: Place,
    body: Received,
    now: float,
    limit: int | None,
    file_name: str | None,
) -> str | bool:
    """
    Store a file in place of the one that was there.

    Returns:
        False if the storage is full; else the spooled file that is no longer needed, or True.
    """
    if limit is not None:
        (used,) = connection.execute(
            "SELECT coalesce(sum(size), 0) FROM content WHERE entity_id <> ?", (place.id,)
        ).fetchone()
        if used + body.size > limit:
            return False
    row = connection.execute(
        "SELECT body_file FROM content WHERE entity_id = ?", (place.id,)
    ).fetchone()
    connection.execute(
        "INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?, ?, ?)",
        (place.id, body.size, body.sha256, body.body, body.file, now),
    )
    if file_name:
        connection.execute(
            "UPDATE entity SET fields = json_set(fields, '$.fileName', ?) WHERE id = ?",
            (file_name, place.id),
        )
    return row[0] if row is not None and row[0] else True


def get(connection: Connection, entity_id: int) -> tuple[bytes | None, str | None]:
    """Return a file, as bytes or as the name of a spooled one; twice None if there is none."""
    row = connection.execute(
        "SELECT body, body_file FROM content WHERE entity_id = ?", (entity_id,)
    ).fetchone()
    return row if row is not None else (None, None)


def listed(connection: Connection) -> list[tuple[str, str, str, str, int, str, int]]:
    """Return all files without their bytes: xid, owner, type, file name, size, hash, entity."""
    rows = connection.execute(
        "SELECT e.xid, o.name, e.type, e.fields, c.size, c.sha256, e.id FROM content c"
        " JOIN entity e ON e.id = c.entity_id JOIN owner o ON o.id = e.owner_id ORDER BY e.id"
    )
    return [
        (xid or "", owner, kind, orjson.loads(fields).get("fileName", ""), size, sha256, entity_id)
        for xid, owner, kind, fields, size, sha256, entity_id in rows
    ]
