"""One SQLite database, one thread that talks to it, and work that is done in the order it came."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from aiotcbatch.errors import ClosedError, ConfigurationError
from aiotcbatch.sandbox.store.schema import SCHEMA, TABLES, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

__all__ = ["Connection", "Database"]

Connection = sqlite3.Connection
P = ParamSpec("P")
R = TypeVar("R")


class Database:
    """
    The store's connection and the only thread that uses it.

    Every piece of work is one transaction: committed when it returns, rolled back when it raises.
    Work is short by convention (a few milliseconds), so that requests and a running job interleave.

    Args:
        path: The file, or None to keep everything in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sandbox-store")
        self._connection: Connection | None = None
        #: Grows with every change, so that one who looks on knows when to look again.
        self.version = 0

    def open(self) -> None:
        """Open the file, make the tables if it is new, and refuse it if it is something else."""
        self._thread.submit(self._open).result()

    def close(self) -> None:
        """Close the file and end the thread; closing twice is harmless."""
        if self._connection is not None:
            self._thread.submit(self._connection.close).result()
            self._connection = None
        self._thread.shutdown(wait=True)

    async def run(
        self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """
        Do a piece of work and wait for it without holding the loop.

        Args:
            work: Called with the connection first.
            *args: What else it gets.
            **kwargs: What else it gets by name.

        Returns:
            What it returned.

        Raises:
            ClosedError: It is not open.
        """
        future = self._submit(lambda db: work(db, *args, **kwargs))
        return await asyncio.shield(asyncio.wrap_future(future))

    def call(
        self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """
        Do a piece of work and hold the calling thread until it is done; callable from any thread.

        Args:
            work: Called with the connection first.
            *args: What else it gets.
            **kwargs: What else it gets by name.

        Returns:
            What it returned.

        Raises:
            ClosedError: It is not open.
        """
        return self._submit(lambda db: work(db, *args, **kwargs)).result()

    def _submit(self, task: Callable[[Connection], R]) -> Future[R]:
        connection = self._connection
        if connection is None:
            raise ClosedError("the sandbox is not running; it is used inside its block")
        return self._thread.submit(self._transaction, connection, task)

    def _transaction(self, connection: Connection, task: Callable[[Connection], R]) -> R:
        try:
            result = task(connection)
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise
        if connection.in_transaction:
            connection.commit()
            self.version += 1
        return result

    def _open(self) -> None:
        name = ":memory:" if self._path is None else str(self._path)
        try:
            connection = sqlite3.connect(name, check_same_thread=False, cached_statements=256)
        except sqlite3.OperationalError as error:
            raise ConfigurationError("db", name, "a file in a directory that exists") from error
        try:
            self._prepare(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            raise ConfigurationError("db", name, "a database of this sandbox") from error
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _prepare(self, connection: Connection) -> None:
        if self._path is not None:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA secure_delete = OFF")  # some builds overwrite what is freed
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables == 0:
            connection.executescript(f"{SCHEMA} PRAGMA user_version = {VERSION};")
        elif version != VERSION:
            raise ConfigurationError("db", str(self._path), f"a database of version {VERSION}")


def empty(connection: Connection) -> None:
    """Take every row out of every table."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608  (names are ours)


def copy(source: Connection, target: Connection) -> None:
    """Make the target the same as the source."""
    source.backup(target)


def memory() -> Connection:
    """Open a database that lives in memory only."""
    return sqlite3.connect(":memory:", check_same_thread=False)
