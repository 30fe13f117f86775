"""All that a sandbox keeps: its database, its spool, and the numbers that it gives out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.sandbox.store import database
from aiotcbatch.sandbox.store.database import Database
from aiotcbatch.sandbox.store.entities import Names
from aiotcbatch.sandbox.store.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from aiotcbatch.sandbox.settings import Owner
    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.vocabulary import SecurityLabel

__all__ = ["Store"]


class Store:
    """
    The database and the spooled bodies of one sandbox.

    Args:
        path: The database's file, or None to keep it in memory and bodies in a temporary directory.
        owners: The owners that are to exist.
        labels: The security labels that are to exist.
    """

    def __init__(
        self, path: Path | None, owners: Iterable[Owner], labels: Iterable[SecurityLabel]
    ) -> None:
        self.database = Database(path)
        self.spool = Spool(None if path is None else path.with_name(f"{path.name}.files"))
        self.tags = Names("tag")
        self.labels = Names("label")
        self.owners: dict[str, tuple[int, str]] = {}
        self._first_owners = tuple(owners)
        self._first_labels = tuple(labels)
        #: The ids of entities and of attributes that are given out next.
        self.next_entity = 1
        self.next_attribute = 1

    def open(self) -> None:
        """Open the database and add what is to exist and does not."""
        self.database.open()
        self.database.call(self.prepare)
        self.spool.keep_only(self.database.call(_spooled))

    def close(self) -> None:
        """Close all of it."""
        self.database.close()
        self.spool.close()

    def prepare(self, connection: Connection) -> None:
        """Add the first owners and labels if they are not there, and read what was counted."""
        connection.executemany(
            "INSERT OR IGNORE INTO owner (name, type) VALUES (?, ?)",
            [(owner.name, owner.type) for owner in self._first_owners],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO label (owner_id, name, description, color) VALUES (0, ?, ?, ?)",
            [(label.name, label.description, label.color) for label in self._first_labels],
        )
        self.refresh(connection)

    def refresh(self, connection: Connection) -> None:
        """Read again what is kept beside the tables, since they were changed."""
        self.database.version += 1
        self.tags.forget()
        self.labels.forget()
        rows = connection.execute("SELECT name, id, type FROM owner ORDER BY id")
        self.owners = {name: (owner_id, kind) for name, owner_id, kind in rows}
        counted = dict(connection.execute("SELECT name, value FROM meta"))
        self.next_entity = counted.get("next_entity", 1)
        self.next_attribute = counted.get("next_attribute", 1)

    def save_numbers(self, connection: Connection) -> None:
        """Write down what was given out, in the transaction in which it was."""
        rows = [("next_entity", self.next_entity), ("next_attribute", self.next_attribute)]
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def empty(self, connection: Connection) -> None:
        """Forget everything and begin anew."""
        database.empty(connection)
        self.spool.empty()
        self.prepare(connection)


def _spooled(connection: Connection) -> set[str]:
    """Return the names of the spooled files that something points to."""
    rows = connection.execute(
        "SELECT body_file FROM job_body WHERE body_file IS NOT NULL UNION"
        " SELECT body_file FROM content WHERE body_file IS NOT NULL"
    )
    return {name for (name,) in rows}
