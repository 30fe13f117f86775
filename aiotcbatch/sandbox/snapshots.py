"""Everything that a sandbox holds at one moment, to come back to."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from aiotcbatch.errors import ClosedError
from aiotcbatch.sandbox.store import database

if TYPE_CHECKING:
    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.store import Store

__all__ = ["Snapshot"]


class Snapshot:
    """
    A copy of a sandbox's database and files; made by `Sandbox.snapshot`.

    It can be restored any number of times until it is closed or its sandbox is.
    """

    def __init__(self) -> None:
        self._closing = threading.Lock()
        self._connection: Connection | None = database.memory()
        self._files = Path(tempfile.mkdtemp(prefix="aiotcbatch-snapshot-"))

    def __repr__(self) -> str:
        """Show whether it can still be restored."""
        return f"<Snapshot {'closed' if self._connection is None else 'open'}>"

    def take(self, connection: Connection, store: Store) -> None:
        """Copy what is there."""
        database.copy(connection, self._copy())
        store.spool.link_all(self._files)

    def put_back(self, connection: Connection, store: Store) -> None:
        """Make everything as it was when it was copied."""
        connection.commit()
        database.copy(self._copy(), connection)
        store.spool.replace_by(self._files)
        store.refresh(connection)

    async def aclose(self) -> None:
        """Give back the memory and the files; closing twice is harmless."""
        await anyio.to_thread.run_sync(self.close)

    def close(self) -> None:
        """Do the same in the calling thread."""
        with self._closing:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            shutil.rmtree(self._files, ignore_errors=True)

    def _copy(self) -> Connection:
        if self._connection is None:
            raise ClosedError("this snapshot is closed")
        return self._connection
